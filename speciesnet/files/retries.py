"""Retries of what a busy server or a broken connection made fail.

The retries of single requests are the business of the libraries that send them; see ``web.py`` and the
modules of the clouds.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from absl import logging

from speciesnet.errors import BrokenConnectionError

_T = TypeVar("_T")


def retry(
    action: Callable[[], _T],
    pauses: Iterable[float],
    on: type[BrokenConnectionError] = BrokenConnectionError,
    name: str | None = None,
) -> _T:
    """Calls a function until it succeeds, or no pause is left.

    Args:
        action: The function.
        pauses: Seconds to wait after each failure; the last failure is raised.
        on: Errors after which the function is called again; all others are raised.
        name: The file that a warning about each failure names; None logs nothing.
    """
    remaining = iter(pauses)
    while True:
        try:
            return action()
        except on as error:
            pause = next(remaining, None)
            if pause is None:
                raise
            if name is not None:
                logging.warning("%s: %s. Trying again.", name, error.reason)
        time.sleep(pause)


def pauses_for(seconds: float, pause: float) -> Iterator[float]:
    """The same pause again and again, for some seconds from now."""
    until = time.monotonic() + seconds
    return itertools.takewhile(lambda _: time.monotonic() < until, itertools.repeat(pause))

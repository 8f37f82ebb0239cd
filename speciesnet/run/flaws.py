"""Keeps the images with flaws in the settings of a run, so that its later parts still count them."""

from __future__ import annotations

import time
from collections.abc import Iterator

from speciesnet.constants import Flaw
from speciesnet.pipeline import Photo
from speciesnet.predictions.settings import FLAWED, add_to_settings, flawed_images_of
from speciesnet.run.description import Output

SAVED_EVERY = 2.0  # seconds, like the records


class KeptFlaws:
    """The images of an output that were decoded although they have flaws; use it as a context manager.

    Args:
        output: The output. Of an earlier run, only images with a finished record count: the others are
            read again.
    """

    def __init__(self, output: Output) -> None:
        self._path = output.path
        self._found = {} if output.path is None else flawed_images_of(output.path)
        self._earlier: dict[str, Flaw] = {}
        if self._found:
            finished = set(output.finished)
            self._earlier = {path: flaw for path, flaw in self._found.items() if path in finished}
        self._is_saved = len(self._earlier) == len(self._found)
        self._found, self._last = dict(self._earlier), time.monotonic()

    def __iter__(self) -> Iterator[tuple[str, Flaw]]:
        """The images of earlier runs, with their flaws."""
        return iter(self._earlier.items())

    def add(self, photo: Photo) -> None:
        """Adds an image of this run, if it has a flaw."""
        if photo.flaw is not None:
            self._found[photo.filepath], self._is_saved = photo.flaw, False
        if not self._is_saved and time.monotonic() - self._last >= SAVED_EVERY:
            self._save()

    def _save(self) -> None:
        if self._path is not None and not self._is_saved:
            add_to_settings(self._path, FLAWED, self._found)
        self._is_saved, self._last = True, time.monotonic()

    def __enter__(self) -> KeptFlaws:
        return self

    def __exit__(self, *_: object) -> None:
        self._save()

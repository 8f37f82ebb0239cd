"""The real command line with one thing that goes wrong: python with_fault.py FAULT ARGUMENTS."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from speciesnet.classifier import SpeciesNetClassifier
from speciesnet.files import storage, web
from speciesnet.pipeline import reading
from speciesnet.scripts import run_model


def _reading_fails(error: BaseException) -> None:
    read = reading.read_photograph

    def fail(filepath: str) -> Any:
        if "huge" in filepath:
            raise error
        return read(filepath)

    reading.read_photograph = fail


def _network_fails() -> None:
    classify = SpeciesNetClassifier.classify
    batches: list[int] = []

    def fail(self: SpeciesNetClassifier, imgs: Sequence[Any], *args: Any) -> Any:
        batches.append(len(imgs))
        if len(batches) > 1:
            raise RuntimeError("the card fell off the bus\nin many words")
        return classify(self, imgs, *args)

    SpeciesNetClassifier.classify = fail  # type: ignore[method-assign]


def _clock_goes_back() -> None:
    now = time.time
    time.time = lambda: now() - 86_400 * (time.monotonic() % 10)


def _no_patience() -> None:
    web.READ_SECONDS, storage.IMAGE_SECONDS = 1, 2.0


FAULTS: dict[str, Callable[[], None]] = {
    "no_memory": lambda: _reading_fails(MemoryError()),
    "reader": lambda: _reading_fails(RuntimeError("a decoder went mad")),
    "network": _network_fails,
    "clock": _clock_goes_back,
    "no_patience": _no_patience,
}

if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    run_model.cli()

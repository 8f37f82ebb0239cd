"""Duration and cost of a run, estimated before it starts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted, plural
from speciesnet.records import Record
from speciesnet.records.failures import is_failed
from speciesnet.scripts import flags

WARM_UP_IMAGES = 4  # the first ones are slower
SAMPLE_IMAGES = 12  # spread over the list

Predict = Callable[[Sequence[str]], Mapping[str, Sequence[Record]] | None]


@dataclass(frozen=True)
class Estimate:
    """Duration and cost of a run.

    Attributes:
        images: Images in the whole run.
        finished: Images that an earlier run has finished.
        images_per_second: Speed of one machine.
        machines: Number of machines that share the work.
        price_per_hour: Price of one machine, in any currency; None leaves the cost out.
    """

    images: int
    finished: int
    images_per_second: float
    machines: int = 1
    price_per_hour: float | None = None

    @property
    def hours(self) -> float:
        """Hours from the first image to the last, if the machines share the work evenly."""
        return (self.images - self.finished) / self.images_per_second / self.machines / 3600

    @property
    def cost(self) -> float | None:
        """Cost of all machines, in the currency of the price."""
        if self.price_per_hour is None:
            return None
        return self.hours * self.machines * self.price_per_hour

    def lines(self, source: str) -> Iterator[str]:
        """The estimate as sentences for the user.

        Args:
            source: Where the speed comes from.
        """
        from tqdm import tqdm

        left = self.images - self.finished
        images = plural(self.images, "image")
        yield f"{self.images:,} {images}, {self.finished:,} of them already done: {left:,} to do."
        yield f"{self.images_per_second:.3g} images/s on a machine, {source}."
        clock = tqdm.format_interval(self.hours * 3600)
        many = counted(self.machines, "machine")
        yield f"{many}: {self.hours:.2f} hours ({clock}), not counting start-up."
        if self.cost is not None:
            yield f"{self.cost:.2f} at {self.price_per_hour:.2f} per machine per hour."


def check(values: flags.Values) -> None:
    """Raises ``InputError`` for flags that have no effect without ``--dry_run``."""
    for flag in flags.PLANNING:
        if values.is_given(flag) and not values[flags.DRY_RUN] and flag is not flags.DRY_RUN:
            raise InputError(
                f"--{flag.name} requires --dry_run; add --dry_run or leave --{flag.name} out."
            )


def print_estimate(
    values: flags.Values, images: int, finished: int, sample: Sequence[str], predict: Predict
) -> None:
    """Prints how long a run will take.

    Args:
        values: The values of the flags, with those of ``PLANNING``.
        images: Images in the whole run.
        finished: Images that an earlier run has finished.
        sample: Some of the remaining images, to be timed unless ``--images_per_second`` is given.
        predict: Runs the model on images; see ``measure``.

    Raises:
        InputError: None of the sample can be read.
    """
    if images == finished or not sample:
        sys.stdout.write(
            f"{images:,} {plural(images, 'image, already done', 'images, all of them already done')}.\n"
        )
        return
    given = values[flags.IMAGES_PER_SECOND]
    rate = given or measure(predict, sample)
    estimate = Estimate(
        images, finished, rate, values[flags.MACHINES], values[flags.PRICE_PER_HOUR]
    )
    source = "as specified" if given else "measured here on some of the images"
    sys.stdout.write("\n".join(estimate.lines(source)) + "\n")


def measure(predict: Predict, filepaths: Sequence[str]) -> float:
    """The speed of this machine in images per second, timed on a sample of the images.

    Args:
        predict: Runs the model on images, and returns a dict whose ``predictions`` are their records.
        filepaths: Some of the run's images.

    Raises:
        InputError: None of the images can be read.
    """
    step = max(len(filepaths) // (WARM_UP_IMAGES + SAMPLE_IMAGES), 1)
    spread = list(dict.fromkeys(filepaths))[::step][: WARM_UP_IMAGES + SAMPLE_IMAGES]
    predict(spread[:WARM_UP_IMAGES])
    sample = spread[WARM_UP_IMAGES:] or spread
    start = time.perf_counter()
    predictions = predict(sample) or {"predictions": []}
    seconds = time.perf_counter() - start
    answered = sum(not is_failed(record) for record in predictions["predictions"])
    if not answered:
        raise InputError(
            f"None of the {len(sample)} sample images can be read (first: {sample[0]}), so the speed "
            "cannot be measured; fix the paths, or set the speed with --images_per_second."
        )
    return answered / seconds

"""How long a run will take, and what it will cost, before it is begun."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from speciesnet.errors import InputError
from speciesnet.records import is_failed

if TYPE_CHECKING:
    from speciesnet.model import SpeciesNet

WARM_UP_IMAGES = 4  # the first ones are slower
SAMPLE_IMAGES = 12  # spread over the list


@dataclass(frozen=True)
class Estimate:
    """Of a run.

    Attributes:
        images: All of it.
        finished: Done before.
        images_per_second: Of one machine.
        machines: How many share the work.
        price_per_hour: Of a machine, in any currency; None leaves the cost out.
    """

    images: int
    finished: int
    images_per_second: float
    machines: int = 1
    price_per_hour: float | None = None

    @property
    def hours(self) -> float:
        """From the first image to the last, if the machines share the work evenly."""
        return (self.images - self.finished) / self.images_per_second / self.machines / 3600

    @property
    def cost(self) -> float | None:
        """Of all machines, in the currency of the price."""
        if self.price_per_hour is None:
            return None
        return self.hours * self.machines * self.price_per_hour

    def lines(self, source: str) -> Iterator[str]:
        """What a person wants to know.

        Args:
            source: Where the images/s come from.
        """
        left = self.images - self.finished
        yield f"{self.images:,} images, {self.finished:,} of them done before: {left:,} to do."
        yield f"{self.images_per_second:.3g} images/s on a machine, {source}."
        seconds = self.hours * 3600
        many = f"{self.machines} machines" if self.machines > 1 else "1 machine"
        yield f"{many}: {self.hours:.2f} hours ({tqdm.format_interval(seconds)}), start-up not counted."
        if self.cost is not None:
            yield f"{self.cost:.2f} at {self.price_per_hour:.2f} an hour and machine."


def measure(model: SpeciesNet, filepaths: Sequence[str], **options: Any) -> float:
    """Images/s of this machine on a sample of the images.

    Args:
        model: With its networks, which are loaded here.
        filepaths: Some of the run's images.
        **options: Of the run, as for ``SpeciesNet.predict``.

    Raises:
        InputError: As ``SpeciesNet.predict``; or none of the images can be read.
    """
    step = max(len(filepaths) // (WARM_UP_IMAGES + SAMPLE_IMAGES), 1)
    spread = list(dict.fromkeys(filepaths))[::step][: WARM_UP_IMAGES + SAMPLE_IMAGES]
    model.predict(filepaths=spread[:WARM_UP_IMAGES], **options)
    sample = spread[WARM_UP_IMAGES:] or spread
    start = time.perf_counter()
    predictions = model.predict(filepaths=sample, **options) or {"predictions": []}
    seconds = time.perf_counter() - start
    answered = sum(not is_failed(record) for record in predictions["predictions"])
    if not answered:
        raise InputError(
            f"None of {len(sample)} images can be read here, {sample[0]} for one, so their speed cannot "
            "be measured; give it with --images_per_second."
        )
    return answered / seconds

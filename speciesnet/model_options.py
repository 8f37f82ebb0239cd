"""Which model another process loads, and how it runs: what can be sent there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from speciesnet.engines.base import Precision

if TYPE_CHECKING:
    from speciesnet.model import SpeciesNet


@dataclass(frozen=True)
class ModelOptions:
    """Arguments of ``SpeciesNet``, which says what they mean."""

    name: str
    geofence: bool = True
    target_species_txt: str | None = None
    engine: str = "auto"
    precision: Precision | Literal["auto"] = "fp32"
    device: str | None = None
    threads: int | None = None

    def load(self) -> SpeciesNet:
        """The model; its networks are loaded when they are first needed.

        Raises:
            InputError: One of the options is none.
            ModelError: The package cannot be found or is broken.
        """
        from speciesnet.model import SpeciesNet

        return SpeciesNet(
            self.name,
            geofence=self.geofence,
            target_species_txt=self.target_species_txt,
            engine=self.engine,
            precision=self.precision,
            device=self.device,
            threads=self.threads,
        )

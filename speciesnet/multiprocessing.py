"""Names that other programs import from this module."""

from speciesnet.run.model import SpeciesNet

__all__ = ["SpeciesNet"]

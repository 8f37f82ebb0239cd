"""Names that other programs import from this module."""

from speciesnet.model import SpeciesNet

__all__ = ["SpeciesNet"]

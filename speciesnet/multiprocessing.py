"""A name that other programs import from here; it lives in ``model``."""

from speciesnet.model import SpeciesNet

__all__ = ["SpeciesNet"]

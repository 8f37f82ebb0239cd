"""Names that other programs import from this module."""

from speciesnet.ensemble.taxonomy import get_ancestor_at_level
from speciesnet.ensemble.taxonomy import taxonomy_key as get_full_class_string

__all__ = ["get_ancestor_at_level", "get_full_class_string"]

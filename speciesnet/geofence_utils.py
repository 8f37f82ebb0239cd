"""Names that other programs import from here; they live in ``geofence`` and ``taxonomy``."""

from speciesnet.geofence import (
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
    should_geofence_animal_classification,
)
from speciesnet.taxonomy_utils import get_ancestor_at_level, get_full_class_string

__all__ = [
    "geofence_animal_classification",
    "get_ancestor_at_level",
    "get_full_class_string",
    "roll_up_labels_to_first_matching_level",
    "should_geofence_animal_classification",
]

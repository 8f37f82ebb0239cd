"""Names that other programs import from this module."""

from speciesnet.ensemble.geofence import (
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
    should_geofence_animal_classification,
)
from speciesnet.ensemble.taxonomy import get_ancestor_at_level
from speciesnet.ensemble.taxonomy import taxonomy_key as get_full_class_string

__all__ = [
    "geofence_animal_classification",
    "get_ancestor_at_level",
    "get_full_class_string",
    "roll_up_labels_to_first_matching_level",
    "should_geofence_animal_classification",
]

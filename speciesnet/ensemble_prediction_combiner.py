"""Names that other programs import from this module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.ensemble.geofence import (
    Answer,
    GeofenceMap,
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.records import Box, Classifications, Processed

__all__ = ["combine_predictions", "combine_predictions_for_single_item"]


def combine_predictions(
    *,
    classifications_list: Sequence[Classifications],
    detections: Sequence[Box],
    country: str | None,
    admin1_region: str | None,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
    geofence_fn: Callable[..., Answer] = geofence_animal_classification,
    roll_up_fn: Callable[..., Answer | None] = roll_up_labels_to_first_matching_level,
) -> list[Processed]:
    """Determines the answer for each box of an image as if it were the only one.

    Args:
        classifications_list: The classes of each box; see ``combine_predictions_for_single_item``.
        detections: The boxes; a list of the same length.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules.
        enable_geofence: Whether the geofence rules apply.
        geofence_fn: Checks the top class against the geofence.
        roll_up_fn: Finds an ancestor.

    Returns:
        One answer for each box.

    Raises:
        ValueError: The lists differ in length, or a label is malformed.
    """
    answers = [
        combine_predictions_for_single_item(
            classifications=classifications,
            detections=[detection],
            country=country,
            admin1_region=admin1_region,
            taxonomy_map=taxonomy_map,
            geofence_map=geofence_map,
            enable_geofence=enable_geofence,
            geofence_fn=geofence_fn,
            roll_up_fn=roll_up_fn,
        )
        for classifications, detection in zip(classifications_list, detections, strict=True)
    ]
    return [{"class": label, "score": score, "source": source} for label, score, source in answers]

"""One answer for a sequence: its images as one piece of evidence, decided by the same rules.

The rule, in order:

1. Images that failed, or have no answer, do not count.
2. Images that are answered blank, also by a person, do not count, unless all are: the animal was out
   of sight there.
3. If a person reviewed any that count, the answer given most often is that of the sequence.
4. The scores of each class are added over the images that count, and divided by their number. The
   five best go into the decision table together with the most confident box of these images.

So five frames at 0.5 for one species outweigh one at 0.6 for another, and a group that all
frames agree on is answered by the roll-up where none of them is sure of a species.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from speciesnet.constants import TOP_CLASSES, Classification
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.geofence import Answer, Rules
from speciesnet.records import Record
from speciesnet.survey.corrections import SOURCE


def consensus(records: Sequence[Record], rules: Rules) -> Answer | None:
    """The answer for a sequence; None where none of its images counts.

    Args:
        records: Of the images of one sequence, of a whole run, corrected or not.
        rules: Of the model package of that run.

    Returns:
        (label, score in [0, 1], source); the source is ``review`` where people decided.

    Raises:
        ValueError: A label is malformed.
    """
    answered = [
        record
        for record in records
        if record.get("prediction_source") == SOURCE
        or ("prediction" in record and record.get("classifications", {}).get("classes"))
    ]
    counted = [r for r in answered if r["prediction"] != Classification.BLANK] or answered
    reviewed = [r["prediction"] for r in counted if r.get("prediction_source") == SOURCE]
    others = [r for r in counted if r.get("prediction_source") != SOURCE]
    if not counted:
        return None
    # That one image is blank says little of the others, until a person has seen them all.
    if reviewed and (not others or counted[0]["prediction"] != Classification.BLANK):
        return Counter(reviewed).most_common(1)[0][0], 1.0, SOURCE
    classes, scores = mean_classes([record["classifications"] for record in others])
    boxes = [record["detections"][0] for record in others if record.get("detections")]
    place = others[0]
    return combine_predictions_for_single_item(
        classifications={"classes": classes, "scores": scores},
        detections=sorted(boxes, key=lambda box: -box["conf"])[:1],
        country=place.get("country"),
        admin1_region=place.get("admin1_region"),
        taxonomy_map=rules.taxonomy_map,
        geofence_map=rules.geofence_map,
        enable_geofence=rules.enable_geofence,
    )


def mean_classes(
    classifications: Sequence[Mapping[str, Any]],
) -> tuple[list[str], list[float]]:
    """The five classes of the greatest mean score, best first, and these scores.

    Args:
        classifications: ``{"classes": [...], "scores": [...]}`` of each image, at least one. A class
            that an image does not list has the score 0 there.
    """
    sums: dict[str, float] = {}
    for one in classifications:
        for label, score in zip(one["classes"], one["scores"], strict=True):
            sums[label] = sums.get(label, 0.0) + float(score)
    best = sorted(sums, key=lambda label: -sums[label])[:TOP_CLASSES]
    return best, [sums[label] / len(classifications) for label in best]

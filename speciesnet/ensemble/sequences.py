"""The one answer for the photographs of a passing animal, or for the frames of a film.

It is determined by these rules, in order:

1. Images that failed, or have no answer, do not count.
2. Images whose answer is blank, including those that a person confirmed as blank, do not count, unless
   all images are blank: the animal was out of sight.
3. If a person reviewed any of the images that count, the most frequent of these answers is used.
4. The scores of each class are averaged over the images that count. The five best classes go into the
   decision table, together with the most confident box of these images.
5. If the run had a species list, it applies to this answer as to those of the images. Thresholds of
   species apply to it as well: its score is a mean.

So five frames at 0.5 for one species outweigh one at 0.6 for another, and frames that agree only on a
family or an order get their answer from the roll-up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from speciesnet.constants import REVIEWED, TOP_CLASSES, Classification
from speciesnet.ensemble import PredictionCombiner, combine_predictions_for_single_item
from speciesnet.ensemble.geofence import (
    Answer,
    Rules,
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.records import Classifications, Record


def sequence_answer(
    records: Sequence[Record],
    rules: Rules,
    combine: PredictionCombiner = combine_predictions_for_single_item,
) -> Answer | None:
    """The answer for a whole sequence, by the rules above; None if none of its images counts.

    Args:
        records: The records of its images, from a run with all components, corrected or not.
        rules: The rules of the model package of that run.
        combine: The decision table.

    Returns:
        (label, score in [0, 1], source); the source is ``review`` if people decided.

    Raises:
        ValueError: A label is malformed.

    Examples:
        >>> fox = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> frame = {"filepath": "a.jpg", "prediction": fox, "detections": [],
        ...          "classifications": {"classes": [fox], "scores": [0.9]}}
        >>> sequence_answer([frame, frame], Rules())
        ('u;mammalia;carnivora;canidae;vulpes;vulpes;red fox', 0.9, 'classifier')
    """
    answered = [
        record
        for record in records
        if record.get("prediction_source") == REVIEWED
        or ("prediction" in record and record.get("classifications", {}).get("classes"))
    ]
    counted = [r for r in answered if r.get("prediction") != Classification.BLANK] or answered
    if not counted:
        return None
    reviewed = [r for r in counted if r.get("prediction_source") == REVIEWED]
    others = [r for r in counted if r.get("prediction_source") != REVIEWED]
    # One image that a person confirmed as blank does not make the unreviewed ones blank.
    if reviewed and (not others or counted[0].get("prediction") != Classification.BLANK):
        labels = Counter(record.get("prediction", "") for record in reviewed)
        return labels.most_common(1)[0][0], 1.0, REVIEWED
    classes, scores = mean_classes([r["classifications"] for r in others if "classifications" in r])
    boxes = [boxes[0] for record in others if (boxes := record.get("detections"))]
    country, admin1_region = others[0].get("country"), others[0].get("admin1_region")
    rules = replace(
        rules, enable_geofence=rules.enable_geofence and rules.countries.covers(country)
    )
    answer = combine(
        classifications={"classes": classes, "scores": scores},
        detections=sorted(boxes, key=lambda box: -box["conf"])[:1],
        country=country,
        admin1_region=admin1_region,
        taxonomy_map=rules.taxonomy_map,
        geofence_map=rules.geofence_map,
        enable_geofence=rules.enable_geofence,
        geofence_fn=geofence_animal_classification,
        roll_up_fn=roll_up_labels_to_first_matching_level,
    )
    answer = rules.restrict(answer, classes, scores, country, admin1_region)
    return answer if rules.enforce_thresholds is None else rules.enforce_thresholds(answer)


def mean_classes(classifications: Sequence[Classifications]) -> tuple[list[str], list[float]]:
    """The five classes with the highest mean scores, best first, and these scores.

    Args:
        classifications: The classes and scores of each image, at least one image. A class that an image
            does not list has the score 0 there.
    """
    sums: dict[str, float] = {}
    for one in classifications:
        for label, score in zip(one["classes"], one["scores"], strict=True):
            sums[label] = sums.get(label, 0.0) + float(score)
    best = sorted(sums, key=lambda label: -sums[label])[:TOP_CLASSES]
    return best, [sums[label] / len(classifications) for label in best]

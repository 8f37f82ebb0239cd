"""Joins detections, classifications and place into one answer for each image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from speciesnet.constants import Classification, Detection, Failure
from speciesnet.geofence import (
    Answer,
    GeofenceMap,
    geofence_animal_classification,
    load_geofence,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.packages.info import ModelInfo
from speciesnet.records import Record, make_record
from speciesnet.taxonomy import ROLL_UP_LEVELS, ROLL_UP_THRESHOLD, load_taxonomy

_BLANK = frozenset({Classification.BLANK})
_HUMAN = frozenset({Classification.HUMAN})
_VEHICLE = frozenset({Classification.VEHICLE})
_NO_ANIMAL = _BLANK | _HUMAN | _VEHICLE


@dataclass(frozen=True)
class Rule:
    """One row of the decision table: all conditions must hold; None is no condition.

    Attributes:
        name: Where the rule stands in the documentation's table.
        answer: The label to answer, or what to try: "geofence" and "roll_up" of the top five
            classes; a roll-up may find nothing, and then the next rule is tried.
        score: Whose score goes with the label.
        detection: The top detection's label.
        detection_above: Its confidence is greater than this.
        detection_below: Its confidence is less than this.
        top_in: The top class is one of these.
        top_not_in: The top class is none of these.
        top_above: The top class's score is greater than this.
    """

    name: str
    answer: Classification | Literal["geofence", "roll_up"]
    score: Literal["detector", "classifier"] = "classifier"
    detection: Detection | None = None
    detection_above: float | None = None
    detection_below: float | None = None
    top_in: Collection[str] | None = None
    top_not_in: Collection[str] | None = None
    top_above: float | None = None

    def holds(self, detection: str, confidence: float, top: str, score: float) -> bool:
        """Whether every condition holds for the top detection and the top class."""
        return (
            (self.detection is None or detection == self.detection)
            and (self.detection_above is None or confidence > self.detection_above)
            and (self.detection_below is None or confidence < self.detection_below)
            and (self.top_in is None or top in self.top_in)
            and (self.top_not_in is None or top not in self.top_not_in)
            and (self.top_above is None or score > self.top_above)
        )


# The first rule that holds wins. Thresholds are those of the published ensemble (v4.0.0).
DECISION_TABLE = (
    Rule(
        "1a",
        answer=Classification.HUMAN,
        score="detector",
        detection=Detection.HUMAN,
        detection_above=0.7,
    ),
    Rule(
        "1b",
        answer=Classification.HUMAN,
        detection=Detection.HUMAN,
        detection_above=0.2,
        top_in=_HUMAN | _VEHICLE,
        top_above=0.5,
    ),
    Rule(
        "2a",
        answer=Classification.HUMAN,
        detection=Detection.VEHICLE,
        detection_above=0.2,
        top_in=_HUMAN,
        top_above=0.5,
    ),
    Rule(
        "2b",
        answer=Classification.VEHICLE,
        score="detector",
        detection=Detection.VEHICLE,
        detection_above=0.7,
    ),
    Rule(
        "2c",
        answer=Classification.VEHICLE,
        detection=Detection.VEHICLE,
        detection_above=0.2,
        top_in=_VEHICLE,
        top_above=0.4,
    ),
    Rule("3a", answer=Classification.BLANK, detection_below=0.2, top_in=_BLANK, top_above=0.5),
    Rule("3b", answer=Classification.BLANK, top_in=_BLANK, top_above=0.99),
    Rule("4a", answer="geofence", top_not_in=_NO_ANIMAL, top_above=0.8),
    Rule(
        "4b",
        answer="geofence",
        detection=Detection.ANIMAL,
        detection_above=0.2,
        top_not_in=_NO_ANIMAL,
        top_above=0.65,
    ),
    Rule("5a", answer="roll_up"),
    Rule(
        "5b",
        answer=Classification.ANIMAL,
        score="detector",
        detection=Detection.ANIMAL,
        detection_above=0.5,
    ),
    Rule("otherwise", answer=Classification.UNKNOWN),
)


class PredictionCombiner(Protocol):
    """What decides on one image; ``combine_predictions_for_single_item`` is the published one."""

    def __call__(
        self,
        *,
        classifications: Mapping[str, Any],
        detections: Sequence[Mapping[str, Any]],
        country: str | None,
        admin1_region: str | None,
        taxonomy_map: Mapping[str, str],
        geofence_map: GeofenceMap,
        enable_geofence: bool,
        geofence_fn: Callable[..., Answer],
        roll_up_fn: Callable[..., Answer | None],
    ) -> Answer:
        """The (label, score, source) of one image."""
        ...


def combine_predictions_for_single_item(
    *,
    classifications: Mapping[str, Any],
    detections: Sequence[Mapping[str, Any]],
    country: str | None = None,
    admin1_region: str | None = None,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
    geofence_fn: Callable[..., Answer] = geofence_animal_classification,
    roll_up_fn: Callable[..., Answer | None] = roll_up_labels_to_first_matching_level,
) -> Answer:
    """Decides on one image by the first rule of ``DECISION_TABLE`` that holds.

    Args:
        classifications: ``{"classes": [...], "scores": [...]}``, best first, scores in [0, 1].
        detections: ``[{"label": ..., "conf": ...}, ...]``, most confident first, may be empty.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules.
        enable_geofence: Whether they apply.
        geofence_fn: Answers for the top classes; see ``geofence_animal_classification``.
        roll_up_fn: Finds an ancestor; see ``roll_up_labels_to_first_matching_level``.

    Returns:
        (label, score, source).

    Raises:
        ValueError: A label is malformed.
    """
    classes, scores = classifications["classes"], classifications["scores"]
    top, top_score = classes[0], scores[0]
    detection, confidence = Detection.ANIMAL.value, 0.0
    if detections:
        detection, confidence = detections[0]["label"], detections[0]["conf"]
    place: dict[str, Any] = {
        "country": country,
        "admin1_region": admin1_region,
        "taxonomy_map": taxonomy_map,
        "geofence_map": geofence_map,
        "enable_geofence": enable_geofence,
    }

    for rule in DECISION_TABLE:
        if not rule.holds(detection, confidence, top, top_score):
            continue
        if rule.answer == "geofence":
            return geofence_fn(labels=classes, scores=scores, **place)
        if rule.answer == "roll_up":
            answer = roll_up_fn(
                labels=classes,
                scores=scores,
                target_taxonomy_levels=ROLL_UP_LEVELS,
                non_blank_threshold=ROLL_UP_THRESHOLD,
                **place,
            )
            if answer is None:
                continue
            return answer
        score = confidence if rule.score == "detector" else top_score
        return str(rule.answer), score, rule.score
    raise AssertionError("The last rule of the decision table always holds.")


class SpeciesNetEnsemble:
    """The rules of a model package: its taxonomy, its geofence and a combiner.

    Args:
        model_name: See ``ModelInfo``.
        geofence: False ignores the geofence rules.
        prediction_combiner: What decides on one image.
        force_model_download: Downloads the package again.

    Raises:
        ModelError: The package, its taxonomy or its geofence cannot be read.
    """

    def __init__(
        self,
        model_name: str | ModelInfo,
        geofence: bool = True,
        prediction_combiner: PredictionCombiner = combine_predictions_for_single_item,
        force_model_download: bool = False,
    ) -> None:
        self.model_info = ModelInfo.of(model_name, force_download=force_model_download)
        self.enable_geofence = geofence
        self.prediction_combiner = prediction_combiner
        self.taxonomy_map = load_taxonomy(self.model_info)
        self.geofence_map = load_geofence(self.model_info)

    def combine(
        self,
        filepaths: Sequence[str],
        classifier_results: Mapping[str, Mapping[str, Any]],
        detector_results: Mapping[str, Mapping[str, Any]],
        geolocation_results: Mapping[str, Mapping[str, Any]],
        partial_predictions: Mapping[str, Record],
    ) -> list[Record]:
        """Joins the results of each image into its record.

        Args:
            filepaths: Images, in the order of the answer.
            classifier_results: Classifier records by filepath.
            detector_results: Detector records by filepath.
            geolocation_results: ``{"country", "admin1_region", "latitude", "longitude"}`` by filepath,
                each optional.
            partial_predictions: Finished records by filepath, passed through as they are.

        Returns:
            One record for each filepath. A missing or failed part is named in its ``failures``.
        """
        return [
            partial_predictions[filepath]
            if filepath in partial_predictions
            else self.combine_one(
                filepath,
                classifier_results.get(filepath, {}).get("classifications"),
                detector_results.get(filepath, {}).get("detections"),
                geolocation_results.get(filepath),
            )
            for filepath in filepaths
        ]

    def combine_one(
        self,
        filepath: str,
        classifications: Mapping[str, Any] | None,
        detections: Sequence[Mapping[str, Any]] | None,
        location: Mapping[str, Any] | None,
    ) -> Record:
        """The record of one image; None stands for a part that failed or is missing."""
        if classifications is not None and not classifications.get("classes"):
            classifications = None
        failures = [
            failure
            for failure, part in (
                (Failure.CLASSIFIER, classifications),
                (Failure.DETECTOR, detections),
                (Failure.GEOLOCATION, location),
            )
            if part is None
        ]
        location = location or {}
        answer: Answer | tuple[None, None, None] = (None, None, None)
        if classifications is not None and detections is not None:
            answer = self.prediction_combiner(
                classifications=classifications,
                detections=detections,
                country=location.get("country"),
                admin1_region=location.get("admin1_region"),
                taxonomy_map=self.taxonomy_map,
                geofence_map=self.geofence_map,
                enable_geofence=self.enable_geofence,
                geofence_fn=geofence_animal_classification,
                roll_up_fn=roll_up_labels_to_first_matching_level,
            )
        label, score, source = answer
        return make_record(
            filepath,
            failures,
            **{
                key: location.get(key)
                for key in ("country", "admin1_region", "latitude", "longitude")
            },
            classifications=classifications,
            detections=detections,
            prediction=label,
            prediction_score=score,
            prediction_source=source,
            model_version=self.model_info.version,
        )

"""Combines detections, classifications and location into one answer for each image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol, cast

from absl import logging

from speciesnet.constants import TOP_CLASSES, Failure
from speciesnet.ensemble.decision_table import DECISION_TABLE, Rule, first_answer
from speciesnet.ensemble.geofence import (
    Answer,
    CountryList,
    GeofenceMap,
    Rules,
    geofence_animal_classification,
    load_geofence,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.ensemble.geofence.species_list import SpeciesList, read_species_list
from speciesnet.ensemble.taxonomy import (
    ROLL_UP_LEVELS,
    ROLL_UP_THRESHOLD,
    load_taxonomy,
    species_name,
)
from speciesnet.files.packages.info import ModelInfo
from speciesnet.records import (
    PLACE,
    WHOLE_IMAGE,
    Box,
    Box5,
    Classifications,
    Location,
    Record,
    is_same_box,
    make_record,
    top_classes,
)

__all__ = [
    "DECISION_TABLE",
    "PredictionCombiner",
    "Rule",
    "SpeciesNetEnsemble",
    "combine_predictions_for_single_item",
]


class PredictionCombiner(Protocol):
    """Determines the answer for one image, as ``combine_predictions_for_single_item`` does."""

    def __call__(
        self,
        *,
        classifications: Classifications,
        detections: Sequence[Box],
        country: str | None,
        admin1_region: str | None,
        taxonomy_map: Mapping[str, str],
        geofence_map: GeofenceMap,
        enable_geofence: bool,
        geofence_fn: Callable[..., Answer],
        roll_up_fn: Callable[..., Answer | None],
    ) -> Answer:
        """Returns (label, score, source) for one image."""
        ...


def combine_predictions_for_single_item(
    *,
    classifications: Classifications,
    detections: Sequence[Box],
    country: str | None = None,
    admin1_region: str | None = None,
    taxonomy_map: Mapping[str, str],
    geofence_map: GeofenceMap,
    enable_geofence: bool,
    geofence_fn: Callable[..., Answer] = geofence_animal_classification,
    roll_up_fn: Callable[..., Answer | None] = roll_up_labels_to_first_matching_level,
) -> Answer:
    """Determines the answer for one image by the first rule of ``DECISION_TABLE`` that holds.

    Args:
        classifications: ``{"classes": [...], "scores": [...]}``, best first, scores in [0, 1].
        detections: ``[{"label": ..., "conf": ...}, ...]``, most confident first; may be empty.
        country: ISO 3166-1 alpha-3 code, or None.
        admin1_region: State or province code, or None.
        taxonomy_map: From ``class;order;family;genus;species`` to labels.
        geofence_map: The geofence rules.
        enable_geofence: Whether the geofence rules apply.
        geofence_fn: Checks the top class against the geofence; see ``geofence_animal_classification``.
        roll_up_fn: Finds an ancestor; see ``roll_up_labels_to_first_matching_level``.

    Returns:
        (label, score, source).

    Raises:
        ValueError: A label is malformed.

    Examples:
        >>> from speciesnet.ensemble.taxonomy import build_taxonomy_map
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.1, 0.5, 0.5]}
        >>> combine_predictions_for_single_item(
        ...     classifications={"classes": [fox], "scores": [0.95]}, detections=[box],
        ...     taxonomy_map=build_taxonomy_map([fox]), geofence_map={}, enable_geofence=True)
        ('0;mammalia;carnivora;canidae;vulpes;vulpes;red fox', 0.95, 'classifier')
    """
    place_and_rules: dict[str, object] = {
        "labels": classifications["classes"],
        "scores": classifications["scores"],
        "country": country,
        "admin1_region": admin1_region,
        "taxonomy_map": taxonomy_map,
        "geofence_map": geofence_map,
        "enable_geofence": enable_geofence,
    }
    return first_answer(
        classifications,
        detections,
        geofence=partial(geofence_fn, **place_and_rules),
        roll_up=partial(
            roll_up_fn,
            target_taxonomy_levels=ROLL_UP_LEVELS,
            non_blank_threshold=ROLL_UP_THRESHOLD,
            **place_and_rules,
        ),
    )


class SpeciesNetEnsemble:
    """Combines results by the rules, taxonomy and geofence of a package, and by a species list.

    Args:
        model_name: See ``ModelInfo``.
        geofence: False ignores the geofence rules.
        prediction_combiner: The function that determines the answer for one image.
        force_model_download: Downloads the package again.
        species_list: The file with the taxa that can occur at the site; see ``read_species_list``. An
            answer outside this list is rolled up to its nearest ancestor that the list implies.
        species_list_fill: Whether a group with a single listed taxon below it becomes that taxon.

    Attributes:
        species_list: The list that was read, or None.

    Raises:
        ModelError: The package, its taxonomy or its geofence cannot be read.
        InputError: The species list cannot be read, or contains names that the model does not have.
    """

    def __init__(
        self,
        model_name: str | ModelInfo,
        geofence: bool = True,
        prediction_combiner: PredictionCombiner = combine_predictions_for_single_item,
        force_model_download: bool = False,
        species_list: str | None = None,
        species_list_fill: bool = False,
    ) -> None:
        self.model_info = ModelInfo.of(model_name, force_download=force_model_download)
        self.enable_geofence = geofence
        self.prediction_combiner = prediction_combiner
        self.taxonomy_map = load_taxonomy(self.model_info)
        self.geofence_map: GeofenceMap = load_geofence(self.model_info)
        self._countries = CountryList(self.geofence_map)
        self.species_list: SpeciesList | None = None
        self._checked_places: set[tuple[str | None, str | None]] = set()
        if species_list is not None:
            self.species_list = read_species_list(species_list, self.labels, fill=species_list_fill)

    @property
    def labels(self) -> list[str]:
        """The labels of its taxonomy and of its classes."""
        return [*self.taxonomy_map.values(), *self.model_info.read_lines("classifier_labels")]

    def combine(
        self,
        filepaths: Sequence[str],
        classifier_results: Mapping[str, Record],
        detector_results: Mapping[str, Record],
        geolocation_results: Mapping[str, Location],
        partial_predictions: Mapping[str, Record] | None = None,
        max_classifications_per_detection: int | None = 2,
    ) -> list[Record]:
        """Combines the results of each image into its record.

        If the classifier's records have classes for boxes (``raw_classifications``), which the
        published program has written since version 5.0.6, the combined records have them as well
        (format 5).

        Args:
            filepaths: Images, in the order of the records.
            classifier_results: Classifier records by filepath.
            detector_results: Detector records by filepath.
            geolocation_results: ``{"country", "admin1_region", "latitude", "longitude"}`` by filepath,
                each optional.
            partial_predictions: Finished records by filepath, passed through unchanged.
            max_classifications_per_detection: In format 5, the maximum number of classes per box;
                None means all.

        Returns:
            One record for each filepath. A missing or failed part is named in its ``failures``.

        Raises:
            ValueError: The classified boxes are not the detector's.
        """
        no_record: Record = {"filepath": ""}
        found = classifier_results.values()
        has_boxes = any("detections" in r and "classifications" not in r for r in found)

        def combined(filepath: str) -> Record:
            classes = classifier_results.get(filepath, no_record)
            boxes = detector_results.get(filepath, no_record).get("detections")
            location = geolocation_results.get(filepath)
            if has_boxes:
                return self._combine_boxes(filepath, classes, boxes, location, count)
            return self.combine_one(filepath, classes.get("classifications"), boxes, location)

        finished, count = partial_predictions or {}, max_classifications_per_detection
        return [finished[path] if path in finished else combined(path) for path in filepaths]

    def _combine_boxes(
        self,
        filepath: str,
        record: Record,
        detections: Sequence[Box] | None,
        location: Location | None,
        count: int | None,
    ) -> Record:
        """The record of one image in format 5; None stands for a part that failed or is missing."""
        classified = cast("Sequence[Box5] | None", record.get("detections"))
        boxes = cast("list[Box5]", list(detections or ()))  # a box without answers is one of both
        whole = [box for box in classified or () if box["category"] == WHOLE_IMAGE]
        if whole:
            found = [self._box5(whole[0], detections, location, count), *boxes]
        elif classified is None or detections is None:
            found = boxes
        elif len(classified) == len(boxes) and all(map(is_same_box, classified, boxes)):
            found = [self._box5(box, [cast("Box", box)], location, count) for box in classified]
        else:
            raise ValueError(
                f"The classifications of {filepath} belong to different boxes than its detections."
            )
        return make_record(
            filepath,
            _failures(classified, detections, location),
            **_place_of(location),
            detections=found if found or detections is not None else None,
            model_version=self.model_info.version,
        )

    def _box5(
        self,
        box: Box5,
        detections: Sequence[Box] | None,
        location: Location | None,
        count: int | None,
    ) -> Box5:
        if (classifications := box.get("raw_classifications")) is None:
            return box
        found: Box5 = {**box, "raw_classifications": top_classes(classifications, count)}
        if detections is not None:
            best = top_classes(classifications, TOP_CLASSES)
            label, score, source = self._decide(best, detections, location or {})
            found["processed_classification"] = {"class": label, "score": score, "source": source}
        return found

    def combine_one(
        self,
        filepath: str,
        classifications: Classifications | None,
        detections: Sequence[Box] | None,
        location: Location | None,
        box_classifications: Mapping[int, Classifications] | None = None,
        top: int | None = None,
    ) -> Record:
        """The record of one image; None stands for a part that failed or is missing.

        Args:
            filepath: The image.
            classifications: Its classes.
            detections: Its boxes, most confident first.
            location: Where it was taken.
            box_classifications: The classes of individual boxes, by their positions in
                ``detections``; each of these boxes gets an answer by the same rules, as if it were
                the only one.
            top: How many classes the rules consider; None means all.
        """
        if classifications is not None and not classifications.get("classes"):
            classifications = None
        failures = _failures(classifications, detections, location)
        location = location or {}
        answer: Answer | tuple[None, None, None] = (None, None, None)
        if classifications is not None and detections is not None:
            answer = self._decide(top_classes(classifications, top), detections, location)
        if detections is not None and box_classifications:
            detections = [
                self._with_answer(box, box_classifications.get(position), location)
                for position, box in enumerate(detections)
            ]
        label, score, source = answer
        return make_record(
            filepath,
            failures,
            **_place_of(location),
            classifications=classifications,
            detections=detections,
            prediction=label,
            prediction_score=score,
            prediction_source=source,
            model_version=self.model_info.version,
        )

    def notes(self, countries: Mapping[str, int]) -> list[str]:
        """Sentences about countries that cannot be geofenced, given the number of images in each."""
        return CountryList(self.geofence_map).notes(countries) if self.enable_geofence else []

    def _with_answer(
        self, box: Box, classifications: Classifications | None, location: Location
    ) -> Box:
        if classifications is None:
            return box
        best = top_classes(classifications, TOP_CLASSES)
        label, score, source = self._decide(best, [box], location)
        return {
            **box,
            "classifications": classifications,
            "prediction": label,
            "prediction_score": score,
            "prediction_source": source,
        }

    def _decide(
        self, classifications: Classifications, detections: Sequence[Box], location: Location
    ) -> Answer:
        country, admin1_region = location.get("country"), location.get("admin1_region")
        rules = self.rules_at(country)
        answer = self.prediction_combiner(
            classifications=classifications,
            detections=detections,
            country=country,
            admin1_region=admin1_region,
            taxonomy_map=self.taxonomy_map,
            geofence_map=self.geofence_map,
            enable_geofence=rules.enable_geofence,
            geofence_fn=geofence_animal_classification,
            roll_up_fn=roll_up_labels_to_first_matching_level,
        )
        if self.species_list is None:
            return answer
        self._check_list_at(country, admin1_region, rules)
        classes, scores = classifications["classes"], classifications["scores"]
        return rules.restrict(answer, classes, scores, country, admin1_region)

    def _check_list_at(self, country: str | None, admin1_region: str | None, rules: Rules) -> None:
        """Warns once for each place about listed taxa that the geofence excludes there."""
        if (country, admin1_region) in self._checked_places or rules.species_list is None:
            return
        self._checked_places.add((country, admin1_region))
        excluded = [
            label
            for label in rules.species_list.listed_labels
            if rules.exclude(label, country, admin1_region)
        ]
        if excluded:
            logging.warning(
                "The geofence excludes %d of the taxa in the species list in %s, such as %s: they are "
                "never answers there. If the list is right, turn off the geofence (--nogeofence).",
                len(excluded),
                " ".join(filter(None, (country, admin1_region))),
                species_name(excluded[0]),
            )

    def rules_at(self, country: str | None) -> Rules:
        """The rules for images from a country (ISO 3166-1 alpha-3), which may have no geofence."""
        if self._countries.geofence_map is not self.geofence_map:  # a caller replaced it
            self._countries = CountryList(self.geofence_map)
        enable_geofence = self.enable_geofence and self._countries.covers(country)
        return Rules(self.taxonomy_map, self.geofence_map, enable_geofence, self.species_list)


def _failures(*parts: object | None) -> list[Failure]:
    """The components that have no result for an image, given its classes, boxes and place."""
    return [failure for failure, part in zip(Failure, parts, strict=True) if part is None]


def _place_of(location: Location | None) -> dict[str, object]:
    return {key: (location or {}).get(key) for key in PLACE}

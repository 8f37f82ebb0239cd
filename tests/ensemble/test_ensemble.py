"""The ensemble against a plain transcription of its specification, and against what was published."""

from __future__ import annotations

import itertools
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spec_transcription as spec
from hypothesis import given, settings
from hypothesis import strategies as st

from speciesnet.ensemble import SpeciesNetEnsemble, combine_predictions_for_single_item
from speciesnet.ensemble.geofence import (
    Answer,
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)
from speciesnet.ensemble.taxonomy import build_taxonomy_map
from speciesnet.errors import ModelError
from speciesnet.records import Box, Classifications, Record

BLACK_BEAR = (
    "436ddfdd-bc43-44c3-a25d-34671d3430a0;"
    "mammalia;carnivora;ursidae;ursus;americanus;american black bear"
)
RAVEN = "9805e578-061a-49c0-8abc-ea135381c162;aves;passeriformes;corvidae;corvus;corax;common raven"

# A small piece of the real tree, with its higher taxa.
TREE = (
    BLACK_BEAR,
    "330bb1e9-84d6-4e41-afa9-938aee17ea29;mammalia;carnivora;ursidae;ursus;arctos;brown bear",
    "5a0f5e3f-c634-4b86-910a-b105cb526a24;mammalia;carnivora;ursidae;ursus;;ursus species",
    "ec1a70f4-41c0-4aba-9150-292fb2b7a324;mammalia;carnivora;ursidae;;;bear family",
    "ee8d5a89-f82e-4323-80e2-0ffc9487ebaf;mammalia;carnivora;canidae;canis;lupus;grey wolf",
    "d3d5325f-b055-4925-b875-5cd28af54215;mammalia;carnivora;canidae;canis;;canis species",
    "ddf59264-185a-4d35-b647-2785792bdf54;mammalia;carnivora;felidae;panthera;leo;lion",
    "df8514b0-10a5-411f-8ed6-0f415e8153a3;mammalia;carnivora;felidae;;;cat family",
    "eeeb5d26-2a47-4d01-a3de-10b33ec0aee4;mammalia;carnivora;;;;carnivorous mammal",
    "efddeab7-0f17-4ab0-a4e9-4853cc6c230e;"
    "mammalia;diprotodontia;vombatidae;vombatus;ursinus;common wombat",
    "f2d233e3-80e3-433d-9687-e29ecc7a467a;mammalia;;;;;mammal",
    RAVEN,
    "e237b8d3-997f-4f3b-8736-8c3958f8182c;aves;passeriformes;corvidae;corvus;;corvus species",
    "b7011933-4542-4b5d-8a99-bf195744b5f2;aves;passeriformes;corvidae;;;corvidae family",
    "0b62f436-aced-4b92-ad12-4700b7185c79;aves;passeriformes;;;;passeriformes order",
    "b1352069-a39c-4a84-a949-60044271c0c1;aves;;;;;bird",
    "739a105e-d883-4ff8-9282-7ec44018e6a0;reptilia;;;;;reptile",
    spec.HUMAN,
)
# Classes of which no taxonomy map contains all ancestors.
STRAYS = (
    "00000000-0000-0000-0000-000000000001;insecta;lepidoptera;pieridae;pieris;rapae;small white",
    "00000000-0000-0000-0000-000000000002;aves;passeriformes;;corvus;;a genus without a family",
    "00000000-0000-0000-0000-000000000003;mammalia;;canidae;;;a family without an order",
    "00000000-0000-0000-0000-000000000004;;;;;;nothing that is known",
)
SPECIAL = (spec.BLANK, spec.HUMAN, spec.VEHICLE, spec.ANIMAL, spec.UNKNOWN)
POOL = tuple(dict.fromkeys(TREE + STRAYS + SPECIAL))
THRESHOLDS = (0.2, 0.4, 0.5, 0.65, 0.7, 0.8, 0.99)
COUNTRIES = ("USA", "KEN", "AUS")
REGIONS = ("CA", "NY", "01")

edges = [
    value
    for threshold in THRESHOLDS
    for value in (
        threshold,
        math.nextafter(threshold, 0),
        math.nextafter(threshold, 1),
        float(np.float32(threshold)),
    )
]
confidences = st.sampled_from([*edges, 0.0, 1.0]) | st.floats(0, 1)
# Multiples of 1/16 add up exactly and tie often; tenths round.
parts = st.sampled_from([i / 16 for i in range(17)] + [i / 10 for i in range(11)])


@st.composite
def classifications(draw: st.DrawFn) -> Classifications:
    classes: list[str] = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=5, unique=True))
    scores = draw(
        st.lists(confidences | parts, min_size=len(classes), max_size=len(classes)).map(
            lambda scores: sorted(scores, reverse=True)
        )
    )
    return {"classes": classes, "scores": scores}


detections = st.lists(
    st.tuples(st.sampled_from(["animal", "human", "vehicle"]), confidences), max_size=3
).map(lambda boxes: sorted(boxes, key=lambda box: -box[1]))

places = st.dictionaries(
    st.sampled_from(COUNTRIES), st.lists(st.sampled_from(REGIONS), max_size=2, unique=True)
)
rules = st.fixed_dictionaries({}, optional={"allow": places, "block": places})
geofences = st.dictionaries(
    st.sampled_from(sorted({spec.key_of(label) for label in POOL})), rules, max_size=12
)
taxonomies = st.lists(st.sampled_from(POOL), unique=True) | st.just([*TREE, *SPECIAL])


def as_boxes(found: Sequence[tuple[str, float]]) -> list[Box]:
    category = {"animal": "1", "human": "2", "vehicle": "3"}
    return [
        {"category": category[label], "label": label, "conf": conf, "bbox": [0.0, 0.0, 1.0, 1.0]}
        for label, conf in found
    ]


@settings(max_examples=1000)
@given(
    classes=classifications(),
    found=detections,
    country=st.sampled_from([None, *COUNTRIES, "BRA"]),
    region=st.sampled_from([None, *REGIONS]),
    taxonomy=taxonomies,
    geofence=geofences,
    geofencing=st.sampled_from([True, True, True, False]),
)
def test_every_answer_is_that_of_the_specification(
    classes: Classifications,
    found: list[tuple[str, float]],
    country: str | None,
    region: str | None,
    taxonomy: list[str],
    geofence: dict[str, dict[str, dict[str, list[str]]]],
    geofencing: bool,
) -> None:
    taxonomy_map = build_taxonomy_map(taxonomy)
    assert taxonomy_map == spec.taxonomy_map(taxonomy)
    answer = combine_predictions_for_single_item(
        classifications=classes,
        detections=as_boxes(found),
        country=country,
        admin1_region=region,
        taxonomy_map=taxonomy_map,
        geofence_map=geofence,
        enable_geofence=geofencing,
    )
    assert answer == spec.combine(
        classes["classes"],
        classes["scores"],
        found,
        country,
        region,
        taxonomy_map,
        geofence,
        geofencing,
    )


@settings(max_examples=300)
@given(
    classes=classifications(),
    country=st.sampled_from(COUNTRIES),
    region=st.sampled_from([None, *REGIONS]),
    geofence=geofences,
)
def test_a_fenced_out_top_class_is_answered_as_specified(
    classes: Classifications,
    country: str,
    region: str | None,
    geofence: dict[str, dict[str, dict[str, list[str]]]],
) -> None:
    geofence[spec.key_of(classes["classes"][0])] = {"block": {country: []}}
    taxonomy = spec.taxonomy_map(TREE)
    answer = geofence_animal_classification(
        labels=classes["classes"],
        scores=classes["scores"],
        country=country,
        admin1_region=region,
        taxonomy_map=taxonomy,
        geofence_map=geofence,
        enable_geofence=True,
    )
    assert answer == spec.geofenced(
        classes["classes"], classes["scores"], country, region, taxonomy, geofence, True
    )


def test_every_combination_at_the_thresholds_is_decided_as_specified() -> None:
    taxonomy = spec.taxonomy_map(TREE)
    geofence = {
        spec.key_of(BLACK_BEAR): {"block": {"KEN": []}},
        spec.key_of(spec.UNKNOWN): {"allow": {"AUS": []}},
    }
    boxes: list[list[tuple[str, float]]] = [[]]
    boxes += [
        [(label, conf)]
        for label, conf in itertools.product(("animal", "human", "vehicle"), [0.1, *edges])
    ]
    sources = set()
    for top, c, found in itertools.product((*SPECIAL, BLACK_BEAR, STRAYS[0]), edges, boxes):
        labels, scores = [top, RAVEN], [c, 1 - c]
        answer = combine_predictions_for_single_item(
            classifications={"classes": labels, "scores": scores},
            detections=as_boxes(found),
            country="KEN",
            taxonomy_map=taxonomy,
            geofence_map=geofence,
            enable_geofence=True,
        )
        assert answer == spec.combine(labels, scores, found, "KEN", None, taxonomy, geofence, True)
        sources.add(answer[2])
    assert sources == {
        "detector",
        "classifier",
        "classifier+geofence+rollup_to_family",
        "classifier+geofence+rollup_to_kingdom",
        "classifier+rollup_to_class",
        "classifier+rollup_to_genus",
        "classifier+rollup_to_kingdom",
    }


# Whole packages.

GEOFENCE = {spec.key_of(BLACK_BEAR): {"allow": {"USA": ["CO"]}}}
CLASSES: Classifications = {"classes": [BLACK_BEAR, RAVEN], "scores": [0.9375, 0.0625]}
BOXES = as_boxes([("animal", 0.95)])


def make_package(folder: Path, taxonomy: Sequence[str], geofence: Mapping[str, Any]) -> Path:
    """A package with all that an ensemble reads; its networks are empty files."""
    folder.mkdir()
    info = {
        "version": "4.0.0a",
        "type": "always_crop",
        "classifier": "classifier.keras",
        "classifier_labels": "labels.txt",
        "detector": "detector.pt",
        "taxonomy": "taxonomy.txt",
        "geofence": "geofence.json",
    }
    (folder / "info.json").write_text(json.dumps(info), encoding="utf-8")
    for name in ("classifier.keras", "detector.pt"):
        (folder / name).touch()
    for name in ("labels.txt", "taxonomy.txt"):
        (folder / name).write_text("\n".join(taxonomy) + "\n", encoding="utf-8")
    (folder / "geofence.json").write_text(json.dumps(geofence), encoding="utf-8")
    return folder


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package", [*TREE, *SPECIAL], GEOFENCE)


def combine(
    ensemble: SpeciesNetEnsemble,
    classifier: Any = None,
    detector: Any = None,
    location: Any = None,
) -> Any:
    [record] = ensemble.combine(
        filepaths=["a.jpg"],
        classifier_results={} if classifier is None else {"a.jpg": classifier},
        detector_results={} if detector is None else {"a.jpg": detector},
        geolocation_results={} if location is None else {"a.jpg": location},
        partial_predictions={},
    )
    return record


CLASSIFIED: Record = {"filepath": "a.jpg", "classifications": CLASSES}
DETECTED: Record = {"filepath": "a.jpg", "detections": BOXES}


def test_a_record_has_its_keys_in_the_published_order(package: Path) -> None:
    location = {"longitude": -120.5, "latitude": 37.5, "admin1_region": "CO", "country": "USA"}
    record = combine(SpeciesNetEnsemble(str(package)), CLASSIFIED, DETECTED, location)
    assert list(record.items()) == [
        ("filepath", "a.jpg"),
        ("country", "USA"),
        ("admin1_region", "CO"),
        ("latitude", 37.5),
        ("longitude", -120.5),
        ("classifications", CLASSES),
        ("detections", BOXES),
        ("prediction", BLACK_BEAR),
        ("prediction_score", 0.9375),
        ("prediction_source", "classifier"),
        ("model_version", "4.0.0a"),
    ]


def test_the_place_of_an_image_geofences_it(package: Path) -> None:
    ensemble = SpeciesNetEnsemble(str(package))
    record = combine(ensemble, CLASSIFIED, DETECTED, {"country": "USA", "admin1_region": "CA"})
    assert record["prediction"].endswith(";bear family")
    assert record["prediction_source"] == "classifier+geofence+rollup_to_family"


def test_without_geofence_the_top_class_stays(package: Path) -> None:
    ensemble = SpeciesNetEnsemble(str(package), geofence=False)
    record = combine(ensemble, CLASSIFIED, DETECTED, {"country": "USA", "admin1_region": "CA"})
    assert (record["prediction"], record["prediction_source"]) == (BLACK_BEAR, "classifier")


@pytest.mark.parametrize(
    ("classifier", "detector", "location", "failures"),
    [
        (None, DETECTED, {}, ["CLASSIFIER"]),
        ({"filepath": "a.jpg", "failures": ["CLASSIFIER"]}, DETECTED, {}, ["CLASSIFIER"]),
        (CLASSIFIED, None, {}, ["DETECTOR"]),
        (CLASSIFIED, {"filepath": "a.jpg", "failures": ["DETECTOR"]}, {}, ["DETECTOR"]),
        (None, None, {}, ["CLASSIFIER", "DETECTOR"]),
        (None, None, None, ["CLASSIFIER", "DETECTOR", "GEOLOCATION"]),
        (CLASSIFIED, None, None, ["DETECTOR", "GEOLOCATION"]),
    ],
)
def test_a_part_that_failed_leaves_no_prediction_and_the_rest_as_it_is(
    package: Path,
    classifier: Mapping[str, Any] | None,
    detector: Mapping[str, Any] | None,
    location: Mapping[str, Any] | None,
    failures: list[str],
) -> None:
    if location is not None:
        location = {"country": "USA", "latitude": 37.5, "longitude": -120.5}
    record = combine(SpeciesNetEnsemble(str(package)), classifier, detector, location)
    expected: dict[str, Any] = {"filepath": "a.jpg", "failures": failures, **(location or {})}
    if classifier is CLASSIFIED:
        expected["classifications"] = CLASSES
    if detector is DETECTED:
        expected["detections"] = BOXES
    expected["model_version"] = "4.0.0a"
    assert list(record.items()) == list(expected.items())


def test_a_failed_geolocation_does_not_suppress_the_prediction(package: Path) -> None:
    record = combine(SpeciesNetEnsemble(str(package)), CLASSIFIED, DETECTED, None)
    assert record["failures"] == ["GEOLOCATION"]
    assert record["prediction"] == BLACK_BEAR
    assert "country" not in record


def test_an_image_without_a_place_has_no_failure(package: Path) -> None:
    record = combine(SpeciesNetEnsemble(str(package)), CLASSIFIED, DETECTED, {})
    assert list(record)[:2] == ["filepath", "classifications"]


def test_no_boxes_are_not_a_failure(package: Path) -> None:
    empty = {"filepath": "a.jpg", "detections": []}
    record = combine(SpeciesNetEnsemble(str(package)), CLASSIFIED, empty, {})
    assert record["detections"] == []
    assert record["prediction"] == BLACK_BEAR
    assert "failures" not in record


def test_coordinates_of_zero_and_empty_targets_stay(package: Path) -> None:
    classifier = {"classifications": {**CLASSES, "target_classes": [], "target_logits": []}}
    location = {"latitude": 0.0, "longitude": 0.0}
    record = combine(SpeciesNetEnsemble(str(package)), classifier, DETECTED, location)
    assert (record["latitude"], record["longitude"]) == (0.0, 0.0)
    assert record["classifications"]["target_logits"] == []


def test_finished_records_pass_through_untouched(package: Path) -> None:
    finished: Record = {"filepath": "b.jpg", "prediction": "anything", "model_version": "3"}
    records = SpeciesNetEnsemble(str(package)).combine(
        filepaths=["b.jpg", "a.jpg", "b.jpg"],
        classifier_results={"a.jpg": CLASSIFIED, "b.jpg": CLASSIFIED},
        detector_results={"a.jpg": DETECTED},
        geolocation_results={"a.jpg": {}},
        partial_predictions={"b.jpg": finished},
    )
    assert [record["filepath"] for record in records] == ["b.jpg", "a.jpg", "b.jpg"]
    assert records[0] == records[2] == finished
    assert records[1].get("prediction") == BLACK_BEAR


def test_a_combiner_of_ones_own_decides(package: Path) -> None:
    seen: list[dict[str, Any]] = []

    def combiner(**arguments: Any) -> Answer:
        seen.append(arguments)
        return "my answer", 0.25, "my source"

    ensemble = SpeciesNetEnsemble(str(package), geofence=False, prediction_combiner=combiner)
    record = combine(ensemble, CLASSIFIED, DETECTED, {"country": "USA", "admin1_region": "CA"})
    assert list(record.items())[-4:-1] == [
        ("prediction", "my answer"),
        ("prediction_score", 0.25),
        ("prediction_source", "my source"),
    ]
    assert seen == [
        {
            "classifications": CLASSES,
            "detections": BOXES,
            "country": "USA",
            "admin1_region": "CA",
            "taxonomy_map": ensemble.taxonomy_map,
            "geofence_map": GEOFENCE,
            "enable_geofence": False,
            "geofence_fn": geofence_animal_classification,
            "roll_up_fn": roll_up_labels_to_first_matching_level,
        }
    ]


def test_a_combiner_is_not_asked_about_images_that_failed(package: Path) -> None:
    def combiner(**arguments: Any) -> Answer:
        raise AssertionError(arguments)

    ensemble = SpeciesNetEnsemble(str(package), prediction_combiner=combiner)
    assert combine(ensemble, None, DETECTED, {})["failures"] == ["CLASSIFIER"]


def test_the_maps_are_those_of_the_package(package: Path) -> None:
    ensemble = SpeciesNetEnsemble(str(package))
    assert ensemble.taxonomy_map == spec.taxonomy_map(TREE)
    assert ensemble.geofence_map == GEOFENCE
    assert ensemble.model_info.version == "4.0.0a"


@pytest.mark.parametrize(
    "geofence", ["[]", '{"aves;;;;": []}', '{"aves;;;;": {"allow": ["USA"]}}', "{", "null"]
)
def test_a_malformed_geofence_is_named(package: Path, geofence: str) -> None:
    (package / "geofence.json").write_text(geofence, encoding="utf-8")
    with pytest.raises(ModelError, match=r"geofence\.json"):
        SpeciesNetEnsemble(str(package))


def test_a_malformed_taxonomy_is_named(package: Path) -> None:
    (package / "taxonomy.txt").write_text("lion\n", encoding="utf-8")
    with pytest.raises(ModelError, match=r"taxonomy\.txt.*'lion' has 1 parts instead of 7"):
        SpeciesNetEnsemble(str(package))


# Against what was published.


def test_the_real_models_answers_are_recomputed(shared: Path, tmp_path: Path) -> None:
    golden = shared / "golden"
    labels = (shared / "model_data" / "speciesnet_v4.0.0a.labels.txt").read_text(encoding="utf-8")
    package = make_package(tmp_path / "package", labels.splitlines(), {})
    classified, detected = (
        {record["filepath"]: record for record in read(golden / f"output_{part}.json")}
        for part in ("classifier", "detector")
    )
    instances = json.loads((golden / "input.json").read_text(encoding="utf-8"))["instances"]
    records = SpeciesNetEnsemble(str(package)).combine(
        filepaths=[instance["filepath"] for instance in instances],
        classifier_results=classified,
        detector_results=detected,
        geolocation_results={instance["filepath"]: instance for instance in instances},
        partial_predictions={},
    )
    assert_same_text(records, read(golden / "output_ensemble.json"))


@pytest.mark.parametrize(
    ("package", "output"),
    [
        ("small_random", "small_random"),
        ("small_random", "small_random_instances"),
        ("small_random_b", "small_random_b"),
    ],
)
def test_the_published_programs_answers_are_recomputed(
    shared: Path, package: str, output: str
) -> None:
    expected = read(shared / "golden" / f"{output}_predictions.json")
    by_path: dict[str, Any] = {record["filepath"]: record for record in expected}
    location = ("country", "admin1_region", "latitude", "longitude")
    places: dict[str, Any] = {
        path: {key: record[key] for key in location if key in record}
        for path, record in by_path.items()
    }
    records = SpeciesNetEnsemble(str(shared / "packages" / package)).combine(
        filepaths=list(by_path),
        classifier_results=by_path,
        detector_results=by_path,
        geolocation_results=places,
        partial_predictions={},
    )
    assert_same_text(records, expected)


def test_a_package_can_be_in_a_folder_of_any_name(materials: Path, tmp_path: Path) -> None:
    folder = tmp_path / "мой пакет, ñ"
    shutil.copytree(materials / "packages" / "small_random", folder)
    taxonomy = SpeciesNetEnsemble(str(folder)).taxonomy_map
    assert taxonomy == SpeciesNetEnsemble(str(materials / "packages" / "small_random")).taxonomy_map


def read(path: Path) -> list[Any]:
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]


def assert_same_text(records: Sequence[Record], expected: Sequence[Record]) -> None:
    """As JSON: the order of keys and every digit count."""
    assert [json.dumps(record) for record in records] == [json.dumps(r) for r in expected]

"""Which taxa a place fences out, and the roll-up to an ancestor."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pycountry
import pytest

from speciesnet import geofence_utils
from speciesnet.constants import Classification
from speciesnet.ensemble import SpeciesNetEnsemble, geofence, taxonomy
from speciesnet.ensemble.geofence import (
    Answer,
    CountryList,
    GeofenceMap,
    Rules,
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
    should_geofence_animal_classification,
)
from speciesnet.ensemble.taxonomy import build_taxonomy_map
from speciesnet.records import Record
from speciesnet.survey.sequences import sequence_answer

BLACK_BEAR = (
    "436ddfdd-bc43-44c3-a25d-34671d3430a0;"
    "mammalia;carnivora;ursidae;ursus;americanus;american black bear"
)
BROWN_BEAR = (
    "330bb1e9-84d6-4e41-afa9-938aee17ea29;mammalia;carnivora;ursidae;ursus;arctos;brown bear"
)
BEARS = "5a0f5e3f-c634-4b86-910a-b105cb526a24;mammalia;carnivora;ursidae;ursus;;ursus species"
BEAR_FAMILY = "ec1a70f4-41c0-4aba-9150-292fb2b7a324;mammalia;carnivora;ursidae;;;bear family"
LION = "ddf59264-185a-4d35-b647-2785792bdf54;mammalia;carnivora;felidae;panthera;leo;lion"
CAT_FAMILY = "df8514b0-10a5-411f-8ed6-0f415e8153a3;mammalia;carnivora;felidae;;;cat family"
CARNIVORE = "eeeb5d26-2a47-4d01-a3de-10b33ec0aee4;mammalia;carnivora;;;;carnivorous mammal"
MAMMAL = "f2d233e3-80e3-433d-9687-e29ecc7a467a;mammalia;;;;;mammal"
RAVEN = "9805e578-061a-49c0-8abc-ea135381c162;aves;passeriformes;corvidae;corvus;corax;common raven"
BIRD = "b1352069-a39c-4a84-a949-60044271c0c1;aves;;;;;bird"
ANIMAL = Classification.ANIMAL.value
BLANK = Classification.BLANK.value

BLACK_BEAR_KEY = "mammalia;carnivora;ursidae;ursus;americanus"
TAXONOMY = build_taxonomy_map(
    [BLACK_BEAR, BROWN_BEAR, BEARS, BEAR_FAMILY, LION, CAT_FAMILY, CARNIVORE, MAMMAL, RAVEN, BIRD]
)
ALL_LEVELS = ("species", "genus", "family", "order", "class", "kingdom")


def fenced_out(
    rules: dict[str, dict[str, list[str]]],
    country: str | None,
    region: str | None = None,
    enabled: bool = True,
) -> bool:
    return should_geofence_animal_classification(
        BLACK_BEAR, country, region, {BLACK_BEAR_KEY: rules}, enabled
    )


def roll_up(
    labels: Sequence[str],
    scores: Sequence[float],
    threshold: float = 0.65,
    levels: Sequence[str] = ALL_LEVELS,
    country: str | None = None,
    geofence_map: GeofenceMap | None = None,
    enabled: bool = True,
) -> Answer | None:
    return roll_up_labels_to_first_matching_level(
        labels=labels,
        scores=scores,
        country=country,
        admin1_region=None,
        target_taxonomy_levels=levels,
        non_blank_threshold=threshold,
        taxonomy_map=TAXONOMY,
        geofence_map=geofence_map or {},
        enable_geofence=enabled,
    )


def fence(
    labels: Sequence[str],
    scores: Sequence[float],
    geofence_map: GeofenceMap,
    country: str | None = "KEN",
    region: str | None = None,
    enabled: bool = True,
) -> Answer:
    return geofence_animal_classification(
        labels=labels,
        scores=scores,
        country=country,
        admin1_region=region,
        taxonomy_map=TAXONOMY,
        geofence_map=geofence_map,
        enable_geofence=enabled,
    )


@pytest.mark.parametrize(
    ("rules", "country", "region", "expected"),
    [
        # An allow list keeps other countries out; an empty one says nothing.
        ({"allow": {"CAN": []}}, "KEN", None, True),
        ({"allow": {"CAN": []}}, "CAN", None, False),
        ({"allow": {"CAN": []}}, "CAN", "BC", False),
        ({"allow": {}}, "KEN", None, False),
        ({}, "KEN", None, False),
        # A list of regions keeps other regions out, but only where a region is given.
        ({"allow": {"USA": ["CO", "FL"]}}, "USA", "CO", False),
        ({"allow": {"USA": ["CO", "FL"]}}, "USA", "CA", True),
        ({"allow": {"USA": ["CO", "FL"]}}, "USA", None, False),
        ({"allow": {"USA": ["CO", "FL"]}}, "USA", "", False),
        ({"allow": {"USA": ["CO", "FL"]}}, "CAN", "CO", True),
        # A block list without regions blocks the whole country.
        ({"block": {"FRA": []}}, "FRA", None, True),
        ({"block": {"FRA": []}}, "FRA", "75", True),
        ({"block": {"FRA": []}}, "KEN", None, False),
        ({"block": {}}, "FRA", None, False),
        ({"block": {"USA": ["NJ"]}}, "USA", "NJ", True),
        ({"block": {"USA": ["NJ"]}}, "USA", "CA", False),
        ({"block": {"USA": ["NJ"]}}, "USA", None, False),
        # Either one suffices.
        ({"allow": {"USA": []}, "block": {"USA": ["NJ"]}}, "USA", "NJ", True),
        ({"allow": {"USA": []}, "block": {"USA": ["NJ"]}}, "USA", "CA", False),
        ({"allow": {"USA": []}, "block": {"USA": []}}, "USA", "CA", True),
        ({"allow": {"USA": ["NJ"]}, "block": {"USA": ["NJ"]}}, "USA", "NJ", True),
        ({"allow": {"USA": ["NJ"]}, "block": {"FRA": []}}, "FRA", None, True),
    ],
)
def test_rules_of_a_place(
    rules: dict[str, dict[str, list[str]]], country: str, region: str | None, expected: bool
) -> None:
    assert fenced_out(rules, country, region) is expected


@pytest.mark.parametrize("country", [None, ""])
def test_without_a_country_nothing_is_fenced_out(country: str | None) -> None:
    assert not fenced_out({"allow": {"CAN": []}, "block": {"": []}}, country, "CA")


def test_switched_off_nothing_is_fenced_out() -> None:
    assert not fenced_out({"block": {"FRA": []}}, "FRA", enabled=False)


def test_a_taxon_without_rules_is_not_fenced_out_by_those_of_its_genus() -> None:
    rules = {"mammalia;carnivora;ursidae;ursus;": {"block": {"FRA": []}}}
    assert not should_geofence_animal_classification(BLACK_BEAR, "FRA", None, rules, True)
    assert should_geofence_animal_classification(BEARS, "FRA", None, rules, True)


def test_roll_up_stops_at_the_first_level_that_suffices() -> None:
    found = roll_up([BLACK_BEAR, BROWN_BEAR, LION], [0.5, 0.25, 0.25])
    assert found == (BEARS, 0.75, "classifier+rollup_to_genus")


def test_roll_up_reaches_the_species_level() -> None:
    found = roll_up([BLACK_BEAR, BROWN_BEAR], [0.75, 0.25])
    assert found == (BLACK_BEAR, 0.75, "classifier+rollup_to_species")


def test_roll_up_takes_levels_in_the_order_given() -> None:
    found = roll_up([BLACK_BEAR, BROWN_BEAR], [0.5, 0.5], levels=("class", "genus"))
    assert found == (MAMMAL, 1.0, "classifier+rollup_to_class")


@pytest.mark.parametrize(("threshold", "level"), [(0.75, "order"), (0.7499999999999999, "genus")])
def test_the_sum_must_exceed_the_threshold(threshold: float, level: str) -> None:
    found = roll_up([BLACK_BEAR, BROWN_BEAR, LION], [0.5, 0.25, 0.25], threshold)
    assert found is not None
    assert found[2] == f"classifier+rollup_to_{level}"


def test_of_equal_sums_the_first_wins() -> None:
    labels = [LION, BLACK_BEAR, BROWN_BEAR]
    found = roll_up(labels, [0.5, 0.25, 0.25], 0.4, ["family"])
    assert found == (CAT_FAMILY, 0.5, "classifier+rollup_to_family")
    found = roll_up([BLACK_BEAR, LION, BROWN_BEAR], [0.25, 0.5, 0.25], 0.4, ["family"])
    assert found == (BEAR_FAMILY, 0.5, "classifier+rollup_to_family")


def test_the_greatest_sum_wins_over_the_best_class() -> None:
    found = roll_up([LION, BLACK_BEAR, BROWN_BEAR], [0.4, 0.3, 0.3], 0.35, ["genus"])
    assert found == (BEARS, 0.6, "classifier+rollup_to_genus")


def test_a_fenced_out_ancestor_is_passed_over_for_the_next_best() -> None:
    rules = {"mammalia;carnivora;ursidae;;": {"block": {"KEN": []}}}
    labels, scores = [BLACK_BEAR, BROWN_BEAR, LION], [0.4, 0.3, 0.3]
    found = roll_up(labels, scores, 0.25, ["family"], "KEN", rules)
    assert found == (CAT_FAMILY, 0.3, "classifier+rollup_to_family")
    found = roll_up(labels, scores, 0.25, ["family"], "KEN", rules, enabled=False)
    assert found == (BEAR_FAMILY, 0.7, "classifier+rollup_to_family")


def test_scores_of_a_fenced_out_species_still_count_for_its_family() -> None:
    rules = {BLACK_BEAR_KEY: {"block": {"KEN": []}}}
    found = roll_up([BLACK_BEAR, BROWN_BEAR], [0.5, 0.25], 0.65, ALL_LEVELS, "KEN", rules)
    assert found == (BEARS, 0.75, "classifier+rollup_to_genus")


def test_labels_without_an_ancestor_count_for_nothing() -> None:
    assert roll_up([BLANK, BLACK_BEAR], [0.5, 0.5]) is None
    assert roll_up([BLANK], [1.0]) is None


def test_different_classes_meet_in_the_kingdom() -> None:
    assert roll_up([BLACK_BEAR, RAVEN], [0.5, 0.5]) == (ANIMAL, 1.0, "classifier+rollup_to_kingdom")


def test_sums_are_added_in_the_order_of_the_classes() -> None:
    scores = [0.1, 0.2, 0.3]
    found = roll_up([BLACK_BEAR, BROWN_BEAR, BEARS], scores, 0.0, ["family"])
    assert found is not None
    assert found[1] == (0.1 + 0.2) + 0.3 != 0.1 + (0.2 + 0.3)


def test_an_allowed_top_class_is_answered() -> None:
    assert fence([LION, BLACK_BEAR], [0.9, 0.1], {}) == (LION, 0.9, "classifier")


def test_a_fenced_out_top_class_rolls_up_with_all_that_the_ancestor_has() -> None:
    rules = {BLACK_BEAR_KEY: {"allow": {"USA": []}}}
    found = fence([BLACK_BEAR, LION, BROWN_BEAR], [0.5, 0.25, 0.25], rules)
    assert found == (BEAR_FAMILY, 0.75, "classifier+geofence+rollup_to_family")


def test_the_geofence_never_answers_a_genus() -> None:
    rules = {BLACK_BEAR_KEY: {"block": {"KEN": []}}}
    found = fence([BLACK_BEAR], [0.9], rules)
    assert found == (BEAR_FAMILY, 0.9, "classifier+geofence+rollup_to_family")


def test_the_geofence_passes_over_fenced_out_ancestors_up_to_the_kingdom() -> None:
    rules = {
        key: {"block": {"KEN": []}}
        for key in (
            BLACK_BEAR_KEY,
            "mammalia;carnivora;ursidae;;",
            "mammalia;carnivora;;;",
            "mammalia;;;;",
        )
    }
    found = fence([BLACK_BEAR, RAVEN], [0.75, 0.25], rules)
    assert found == (ANIMAL, 1.0, "classifier+geofence+rollup_to_kingdom")


def test_another_family_needs_the_top_score_to_be_answered() -> None:
    rules = {
        key: {"block": {"KEN": []}} for key in (BLACK_BEAR_KEY, "mammalia;carnivora;ursidae;;")
    }
    found = fence([BLACK_BEAR, LION], [0.5, 0.25], rules)
    assert found == (CARNIVORE, 0.75, "classifier+geofence+rollup_to_order")
    found = fence([BLACK_BEAR, LION], [0.5, 0.5], rules)
    assert found == (CAT_FAMILY, 0.5, "classifier+geofence+rollup_to_family")


def test_where_no_ancestor_is_allowed_the_answer_is_unknown() -> None:
    keys = [BLACK_BEAR_KEY, "mammalia;carnivora;ursidae;;", "mammalia;carnivora;;;"]
    rules = {key: {"block": {"KEN": []}} for key in [*keys, "mammalia;;;;", ";;;;"]}
    assert fence([BLACK_BEAR], [0.9], rules) == (
        Classification.UNKNOWN.value,
        0.9,
        "classifier+geofence+rollup_failed",
    )


def test_a_region_can_fence_out() -> None:
    rules = {BLACK_BEAR_KEY: {"allow": {"USA": ["CO"]}}}
    assert fence([BLACK_BEAR], [0.9], rules, "USA", "CO")[0] == BLACK_BEAR
    assert fence([BLACK_BEAR], [0.9], rules, "USA", "CA")[0] == BEAR_FAMILY
    assert fence([BLACK_BEAR], [0.9], rules, "USA", None)[0] == BLACK_BEAR
    assert fence([BLACK_BEAR], [0.9], rules, "USA", "CA", enabled=False)[0] == BLACK_BEAR


@pytest.mark.parametrize(
    "name",
    [
        "geofence_animal_classification",
        "roll_up_labels_to_first_matching_level",
        "should_geofence_animal_classification",
    ],
)
def test_other_programs_find_the_functions_in_geofence_utils(name: str) -> None:
    assert getattr(geofence_utils, name) is getattr(geofence, name)


def test_other_programs_find_the_taxonomy_in_geofence_utils() -> None:
    assert geofence_utils.get_ancestor_at_level is taxonomy.get_ancestor_at_level
    assert geofence_utils.get_full_class_string is taxonomy.taxonomy_key


@pytest.mark.parametrize(
    ("function", "keywords"),
    [
        (
            geofence_utils.geofence_animal_classification,
            "labels scores country admin1_region taxonomy_map geofence_map enable_geofence",
        ),
        (
            geofence_utils.roll_up_labels_to_first_matching_level,
            "labels scores country admin1_region taxonomy_map geofence_map enable_geofence "
            "target_taxonomy_levels non_blank_threshold",
        ),
        (
            geofence_utils.should_geofence_animal_classification,
            "label country admin1_region geofence_map enable_geofence",
        ),
    ],
)
def test_other_programs_pass_these_keywords(function: object, keywords: str) -> None:
    assert callable(function)
    assert set(inspect.signature(function).parameters) == set(keywords.split())


# Countries that no rule names.


RED_FOX = "4a6fd7c8-6f0f-4ed6-a3cd-6e0a5a3a4b7e;mammalia;carnivora;canidae;vulpes;vulpes;red fox"


def decided(ensemble: SpeciesNetEnsemble, country: str | None) -> tuple[object, object, object]:
    record = ensemble.combine_one(
        "a.jpg",
        {"classes": [RED_FOX], "scores": [0.95]},
        [],
        {} if country is None else {"country": country},
    )
    assert record.get("country") == country
    return record.get("prediction"), record.get("prediction_score"), record.get("prediction_source")


def test_a_country_missing_from_the_list_is_answered_as_without_a_country(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ensemble = SpeciesNetEnsemble("demo")
    assert decided(ensemble, "XKX") == decided(ensemble, None) == (RED_FOX, 0.95, "classifier")
    decided(ensemble, "XKX")
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "does not contain Kosovo (XKX)" in record.getMessage()
    decided(ensemble, "ISL")
    assert len(caplog.records) == 1
    (note,) = ensemble.notes({"XKX": 3, "KEN": 2})
    assert note.startswith("3 images from Kosovo (XKX) are not geofenced, because")
    assert SpeciesNetEnsemble("demo", geofence=False).notes({"XKX": 3}) == []


def test_the_demo_covers_all_countries_of_iso_3166(caplog: pytest.LogCaptureFixture) -> None:
    countries = CountryList(SpeciesNetEnsemble("demo").geofence_map)
    assert all(countries.covers(country.alpha_3) for country in pycountry.countries)
    assert not caplog.records
    assert decided(SpeciesNetEnsemble("demo"), "ISL")[0] != RED_FOX


@pytest.mark.parametrize("country", ["ALB", "SRB", "MKD", "MNE"])
def test_the_neighbors_of_kosovo_have_red_foxes(
    country: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert decided(SpeciesNetEnsemble("demo"), country) == (RED_FOX, 0.95, "classifier")
    assert not caplog.records


def test_a_country_named_by_any_rule_is_fenced(caplog: pytest.LogCaptureFixture) -> None:
    label, _, source = decided(SpeciesNetEnsemble("demo"), "KEN")
    assert str(label).endswith(";canine family")
    assert source == "classifier+geofence+rollup_to_family"
    assert not caplog.records


def test_nothing_is_warned_about_without_geofencing(caplog: pytest.LogCaptureFixture) -> None:
    decided(SpeciesNetEnsemble("demo", geofence=False), "XKX")
    assert not caplog.records


def test_a_replaced_geofence_has_its_own_countries() -> None:
    ensemble = SpeciesNetEnsemble("demo")
    ensemble.geofence_map = {taxonomy.taxonomy_key(RED_FOX): {"block": {"XKX": []}}}
    assert decided(ensemble, "XKX")[0] != RED_FOX
    assert decided(ensemble, "KEN")[0] == RED_FOX


@pytest.mark.parametrize(
    ("rules", "country", "expected"),
    [
        ({}, "XKX", True),
        ({BLACK_BEAR_KEY: {}}, "XKX", True),
        ({BLACK_BEAR_KEY: {"allow": {"CAN": []}}}, "CAN", True),
        ({BLACK_BEAR_KEY: {"block": {"USA": ["NJ"]}}}, "USA", True),
        ({BLACK_BEAR_KEY: {"allow": {"CAN": []}}}, "KEN", False),
        ({BLACK_BEAR_KEY: {"allow": {"CAN": []}}}, None, True),
        ({BLACK_BEAR_KEY: {"allow": {"CAN": []}}}, "", True),
    ],
)
def test_a_list_covers_the_countries_that_it_names(
    rules: GeofenceMap, country: str | None, expected: bool
) -> None:
    assert CountryList(rules).covers(country) is expected


def test_sequences_are_not_fenced_in_a_missing_country_either() -> None:
    rules = Rules(TAXONOMY, {BLACK_BEAR_KEY: {"allow": {"CAN": []}, "block": {"FRA": []}}})
    answers = {}
    for country in ("CAN", "FRA", "XKX"):
        frame: Record = {
            "filepath": "a.jpg",
            "country": country,
            "classifications": {"classes": [BLACK_BEAR], "scores": [0.9]},
            "detections": [],
            "prediction": BLACK_BEAR,
        }
        answer = sequence_answer([frame, frame], rules)
        assert answer is not None
        answers[country] = answer[0]
    assert answers == {"CAN": BLACK_BEAR, "FRA": BEAR_FAMILY, "XKX": BLACK_BEAR}

"""Ancestors of labels, and the map of taxa that a roll-up may return."""

from __future__ import annotations

import pytest

from speciesnet.constants import Classification
from speciesnet.ensemble.taxonomy import (
    build_taxonomy_map,
    category_of,
    get_ancestor_at_level,
    species_name,
    taxonomy_key,
)

BLACK_BEAR = (
    "436ddfdd-bc43-44c3-a25d-34671d3430a0;"
    "mammalia;carnivora;ursidae;ursus;americanus;american black bear"
)
BEARS = "5a0f5e3f-c634-4b86-910a-b105cb526a24;mammalia;carnivora;ursidae;ursus;;ursus species"
BEAR_FAMILY = "ec1a70f4-41c0-4aba-9150-292fb2b7a324;mammalia;carnivora;ursidae;;;bear family"
CARNIVORE = "eeeb5d26-2a47-4d01-a3de-10b33ec0aee4;mammalia;carnivora;;;;carnivorous mammal"
MAMMAL = "f2d233e3-80e3-433d-9687-e29ecc7a467a;mammalia;;;;;mammal"
LION = "ddf59264-185a-4d35-b647-2785792bdf54;mammalia;carnivora;felidae;panthera;leo;lion"

TAXONOMY = build_taxonomy_map([BLACK_BEAR, BEARS, BEAR_FAMILY, CARNIVORE, MAMMAL])


@pytest.mark.parametrize(
    ("level", "ancestor"),
    [
        ("species", BLACK_BEAR),
        ("genus", BEARS),
        ("family", BEAR_FAMILY),
        ("order", CARNIVORE),
        ("class", MAMMAL),
        ("kingdom", Classification.ANIMAL.value),
    ],
)
def test_each_level_has_its_ancestor(level: str, ancestor: str) -> None:
    assert get_ancestor_at_level(BLACK_BEAR, level, TAXONOMY) == ancestor


def test_a_taxon_is_its_own_ancestor_at_its_own_level() -> None:
    assert get_ancestor_at_level(BEAR_FAMILY, "family", TAXONOMY) == BEAR_FAMILY


@pytest.mark.parametrize("level", ["genus", "species"])
def test_a_family_has_no_ancestor_below_itself(level: str) -> None:
    assert get_ancestor_at_level(BEAR_FAMILY, level, TAXONOMY) is None


def test_a_level_without_an_entry_is_passed_over() -> None:
    assert get_ancestor_at_level(LION, "family", TAXONOMY) is None
    assert get_ancestor_at_level(LION, "order", TAXONOMY) == CARNIVORE


def test_a_part_missing_above_the_level_is_looked_up_as_it_stands() -> None:
    crow = "5a0f5e3f-c634-4b86-910a-b105cb526a25;aves;passeriformes;;corvus;;crow"
    taxonomy = build_taxonomy_map([crow])
    assert get_ancestor_at_level(crow, "genus", taxonomy) == crow
    assert get_ancestor_at_level(crow, "family", taxonomy) is None


@pytest.mark.parametrize("label", [Classification.BLANK, Classification.VEHICLE])
@pytest.mark.parametrize("level", ["kingdom", "class", "order", "family", "genus", "species"])
def test_no_animal_has_no_ancestors(label: str, level: str) -> None:
    assert get_ancestor_at_level(label, level, TAXONOMY) is None


def test_animal_is_of_the_animal_kingdom_and_nothing_else() -> None:
    animal = Classification.ANIMAL.value
    assert get_ancestor_at_level(animal, "kingdom", TAXONOMY) == animal
    assert get_ancestor_at_level(animal, "class", TAXONOMY) is None


def test_unknown_has_a_class_part_and_so_a_kingdom() -> None:
    unknown = Classification.UNKNOWN.value
    assert get_ancestor_at_level(unknown, "kingdom", TAXONOMY) == Classification.ANIMAL
    assert get_ancestor_at_level(unknown, "class", TAXONOMY) is None


def test_human_and_animal_are_in_every_taxonomy_map() -> None:
    assert build_taxonomy_map([]) == {
        "mammalia;primates;hominidae;homo;sapiens": Classification.HUMAN.value,
        ";;;;": Classification.ANIMAL.value,
    }


@pytest.mark.parametrize(
    "label", [Classification.BLANK, Classification.VEHICLE, Classification.UNKNOWN]
)
def test_other_labels_are_left_out_of_the_map(label: Classification) -> None:
    assert build_taxonomy_map([label.value, MAMMAL]) == build_taxonomy_map([MAMMAL])


def test_the_animal_key_belongs_to_animal_whatever_the_file_says() -> None:
    other = "00000000-0000-0000-0000-000000000000;;;;;;something"
    assert build_taxonomy_map([other])[";;;;"] == Classification.ANIMAL


def test_the_map_holds_plain_strings() -> None:
    assert {type(label) for label in TAXONOMY.values()} == {str}


def test_the_key_is_the_five_scientific_parts() -> None:
    assert taxonomy_key(BLACK_BEAR) == "mammalia;carnivora;ursidae;ursus;americanus"


@pytest.mark.parametrize("label", ["", "lion", LION + ";more"])
def test_a_malformed_label_is_named(label: str) -> None:
    with pytest.raises(ValueError, match=f"{label!r} has .* parts instead of 7"):
        get_ancestor_at_level(label, "kingdom", TAXONOMY)


def test_an_unknown_level_is_named() -> None:
    with pytest.raises(ValueError, match="'phylum' is not one of"):
        get_ancestor_at_level(LION, "phylum", TAXONOMY)


@pytest.mark.parametrize(
    ("label", "category", "name"),
    [
        (MAMMAL, "animal", "mammal (Mammalia)"),
        (Classification.HUMAN.value, "human", "human (Homo sapiens)"),
        ("u;mammalia;primates;hominidae;homo;;homo species", "human", "homo species (Homo)"),
        (Classification.UNKNOWN.value, "unknown", "unknown"),
        ("other;;;;;;Vehicle", "vehicle", "Vehicle"),
        ("other;;;;;;", "animal", "unknown"),
    ],
)
def test_category_and_name_of_a_label(label: str, category: str, name: str) -> None:
    assert (category_of(label), species_name(label)) == (category, name)

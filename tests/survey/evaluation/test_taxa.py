from __future__ import annotations

import pytest
from surveys import BLANK, FOX, HUMAN, LABELS, UNKNOWN

from speciesnet.constants import Classification
from speciesnet.survey.evaluation.taxa import KnownLabels, Taxon, TaxonNames, taxon_of

DINGO = "1;mammalia;carnivora;canidae;canis;lupus dingo;dingo"
WOLF = "2;mammalia;carnivora;canidae;canis;lupus;grey wolf"
KNOWN = KnownLabels([*LABELS.values(), DINGO, WOLF])


@pytest.mark.parametrize("written", ["red fox", "Red Fox", "Vulpes vulpes", "vulpes_vulpes", FOX])
def test_species_is_found_by_any_of_its_names(written: str) -> None:
    assert KNOWN.find(written) == FOX


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("Vulpes sp.", ("mammalia", "carnivora", "canidae", "vulpes")),
        ("Canidae", ("mammalia", "carnivora", "canidae")),
        ("carnivora", ("mammalia", "carnivora")),
        ("Mammalia", ("mammalia",)),
        ("Canis lupus", ("mammalia", "carnivora", "canidae", "canis", "lupus")),
    ],
)
def test_higher_ranks_are_found(written: str, names: tuple[str, ...]) -> None:
    assert taxon_of(KNOWN.find(written)).names == names


def test_words_for_blank_people_and_doubt() -> None:
    found = [KNOWN.find(word) for word in ("Empty", "blank", "person", "unidentified", "animal")]
    assert found == [BLANK, BLANK, HUMAN, UNKNOWN, Classification.ANIMAL.value]


def test_unknown_names_get_proposals() -> None:
    assert KNOWN.find("Vulpes vulpus") is None
    assert "red fox" in KNOWN.near("Vulpes vulpus")
    assert KNOWN.find("unicorn") is None and KNOWN.near("unicorn") == []


def test_common_name_of_two_species_is_not_guessed() -> None:
    one, other = (f"{n};aves;x;y;z;{n};little bird" for n in "ab")
    assert KnownLabels([one, other]).find("little bird") is None


def test_subspecies_are_their_species() -> None:
    assert taxon_of(DINGO) == taxon_of(WOLF)


def test_labels_of_other_programs_are_classes_of_their_own() -> None:
    assert taxon_of("deer") != taxon_of("fox")
    assert Taxon("animal").contains(taxon_of("deer"))


def test_names_are_common_or_latin() -> None:
    names = TaxonNames([FOX])
    taxa = [taxon_of(FOX), taxon_of(FOX, "family"), taxon_of(WOLF), taxon_of(BLANK)]
    assert [*map(names.of, taxa)] == ["red fox", "Canidae", "Canis lupus", "blank"]

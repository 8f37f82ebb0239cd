"""The taxa that can occur at a site: reading the list, and what to answer instead of other taxa."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from commands import run_here
from hypothesis import given
from hypothesis import strategies as st
from surveys import BLANK, BOAR, DEER, FOX, HUMAN, LABELS, UNKNOWN, box, record, write_predictions

from speciesnet import SpeciesNet
from speciesnet.constants import Classification
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.ensemble.geofence import Answer, Rules
from speciesnet.ensemble.geofence.species_list import SpeciesList, read_species_list
from speciesnet.ensemble.taxonomy import build_taxonomy_map, get_ancestor_at_level
from speciesnet.errors import InputError, OutputError
from speciesnet.predictions.settings import species_list_of_run
from speciesnet.records import Classifications, Record
from speciesnet.survey.survey import load_survey

RED_FOX = "01;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
FENNEC = "02;mammalia;carnivora;canidae;vulpes;zerda;fennec fox"
FOXES = "03;mammalia;carnivora;canidae;vulpes;;vulpes species"
DINGO = "04;mammalia;chordata;canidae;canis;lupus dingo;dingo"
WOLF = "05;mammalia;carnivora;canidae;canis;lupus;gray wolf"
DOGS = "06;mammalia;carnivora;canidae;;;canine family"
CARNIVORES = "07;mammalia;carnivora;;;;carnivorous mammal"
LION = "08;mammalia;carnivora;felidae;panthera;leo;lion"
MAMMAL = "09;mammalia;;;;;mammal"
GRIZZLY = "10;mammalia;carnivora;ursidae;ursus;u. arctos;grizzly bear"
COW = "11;mammalia;cetartiodactyla;bovidae;bos;taurus;domestic cattle"
BOVIDS = "12;mammalia;artiodactyla;bovidae;;;bovidae family"
RAVEN = "13;aves;passeriformes;corvidae;corvus;corax;common raven"
TAXA = (
    *(RED_FOX, FENNEC, FOXES, DINGO, WOLF, DOGS, CARNIVORES, LION, MAMMAL, GRIZZLY, COW, BOVIDS),
    RAVEN,
)
ANIMAL, VEHICLE = Classification.ANIMAL.value, Classification.VEHICLE.value
KEPT = (BLANK, HUMAN, VEHICLE, UNKNOWN, ANIMAL)
TAXONOMY = build_taxonomy_map([*TAXA, *KEPT])


def listed(*names: str, fill: bool = False) -> SpeciesList:
    return SpeciesList(names, TAXA, fill)


def restricted(
    species: SpeciesList,
    answer: Answer,
    others: Sequence[tuple[str, float]] = (),
    country: str | None = None,
    geofence: dict[str, dict[str, dict[str, list[str]]]] | None = None,
) -> Answer:
    rules = Rules(TAXONOMY, geofence or {}, species_list=species)
    classes = [(answer[0], answer[1]), *others]
    return rules.restrict(answer, [c for c, _ in classes], [s for _, s in classes], country)


# The file


def read(tmp_path: Path, text: str, encoding: str = "utf-8") -> tuple[str, ...]:
    path = tmp_path / "site.csv"
    path.write_text(text, encoding=encoding, newline="")
    return read_species_list(str(path), TAXA).names


@pytest.mark.parametrize(
    "text",
    [
        "vulpes vulpes\nPanthera leo\n",
        "Vulpes vulpes,red fox\nPanthera leo,lion",
        "latin,common\nVulpes vulpes,red fox\nPanthera leo,lion\n",
        "latin,common,original_common\nVulpes vulpes,red fox,fox\nPanthera leo,lion,\n",
        "common;Scientific name\nred fox;Vulpes vulpes\nlion, king;Panthera leo\n",
        "latin\tcommon\nVulpes vulpes\tred fox\nPanthera leo\tlion\n",
        '"Vulpes vulpes","red fox, common"\r\n"Panthera leo",lion\r\n',
        "Vulpes vulpes;red fox\nPanthera leo;lion\n",
        "# my site\n\n  Vulpes   vulpes  # seen in May\n,,\nPanthera_leo\nVulpes vulpes\n",
        f"{RED_FOX}\n{LION}\n",
        f"\"{RED_FOX}\"\n'{LION.upper()}'\n",
        f"{RED_FOX.replace('01', 'other')}, or European fox\n{LION}\n",
        f"Vulpes vulpes\nPanthera leo\n{BLANK}\n{HUMAN}\n{VEHICLE}\n{ANIMAL}\n{UNKNOWN}\nhuman\nAnimal\n",
        "\u201cVulpes vulpes\u201d\rPanthera\u00a0leo\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_lists_in_many_spellings(tmp_path: Path, text: str, encoding: str) -> None:
    assert read(tmp_path, text, encoding) == ("panthera leo", "vulpes vulpes")


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Canidae", "canidae"),
        ("MAMMALIA", "mammalia"),
        ("chordata", "chordata"),
        ("Canis lupus dingo", "canis lupus dingo"),
        ("Canis lupus", "canis lupus"),
        ("Ursus arctos", "ursus arctos"),
        ("Vulpes sp.", "vulpes"),
        ("Canis spp", "canis"),
        (DOGS, "canidae"),
        (DINGO.replace("chordata", "carnivora"), "canis lupus dingo"),
    ],
)
def test_taxa_of_any_rank(tmp_path: Path, written: str, name: str) -> None:
    assert read(tmp_path, written) == (name,)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Vulpes vulpse", "Vulpes vulpes"),
        ("Canis simensis", "Canis"),
        ("Vulpes vulpes crucigera", "Vulpes vulpes"),
        ("red fox", "Vulpes vulpes"),
        ("Artiodactila", "Artiodactyla"),
        (LION.replace("leo", "onca"), "Panthera"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_ones(
    tmp_path: Path, written: str, meant: str
) -> None:
    with pytest.raises(InputError) as error:
        read(tmp_path, f"Panthera leo\n\n{written}\n")
    message = str(error.value)
    assert str(tmp_path / "site.csv") in message
    assert f"line 3, {written!r}, is not in the taxonomy of the model" in message
    assert meant in message.partition("(perhaps ")[2].partition(")")[0].split(" or ")


def test_renamed_taxa_are_proposed_in_both_directions(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("Emys marmorata\nArtiodactyla\n", encoding="utf-8")
    labels = [
        "1;reptilia;testudines;emydidae;actinemys;marmorata;western pond turtle",
        "2;mammalia;cetartiodactyla;;;;cetartiodactyla order",
    ]
    with pytest.raises(InputError, match=r"Actinemys marmorata.*Cetartiodactyla"):
        read_species_list(str(tmp_path / "list.txt"), labels)


def test_many_unknown_names_are_counted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 5, .*; and 3 more lines"):
        read(tmp_path, "\n".join(f"Nothing like{number}" for number in range(8)))
    with pytest.raises(InputError, match="line 2 has no Latin name"):
        read(tmp_path, "latin,common\n,red fox\n")


@pytest.mark.parametrize("content", [b"", b"# none\n\n", b"latin,common\n", b"human\nblank\n"])
def test_list_without_animals_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(InputError, match="contains no animal"):
        read_species_list(str(tmp_path / "list.csv"), TAXA)


def test_unreadable_lists_are_refused(tmp_path: Path) -> None:
    (tmp_path / "excel.csv").write_text("Vulpes vulpes", encoding="utf-16")
    (tmp_path / "nul.csv").write_bytes(b"Vulpes\0vulpes,fox")
    for name in ("none.csv", "excel.csv", "nul.csv", ""):
        with pytest.raises(InputError, match="The species list"):
            read_species_list(str(tmp_path / name), TAXA)


# The rule


def test_listed_taxa_imply_their_ancestors_and_what_is_below() -> None:
    species = listed("vulpes", "panthera leo")
    implied = {label for label in TAXA if species.implies(label)}
    assert implied == {RED_FOX, FENNEC, FOXES, DOGS, CARNIVORES, LION, MAMMAL}
    assert all(species.implies(label) for label in KEPT)
    assert listed("canis lupus").implies(DINGO)
    assert listed("canis lupus dingo").implies(WOLF)
    assert listed("ursus arctos").implies(GRIZZLY)


def test_family_under_two_orders_is_one_family() -> None:
    assert listed("bos taurus").implies(BOVIDS)
    assert listed("bovidae").implies(COW)
    assert listed("carnivora").implies(DINGO)


@pytest.mark.parametrize(
    ("names", "answer", "found", "steps"),
    [
        (["vulpes vulpes"], RED_FOX, RED_FOX, ""),
        (["vulpes vulpes"], FENNEC, FOXES, "+species_list+rollup_to_genus"),
        (["canis lupus"], FENNEC, DOGS, "+species_list+rollup_to_family"),
        (["panthera leo"], FENNEC, CARNIVORES, "+species_list+rollup_to_order"),
        (["bos taurus"], FENNEC, MAMMAL, "+species_list+rollup_to_class"),
        (["corvus corax"], FENNEC, ANIMAL, "+species_list+rollup_to_kingdom"),
        (["panthera leo"], FOXES, CARNIVORES, "+species_list+rollup_to_order"),
        (["vulpes"], FENNEC, FENNEC, ""),
        (["corvus corax"], HUMAN, HUMAN, ""),
    ],
)
def test_answers_roll_up_to_the_nearest_implied_ancestor(
    names: list[str], answer: str, found: str, steps: str
) -> None:
    assert restricted(listed(*names), (answer, 0.9, "classifier")) == (
        found,
        0.9,
        f"classifier{steps}",
    )


def test_score_is_the_sum_below_the_ancestor() -> None:
    others = [(WOLF, 0.125), (RAVEN, 0.0625), (LION, 0.03125)]
    found = restricted(listed("canis lupus"), (FENNEC, 0.75, "classifier"), others)
    assert found == (DOGS, 0.875, "classifier+species_list+rollup_to_family")
    # An answer of a combiner of one's own, which is not among the classes, keeps its score.
    rules = Rules(TAXONOMY, species_list=listed("canis lupus"))
    assert rules.restrict((FENNEC, 0.5, "mine"), [RAVEN], [0.9])[:2] == (DOGS, 0.5)


def test_ancestor_must_satisfy_the_geofence() -> None:
    geofence = {"mammalia;carnivora;canidae;;": {"block": {"AUS": []}}}
    answer = (FENNEC, 0.75, "classifier+geofence+rollup_to_family")
    species = listed("canis lupus")
    assert restricted(species, answer, country="KEN", geofence=geofence)[0] == DOGS
    found = restricted(species, answer, country="AUS", geofence=geofence)
    assert found == (CARNIVORES, 0.75, f"{answer[2]}+species_list+rollup_to_order")


def test_taxonomy_without_animal_has_no_answer() -> None:
    rules = Rules({}, species_list=listed("panthera leo"))
    found = rules.restrict((FENNEC, 0.75, "classifier"), [FENNEC], [0.75])
    assert found == (UNKNOWN, 0.75, "classifier+species_list+rollup_failed")


@pytest.mark.parametrize(
    ("names", "answer", "found", "steps"),
    [
        (["vulpes vulpes"], FENNEC, RED_FOX, "+rollup_to_genus+fill_to_species"),
        (["vulpes vulpes"], CARNIVORES, RED_FOX, "+fill_to_species"),
        (["canis lupus dingo"], DOGS, DINGO, "+fill_to_subspecies"),
        (["vulpes", "vulpes vulpes"], DOGS, FOXES, "+fill_to_genus"),
        (["vulpes", "vulpes vulpes"], FOXES, FOXES, None),
        (["vulpes vulpes", "canis lupus"], DOGS, DOGS, None),
        (["vulpes vulpes"], ANIMAL, ANIMAL, None),
        (["vulpes vulpes"], RAVEN, ANIMAL, "+rollup_to_kingdom"),
        (["passeriformes"], "1;aves;;;;;bird", "1;aves;;;;;bird", None),  # has no label of its own
    ],
)
def test_groups_become_their_only_listed_member_on_request(
    names: list[str], answer: str, found: str, steps: str | None
) -> None:
    source = "classifier" if steps is None else f"classifier+species_list{steps}"
    answered = restricted(listed(*names, fill=True), (answer, 0.9, "classifier"))
    assert answered == (found, 0.9, source)


def test_filled_member_must_satisfy_the_geofence() -> None:
    geofence = {"mammalia;carnivora;canidae;vulpes;vulpes": {"block": {"AUS": []}}}
    species = listed("vulpes vulpes", fill=True)
    answer = (FOXES, 0.75, "classifier")
    assert restricted(species, answer, country="KEN", geofence=geofence)[0] == RED_FOX
    assert restricted(species, answer, country="AUS", geofence=geofence) == answer


# Made-up taxonomies

ranks = st.sampled_from(["a", "b"])
paths = st.lists(ranks, min_size=1, max_size=5)


def label_of(path: Sequence[str]) -> str:
    """A label whose names contain those of all its ancestors, so that each names one taxon."""
    names = ["".join(path[: depth + 1]) for depth in range(len(path))]
    parts = [*names, *[""] * (5 - len(names))]
    return ";".join(["id", *parts, ""])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Rules, list[list[str]], Answer, list[str], list[float], str]:
    taxa = draw(st.lists(paths, min_size=1, max_size=20))
    labels = [label_of(path) for path in taxa]
    chosen = draw(st.lists(st.sampled_from(taxa), min_size=1, max_size=4))
    names = [f"{''.join(p[:4])} {''.join(p)}" if len(p) == 5 else "".join(p) for p in chosen]
    keys = [";".join(label.split(";")[1:6]) for label in labels]
    blocked = draw(st.lists(st.sampled_from(keys), max_size=5))
    rules = Rules(
        build_taxonomy_map(labels),
        {key: {"block": {"KEN": []}} for key in blocked},
        species_list=SpeciesList(tuple(names), tuple(labels), draw(st.booleans())),
    )
    classes = draw(st.lists(st.sampled_from([*labels, *KEPT]), min_size=1, max_size=5, unique=True))
    scores = draw(st.lists(st.floats(0, 1), min_size=len(classes), max_size=len(classes)))
    answer = (classes[0], scores[0], "classifier")
    country = draw(st.sampled_from(["KEN", "USA"]))
    return rules, chosen, answer, classes, scores, country


def agrees(label: str, chosen: Sequence[Sequence[str]]) -> bool:
    if label in KEPT:
        return True
    deepest = [part for part in label.split(";")[1:6] if part][-1]
    names = ["".join(path) for path in chosen]
    return any(name.startswith(deepest) or deepest.startswith(name) for name in names)


@given(cases())
def test_no_answer_is_outside_the_list(
    case: tuple[Rules, list[list[str]], Answer, list[str], list[float], str],
) -> None:
    rules, chosen, answer, classes, scores, country = case
    label, score, source = rules.restrict(answer, classes, scores, country)
    assert agrees(label, chosen)
    assert (label == answer[0]) == (source == answer[2])
    assert score >= answer[1]
    if label != answer[0]:
        assert not rules.exclude(label, country, None)
    if agrees(answer[0], chosen) and rules.species_list and not rules.species_list.fill:
        assert (label, score, source) == answer
    again = rules.restrict((label, score, source), classes, scores, country)
    assert again == (label, score, source)


@given(cases())
def test_list_of_all_taxa_changes_nothing(
    case: tuple[Rules, list[list[str]], Answer, list[str], list[float], str],
) -> None:
    rules, _, answer, classes, scores, country = case
    assert rules.species_list is not None
    every = SpeciesList(
        tuple(name for name in rules.species_list._labels_by_name),
        rules.species_list.labels,
        rules.species_list.fill,
    )
    unrestricted = Rules(rules.taxonomy_map, rules.geofence_map, species_list=every)
    assert unrestricted.restrict(answer, classes, scores, country) == answer


@given(cases())
def test_rolled_up_answers_are_the_nearest_ancestor(
    case: tuple[Rules, list[list[str]], Answer, list[str], list[float], str],
) -> None:
    rules, chosen, answer, classes, scores, country = case
    label, _, source = rules.restrict(answer, classes, scores, country)
    if "rollup_to_" not in source or "fill" in source:
        return
    for level in ("genus", "family", "order", "class", "kingdom"):
        ancestor = get_ancestor_at_level(answer[0], level, rules.taxonomy_map)
        if ancestor == label:
            return
        assert (
            ancestor is None
            or not agrees(ancestor, chosen)
            or rules.exclude(ancestor, country, None)
        )
    raise AssertionError(label)


# Runs


SITE = "latin,common\nOdocoileus virginianus,white-tailed deer\nUrsus americanus,bear\n"


@pytest.fixture
def site(tmp_path: Path) -> str:
    path = tmp_path / "site.csv"
    path.write_text(SITE, encoding="utf-8")
    return str(path)


def decided(model: SpeciesNet, *records: Record, **options: str) -> list[Record]:
    past = {one["filepath"]: one for one in records}
    found = model.ensemble_from_past_runs(
        filepaths=list(past),
        detections_dict=past,
        classifications_dict=past,
        **options,  # type: ignore[arg-type]
    )
    return [] if found is None else found["predictions"]


def test_answers_of_a_run(site: str) -> None:
    records = [
        record("deer.jpg", DEER),
        record("boar.jpg", BOAR),
        record("fox.jpg", FOX),
        record("turkey.jpg", LABELS["wild turkey"]),
        record("blank.jpg", BLANK),
    ]
    found = decided(SpeciesNet("demo", species_list=site), *records)
    assert [one.get("prediction") for one in found] == [
        DEER,
        LABELS["cetartiodactyla order"],
        LABELS["carnivorous mammal"],
        ANIMAL,
        BLANK,
    ]
    assert found[2].get("prediction_source") == "classifier+species_list+rollup_to_order"
    filled = decided(SpeciesNet("demo", species_list=site, species_list_fill=True), *records)
    assert [one.get("prediction") for one in filled] == [
        DEER,
        DEER,
        LABELS["american black bear"],
        ANIMAL,
        BLANK,
    ]


def test_answers_of_single_boxes(site: str) -> None:
    ensemble = SpeciesNetEnsemble("demo", species_list=site)
    fox: Classifications = {"classes": [FOX], "scores": [0.9]}
    found = ensemble.combine_one("a.jpg", fox, [box(), box()], {}, {1: fox})
    boxes = found.get("detections", [])
    assert "prediction" not in boxes[0]
    assert boxes[1].get("prediction") == found.get("prediction") == LABELS["carnivorous mammal"]
    assert boxes[1].get("prediction_source") == "classifier+species_list+rollup_to_order"


def test_list_of_all_classes_changes_nothing_in_a_run(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text("\n".join(LABELS.values()), encoding="utf-8")
    records = [record(f"{name}.jpg", label) for name, label in LABELS.items()]
    for country in ("KEN", None):
        options = {} if country is None else {"country": country}
        expected = decided(SpeciesNet("demo"), *records, **options)
        assert decided(SpeciesNet("demo", species_list=str(path)), *records, **options) == expected


def test_list_after_the_geofence(site: str, caplog: pytest.LogCaptureFixture) -> None:
    model = SpeciesNet("demo", species_list=site)
    with caplog.at_level("WARNING", "absl"):
        found = decided(model, record("a.jpg", DEER), record("b.jpg", FOX), country="KEN")
    assert [one.get("prediction") for one in found] == [
        LABELS["cervidae family"],
        LABELS["carnivorous mammal"],
    ]
    source = "classifier+geofence+rollup_to_family+species_list+rollup_to_order"
    assert found[1].get("prediction_source") == source
    assert caplog.text.count("The geofence excludes 2 of the taxa in the species list in KEN") == 1


def test_run_with_another_list_does_not_continue(site: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.json")

    def run(**options: object) -> None:
        model = SpeciesNet("demo", **options)  # type: ignore[arg-type]
        decided(model, record("a.jpg", FOX), predictions_json=out)

    run(species_list=site)
    content = (tmp_path / "out.json").read_bytes()
    run(species_list=site)
    Path(site).write_text(f"# the same\n{SITE}", encoding="utf-8")
    run(species_list=site)
    other = tmp_path / "other.csv"
    other.write_text("Vulpes vulpes\n", encoding="utf-8")
    with pytest.raises(OutputError, match="a different --species_list"):
        run(species_list=str(other))
    with pytest.raises(OutputError, match="a different --species_list"):
        run()
    with pytest.raises(OutputError, match="species_list_fill off there, on here"):
        run(species_list=site, species_list_fill=True)
    assert (tmp_path / "out.json").read_bytes() == content
    (tmp_path / "out.json.run.json").unlink()
    with pytest.raises(OutputError, match=r"a\.jpg has a species_list there, none here"):
        run()


def test_settings_without_a_list_are_as_before(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    decided(SpeciesNet("demo"), record("a.jpg", FOX), predictions_json=str(out))
    settings = json.loads((tmp_path / "out.json.run.json").read_text(encoding="utf-8"))
    assert not [key for key in settings if "species_list" in key]
    assert species_list_of_run(out) is None


def test_sequences_use_the_list_of_the_run(tmp_path: Path) -> None:
    frames = [record(f"{name}.jpg", FOX, taken="2024-05-01T06:30:00") for name in "ab"]
    for recorded, answer in (
        ({}, FOX),
        ({"species_list": ["ursus americanus"]}, LABELS["carnivorous mammal"]),
        (
            {"species_list": ["ursus americanus"], "species_list_fill": True},
            LABELS["american black bear"],
        ),
        ({"species_list": "damaged"}, FOX),
    ):
        path = write_predictions(tmp_path / "p.json", *frames)
        settings = tmp_path / "p.json.run.json"
        settings.write_text(json.dumps({"model_name": "demo", **recorded}), encoding="utf-8")
        survey = load_survey(path, photographs=None, corrections={})
        assert [one.answer and one.answer[0] for one in survey.sequences] == [answer]


def test_fill_without_a_list_is_refused() -> None:
    with pytest.raises(InputError, match="species_list_fill requires a species_list"):
        SpeciesNet("demo", species_list_fill=True)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--detector_only"], "restricts answers, which --detector_only does not give"),
        (["--species_list", "none.csv"], "The species list none.csv cannot be read"),
        (["--country", "USA", "--species_list", "{typo}"], "line 1, 'Vulpes vulpse'"),
    ],
)
def test_command_refuses_before_it_reads_an_image(
    site: str, tmp_path: Path, flags: list[str], words: str
) -> None:
    (tmp_path / "typo.csv").write_text("Vulpes vulpse", encoding="utf-8")
    given = [flag.replace("{typo}", str(tmp_path / "typo.csv")) for flag in flags]
    arguments = ["--model", "demo", "--folders", "demo", "--species_list", site, *given]
    outcome = run_here("run_model", *arguments, "--predictions_json", tmp_path / "out.json")
    assert outcome.code == 1
    assert words in outcome.sentence
    assert not (tmp_path / "out.json").exists()

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from photographs import photograph
from PIL import ExifTags

from speciesnet.constants import UNDO_FILE, Classification
from speciesnet.errors import InputError, OutputError
from speciesnet.export.sorting import (
    SortedPhotographs,
    destinations_by_answer,
    destinations_by_sequence,
    folder_of,
    set_people_aside,
    sort_photographs,
)
from speciesnet.export.undo import How, undo
from speciesnet.images.instances import find_images
from speciesnet.records import Record

FOX = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
BOX = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1, 0.2, 0.3, 0.4]}
HOWS = ["copy", "hardlink", "symlink", "move"]
needs_posix = pytest.mark.skipif(os.name == "nt", reason="Windows takes no such names or links")


def record(file: str | Path = "a.jpg", label: str = FOX, score: float = 0.8) -> Record:
    return {"filepath": str(file), "prediction": label, "prediction_score": score}


def sort(records: list[Record], out: Path, *, root: Path | None = None, **options: Any):
    destinations = destinations_by_answer(records, options.pop("by", "species"))
    where = SortedPhotographs(out, None if root is None else str(root))
    return sort_photographs(destinations, where, **options)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, except the log."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != UNDO_FILE
    }


@pytest.mark.parametrize("how", HOWS)
def test_photographs_that_were_sorted_within_their_folder_are_found_once(
    how: How, survey: Path
) -> None:
    before = find_images([str(survey)])
    sort([record(path) for path in before], survey / "sorted", how=how)
    assert len(find_images([str(survey)])) == len(before)


def test_nothing_is_sorted_if_one_file_is_the_photograph_of_two_records(
    survey: Path, tmp_path: Path
) -> None:
    records = [record(f"/d/{site}/cam1/1.jpg") for site in ("north", "south")]
    with pytest.raises(InputError, match=r"has only .* for both"):
        sort(records, tmp_path / "out", root=survey, how="move")
    assert (survey / "cam1/1.jpg").is_file() and not tree(tmp_path / "out")


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """Two cameras whose photographs have the same names."""
    folder = tmp_path / "survey"
    for number, name in enumerate(("cam1/1.jpg", "cam1/2.jpg", "cam2/1.jpg")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photograph %d" % number)
        os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_123_456_789 + number))
    return folder


@pytest.fixture
def records(survey: Path) -> list[Record]:
    return [
        record(survey / "cam1" / "1.jpg"),
        record(survey / "cam1" / "2.jpg", Classification.BLANK.value),
        record(survey / "cam2" / "1.jpg"),
    ]


SORTED = {
    "red fox (Vulpes vulpes)/cam1/1.jpg": b"photograph 0",
    "blank/cam1/2.jpg": b"photograph 1",
    "red fox (Vulpes vulpes)/cam2/1.jpg": b"photograph 2",
}


@pytest.mark.parametrize(
    ("values", "species", "category"),
    [
        (record(), "red fox (Vulpes vulpes)", "animal"),
        (record(label=Classification.BLANK.value), "blank", "blank"),
        (record(label=Classification.HUMAN.value), "human (Homo sapiens)", "human"),
        (record(label=Classification.VEHICLE.value), "vehicle", "vehicle"),
        (record(label=Classification.ANIMAL.value), "animal", "animal"),
        (record(label=Classification.UNKNOWN.value), "unknown", "unknown"),
        (record(label="u;mammalia;;;;;mammal"), "mammal (Mammalia)", "animal"),
        (record(label="u;aves;;;pica;pica;"), "Pica pica", "animal"),
        (record(label="u;;;;;;a/b: c"), "a_b_ c", "animal"),
        (record(score=0.3), "unsure", "unsure"),
        ({"filepath": "a", "failures": ["CLASSIFIER"]}, "failed", "failed"),
        (record() | {"failures": ["GEOLOCATION"]}, "red fox (Vulpes vulpes)", "animal"),
        ({"filepath": "a", "detections": [BOX | {"conf": 0.6, "label": "human"}, BOX]},
         "unknown", "animal"),
        ({"filepath": "a", "detections": [BOX | {"conf": 0.4}]}, "unsure", "unsure"),
        ({"filepath": "a", "detections": []}, "unknown", "blank"),
        ({"filepath": "a", "classifications": {"classes": [FOX], "scores": [0.7]}},
         "red fox (Vulpes vulpes)", "animal"),
    ],
)  # fmt: skip
def test_folder_of_each_kind_of_record(values: Any, species: str, category: str) -> None:
    assert folder_of(values, "species", 0.5) == species
    assert folder_of(values, "category", 0.5) == category


def test_malformed_record_is_named() -> None:
    malformed: Any = {"filepath": "a.jpg", "detections": [{"label": "animal"}]}
    with pytest.raises(InputError, match=r"record of a.jpg is malformed"):
        folder_of(malformed, "category", 0.0)


@pytest.mark.parametrize("how", HOWS)
def test_photographs_are_sorted_and_a_second_run_changes_nothing(
    records: Any, survey: Path, tmp_path: Path, how: Any
) -> None:
    before = tree(survey)
    dates = {path.name: path.stat().st_mtime_ns for path in (survey / "cam1").iterdir()}
    out = tmp_path / "out"
    assert sort(records, out, how=how).done == 3
    assert tree(out) == SORTED
    assert (out / "blank" / "cam1" / "2.jpg").stat().st_mtime_ns == dates["2.jpg"]
    assert tree(survey) == ({} if how == "move" else before)
    listed = (out / UNDO_FILE).read_bytes()
    again = sort(records, out, how=how)
    assert (again.done, again.unchanged, again.skipped) == (0, 3, [])
    assert tree(out) == SORTED
    assert (out / UNDO_FILE).read_bytes() == listed


@pytest.mark.parametrize("how", HOWS)
def test_dry_run_reports_and_changes_nothing(
    records: Any, survey: Path, tmp_path: Path, how: Any
) -> None:
    before, reported, out = tree(survey), [], tmp_path / "out"
    result = sort(records, out, how=how, dry_run=True, report=lambda *pair: reported.append(pair))
    assert result.done == len(reported) == 3
    assert reported[1] == (survey / "cam1" / "2.jpg", out / "blank" / "cam1" / "2.jpg")
    assert not out.exists()
    assert tree(survey) == before


@pytest.mark.parametrize("how", HOWS)
def test_nothing_is_ever_overwritten(records: Any, survey: Path, tmp_path: Path, how: Any) -> None:
    before, out = tree(survey), tmp_path / "out"
    (out / "blank" / "cam1").mkdir(parents=True)
    (out / "blank" / "cam1" / "2.jpg").write_bytes(b"someone's")
    (out / "red fox (Vulpes vulpes)").mkdir()
    (out / "red fox (Vulpes vulpes)" / "cam2").write_bytes(b"a file where a folder belongs")
    result = sort(records, out, how=how)
    assert result.done == 1
    (_, first), (_, second) = result.skipped
    assert "there is another file at" in first
    assert "cam2 is not a folder" in second
    assert (out / "blank" / "cam1" / "2.jpg").read_bytes() == b"someone's"
    undo(out)
    assert tree(survey) == before
    assert (out / "blank" / "cam1" / "2.jpg").read_bytes() == b"someone's"


@needs_posix
@pytest.mark.parametrize("how", HOWS)
def test_broken_link_is_another_file(records: Any, tmp_path: Path, how: Any) -> None:
    link = tmp_path / "out" / "blank" / "cam1" / "2.jpg"
    link.parent.mkdir(parents=True)
    link.symlink_to("gone")
    result = sort(records, tmp_path / "out", how=how)
    assert (result.done, len(result.skipped)) == (2, 1)
    assert link.readlink() == Path("gone")


def test_a_photograph_that_is_a_link_is_not_moved(survey: Path, tmp_path: Path) -> None:
    link = survey / "cam2" / "link.jpg"
    try:
        link.symlink_to(Path("..", "cam1", "1.jpg"))
    except OSError:
        pytest.skip("this system makes no links")
    result = sort([record(link)], tmp_path / "out", how="move")
    assert "may break" in result.skipped[0][1]
    assert link.read_bytes() == b"photograph 0"
    assert sort([record(link)], tmp_path / "out", how="hardlink").done == 1


def test_moved_photographs_can_be_sorted_again(records: Any, survey: Path, tmp_path: Path) -> None:
    before, out = tree(survey), tmp_path / "out"
    sort(records, out, how="move")
    assert sort(records, out, how="move", by="category").done == 2
    assert set(tree(out)) == {"animal/cam1/1.jpg", "animal/cam2/1.jpg", "blank/cam1/2.jpg"}
    assert sort(records, out, how="move").done == 2
    assert tree(out) == SORTED
    assert undo(out).skipped == []
    assert tree(survey) == before
    assert not out.exists()


def test_out_may_be_among_the_photographs(records: Any, survey: Path) -> None:
    before = tree(survey)
    out = survey / "sorted"
    assert sort(records, out, how="move").done == 3
    assert tree(out) == SORTED
    assert sort(records, out, how="move").unchanged == 3
    undo(out)
    assert tree(survey) == before


@pytest.mark.parametrize("out", [".", "..", "cam1"])
def test_photographs_do_not_move_within_their_own_folder(
    records: Any, survey: Path, out: str
) -> None:
    before = tree(survey)
    result = sort(records, (survey / out).resolve(), how="move")
    inside = 2 if out == "cam1" else 3
    assert len(result.skipped) == inside
    assert "pass a different folder, or a new folder inside it" in result.skipped[0][1]
    kept = {name: content for name, content in tree(survey).items() if name in before}
    assert len(kept) == inside


def test_photographs_that_moved_are_found(records: Any, survey: Path, tmp_path: Path) -> None:
    moved = survey.rename(tmp_path / "elsewhere")
    assert sort(records, tmp_path / "out", root=moved, how="move").done == 3
    assert tree(tmp_path / "out") == SORTED
    assert sort(records, tmp_path / "out", root=moved, how="move").unchanged == 3


def test_missing_photographs_are_counted(records: Any, survey: Path, tmp_path: Path) -> None:
    (survey / "cam1" / "2.jpg").unlink()
    result = sort([*records, record("https://host/a.jpg")], tmp_path / "out")
    assert (result.done, result.missing) == (2, 2)
    with pytest.raises(InputError, match=r"The only photograph, .* with --image_root"):
        sort([record(tmp_path / "gone.jpg")], tmp_path / "out")
    assert sort([], tmp_path / "out").done == 0


@needs_posix
def test_strange_names_stay_in_the_folder(survey: Path, tmp_path: Path) -> None:
    names = ["CON.jpg", "dots...", "🦌.jpg", '"quo\'ted".jpg', "line\nbreak.jpg", "x" * 200, " "]
    if sys.platform == "linux":
        names.append("caf\udce9.jpg")
    for name in names:
        (survey / "cam1" / name).write_text(repr(name))
    before = tree(survey)
    found = [record(survey / "cam1" / name) for name in names]
    found.append(record(f"{survey}/cam1/../../survey/cam2/1.jpg", "u;;;;;;../../../up"))
    for how in HOWS:
        out = tmp_path / "out"
        assert sort(found, out, how=how).done == len(names) + 1
        assert len(tree(out)) == len(names) + 1
        assert (out / ".._.._.._up" / "cam2" / "1.jpg").is_file()
        assert undo(out).done == len(names) + 1
        assert tree(survey) == before
        assert [path.name for path in tmp_path.iterdir()] == ["survey"]


@needs_posix
def test_names_that_become_too_long_are_skipped(survey: Path, tmp_path: Path) -> None:
    long = survey / "cam1" / ("y" * 250)
    long.write_text("long")
    deep = tmp_path
    while len(str(deep)) < os.pathconf(tmp_path, "PC_PATH_MAX") - 250:
        deep /= "z" * 50
    result = sort([record(long), record(survey / "cam2" / "1.jpg")], deep)
    assert result.done == 1
    ((_, reason),) = result.skipped
    assert "too long for a name" in reason
    assert undo(deep).done == 1


def test_folder_that_cannot_be_written_is_reported(records: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir(mode=0o500)
    if os.name == "nt" or os.access(out, os.W_OK):
        pytest.skip("nothing is read-only for this user")
    with pytest.raises(OutputError, match=r"cannot be sorted into .*Permission denied"):
        sort(records, out)


def test_hard_links_do_not_cross_drives(records: Any, other_drive: Path) -> None:
    with pytest.raises(OutputError, match="on a different drive; use --how copy"):
        sort(records, other_drive, how="hardlink")
    undo(other_drive)
    assert not other_drive.exists()


def test_sequences_are_numbered_for_each_camera(tmp_path: Path) -> None:
    def taken(name: str, time: str | None) -> Record:
        details = {ExifTags.Base.DateTimeOriginal: f"2024:05:01 {time}"} if time else {}
        return record(photograph(tmp_path / name, details=details))

    found = [
        taken("cam1/1.jpg", "06:30:00"),
        taken("cam1/2.jpg", "06:30:40"),
        taken("cam1/3.jpg", "06:32:00"),
        taken("cam1/4.jpg", None),
        taken("cam2/1.jpg", "06:30:00"),
    ]
    found[-1]["metadata"] = {"datetime": "2023-01-01T00:00:00"}
    destinations = destinations_by_sequence(found, SortedPhotographs(tmp_path / "out"), gap=60)
    assert [one.folder for one in destinations] == [
        "2024-05-01_063000_0001",
        "2024-05-01_063000_0001",
        "2024-05-01_063200_0002",
        "undated_0003",
        "2023-01-01_000000_0001",
    ]


def with_person(conf: float = 0.91, **values: object) -> Any:
    """What a record has if it shows an animal and, less surely, a person."""
    return {"detections": [BOX | {"conf": 0.94}, BOX | {"label": "human", "conf": conf}], **values}


def test_people_are_set_aside_whatever_the_answer() -> None:
    found: list[Any] = [
        record("fox.jpg"),
        record("walk.jpg") | with_person(),
        record("faint.jpg") | with_person(0.19),
        record("human.jpg", Classification.HUMAN.value),
        {"filepath": "failed.jpg", "failures": ["CLASSIFIER"], **with_person()},
        {"filepath": "boxes.jpg", **with_person()},
        record("unsure.jpg", score=0.1) | with_person(),
    ]
    plain = destinations_by_answer(found, "category", 0.5)
    expected = ["animal", "animal", "animal", "human", "failed", "animal", "unsure"]
    assert [one.folder for one in plain] == expected
    hidden = [one.filepath for one in plain if one.hides_people]
    assert hidden == ["walk.jpg", "failed.jpg", "boxes.jpg", "unsure.jpg"]
    aside = set_people_aside(plain, "people")
    expected = ["animal", "people", "animal", "people", "people", "people", "people"]
    assert [one.folder for one in aside] == expected
    assert not any(one.hides_people for one in aside)


def test_people_of_sequences_are_set_aside(tmp_path: Path) -> None:
    found: list[Any] = [record("1.jpg"), record("2.jpg") | with_person()]
    places = destinations_by_sequence(found, SortedPhotographs(tmp_path))
    assert [one.folder for one in set_people_aside(places, "people")] == ["undated_0001", "people"]


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "..", "x:", "undo.jsonl", "CON", "people "])
def test_folder_of_people_has_the_name_of_a_folder(name: str) -> None:
    with pytest.raises(InputError, match="is not the name of a folder"):
        set_people_aside(destinations_by_answer([record()], "category"), name)


def test_folder_of_people_has_no_other_photographs() -> None:
    found: list[Any] = [record("fox.jpg"), record("walk.jpg") | with_person()]
    with pytest.raises(InputError, match=r"that show no people \(first: fox.jpg\)"):
        set_people_aside(destinations_by_answer(found, "category"), "Animal")
    human = [*found[1:], record("b.jpg", Classification.HUMAN.value)]
    places = set_people_aside(destinations_by_answer(human, "category"), "human")
    assert {one.folder for one in places} == {"human"}


def test_command_sets_people_aside_or_warns(tmp_path: Path) -> None:
    names = ["fox.jpg", "walk.jpg"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    fox, walk = (record(tmp_path / name) for name in names)
    walk |= with_person()
    predictions = tmp_path / "p.json"
    predictions.write_text(json.dumps({"predictions": [fox, walk]}))
    warned = run_here("sort_images", predictions, "--out", tmp_path / "plain", "--by", "category")
    assert "1 of 2 photographs shows people although the answer is not human" in warned.err
    assert (tmp_path / "plain" / "animal" / "walk.jpg").is_file()
    arguments = ["--out", tmp_path / "aside", "--people", "people"]
    done = run_here("sort_images", predictions, *arguments)
    assert "although" not in done.err
    assert "1 of 2 photographs shows people; its folder is people." in done.out
    assert tree(tmp_path / "aside").keys() == {"people/walk.jpg", "red fox (Vulpes vulpes)/fox.jpg"}
    refused = run_here("sort_images", predictions, "--out", tmp_path / "no", "--people", "a/b")
    assert refused.code == 1
    assert "is not the name of a folder" in refused.sentence
    assert not (tmp_path / "no").exists()

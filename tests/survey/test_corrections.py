from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from commands import run_module
from surveys import BLANK, DEER, FOX, correction, record, write_predictions

from speciesnet.errors import InputError, OutputError
from speciesnet.records import Record
from speciesnet.survey.corrections import (
    Correction,
    CorrectionsFile,
    corrected,
    corrections_path,
    find_corrections,
    now,
    read_corrected,
    read_corrections,
)

WHO = ("--title", "Foxes", "--contributor", "Jane", "--timezone", "+03:00")


def add(path: Path, *corrections: Correction) -> None:
    with CorrectionsFile(path) as file:
        file.add(corrections)


def labels(path: Path) -> dict[str, str | None]:
    return {name: one.label for name, one in read_corrections(path).items()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "predictions.json.corrections.jsonl"


def test_last_correction_of_a_photograph_counts(path: Path) -> None:
    add(path, correction("a.jpg", DEER), correction("b.jpg", FOX))
    add(path, correction("a.jpg", FOX), correction("b.jpg", None))
    assert labels(path) == {"a.jpg": FOX}
    assert len(path.read_text().splitlines()) == 4
    add(path, correction("b.jpg", DEER))
    assert labels(path) == {"a.jpg": FOX, "b.jpg": DEER}
    assert not path.with_name(f"{path.name}.lock").exists()


def test_missing_file_means_no_corrections(path: Path) -> None:
    assert read_corrections(path) == {}
    with CorrectionsFile(path):
        assert not path.exists()


def test_names_that_are_invalid_unicode_or_look_like_lines(path: Path) -> None:
    names = ["caf\udce9.jpg", "a\nb\r\u2028c.jpg", '"}{.jpg', "🦊.jpg"]
    add(path, *(correction(name, FOX) for name in names))
    assert list(read_corrections(path)) == names


def test_torn_last_line_loses_only_itself(path: Path) -> None:
    add(path, correction("a.jpg", DEER), correction("b.jpg", DEER))
    path.write_bytes(path.read_bytes()[:-20])
    assert labels(path) == {"a.jpg": DEER}
    add(path, correction("c.jpg", FOX))
    assert labels(path) == {"a.jpg": DEER, "c.jpg": FOX}


@pytest.mark.parametrize(
    "line",
    [
        b"\xff\xfe\x00", b"null", b"[]", b"{}", b"[" * 100_000,
        b'{"filepath": "a.jpg", "label": "fox", "predicted": null, "at": ""}',
        b'{"filepath": 1, "label": null, "predicted": null, "at": ""}',
        b'{"filepath": "a.jpg", "label": [], "predicted": null, "at": ""}',
    ],
)  # fmt: skip
def test_damaged_line_is_skipped_with_a_warning(
    path: Path, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    add(path, correction("a.jpg", DEER), correction("b.jpg", DEER))
    first, second = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join([first, line, second, b""]))
    with caplog.at_level("WARNING", "absl"):
        assert labels(path) == {"a.jpg": DEER, "b.jpg": DEER}
    assert f"1 line of {path} is damaged and is skipped, such as line 2 (" in caplog.text


def test_second_writer_is_refused(path: Path) -> None:
    with (
        CorrectionsFile(path),
        pytest.raises(OutputError, match="being written by another review"),
        CorrectionsFile(path),
    ):
        pass
    with CorrectionsFile(path):
        pass


def test_missing_folder_and_path_of_a_folder_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="There is no folder"):
        add(tmp_path / "gone" / "corrections.jsonl", correction("a.jpg", FOX))
    assert not (tmp_path / "gone").exists()
    path.mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        add(path, correction("a.jpg", FOX))
    with pytest.raises(InputError, match="cannot be read"):
        read_corrections(path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anything")
def test_read_only_file_is_refused(path: Path) -> None:
    add(path, correction("a.jpg", FOX))
    path.chmod(0o444)
    with pytest.raises(OutputError, match="cannot be written"):
        add(path, correction("b.jpg", FOX))
    assert labels(path) == {"a.jpg": FOX}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_full_disk_saves_none_of_the_corrections(path: Path) -> None:
    add(path, correction("a.jpg", FOX))
    before = path.read_bytes()
    script = (
        "import resource, sys\n"
        "from speciesnet.survey.corrections import Correction, CorrectionsFile\n"
        "from speciesnet.errors import OutputError\n"
        "corrections = [Correction(f'{i}.jpg', None, None, '') for i in range(100)]\n"
        "with CorrectionsFile(sys.argv[1]) as file:\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        "    try:\n"
        "        file.add(corrections)\n"
        "    except OutputError as error:\n"
        "        print(error)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * 10**6, resource.RLIM_INFINITY))\n"
        "    file.add(corrections[:1])\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True)
    assert "cannot be written (File too large). Fix the cause, and continue." in done.stdout, (
        done.stderr
    )
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes().splitlines()) == 2


def test_corrected_record_has_the_answer_of_the_reviewer() -> None:
    failed: Record = {"filepath": "b.jpg", "failures": ["DETECTOR"], "metadata": {}}
    records = [record("a.jpg", FOX, 0.5, country="USA"), failed, record("c.jpg")]
    corrections = {"a.jpg": correction("a.jpg", DEER), "b.jpg": correction("b.jpg", BLANK, None)}
    first, second, third = corrected(records, corrections)
    assert first == records[0] | {
        "prediction": DEER, "prediction_score": 1.0, "prediction_source": "review",
        "review": {"predicted": FOX, "at": corrections["a.jpg"].at, "reviewer": "Jane"},
    }  # fmt: skip
    assert "failures" not in second
    assert second.get("prediction") == BLANK
    assert third == records[2]


def test_reviewer_of_boxes_and_counts_is_known_apart_from_that_of_the_image() -> None:
    at = "2024-05-02T08:00:00+00:00"
    review = {"predicted": FOX, "at": at, "reviewer": "Jane"}
    counted = Correction("a.jpg", None, FOX, at, "Jane", counts={FOX: 2})
    [found] = corrected([record("a.jpg", FOX)], {"a.jpg": counted})
    assert (found.get("box_review"), "review" in found) == (review, False)
    [found] = corrected([record("a.jpg", FOX)], {"a.jpg": correction("a.jpg", DEER)})
    assert ("box_review" in found, found.get("review")) == (False, review)


def test_flag_chooses_the_corrections(tmp_path: Path) -> None:
    predictions = write_predictions(tmp_path / "p.json", record("a.jpg"))
    other = tmp_path / "other.jsonl"
    add(other, correction("a.jpg", BLANK))
    assert find_corrections(predictions, "auto") == {}
    add(corrections_path(predictions), correction("a.jpg", DEER))
    for asked, label in (("auto", DEER), ("none", FOX), (None, FOX), (str(other), BLANK)):
        (found,) = read_corrected(predictions, asked)
        assert found.get("prediction") == label
    with pytest.raises(InputError, match=r"There is no file .*gone"):
        find_corrections(predictions, str(tmp_path / "gone"))


def test_time_of_a_correction_is_utc() -> None:
    assert now().endswith("+00:00")


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    """Predictions of three photographs, of which a reviewer corrected two."""
    place: dict[str, Any] = {"latitude": -1.29, "longitude": 36.82}
    taken: dict[str, Any] = {"taken": "2024-05-01T06:30:00", **place}
    failed = {
        "filepath": "/survey/cam/c.jpg", "failures": ["DETECTOR"],
        "metadata": {"datetime": taken["taken"]},
    }  # fmt: skip
    path = write_predictions(
        tmp_path / "p.json",
        record("/survey/cam/a.jpg", FOX, 0.8, **taken),
        record("/survey/cam/b.jpg", FOX, 0.8, **taken),
        failed,
    )
    add(
        corrections_path(path),
        correction("/survey/cam/a.jpg", DEER),
        correction("/survey/cam/c.jpg", BLANK, None),
    )
    return path


@pytest.mark.parametrize(("asked", "first"), [("auto", DEER), ("none", FOX)])
def test_exports_apply_corrections(survey: Path, tmp_path: Path, asked: str, first: str) -> None:
    out = tmp_path / "out.csv"
    done = run_module("speciesnet_to_table", survey, out, "--noexif", "--corrections", asked)
    assert done.code == 0, done.err
    with out.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    is_reviewed = first == DEER
    assert row["common_name"] == first.rpartition(";")[2]
    expected = ("1.0", "review") if is_reviewed else ("0.8", "classifier")
    assert (row["score"], row["source"]) == expected

    out = tmp_path / "md.json"
    done = run_module("speciesnet_to_md", survey, out, "--corrections", asked)
    assert done.code == 0, done.err
    found = json.loads(out.read_text(encoding="utf-8"))
    number, _ = found["images"][0]["detections"][0]["classifications"][0]
    assert found["classification_category_descriptions"][number] == first
    assert ("failure" in found["images"][2]) is not is_reviewed


def test_camtrap_dp_names_the_reviewer(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "dp"
    done = run_module("speciesnet_to_camtrap_dp", survey, out, *WHO)
    assert done.code == 0, done.err
    with (out / "observations.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["observationLevel"] == "media"]
    first, second, third = rows
    assert first["scientificName"] == "Odocoileus virginianus"
    assert first["classificationMethod"] == "human"
    assert first["classifiedBy"] == "Jane"
    assert first["classificationTimestamp"] == "2024-05-02T08:00:00+00:00"
    assert first["classificationProbability"] == ""
    assert (second["classificationMethod"], third["observationType"]) == ("machine", "blank")


@pytest.mark.parametrize(
    "command",
    [
        ("speciesnet_to_table", "out.csv"),
        ("speciesnet_to_md", "out.json"),
        ("speciesnet_to_camtrap_dp", "out", *WHO),
    ],
)
def test_missing_corrections_end_in_one_sentence(
    survey: Path, tmp_path: Path, command: tuple[str, ...]
) -> None:
    module, out, *more = command
    done = run_module(module, survey, tmp_path / out, *more, "--corrections", "gone.jsonl")
    assert "There is no file gone.jsonl; pass the corrections that review wrote" in done.sentence
    assert not (tmp_path / out).exists()


def test_other_file_ends_in_one_sentence(tmp_path: Path) -> None:
    path = write_predictions(tmp_path / "p.json", record("a.jpg"), record("b.jpg"))
    with pytest.raises(
        InputError, match=r"p\.json does not contain corrections; pass a file that review"
    ):
        read_corrections(path)

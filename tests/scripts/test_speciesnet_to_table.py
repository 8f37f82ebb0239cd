from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from commands import Outcome, run_here
from photographs import NAIROBI, photograph


def convert(*arguments: str | Path) -> Outcome:
    return run_here("speciesnet_to_table", *arguments)


@pytest.fixture
def predictions(tmp_path: Path) -> Path:
    path = tmp_path / "predictions.json"
    records = [{"filepath": "/survey/cam/a.jpg", "detections": []}]
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    return path


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_table_is_written(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    outcome = convert(predictions, out)
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"1 row: {out}\n"
    assert "--image_root" in outcome.err
    assert [(row["file"], row["latitude"]) for row in rows(out)] == [("/survey/cam/a.jpg", "")]
    assert "--image_root" not in convert(predictions, out, "--noexif").err


def test_moved_photographs_give_their_positions(predictions: Path, tmp_path: Path) -> None:
    photograph(tmp_path / "now" / "cam" / "a.jpg", gps=NAIROBI)
    out = tmp_path / "out.csv"
    assert convert(predictions, out, "--image_root", tmp_path / "now").err == ""
    assert rows(out)[0]["latitude"] == "-1.29"


@pytest.mark.parametrize("kind", ["image", "sequence"])
def test_doubtful_dates_are_in_the_summary(tmp_path: Path, kind: str) -> None:
    dates = {
        "a": "2000-01-01T00:00:00",
        "b": "2024-05-01T06:30:00",
        "c": "2098-01-01T00:00:00+01:00",
    }
    records: list[dict[str, object]] = [
        {"filepath": f"{name}.jpg", "metadata": {"datetime": date}} for name, date in dates.items()
    ]
    records.append({"filepath": "d.jpg", "metadata": {"unreadable_date": "05/07/2019 08:08"}})
    path = tmp_path / "p.json"
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    outcome = convert(path, tmp_path / "out.csv", "--rows", kind)
    assert outcome.code == 0, outcome.err
    _, unreadable, wrong = outcome.out.splitlines()
    assert unreadable.startswith("1 photograph has a date that cannot be read, such as d.jpg ('05/")
    assert wrong.startswith(
        "2 photographs have a date before 2001 or in the future, such as a.jpg (2000-01-01T00:00:00)"
    )
    assert unreadable in outcome.err and wrong in outcome.err


def test_closed_standard_output_causes_no_error(predictions: Path, tmp_path: Path) -> None:
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    out = tmp_path / "out.csv"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "speciesnet.scripts.speciesnet_to_table",
            predictions,
            out,
            "--noexif",
        ],
        stdout=reader.stdin,
        stderr=subprocess.PIPE,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(rows(out)) == 1


@pytest.mark.parametrize("content", ["", '{"predictions": [\n'])
def test_file_without_a_record_is_warned_of(
    predictions: Path, tmp_path: Path, content: str
) -> None:
    predictions.write_text(content)
    outcome = convert(predictions, tmp_path / "out.csv")
    assert (outcome.code, outcome.err.count("\n")) == (0, 1)
    assert "predictions.json ends before its first record" in outcome.err
    predictions.write_text('{"predictions": [\n\n]}\n')
    assert convert(predictions, tmp_path / "out.csv").err == ""


def test_malformed_record_is_named_with_its_file(predictions: Path, tmp_path: Path) -> None:
    predictions.write_text('{"predictions": [{"filepath": "a.jpg", "detections": [{}]}]}')
    sentence = convert(predictions, tmp_path / "out.csv").sentence
    assert f"{predictions}: The record of a.jpg is malformed" in sentence
    assert "(detection 1: conf must be a number)" in sentence


def test_mistakes_end_in_one_sentence(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert "Pass two files" in convert(predictions).sentence
    assert "must end with .csv or .parquet" in convert(predictions, tmp_path / "a.xls").sentence
    assert "is not one character" in convert(predictions, out, "--delimiter", ";;").sentence
    assert "must be a number" in convert(predictions, out, "--min_confidence", "nan").sentence
    assert "is not a folder" in convert(predictions, out, "--image_root", "gone").sentence
    assert "would overwrite" in convert(predictions, predictions).sentence
    assert "cannot be written" in convert(predictions, tmp_path / "gone" / "a.csv").sentence
    assert not out.exists()


def test_file_that_is_cut_off_gives_its_whole_records(predictions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    record = '{"filepath": "b.jpg", "detections": []}'
    predictions.write_text('{"predictions": [\n' + record + ",\n" + record[:20])
    outcome = convert(predictions, out)
    assert outcome.code == 0
    assert "is cut off: its complete records are used" in outcome.err
    assert [row["file"] for row in rows(out)] == ["b.jpg"]


def test_dates_of_names_and_corrected_clocks(predictions: Path, tmp_path: Path) -> None:
    records = [
        {"filepath": "/survey/cam1/20240501_063000.jpg"},
        {"filepath": "/survey/cam2/a.jpg", "metadata": {"datetime": "2024-05-01T06:30:20"}},
    ]
    predictions.write_text(json.dumps({"predictions": records}), encoding="utf-8")
    clocks, out = tmp_path / "clocks.csv", tmp_path / "out.csv"
    clocks.write_text("folder,offset\ncam1,-1:00:00\n")
    names = ("--date_from_name", "%Y%m%d_%H%M%S", "--noexif")
    assert convert(predictions, out, *names).code == 0
    assert [row["datetime"][11:] for row in rows(out)] == ["06:30:00", "06:30:20"]
    assert "datetime_original" not in rows(out)[0]
    assert convert(predictions, out, *names, "--clock_corrections", clocks).code == 0
    assert [row["datetime"][11:] for row in rows(out)] == ["05:30:00", "06:30:20"]
    assert [row["datetime_original"][11:] for row in rows(out)] == ["06:30:00", "06:30:20"]
    flags = ("--rows", "sequence", "--clock_corrections", clocks)
    assert convert(predictions, out, *names, *flags).code == 0
    assert [row["start"][11:] for row in rows(out)] == ["05:30:00", "06:30:20"]
    out.unlink()
    clocks.write_text("folder,offset\nsurvey,-1:00:00\n")
    outcome = convert(predictions, out, *names, "--clock_corrections", clocks)
    assert (outcome.code, out.exists()) == (1, False)
    assert "matches two cameras, /survey/cam1 and /survey/cam2" in outcome.err


def test_events_end_after_the_gap(tmp_path: Path) -> None:
    fox = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
    records = [
        {
            "filepath": f"cam1/{hour}.jpg",
            "prediction": fox,
            "prediction_score": 0.9,
            "metadata": {"datetime": f"2024-05-01T{hour}:00"},
        }
        for hour in ("06:00", "06:20", "07:10")
    ]
    path, out = tmp_path / "predictions.json", tmp_path / "out.csv"
    path.write_text(json.dumps({"predictions": records}), encoding="utf-8")

    def events(*arguments: str) -> list[tuple[str, str]]:
        outcome = convert(path, out, "--rows", "event", *arguments)
        assert outcome.code == 0, outcome.err
        return [(row["start"][11:16], row["images"]) for row in rows(out)]

    assert events() == [("06:00", "2"), ("07:10", "1")]
    assert events("--event_gap", "60") == [("06:00", "3")]
    assert events("--event_gap", "20") == [("06:00", "1"), ("06:20", "1"), ("07:10", "1")]
    assert "--event_gap is '-1'" in convert(path, out, "--event_gap", "-1").sentence
    assert convert(path, out, "--rows", "observation").code == 0
    assert [(row["common_name"], row["count"]) for row in rows(out)] == [("red fox", "1")] * 3

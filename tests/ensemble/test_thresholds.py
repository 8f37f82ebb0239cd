"""Runs in which answers below the thresholds of their species are replaced."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest
from commands import run_here
from PIL import Image
from surveys import BOAR, DEER, FOX, LABELS, UNKNOWN, record, write_predictions

from speciesnet import SpeciesNet
from speciesnet.ensemble.thresholds import read_thresholds
from speciesnet.errors import OutputError
from speciesnet.images.instances import SAMPLE_IMAGES, find_images
from speciesnet.predictions import read_records
from speciesnet.records import Record
from speciesnet.survey.survey import load_survey

ANIMAL = LABELS["animal"]
IMAGES = find_images(["demo"])[:8]


def rules(path: Path, **thresholds: float) -> str:
    """A table of thresholds; an underscore in a name stands for a space."""
    lines = [f"{name.replace('_', ' ')},{value}" for name, value in thresholds.items()]
    path.write_text("\n".join(["species,threshold", *lines, ""]), encoding="utf-8")
    return str(path)


def of_all(folder: Path, threshold: float) -> str:
    """A table with one threshold for every label of the demo model."""
    rows = [f'"{label}",{threshold}' for label in LABELS.values() if label.count(";") == 6]
    path = folder / "all.csv"
    path.write_text("\n".join(["label,threshold", *rows]), encoding="utf-8")
    return str(path)


def decided(*records: Record, **options: Any) -> Sequence[Record]:
    """The answers of a run of the ensemble alone."""
    past = {one["filepath"]: one for one in records}
    found = SpeciesNet("demo").ensemble_from_past_runs(
        detections_dict=past, classifications_dict=past, filepaths=list(past), **options
    )
    return [] if found is None else found["predictions"]


@pytest.mark.parametrize("options", [{}, {"classify": "all"}, {"precision": "auto"}])
def test_a_run_gives_what_exports_make_of_a_run_without(
    options: dict[str, Any], tmp_path: Path
) -> None:
    shown = [
        np.asarray(Image.open(path).convert("RGB").resize((320, 240)))
        for path in sorted(SAMPLE_IMAGES.rglob("*.jpg"))[:2]
    ]
    film = clips.film(tmp_path / "a.mp4", size=(320, 240), fps=2, shown=shown * 2)
    model = SpeciesNet("demo", precision=options.pop("precision", "fp32"), threads=1)
    table = of_all(tmp_path, 0.95)
    given = {"filepaths": [*IMAGES, film], "country": "USA", **options}
    plain, replaced = model.predict(**given), model.predict(**given, thresholds=table)
    assert plain is not None and replaced is not None
    exported = [read_thresholds(table).apply(one) for one in plain["predictions"]]
    assert replaced["predictions"] == exported
    below = [one for one in exported if "+below_threshold" in one.get("prediction_source", "")]
    assert 0 < len(below) < len(exported)


def test_answers_of_boxes_in_format_5(tmp_path: Path) -> None:
    model = SpeciesNet("demo", precision="fp32", threads=1)
    paths, table = IMAGES[:4], of_all(tmp_path, 1.0)
    found = model.predict(filepaths=paths, output_format=5, thresholds=table)
    assert found is not None
    boxes: Any = [box for one in found["predictions"] for box in one.get("detections", ())]
    answers = [box["processed_classification"] for box in boxes if "raw_classifications" in box]
    assert answers and {one["class"] for one in answers} <= {ANIMAL, UNKNOWN}
    assert "classifier+below_threshold" in {one["source"] for one in answers}


def test_run_with_other_thresholds_does_not_continue(tmp_path: Path) -> None:
    out, table = tmp_path / "out.json", rules(tmp_path / "t.csv", red_fox=0.95)

    def run(thresholds: str | None) -> None:
        decided(record("a.jpg", FOX), predictions_json=str(out), thresholds=thresholds)

    run(table)
    content = out.read_bytes()
    settings = json.loads((tmp_path / "out.json.run.json").read_text())
    assert settings["thresholds"] == {"red fox": 0.95}
    run(rules(tmp_path / "same.csv", Red_Fox=0.95))
    for other in (None, rules(tmp_path / "u.csv", red_fox=0.9)):
        with pytest.raises(OutputError, match="a different --thresholds"):
            run(other)
    (tmp_path / "out.json.run.json").unlink()
    with pytest.raises(OutputError, match=r"a\.jpg has thresholds there, none here"):
        run(None)
    assert out.read_bytes() == content


def test_settings_without_thresholds_are_as_before(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    decided(record("a.jpg", FOX), predictions_json=str(out))
    assert "thresholds" not in json.loads((tmp_path / "out.json.run.json").read_text())


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--detector_only"], "a run of the detector alone does not give"),
        (["--thresholds", "none.csv"], "none.csv"),
        (["--thresholds", "{typo}"], "'vulpes vulpse', which the model does not have (perhaps Vu"),
    ],
)
def test_command_refuses_before_it_reads_an_image(
    flags: list[str], words: str, tmp_path: Path
) -> None:
    typo = rules(tmp_path / "typo.csv", Vulpes_vulpse=0.5)
    table, out = rules(tmp_path / "t.csv", red_fox=0.5), tmp_path / "out.json"
    given = [flag.replace("{typo}", typo) for flag in flags]
    arguments = ["--model", "demo", "--folders", "demo", "--thresholds", table, *given]
    outcome = run_here("run_model", *arguments, "--predictions_json", out)
    assert outcome.code == 1
    assert words in outcome.sentence
    assert not out.exists()


def test_command_counts_the_answers_of_all_images(tmp_path: Path) -> None:
    table, out = rules(tmp_path / "t.csv", red_fox=0.95), tmp_path / "out.json"
    records = [record(f"{n}.jpg", FOX, 0.9 if n < 2 else 0.99) for n in range(3)]
    past = write_predictions(tmp_path / "past.json", *records)
    flags = (
        "--ensemble_only", "--detections_json", past, "--classifications_json", past,
        "--model", "demo", "--predictions_json", out, "--thresholds", table,
    )  # fmt: skip
    for paths in ("0.jpg", "0.jpg,1.jpg,2.jpg"):
        done = run_here("run_model", *flags, "--filepaths", paths)
        assert done.code == 0, done.err
    assert f"2 images have answers below their thresholds in {table}, and count as" in done.out
    assert [one.get("prediction") for one in read_records(out)] == [ANIMAL, ANIMAL, FOX]


def test_sequences_follow_the_thresholds_of_the_run(tmp_path: Path) -> None:
    frames = [record(f"{name}.jpg", FOX, taken="2024-05-01T06:30:00") for name in "ab"]
    for threshold, answer in ((0.89, FOX), (0.91, ANIMAL)):
        path = write_predictions(tmp_path / "p.json", *frames)
        settings = {"model_name": "demo", "thresholds": {"red fox": threshold}}
        (tmp_path / "p.json.run.json").write_text(json.dumps(settings))
        survey = load_survey(path, photographs=None, corrections={})
        assert [one.answer and one.answer[0] for one in survey.sequences] == [answer]


def test_exports_give_sequences_the_higher_threshold(tmp_path: Path) -> None:
    frames = [record(f"{n}.jpg", one, 0.9) for n, one in enumerate((FOX, DEER, BOAR))]
    path = write_predictions(tmp_path / "p.json", *frames)
    settings = {"model_name": "demo", "thresholds": {"red fox": 0.95, "wild boar": 0.5}}
    (tmp_path / "p.json.run.json").write_text(json.dumps(settings))
    given = {"red fox": 0.5, "white-tailed deer": 0.95, "wild boar": 0.8}
    table, out = rules(tmp_path / "t.csv", **given), tmp_path / "o.csv"
    flags = ("--rows", "sequence", "--thresholds", table)
    done = run_here("speciesnet_to_table", path, out, *flags)
    assert done.code == 0, done.err
    with out.open(newline="") as file:
        names = [row["common_name"] for row in csv.DictReader(file)]
    assert names == ["animal", "animal", "wild boar"]

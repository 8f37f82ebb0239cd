"""Whole runs in a lower precision. PyTorch computes in bf16 on every processor, if slowly."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from speciesnet import SpeciesNet
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.instances import find_images
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.predictions import read_records
from speciesnet.records import Record

IMAGES = find_images(["demo"])[:12]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("speciesnet.networks.reduced_precision", lambda options: "bf16")
    monkeypatch.setattr(trial, "WORTH_A_TRIAL", 8)
    monkeypatch.setattr(trial, "TRIAL", (4, 4))
    monkeypatch.setattr(trial, "NEEDED_READABLE", 4)
    monkeypatch.setattr(trial, "WORTHWHILE", math.inf)


def answers(records: list[Record]) -> list[tuple[Any, ...]]:
    return [(r["filepath"], r.get("prediction"), r.get("prediction_source")) for r in records]


def test_a_run_keeps_the_answers_of_float32_and_notes_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)  # four images allow none
    output = tmp_path / "out.json"
    model = SpeciesNet("demo", engine="torch")
    model.predict(filepaths=IMAGES, country="USA", predictions_json=str(output))
    exact = SpeciesNet("demo", engine="torch", precision="fp32")
    wanted = exact.predict(filepaths=IMAGES, country="USA")
    assert wanted is not None
    assert answers(list(read_records(output))) == answers(wanted["predictions"])
    settings = json.loads(Path(f"{output}.run.json").read_text())["precision"]
    assert settings["networks"] == {"detector": "bf16", "classifier": "bf16"}
    assert settings["decided"]["images"] == len(IMAGES)
    assert settings["band"]["classifier"] > 0
    assert not Path(f"{output}.precision.jsonl").exists()


def test_finished_images_that_a_wider_band_reaches_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)
    monkeypatch.setattr(Guard, "reached", lambda self, finished: list(finished)[:5])
    output = tmp_path / "out.json"
    model = SpeciesNet("demo", engine="torch")
    model.predict(filepaths=IMAGES, country="USA", predictions_json=str(output))
    found = list(read_records(output))
    assert [record["filepath"] for record in found] == IMAGES
    exact = SpeciesNet("demo", engine="torch", precision="fp32")
    wanted = exact.predict(filepaths=IMAGES[:5], country="USA")
    assert wanted is not None
    assert found[:5] == wanted["predictions"]
    in_memory = model.predict(filepaths=IMAGES, country="USA")
    assert in_memory is not None
    assert answers(in_memory["predictions"]) == answers(found)


def test_answers_from_a_function_of_the_caller_stay_in_float32() -> None:
    def combine(**options: Any) -> Any:
        return combine_predictions_for_single_item(**options)

    assert SpeciesNet("demo", combine_predictions_fn=combine).reduced_networks is None
    assert SpeciesNet("demo", precision="fp32").reduced_networks is None
    assert SpeciesNet("demo", engine="torch").reduced_networks is not None

"""Whole runs in a lower precision. PyTorch computes in bf16 on every processor, if slowly."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import clips
import numpy as np
import pytest
from commands import run_here
from guarded import allow_short_trials
from PIL import Image

from speciesnet import SpeciesNet
from speciesnet.engines.quantized import has_instructions
from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.images.instances import find_images
from speciesnet.pipeline.guard import bands, trial, upgrade
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.guard.margins import Band
from speciesnet.predictions import read_records
from speciesnet.records import Instance, Record
from speciesnet.run import Run, execute

pytestmark = pytest.mark.slow  # most processors take long for bf16

ALL = find_images(["demo"])
IMAGES = ALL[:10]


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_short_trials(tmp_path / "cache", monkeypatch)


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
    (phase,) = settings["phases"]
    assert phase["networks"] == {"detector": "bf16", "classifier": "bf16"}
    assert phase["decided"]["images"] == len(IMAGES)
    assert phase["band"]["classifier"] > 0
    assert not Path(f"{output}.precision.jsonl").exists()


def test_a_score_near_the_threshold_of_its_species_is_that_of_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 1.0)
    monkeypatch.setattr(bands, "SMALLEST_UNIT", 0.2)  # four images do not show how large errors are
    found = [
        SpeciesNet("demo", engine="torch", precision=precision).predict(filepaths=IMAGES)
        for precision in ("bf16", "fp32")
    ]
    records = [one["predictions"] for one in found if one is not None]
    near = {
        one["prediction"]: (one["prediction_score"] + other["prediction_score"]) / 2
        for one, other in zip(*records, strict=True)
        if one.get("prediction") == other.get("prediction")
        and one.get("prediction_score") != other.get("prediction_score")
    }  # between the two scores of the last image of each species
    assert near
    lines = [f'"{label}",{threshold!r}' for label, threshold in near.items()]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["label,threshold", *lines]))
    output = tmp_path / "out.json"
    options: Any = {"filepaths": IMAGES, "thresholds": str(table)}
    SpeciesNet("demo", engine="torch").predict(**options, predictions_json=str(output))
    wanted = SpeciesNet("demo", engine="torch", precision="fp32").predict(**options)
    assert wanted is not None
    assert answers(list(read_records(output))) == answers(wanted["predictions"])
    assert "precision" in json.loads(Path(f"{output}.run.json").read_text())


def test_finished_images_that_a_wider_band_reaches_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)
    monkeypatch.setattr(Guards, "reached", lambda self, finished: list(finished)[:5])
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


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder, made = tmp_path_factory.mktemp("films"), []
    for number in range(4):
        opened = [Image.open(path) for path in (ALL[number], ALL[number], ALL[number + 4])]
        shown = [np.asarray(one.convert("RGB").resize((320, 240))) for one in opened]
        made.append(clips.film(folder / f"{number}.mp4", size=(320, 240), fps=1, shown=shown))
    return made


def records_of(output: Path) -> dict[str, Record]:
    return {record["filepath"]: record for record in read_records(output)}


def films_decided(output: Path) -> dict[str, int]:
    (phase,) = json.loads(Path(f"{output}.run.json").read_text())["precision"]["phases"]
    return phase["films_decided"]


def test_films_keep_the_answers_of_float32_or_all_of_its_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films: list[str]
) -> None:
    monkeypatch.setattr(
        Evidence, "band", lambda self: 0.5
    )  # four images do not show how rare larger errors are
    monkeypatch.setattr(Band, "_measured_tail_share", lambda self: 0.25)
    monkeypatch.setattr("speciesnet.pipeline.guard.guard._is_audited", films[:2].__contains__)
    paths, output = [*IMAGES, *films], tmp_path / "out.json"
    model = SpeciesNet("demo", engine="torch")
    model.predict(filepaths=paths, country="USA", predictions_json=str(output))
    exact = SpeciesNet("demo", engine="torch", precision="fp32")
    found, wanted = records_of(output), {}
    assert list(found) == paths
    for path in films:  # alone, because in PyTorch the last digits depend on the batch
        exact.predict(filepaths=[path], country="USA", predictions_json=f"{output}.exact.json")
        wanted |= records_of(Path(f"{output}.exact.json"))
        Path(f"{output}.exact.json").unlink()
    assert [found[path] for path in films[:2]] == [wanted[path] for path in films[:2]]
    assert answers([found[path] for path in films]) == answers([wanted[path] for path in films])
    decided = films_decided(output)
    assert (decided["films"], decided["frames"], decided["audited"]) == (4, 12, 2)
    kept = [path for path in films if found[path] != wanted[path]]
    assert len(kept) == decided["films"] - decided["again"] > 0


def test_shards_of_films_merge_into_the_file_of_one_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films: list[str]
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 0.5)  # as above
    monkeypatch.setattr(Band, "_measured_tail_share", lambda self: 0.25)
    (tmp_path / "films").mkdir()
    for path in films:
        (tmp_path / "films" / Path(path).name).symlink_to(path)
    # In PyTorch, the last digits depend on the batch.
    given = ("--model", "demo", "--engine", "torch", "--batch_size", "1", "--noprogress_bars")

    def run(name: str, *more: str) -> Path:
        output = tmp_path / name
        arguments = (*given, "--country", "USA", *more, "--predictions_json", output)
        outcome = run_here("run_model", *arguments, cwd=tmp_path)
        assert outcome.code == 0, outcome.err
        return output

    run("trial.json", "--filepaths", ",".join(IMAGES))
    monkeypatch.setattr(EvidenceCache, "write", lambda self, verdict: None)  # as on two machines
    folder = ("--folders", "films")  # relative, so that the shards are always the same
    whole = run("whole.json", *folder)
    parts = [run(f"part-{part}.json", *folder, "--shard", f"{part}/2") for part in (1, 2)]
    merged = tmp_path / "merged.json"
    assert run_here("merge", merged, *parts).code == 0
    assert merged.read_bytes() == whole.read_bytes()
    exact = run("exact.json", *folder, "--precision", "fp32")
    found, wanted = records_of(merged), records_of(exact)
    assert answers(list(found.values())) == answers(list(wanted.values()))
    assert sum(found[path] != wanted[path] for path in found) > 0
    for name in ("films", "again"):
        assert films_decided(whole)[name] == sum(films_decided(part)[name] for part in parts)


@pytest.mark.parametrize("wider", [3.0, 100.0])
def test_finished_films_that_a_wider_band_reaches_are_replaced_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, films: list[str], wider: float
) -> None:
    output = tmp_path / "out.json"
    options: dict[str, Any] = {"filepaths": [*IMAGES, *films], "country": "USA"}
    with monkeypatch.context() as killed:
        killed.setattr(Evidence, "band", lambda self: 2.0)
        killed.setattr(Ledger, "delete", lambda self: None)
        fast = SpeciesNet("demo", engine="torch")
        fast.predict(**options, predictions_json=str(output))
    margins = tmp_path / "out.json.precision.jsonl"
    key = json.loads(margins.read_text().splitlines()[0])["key"]
    section = (ledger := Ledger(output)).section(key)
    assert section.evidence is not None
    ledger.set_band(section, section.evidence, wider, section.reach)  # as an audit does
    fast.predict(**options, predictions_json=str(output))
    exact = SpeciesNet("demo", engine="torch", precision="fp32").predict(**options)
    assert exact is not None
    found, wanted = list(read_records(output)), exact["predictions"]
    assert answers(found[-4:]) == answers(wanted[-4:])
    assert (found == wanted) == (wider > 4)  # beyond what the first run noted
    assert not margins.exists()


@pytest.mark.parametrize("left", [0, 2])
def test_a_run_that_continues_in_float32_leaves_no_margins_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)
    output, margins = tmp_path / "out.json", tmp_path / "out.json.precision.jsonl"
    with monkeypatch.context() as killed:
        killed.setattr(Ledger, "delete", lambda self: None)
        fast = SpeciesNet("demo", engine="torch")
        done = IMAGES[: len(IMAGES) - left]
        fast.predict(filepaths=done, country="USA", predictions_json=str(output))
    assert margins.exists()
    exact = SpeciesNet("demo", engine="torch", precision="fp32")
    exact.predict(filepaths=IMAGES, country="USA", predictions_json=str(output))
    assert len(list(read_records(output))) == len(IMAGES)
    assert not margins.exists()


def test_answers_from_a_function_of_the_caller_stay_in_float32() -> None:
    def combine(**options: Any) -> Any:
        return combine_predictions_for_single_item(**options)

    assert not SpeciesNet("demo", combine_predictions_fn=combine).can_be_guarded
    assert SpeciesNet("demo", precision="fp32").networks.reduced() == []
    assert SpeciesNet("demo", engine="torch").networks.reduced()


Started = list[tuple[list[str], list[str]]]


class Making:
    """A process that makes int8 networks as long as the run takes."""

    def poll(self) -> str:
        return "running"

    def stop(self) -> None:
        """Nothing to end."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """The networks and photographs for which processes are started, where int8 would be faster."""
    found: Started = []

    def start(_: object, names: list[str], paths: list[str], **__: object) -> Making:
        found.append((names, paths))
        return Making()

    monkeypatch.setattr("speciesnet.pipeline.networks.prefers_int8", lambda options: True)
    monkeypatch.setattr("speciesnet.run.deciding.LONG_RUN", len(IMAGES))
    monkeypatch.setattr(upgrade, "can_quantize", lambda: True)
    monkeypatch.setattr(upgrade, "available_memory", lambda: upgrade.MEMORY_NEEDED)
    monkeypatch.setattr(upgrade, "quantize_in_background", start)
    return found


def test_a_long_run_makes_the_int8_networks_that_it_uses(started: Started) -> None:
    model = SpeciesNet("demo", engine="torch")
    model.detect(filepaths=IMAGES)
    assert started == [(["detector"], IMAGES)]
    assert model.networks.lacking_int8(["classifier"]) == ["classifier"]


def test_other_runs_do_not_make_int8_networks(started: Started) -> None:
    model = SpeciesNet("demo", engine="torch")
    model.detect(filepaths=IMAGES[:-1])
    SpeciesNet("demo", engine="torch", precision="fp32").detect(filepaths=IMAGES)
    shard = Run(instances=[Instance(path) for path in IMAGES], components="detector", shard="1/2")
    assert len(execute(shard, model).records or []) == len(IMAGES)
    assert not started


def test_a_log_line_names_the_extra_where_int8_would_be_faster(
    started: Started, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "absl")
    monkeypatch.setattr(upgrade, "can_quantize", lambda: False)
    model = SpeciesNet("demo", engine="torch")
    model.detect(filepaths=IMAGES[:-1])
    assert "speciesnet[int8]" not in caplog.text
    model.detect(filepaths=IMAGES)
    assert caplog.text.count('pip install "speciesnet[int8]"') == 1
    caplog.clear()
    monkeypatch.setattr("speciesnet.pipeline.networks.prefers_int8", lambda options: False)
    model.detect(filepaths=IMAGES)
    assert "speciesnet[int8]" not in caplog.text and not started


@pytest.mark.skipif(
    importlib.util.find_spec("nncf") is None or not has_instructions(),
    reason="needs NNCF, and a CPU with VNNI or AMX",
)
def test_a_run_goes_over_to_the_int8_networks_that_it_has_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken = 0

    def is_ready(self: upgrade.Int8Upgrade) -> bool:
        nonlocal taken
        taken += 1
        if taken <= 6:
            return False
        assert self._making is not None
        self._making.wait()
        return True

    monkeypatch.setattr("speciesnet.run.deciding.LONG_RUN", len(ALL))
    monkeypatch.setattr(upgrade, "MEMORY_NEEDED", 0)
    monkeypatch.setattr(upgrade.Int8Upgrade, "is_ready", is_ready)
    times = iter([0.0, 1.0, 1.0, 1.5, 2.0, 3.0, 3.0, 3.1])  # float32 and bf16; float32 and int8
    monkeypatch.setattr(trial, "time", SimpleNamespace(perf_counter=lambda: next(times)))
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)
    output = tmp_path / "out.json"
    model = SpeciesNet("demo", threads=1)
    model.detect(filepaths=ALL, predictions_json=str(output))
    assert [record["filepath"] for record in read_records(output)] == ALL
    settings = json.loads(Path(f"{output}.run.json").read_text())["precision"]
    *_, last = settings["phases"]
    assert last["networks"] == {"detector": "int8"}
    assert last["decided"]["images"] == len(ALL) - 4 - 6  # a trial, and those before
    assert not list((tmp_path / "cache").rglob("*.part"))
    assert model.networks.lacking_int8(["detector"]) == []
    model.detect(filepaths=ALL[:3], predictions_json=str(tmp_path / "later.json"))
    settings = json.loads((tmp_path / "later.json.run.json").read_text())["precision"]
    assert [phase["networks"] for phase in settings["phases"]] == [{"detector": "int8"}]

"""The stage of a cluster that does everything in one process; PyTorch has bf16 everywhere."""

from __future__ import annotations

import importlib.util
import pickle
from functools import cache
from operator import ne
from pathlib import Path
from typing import Any, cast

import clips
import pytest
from guarded import allow_short_trials

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

from speciesnet import SpeciesNet
from speciesnet.images.films import Sampling
from speciesnet.images.instances import find_images
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.tally import Decided, FilmTally, Tally
from speciesnet.predictions.layout import decode_line
from speciesnet.records import Instance, Record
from speciesnet.run import Run
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.guarded import Decide, DecidedByProcess
from speciesnet.run.distributed.job import Job
from speciesnet.run.distributed.stages import pack
from speciesnet.run.model import ModelOptions

pytestmark = pytest.mark.slow  # most processors take long for bf16

IMAGES = find_images(["demo"])[:12]


class Reporter:
    """Notes the sentences on images that cannot be read."""

    def __init__(self) -> None:
        self.failures: list[str] = []

    def count(self, _: str, images: int, failures: list[str] = []) -> None:  # noqa: B006
        self.failures += failures


@pytest.fixture(autouse=True)
def _quick_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    allow_short_trials(tmp_path / "cache", monkeypatch)
    monkeypatch.setattr(Evidence, "band", lambda self: 2.0)  # four images allow none


def stage(reporter: Any) -> Decide:
    options = ModelOptions("demo", engine="torch", precision="auto")
    run = Run(country="USA", films=Sampling())
    return Decide(
        Job(folder=Folder(""), model=options, run=run, resources=cast("Any", None)), reporter
    )


def calls(decide: Decide, *parts: list[str]) -> tuple[dict[str, Record], DecidedByProcess]:
    """The records and the counts after some calls."""
    records, decided = {}, DecidedByProcess()
    for part in parts:
        table = decide(pack(Instance(path, country="USA") for path in part))
        assert table["frame"].to_pylist() == [None] * len(part)
        found = map(decode_line, table["record"].to_pylist())
        records |= {record["filepath"]: record for record in found if record}
        decided.add(table["decided"].to_pylist())
    return records, decided


@cache
def in_float32(*paths: str) -> dict[str, Record]:
    model = SpeciesNet("demo", engine="torch", precision="fp32")
    found = model.predict(filepaths=[*paths], country="USA")
    assert found is not None
    return {record["filepath"]: record for record in found["predictions"]}


def answers(records: dict[str, Record]) -> dict[str, object]:
    return {path: (r.get("prediction"), r.get("failures")) for path, r in sorted(records.items())}


def test_answers_are_those_of_float32_and_one_trial_serves_all_calls() -> None:
    records, decided = calls(stage(Reporter()), IMAGES[:9], IMAGES[9:])
    exact = in_float32(*IMAGES)
    assert answers(records) == answers(exact)
    (found,) = decided.counts().values()
    ((names, (tally, _)),) = found.phases.items()
    assert names == ("bf16", "bf16")
    assert tally.images == len(IMAGES)
    assert 4 <= tally.detected_again < len(IMAGES)
    (note,) = decided.notes()
    assert f" of {len(IMAGES)} images were processed in bf16" in note
    # Not of classes: on processors with AMX, the last digits of float32's depend on the batch.
    boxes, exact_boxes = ([r[path].get("detections") for path in IMAGES] for r in (records, exact))
    assert sum(map(ne, boxes, exact_boxes)) == tally.kept


def test_films_and_files_that_are_not_images(tmp_path: Path) -> None:
    film, broken = str(tmp_path / "film.mp4"), str(tmp_path / "broken.jpg")
    clips.film(Path(film), size=(320, 240), fps=2, shown=clips.pictures(4, 320, 240))
    Path(broken).write_bytes(b"not an image")
    reporter = Reporter()
    records, _ = calls(stage(reporter), IMAGES[:9], [film, broken])
    exact = in_float32(*IMAGES) | in_float32(film, broken)
    assert answers(records) == answers({path: exact[path] for path in records})
    assert len(reporter.failures) == 1
    assert broken in reporter.failures[0]


def test_images_that_a_wider_band_reaches_are_float32s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Guards, "reached", lambda self, paths: list(paths))
    records, decided = calls(stage(Reporter()), IMAGES)
    assert records == in_float32(*IMAGES)
    (found,) = decided.counts().values()
    assert found.replaced == len(IMAGES)


def test_counts_of_processes_arrive_in_any_order() -> None:
    def after(process: str, images: int) -> bytes:
        found = Decided({("bf16", "bf16"): (Tally(images, 1), FilmTally())}, in_float32=2)
        return pickle.dumps((process, found))

    decided = DecidedByProcess()
    decided.add([after("a", 20), None])
    decided.add([after("a", 10), after("b", 5)])
    (note,) = decided.notes()
    assert note.startswith("23 of 29 images were processed in bf16 and 6 in float32")
    assert DecidedByProcess().notes() == []

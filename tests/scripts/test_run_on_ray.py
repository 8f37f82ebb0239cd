"""What a run on a cluster prints at its end."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from commands import run_here

if importlib.util.find_spec("ray") is None:
    pytest.skip("needs speciesnet[ray]", allow_module_level=True)

from speciesnet.predictions.tally import Tally
from speciesnet.records import Instance
from speciesnet.run import Outcome
from speciesnet.run.distributed import connection, runner
from speciesnet.run.distributed.resources import Pool, Resources
from speciesnet.scripts import run_on_ray


@pytest.mark.parametrize(("failed", "code"), [(0, 0), (1, 0), (2, 1)])
def test_notes_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failed: int, code: int
) -> None:
    for name in ("1.jpg", "2.jpg", "3.heic"):
        (tmp_path / name).touch()

    def run(instances: Iterator[Instance], *_: object) -> Outcome:
        assert len(list(instances)) == 2
        return Outcome(Tally(2, failed), notes=["1 record has no image."])

    monkeypatch.setattr(connection, "connected", lambda _: nullcontext())
    monkeypatch.setattr(run_on_ray, "_resources", lambda _: Resources(Pool(), Pool(), 1))
    monkeypatch.setattr(runner, "run", run)
    outcome = run_here(
        *("run_on_ray", "--model", "demo", "--instances", tmp_path, "--output", tmp_path / "out")
    )
    assert outcome.code == code, outcome.err
    assert f"2 images, {failed} of them failed." in outcome.out
    assert "1 other file was skipped: 1 .heic.\n1 record has no image.\n" in outcome.out
    assert ("All 2 images failed." in outcome.err) == (code == 1)

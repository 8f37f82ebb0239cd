"""The guard on films and networks whose errors are known; see ``guarded``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from guarded import (
    DECISIONS,
    Fake,
    known,
    make_films,
    passes,
    resumed,
    wave,
    with_evidence,
)

from speciesnet.pipeline import Photo
from speciesnet.pipeline.films import with_frames
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.films import film_decision
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger

FILMS, FRAMES = 60, 3
Found = dict[str, list[Photo]]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return make_films(tmp_path_factory.mktemp("films"), FILMS, FRAMES)


def by_path(photos: Iterable[Photo]) -> Found:
    return {frames[0].filepath: frames for frames in with_frames(photos)}


@pytest.fixture(scope="session")
def truth(films: list[str]) -> Found:
    exact: Any = Fake(wave(0.0))
    return by_path(passes().run(films, exact, films=True))


def decisions(found: Found) -> dict[str, Any]:
    return {path: film_decision(frames, DECISIONS) for path, frames in found.items()}


def numbers(frames: Sequence[Photo]) -> list[Any]:
    return [(frame.detections, frame.classifications, frame.frame) for frame in frames]


def guards(exact: Fake, guard: Guard | None, ledger: Ledger | None = None) -> Guards:
    assert guard is not None
    return Guards(passes(), exact, ledger or Ledger(), [guard])  # type: ignore[arg-type]


@pytest.fixture
def _never_audited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard._is_audited", lambda path: False)


@pytest.mark.usefixtures("_never_audited")
def test_doubtful_films_have_the_results_of_float32_and_the_others_its_answers(
    films: list[str], truth: Found
) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05), wave(0.05))
    guard = with_evidence(exact, fast, known(0.1))
    found = by_path(guards(exact, guard).films(films))
    assert list(found) == films
    assert decisions(found) == decisions(truth)
    again = [path for path in films if numbers(found[path]) == numbers(truth[path])]
    tally = guard.film_tally
    assert 0 < len(again) < FILMS / 2
    assert (tally.films, tally.again) == (FILMS, len(again))
    assert len(exact.classified) == tally.frames_again == FRAMES * len(again)
    assert tally.frames == FRAMES * FILMS


@pytest.mark.usefixtures("_never_audited")
def test_without_a_band_answers_differ(
    films: list[str], truth: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 0.0)
    exact, fast = Fake(wave(0.0)), Fake(lambda number: 0.3)
    found = by_path(guards(exact, with_evidence(exact, fast, known(0.1))).films(films))
    assert decisions(found) != decisions(truth)


@pytest.mark.usefixtures("_never_audited")
def test_films_of_more_frames_have_a_wider_band(tmp_path: Path) -> None:
    short, long = make_films(tmp_path / "a", 20, 1), make_films(tmp_path / "b", 20, 8)
    shares = []
    for paths in (short, long):
        exact, fast = Fake(wave(0.0)), Fake(lambda number: 0.0)
        guard = with_evidence(exact, fast, known(0.3))
        list(guards(exact, guard).films(paths))
        shares.append(guard.film_tally.again)
    assert shares[0] < shares[1]


def test_audits_widen_the_band_and_reach_finished_films(
    films: list[str], truth: Found, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 3)
    ledger = Ledger(tmp_path / "out.json")
    exact, fast = Fake(wave(0.0)), Fake(lambda number: 0.6)
    guard = with_evidence(exact, fast, known(0.05), ledger)
    made, before = guards(exact, guard, ledger), guard.band
    found = by_path(made.films(films))
    assert guard.band > 2 * before
    assert 5 < guard.film_tally.audited < FILMS / 2
    later = Ledger(tmp_path / "out.json")  # of a run after a kill
    assert later.has_unsettled
    assert set(later.reached(found)) == set(made.reached(found))
    found |= by_path(made.again(made.reached(found)))
    assert decisions(found) == decisions(truth)
    assert "replaced by those of float32" in made.decided.summary()
    made.keep_evidence()
    ledger.delete()
    assert not made.has_unsettled
    assert not (tmp_path / "out.json.precision.jsonl").exists()


def test_a_run_of_films_alone_has_a_trial(
    films: list[str], truth: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WORTHWHILE", math.inf)
    monkeypatch.setattr(trial, "FILMS", (10, 10))
    exact, fast = Fake(wave(0.0)), Fake(wave(0.02))
    made = guards(exact, resumed(exact, fast, Ledger()))
    assert list(made.photos([])) == []
    found = by_path(made.films(films))
    assert sorted(found) == films
    assert decisions(found) == decisions(truth)
    tried = trial.trial_of(films, films=True)
    assert list(found)[: len(tried)] == tried
    assert all(numbers(found[path]) == numbers(truth[path]) for path in tried)
    (guard,) = made.used
    assert len(tried) <= guard.film_tally.again < FILMS
    summary = made.decided.summary()
    assert "image" not in summary and f"of {FILMS} films were" in summary
    made.keep_evidence()
    later = resumed(exact, fast, Ledger())
    assert later is not None and later.is_fast


def test_few_films_without_evidence_stay_in_float32(films: list[str], truth: Found) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    made = guards(exact, resumed(exact, fast, Ledger()))
    found = by_path(made.films(films[:10]))
    assert [numbers(found[path]) for path in found] == [numbers(truth[p]) for p in films[:10]]
    assert not fast.detected and not made.used


@pytest.mark.usefixtures("_never_audited")
def test_the_other_films_stay_in_float32_if_most_are_doubtful(
    films: list[str], truth: Found, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.ENOUGH_FRAMES", 30)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    guard = with_evidence(exact, fast, known(3.0))
    guard.cost = 0.6
    made = guards(exact, guard)
    found = by_path(made.films(films))
    assert decisions(found) == decisions(truth)
    assert guard.film_tally.films < FILMS / 2
    assert made.as_dict()["films_in_float32"] == FILMS - guard.film_tally.films


@pytest.mark.usefixtures("_never_audited")
@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_steps_apart(films: list[str], stage: str) -> None:
    steps: dict[str, Any] = {f"has_{name}": stage == name for name in ("detector", "classifier")}
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05), wave(0.05))
    guard = with_evidence(exact, fast, known(0.1), **steps)
    found = by_path(guard.films(films))
    assert list(found) == films
    assert all((f.detections is None) == (stage == "classifier") for f in found[films[0]])
    assert guard.film_tally.again < FILMS / 2


def test_films_that_cannot_be_read_stay_where_they_are(films: list[str], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no film")
    guard = with_evidence(Fake(wave(0.0)), Fake(wave(0.05)), known(0.1))
    found = by_path(guard.films([*films[:3], str(broken), *films[3:6]]))
    assert list(found)[3] == str(broken) and len(found) == 7
    assert found[str(broken)][0].error

"""Networks in int8 that become ready in the middle of a run."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from guarded import PICTURES, Fake, decisions, known, passes, wave, with_evidence

from speciesnet.pipeline.calibration import State
from speciesnet.pipeline.guard import trial, upgrade
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guard import Guard
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger
from speciesnet.pipeline.networks import NetworkOptions

FIRST = 70  # images that are taken before the networks are finished
EXACT = Fake(wave(0.0))


class Making:
    """A process that makes networks, and ends after it was asked a number of times."""

    reason = "There was no room on the disk."

    def __init__(self, result: State = "done", polls: int = FIRST) -> None:
        self.result: State = result
        self.polls = polls
        self.is_stopped = False

    def poll(self) -> State:
        self.polls -= 1
        return "running" if self.polls >= 0 else self.result

    def stop(self) -> None:
        self.is_stopped = True


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    clock = SimpleNamespace(perf_counter=lambda: Fake.spent)
    monkeypatch.setattr(trial, "time", clock)
    monkeypatch.setattr(upgrade, "available_memory", lambda: upgrade.MEMORY_NEEDED)
    yield
    EXACT.detected.clear()


def process(monkeypatch: pytest.MonkeyPatch, making: Making) -> Making:
    monkeypatch.setattr(upgrade, "quantize_in_background", lambda *_, **__: making)
    return making


def in_int8(fast: Fake, ledger: Ledger) -> upgrade.Int8Upgrade:
    options = cast("NetworkOptions", SimpleNamespace(model_info=None, threads=None))

    def guard() -> Guard | None:
        cache = EvidenceCache("int8")
        return Guard.resumed(passes(), EXACT, fast, cache, ledger)  # type: ignore[arg-type]

    return upgrade.Int8Upgrade(options, ["detector", "classifier"], guard)


def guards(bf16: Fake, int8: Fake, ledger: Ledger | None = None, error: float = 0.1) -> Guards:
    ledger = ledger or Ledger()
    first = with_evidence(EXACT, bf16, known(error), ledger)
    first.cost = 0.7
    return Guards(passes(), EXACT, ledger, [first], in_int8(int8, ledger))  # type: ignore[arg-type]


def numbers(paths: list[str]) -> list[int]:
    return [int(Path(path).stem) for path in paths]


def bf16() -> Fake:
    return Fake(wave(0.05), seconds=0.6)


def int8(size: float = 0.05, seconds: float = 0.3) -> Fake:
    return Fake(wave(size), precision="int8", seconds=seconds)


def test_a_run_goes_over_to_int8_when_its_networks_are_ready(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    making = process(monkeypatch, Making())
    one, two = bf16(), int8()
    made = guards(one, two)
    photos = list(made.photos(pictures))
    assert decisions(photos) == truth
    paths = [photo.filepath for photo in photos]
    assert numbers(paths[:FIRST]) == one.detected == list(range(FIRST))
    tried = trial.TRIAL[0]
    assert paths[FIRST + tried :] == sorted(paths[FIRST + tried :])
    assert sorted(set(two.detected)) == list(range(FIRST, PICTURES))
    first, second = made.used
    assert (first.tally.images, second.tally.images) == (FIRST, PICTURES - FIRST)
    text = (
        f"{first.tally.kept} of 240 images were processed in bf16, {second.tally.kept} in int8 and"
    )
    assert made.decided.summary().startswith(text)
    made.keep_evidence()
    assert [EvidenceCache(key).read() is not None for key in ("fakes", "int8")] == [True, True]
    assert not making.is_stopped


@pytest.mark.parametrize("fast", [int8(seconds=0.8), int8(size=4.0), int8(size=2.0, seconds=0.5)])
def test_int8_that_saves_nothing_compared_with_bf16_is_not_used(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch, fast: Fake
) -> None:
    process(monkeypatch, Making())
    one = bf16()
    made = guards(one, fast)
    photos = list(made.photos(pictures))
    assert decisions(photos) == truth
    tried = trial.TRIAL[0]
    assert [guard.tally.images for guard in made.used] == [PICTURES - tried]
    assert made.as_dict()["in_float32"] == tried == len(fast.detected)


def test_a_run_in_float32_goes_over_as_well(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    process(monkeypatch, Making())
    two, ledger = int8(), Ledger()
    made = Guards(passes(), EXACT, ledger, [], in_int8(two, ledger))  # type: ignore[arg-type]
    assert decisions(list(made.photos(pictures))) == truth
    assert made.as_dict()["in_float32"] == FIRST
    (guard,) = made.used
    assert f"{guard.tally.kept} of 240 images were processed in int8 and " in made.decided.summary()


def test_a_run_continues_if_the_networks_cannot_be_made(
    pictures: list[str],
    truth: list[object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    process(monkeypatch, Making("failed"))
    made = guards(bf16(), int8())
    assert decisions(list(made.photos(pictures))) == truth
    assert len(made.used) == 1
    messages = [record.message for record in caplog.records if "int8" in record.message]
    assert messages[-1] == f"This run continues without int8 networks. {Making.reason}"
    assert sum("no room" in message for message in messages) == 1


@pytest.mark.parametrize("fails", ["guard", "load"])
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "MemoryError"),
        (RuntimeError("Cannot open model.bin."), "Cannot open model.bin"),
    ],
)
def test_a_run_continues_if_the_networks_cannot_be_loaded(
    pictures: list[str],
    truth: list[object],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: str,
    error: Exception,
    reason: str,
) -> None:
    def fail(*_: object) -> None:
        raise error

    process(monkeypatch, Making())
    one, two = bf16(), int8()
    made = guards(one, two)
    if fails == "load":
        monkeypatch.setattr(two, "load", fail)
    else:
        monkeypatch.setattr(made._upgrade, "guard", fail)
    assert decisions(list(made.photos(pictures))) == truth
    assert [guard.tally.images for guard in made.used] == [PICTURES] and two.detected == []
    (message,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert message == (
        f"This run continues without its int8 networks, which cannot be loaded ({reason}). "
        "Make them again with speciesnet prepare --precision int8."
    )


@pytest.mark.parametrize("count", [PICTURES, 30])
def test_the_process_ends_with_the_run(
    pictures: list[str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    count: int,
) -> None:
    caplog.set_level(logging.INFO, "absl")
    making = process(monkeypatch, Making(polls=10**6))
    photos = guards(bf16(), int8()).photos(pictures)
    for _ in range(count):
        next(photos)
    photos.close()  # Ctrl-C, or the end
    assert making.is_stopped
    assert "before its int8 networks were finished" in caplog.text


def test_too_little_memory_starts_no_process(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "absl")
    process(monkeypatch, Making(polls=0))
    monkeypatch.setattr(upgrade, "available_memory", lambda: 3 * 2**30)
    made = guards(bf16(), int8())
    assert len(list(made.photos(pictures))) == PICTURES and len(made.used) == 1
    assert "needs 6 GiB of memory, and 3.0 GiB are available" in caplog.text


def is_first(path: str) -> bool:
    return int(Path(path).stem) < FIRST


def is_audited(path: str) -> bool:
    return is_first(path) and int(Path(path).stem) % 3 == 0


def test_a_wider_band_reaches_only_images_of_its_own_networks(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard._is_audited", is_audited)
    process(monkeypatch, Making())
    ledger = Ledger(tmp_path / "out.json")
    made = guards(Fake(wave(0.6), seconds=0.6), int8(), ledger, error=0.4)
    found = {photo.filepath: photo for photo in made.photos(pictures)}
    reached = made.reached(found)
    assert reached and all(map(is_first, reached))
    found |= {photo.filepath: photo for photo in made.again(reached)}
    assert decisions(list(found.values())) == truth
    assert "were then replaced by those of float32" in made.decided.summary()
    made.keep_evidence()
    ledger.delete()
    assert not (tmp_path / "out.json.precision.jsonl").exists()


@pytest.mark.parametrize("count", [FIRST // 2, FIRST + trial.TRIAL[0] + 60])
def test_a_run_that_was_killed_continues_before_and_after_the_change(
    pictures: list[str],
    truth: list[object],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    count: int,
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard._is_audited", is_audited)
    process(monkeypatch, Making())
    output = tmp_path / "out.json"
    one = Fake(wave(0.6), seconds=0.6)
    photos = guards(one, int8(), Ledger(output), error=0.4).photos(pictures)
    found = {photo.filepath: photo for photo in (next(photos) for _ in range(count))}
    photos.close()
    left = [path for path in pictures if path not in found]
    ledger = Ledger(output)
    if count < FIRST:
        process(monkeypatch, Making(polls=20))
        made = guards(one, int8(), ledger)
        assert made.used == [] and made.networks is cast("Any", one)
    else:  # the cache has the networks by now
        later = in_int8(int8(), ledger).guard()
        assert later is not None and later.is_fast and later.cost < 0.7
        made = Guards(passes(), EXACT, ledger, [later])  # type: ignore[arg-type]
        assert made.has_unsettled
    found |= {photo.filepath: photo for photo in made.photos(left)}
    assert sorted(found) == pictures
    reached = made.reached(found)
    assert any(map(is_first, reached))
    found |= {photo.filepath: photo for photo in made.again(reached)}
    assert decisions(list(found.values())) == truth

"""The guard on networks whose errors are known; see ``guarded``."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from guarded import PICTURES, Fake, decisions, known, passes, resumed, wave, with_evidence

from speciesnet.images.decoding import PreprocessedImage
from speciesnet.pipeline.guard import trial
from speciesnet.pipeline.guard.bands import Evidence
from speciesnet.pipeline.guard.cache import EvidenceCache
from speciesnet.pipeline.guard.guards import Guards
from speciesnet.pipeline.guard.ledger import Ledger


def guards(exact: Fake, fast: Fake) -> Guards:
    ledger = Ledger()
    made = resumed(exact, fast, ledger)
    assert made is not None
    return Guards(passes(), exact, ledger, [made])  # type: ignore[arg-type]


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WORTHWHILE", math.inf)  # the time that fakes take means nothing


@pytest.mark.usefixtures("_quick")
def test_decisions_are_those_of_float32_and_most_images_take_the_fast_networks_alone(
    pictures: list[str], truth: list[object]
) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    made = guards(exact, fast)
    photos = list(made.photos(pictures))
    assert sorted(photo.filepath for photo in photos) == pictures
    assert decisions(photos) == truth
    again = len(exact.classified) - trial.TRIAL[0]
    assert 0 < again < PICTURES / 2
    assert [one.tally.images for one in made.used] == [PICTURES]


@pytest.mark.usefixtures("_quick")
def test_without_a_band_decisions_differ(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Evidence, "band", lambda self: 0.0)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.3))
    assert decisions(list(guards(exact, fast).photos(pictures))) != truth


@pytest.mark.usefixtures("_quick")
def test_evidence_serves_later_and_shorter_runs(pictures: list[str], truth: list[object]) -> None:
    first = guards(Fake(wave(0.0)), Fake(wave(0.05)))
    list(first.photos(pictures))
    first.keep_evidence()
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    later = guards(exact, fast)
    assert later.is_fast
    photos = list(later.photos(pictures[:40]))
    assert decisions(photos) == truth[:40]
    assert sorted(set(fast.detected)) == list(range(40))
    assert len(exact.detected) < 20
    assert "of 40 images were processed in bf16 and" in later.decided.summary()


class Counting(Fake):
    """Notes how many images the classifier gets together."""

    def classify(self, imgs: Sequence[PreprocessedImage], num_classes: int | None = None) -> Any:
        self.batches = {*getattr(self, "batches", ()), len(imgs)}
        return super().classify(imgs, num_classes)


@pytest.mark.usefixtures("_quick")
@pytest.mark.parametrize(("batches_alike", "most"), [(True, 1), (False, 4)])
def test_float32_next_to_fast_networks_gets_small_batches_if_they_change_nothing(
    pictures: list[str], batches_alike: bool, most: int
) -> None:
    exact, fast = Counting(wave(0.0)), Counting(wave(0.05))
    exact.batches_alike = batches_alike
    list(guards(exact, fast).photos(pictures))
    assert max(exact.batches) == most
    assert max(fast.batches) == 4


@pytest.mark.usefixtures("_quick")
def test_memory_is_returned_after_each_pass_in_float32(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    returned: list[int] = []
    monkeypatch.setattr(
        "speciesnet.pipeline.guard.passes.return_memory",
        lambda: returned.append(len(exact.detected)),
    )
    list(guards(exact, fast).photos(pictures))
    assert returned[0] == trial.TRIAL[0]
    assert returned[-1] == len(exact.detected)


def test_short_runs_without_evidence_stay_in_float32(pictures: list[str]) -> None:
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    assert len(list(guards(exact, fast).photos(pictures[:50]))) == 50
    assert not fast.detected


@pytest.mark.usefixtures("_quick")
def test_networks_with_large_errors_do_not_pay(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "WORTHWHILE", 0.5)
    exact, fast = Fake(wave(0.0)), Fake(wave(4.0))
    assert decisions(list(guards(exact, fast).photos(pictures))) == truth
    assert len(fast.detected) == trial.TRIAL[0]
    assert resumed(exact, fast, Ledger()) is None  # later runs do not even try


@pytest.mark.usefixtures("_quick")
def test_a_network_that_fails_in_a_trial_is_not_used(
    pictures: list[str], truth: list[object], caplog: pytest.LogCaptureFixture
) -> None:
    def fail(number: int) -> float:
        raise RuntimeError("this machine cannot do that")

    made = guards(Fake(wave(0.0)), Fake(fail))
    assert decisions(list(made.photos(pictures))) == truth
    assert "this machine cannot do that" in caplog.text
    assert not made.is_fast


def test_audits_widen_the_band_and_reach_finished_images(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 3)
    ledger = Ledger(tmp_path / "out.json")
    exact, fast = Fake(wave(0.0)), Fake(wave(0.6))
    guard = with_evidence(exact, fast, known(0.05), ledger)
    made = Guards(passes(), exact, ledger, [guard])  # type: ignore[arg-type]
    before = guard.band
    found = {photo.filepath: photo for photo in made.photos(pictures)}
    assert guard.band > 2 * before
    assert guard.tally.audited > 50
    assert made.has_unsettled
    reached = made.reached(found)
    assert reached
    found |= {photo.filepath: photo for photo in made.again(reached)}
    made.keep_evidence()
    ledger.delete()
    assert not made.has_unsettled
    assert decisions(list(found.values())) == truth
    assert not (tmp_path / "out.json.precision.jsonl").exists()


def test_forgotten_images_are_not_reached(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 3)
    exact, ledger = Fake(wave(0.0)), Ledger()
    guard = with_evidence(exact, Fake(wave(0.6)), known(0.05), ledger)
    made = Guards(passes(), exact, ledger, [guard])  # type: ignore[arg-type]
    found = [photo.filepath for photo in made.photos(pictures)]
    assert made.reached(found)
    made.forget_finished()
    assert not made.reached(found)
    assert not made.has_unsettled


def test_a_later_run_knows_the_margins_of_an_interrupted_one(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard._is_audited", lambda path: False)
    exact, fast, output = Fake(wave(0.0)), Fake(wave(0.05)), tmp_path / "out.json"
    made = with_evidence(exact, fast, known(0.2), Ledger(output))
    photos = made.photos(pictures)
    finished = [next(photos).filepath for _ in range(150)]
    photos.close()
    lines = (tmp_path / "out.json.precision.jsonl").read_text().splitlines()
    key = EvidenceCache("fakes").key
    assert json.loads(lines[0])["key"] == key
    with (tmp_path / "out.json.precision.jsonl").open("a") as file:
        file.write('["cut o')
    ledger = Ledger(output)
    assert ledger.section(key).evidence is not None
    noted = dict(json.loads(line) for line in lines if line.startswith("["))
    assert noted.keys() & set(finished) and ledger.section(key).margins == noted
    assert ledger.section("another machine").evidence is None
    assert not ledger.has_unsettled
    ledger.section(key).band *= 1.9
    assert set(ledger.reached(finished)) == noted.keys() & set(finished)


def test_a_band_that_became_wider_is_known_after_an_interruption(
    pictures: list[str], truth: list[object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 3)
    exact, fast, output = Fake(wave(0.0)), Fake(wave(0.6)), tmp_path / "out.json"
    made = with_evidence(exact, fast, known(0.05), Ledger(output))
    found = {photo.filepath: photo for photo in made.photos(pictures)}  # and a kill
    ledger = Ledger(output)
    later = resumed(exact, fast, ledger)
    assert later is not None and later.band == made.band
    settling = Guards(passes(), exact, ledger, [later])  # type: ignore[arg-type]
    assert settling.has_unsettled
    found |= {photo.filepath: photo for photo in settling.again(settling.reached(found))}
    assert decisions(list(found.values())) == truth


def test_classes_alone_are_decided_again_where_the_box_is_certain(
    pictures: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Audits go through both networks; which images are audited depends on the temporary folder.
    monkeypatch.setattr("speciesnet.pipeline.guard.guard.AUDITED", 10)
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05))
    evidence = known(0.5)
    evidence.crop = 1e-3
    made = with_evidence(exact, fast, evidence)
    list(made.photos(pictures))
    assert made.tally.classified_again > made.tally.detected_again > 0
    assert len(exact.detected) == made.tally.detected_again


@pytest.mark.parametrize("stage", ["detector", "classifier"])
def test_steps_apart(pictures: list[str], stage: str) -> None:
    steps = {"has_detector": stage == "detector", "has_classifier": stage == "classifier"}
    exact, fast = Fake(wave(0.0)), Fake(wave(0.05), wave(0.05))
    made = with_evidence(exact, fast, known(0.1), **steps)  # type: ignore[arg-type]
    photos = list(made.photos(pictures))
    assert [photo.filepath for photo in photos] == pictures
    assert (photos[0].detections is None) == (stage == "classifier")
    assert made.tally.detected_again < PICTURES / 2


def test_images_that_cannot_be_read_stay_where_they_are(pictures: list[str]) -> None:
    paths = [*pictures[:5], "nowhere.jpg", *pictures[5:9]]
    made = with_evidence(Fake(wave(0.0)), Fake(wave(0.05)), known(0.1))
    photos = list(made.photos(paths))
    assert [photo.filepath for photo in photos] == paths
    assert photos[5].error == "there is no such file"

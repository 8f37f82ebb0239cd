from __future__ import annotations

from pathlib import Path

import pytest
from surveys import BLANK, DEER, FOX, HUMAN, box, record

from speciesnet.app.progress import Follower, all_pictures
from speciesnet.predictions.appender import Appender
from speciesnet.predictions.layout import FOOTER, HEADER, encode_record


def appender_of(path: Path) -> Appender:
    path.write_bytes(HEADER + FOOTER)
    return Appender(path, len(HEADER), len(HEADER))


def test_counts_grow_with_the_file_and_only_new_records_are_read(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    follower = Follower(path)
    follower.advance()
    assert follower.done == 0
    writer = appender_of(path)
    for number, label in enumerate((FOX, BLANK, FOX, HUMAN, DEER)):
        writer.append([encode_record(record(f"{number}.jpg", label, boxes=[box()]))])
        writer.flush()
        follower.advance()
        follower.advance()
        assert follower.done == number + 1
    found = follower.as_json("/thumbs", None)
    species = [(one["name"], one["count"]) for one in found["species"]]  # type: ignore[attr-defined]
    assert species == [("red fox", 2), ("human", 1), ("white-tailed deer", 1)]
    assert (found["blank"], found["unknown"], found["reading"]) == (1, 0, False)
    latest = [one["name"] for one in found["latest"]]  # type: ignore[attr-defined]
    assert latest == ["4.jpg", "3.jpg", "2.jpg", "0.jpg"]
    writer.close()


def test_a_run_shows_one_new_picture_at_a_time_and_all_once_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = 100.0
    monkeypatch.setattr("speciesnet.app.progress.time.monotonic", lambda: moment)
    follower = Follower(tmp_path / "p.json")
    writer = appender_of(follower.path)

    def latest(is_running: bool) -> list[int]:
        found = follower.as_json("/thumbs", None, is_running=is_running)["latest"]
        return [one["number"] for one in found]  # type: ignore[attr-defined]

    for number in range(4):
        writer.append([encode_record(record(f"{number}.jpg", FOX, boxes=[box()]))])
        writer.flush()
        follower.advance()
        if number in (0, 1, 3):
            latest(True)
        moment += 0.6
    assert latest(True) == [3, 0]
    assert latest(False) == [3, 2, 1, 0]
    writer.close()


def test_pictures_of_a_trial_are_there_while_it_runs(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    assert list(all_pictures(path)) == []
    path.touch()
    assert list(all_pictures(path)) == []
    writer = appender_of(path)
    for number, label in enumerate((FOX, BLANK)):
        writer.append([encode_record(record(f"{number}.jpg", label))])
        writer.flush()
        names = [one.as_json("/trial")["name"] for one in all_pictures(path)]
        assert names == [f"{n}.jpg" for n in range(number + 1)]
    writer.close()


def test_a_record_that_is_half_written_waits(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    line = encode_record(record("a.jpg"))
    path.write_bytes(HEADER + line + b",\n" + line[:50])
    follower = Follower(path)
    follower.advance()
    assert follower.done == 1
    path.write_bytes(HEADER + line + b",\n" + line + FOOTER)
    follower.advance()
    assert follower.done == 2


def test_a_file_that_is_replaced_is_counted_again(tmp_path: Path) -> None:
    path, other = tmp_path / "p.json", tmp_path / "q.json"
    path.write_bytes(HEADER + encode_record(record("a.jpg", FOX)) + FOOTER)
    follower = Follower(path)
    follower.advance()
    other.write_bytes(HEADER + encode_record(record("b.jpg", DEER)) + FOOTER)
    other.replace(path)
    follower.advance()
    species = follower.as_json("/thumbs", None)["species"]
    assert [one["name"] for one in species] == ["white-tailed deer"]  # type: ignore[attr-defined]


def test_records_longer_than_a_step_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.app.progress.STEP_BYTES", 100)
    path = tmp_path / "p.json"
    lines = [encode_record(record(f"{number}.jpg", FOX)) for number in range(3)]
    path.write_bytes(HEADER + b",\n".join(lines) + FOOTER)
    follower = Follower(path)
    while follower.is_behind:
        follower.advance()
    assert follower.done == 3


def test_failures_have_the_reason_of_the_log(tmp_path: Path) -> None:
    path, log = tmp_path / "p.json", tmp_path / "log"
    failed = {"filepath": "a.jpg", "failures": ["DETECTOR"]}
    path.write_bytes(HEADER + encode_record(failed) + FOOTER)
    log.write_text("Cannot read image a.jpg: image file is truncated.\n")
    follower = Follower(path)
    follower.advance()
    found = follower.as_json("/thumbs", log)
    assert found["failed"] == 1
    assert found["skipped"] == [
        {"reason": "image file is truncated", "count": 1, "examples": ["a.jpg"]}
    ]

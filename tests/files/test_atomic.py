"""Atomic writes, locks and backups."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from filelock import FileLock

from speciesnet.errors import OutputError
from speciesnet.files.atomic import ExclusiveLock, keep_backup, numbered_names, write_atomically

needs_posix = pytest.mark.skipif(os.name == "nt", reason="permissions and links of POSIX")


@pytest.mark.parametrize("unique", [True, False])
def test_replaces_the_file_when_the_block_ends(tmp_path: Path, unique: bool) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with write_atomically(target, unique=unique) as part:
        part.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_error_in_the_block_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), write_atomically(target) as part:
        part.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_rest_of_a_killed_writer_is_overwritten(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.with_name("a.txt.part").write_text("a longer rest of an earlier writer")
    with write_atomically(target, unique=False) as part:
        part.write_text("new")
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


@needs_posix
@pytest.mark.parametrize("mode", [0o444, 0o640])
def test_permissions_stay(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    target.chmod(mode)
    with write_atomically(target) as part:
        part.write_text("new")
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("new", mode)


@pytest.mark.parametrize("keep_dates", [True, False])
def test_dates_stay_on_request(tmp_path: Path, keep_dates: bool) -> None:
    target = tmp_path / "a.jpg"
    target.write_text("old")
    os.utime(target, (1e9, 1e9))
    with write_atomically(target, keep_dates=keep_dates) as part:
        part.write_text("new")
    assert (target.stat().st_mtime == 1e9) == keep_dates
    assert keep_dates or target.stat().st_mtime > time.time() - 3600


def test_backups_are_numbered(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for text in ("first", "second", "third"):
        file.write_text(text)
        keep_backup(file)
    names = ["a.json.bak", "a.json.bak2", "a.json.bak3"]
    assert [(tmp_path / name).read_text() for name in names] == ["first", "second", "third"]
    assert [name for name, _ in zip(numbered_names("x"), range(3), strict=False)] == [
        "x",
        "x2",
        "x3",
    ]


def test_lock_of_another_process_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    with FileLock(f"{file}.lock"), pytest.raises(OutputError) as error:
        ExclusiveLock(file, "another run", "stop it", display_name="s3://b/a.json").__enter__()
    assert str(error.value) == (
        "s3://b/a.json is being written by another run. Wait for it, or stop it."
    )
    with ExclusiveLock(file, "another run", "stop it"):
        pass
    assert os.name == "nt" or not list(tmp_path.iterdir())


def test_disk_without_locks_is_a_warning_unless_a_lock_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def acquire(*_: object) -> None:
        raise NotImplementedError("no locks here")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with ExclusiveLock(tmp_path / "a.json", "another run", "stop it"):
        assert "a.json cannot be locked" in caplog.text
    with pytest.raises(OutputError, match="cannot be locked"):
        ExclusiveLock(tmp_path / "a", "another run", "stop it", required=True).__enter__()

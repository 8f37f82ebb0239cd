from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from speciesnet.server.errors import RejectedError
from speciesnet.server.spool import LOCK, MIN_AGE, PREFIX, Spool


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A separate folder for temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    tempfile.tempdir = None
    yield tmp_path
    tempfile.tempdir = None


def spools(temporary: Path) -> list[Path]:
    return sorted(temporary.glob(f"{PREFIX}*"))


def make_old(folder: Path) -> None:
    moment = time.time() - MIN_AGE - 1
    os.utime(folder / LOCK, (moment, moment))


def left_behind(temporary: Path) -> Path:
    """The folder of a process that was killed."""
    before = spools(temporary)
    process = multiprocessing.get_context("spawn").Process(target=die_with_a_file)
    process.start()
    process.join()
    (folder,) = set(spools(temporary)) - set(before)
    assert list(folder.glob("*/image1"))
    make_old(folder)
    return folder


def die_with_a_file() -> None:
    with Spool(100).request() as files:
        files.new_path().write_bytes(b"x")
        os._exit(1)


def test_files_are_counted_and_deleted_after_the_request() -> None:
    spool = Spool(100)
    with spool.request() as files:
        files.reserve(60)
        path = files.new_path()
        path.write_bytes(b"x")
        with spool.request() as others, pytest.raises(RejectedError) as rejected:
            others.reserve(41)
        assert (rejected.value.status, rejected.value.headers) == (503, {"Retry-After": "5"})
    assert not path.exists()
    assert spool.used == 0
    spool.close()


def test_folder_is_private_and_deleted_with_the_spool(temporary: Path) -> None:
    spool = Spool(100)
    (folder,) = spools(temporary)
    if os.name != "nt":
        assert folder.stat().st_mode & 0o777 == 0o700
    spool.close()
    assert not spools(temporary)


def test_folders_of_killed_servers_are_deleted(temporary: Path) -> None:
    left = [left_behind(temporary) for _ in range(2)]
    spool = Spool(100)
    assert len(left) == 2
    assert not any(folder.exists() for folder in left)
    assert len(spools(temporary)) == 1
    spool.close()


def test_folders_that_may_be_in_use_are_kept(temporary: Path) -> None:
    alive = Spool(100)
    (in_use,) = spools(temporary)
    make_old(in_use)
    young = left_behind(temporary)
    os.utime(young / LOCK)
    without_lock = temporary / f"{PREFIX}other"
    without_lock.mkdir()
    Spool(100).close()
    assert spools(temporary) == sorted([in_use, young, without_lock])
    with alive.request() as files:
        assert files.folder.parent == in_use
    alive.close()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other links and owners")
def test_links_and_folders_of_other_users_are_kept(temporary: Path) -> None:
    elsewhere = temporary / "photographs"
    shutil.move(left_behind(temporary), elsewhere)
    link = temporary / f"{PREFIX}link"
    link.symlink_to(elsewhere)
    others = left_behind(temporary) if os.getuid() == 0 else None
    if others is not None:  # only root can change the owner
        os.chown(others, 12345, 12345)
    Spool(100).close()
    assert link.is_symlink()
    assert list(elsewhere.glob("*/image1"))
    assert others is None or list(others.glob("*/image1"))


def test_deleted_folder_is_created_again(temporary: Path) -> None:
    spool = Spool(100)
    (folder,) = spools(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    with spool.request() as files:
        files.new_path().write_bytes(b"x")
        assert len(spools(temporary)) == 1
    spool.close()
    assert not spools(temporary)

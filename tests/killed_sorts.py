"""Kills sorts of photographs, and their undos, at every point.

    python killed_sorts.py FOLDER OUT HOW [unflushed]

It forks hundreds of times, which would take a long time in the test process: each fork copies its page
tables.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from speciesnet.constants import UNDO_FILE
from speciesnet.export.sorting import Destination, SortedPhotographs, sort_photographs
from speciesnet.export.undo import undo

NAMES = ("cam1/1.jpg", "cam1/2.jpg", "cam2/1.jpg")


def tree(folder: Path) -> dict[str, Any]:
    """The content and the time of the last change of every folder and file below a folder."""
    return {
        path.relative_to(folder).as_posix(): None
        if path.is_dir()
        else (path.is_symlink(), path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_nlink)
        for path in folder.rglob("*")
    }


def sort(survey: Path, out: Path, how: Any) -> None:
    destinations = [
        Destination(str(survey / name), "fox" if "1.jpg" in name else "blank") for name in NAMES
    ]
    result = sort_photographs(destinations, SortedPhotographs(out), how=how)
    assert not result.skipped
    assert result.done + result.unchanged == len(NAMES)


def make_survey(folder: Path) -> Path:
    for number, name in enumerate(NAMES):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"photograph %d" % number)
        if os.name != "nt":
            path.chmod(0o444)  # a copy of it cannot be opened to write it again
        os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
    return folder


def is_killed(step: Callable[[], object], point: int) -> bool:
    """Runs a step in a process that is killed before its system call of that number."""

    def run() -> None:
        calls = 0

        def count(event: str, _: object) -> None:
            nonlocal calls
            calls += event == "open" or event.startswith("os.")
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        step()

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def check_every_kill(folder: Path, out: Path, how: str) -> None:
    """Kills a sort at every point, then its undo; the next sort or undo restores everything."""
    survey = make_survey(folder / "survey")
    before = tree(survey)
    sort(survey, out, how)
    done = {name: value for name, value in tree(out).items() if name != UNDO_FILE}
    undo(out)
    assert tree(survey) == before

    point = 0
    while is_killed(lambda: sort(survey, out, how), point := point + 1):
        if (out / UNDO_FILE).exists() and point % 2:  # undone immediately, or finished first
            undo(out)
            assert tree(survey) == before, point
        sort(survey, out, how)
        found = {name: value for name, value in tree(out).items() if name != UNDO_FILE}
        assert found == done, point
        undo(out)
        assert tree(survey) == before, point
        assert not out.exists(), point
    assert point > 10

    point = 0
    while True:
        point += 1
        sort(survey, out, how)
        if not is_killed(lambda: undo(out), point):
            break
        if (out / UNDO_FILE).exists():
            undo(out)
        assert tree(survey) == before, point
        assert not out.exists() or not tree(out), point  # at most an empty folder
    assert point > 10


if __name__ == "__main__":
    if sys.argv[4:] == ["unflushed"]:
        os.fsync = lambda fd: None  # the computer itself goes on
    check_every_kill(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

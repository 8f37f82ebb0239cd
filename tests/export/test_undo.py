from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import killed_sorts
import pytest
from killed_sorts import make_survey, sort, tree

from speciesnet.constants import UNDO_FILE
from speciesnet.errors import InputError
from speciesnet.export.sorting import Destination, SortedPhotographs, sort_photographs
from speciesnet.export.undo import undo

HOWS = ["copy", "hardlink", "symlink", "move"]


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    return make_survey(tmp_path / "survey")


def check_every_kill(*arguments: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, killed_sorts.__file__, *map(str, arguments)],
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
@pytest.mark.parametrize("how", HOWS)
def test_sort_killed_at_any_point_continues_and_can_be_undone(tmp_path: Path, how: str) -> None:
    check_every_kill(tmp_path, tmp_path / "out", how)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
@pytest.mark.parametrize("how", ["copy", "move"])
def test_sort_to_another_drive_killed_at_any_point(
    tmp_path: Path, other_drive: Path, how: str
) -> None:
    check_every_kill(tmp_path, other_drive, how, "unflushed")


def test_incomplete_line_is_skipped(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = tree(survey)
    sort(survey, out, "move")
    with (out / UNDO_FILE).open("ab") as file:
        file.write(b'{"how": "mo')
    sort(survey, out, "move")
    shutil.copy2(out / "fox" / "cam1" / "1.jpg", survey.parent / "new.jpg")
    destinations = [Destination(str(survey.parent / "new.jpg"), "new")]
    assert sort_photographs(destinations, SortedPhotographs(out), how="move").done == 1
    assert undo(out).done == 4
    assert tree(survey) == before


def test_dry_run_only_counts(survey: Path, tmp_path: Path) -> None:
    sort(survey, tmp_path / "out", "move")
    before = tree(tmp_path)
    assert undo(tmp_path / "out", dry_run=True).done == 3
    assert tree(tmp_path) == before


def test_changed_copies_stay_on_disk_and_in_the_log(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sort(survey, out, "copy")
    changed = out / "blank" / "cam1" / "2.jpg"
    changed.chmod(0o644)
    changed.write_text("a note")
    results = undo(out)
    assert results.done == 2
    assert results.skipped == [("blank/cam1/2.jpg", "it has been changed since")]
    assert changed.read_text() == "a note"
    changed.unlink()
    assert undo(out).skipped == []
    assert not out.exists()


@pytest.mark.parametrize("how", ["copy", "hardlink"])
def test_last_copy_of_a_photograph_is_not_removed(survey: Path, tmp_path: Path, how: Any) -> None:
    out = tmp_path / "out"
    sort(survey, out, how)
    (survey / "cam1" / "2.jpg").unlink()
    ((_, reason),) = undo(out).skipped
    assert reason.endswith("is gone")
    assert (out / "blank" / "cam1" / "2.jpg").read_bytes() == b"photograph 1"


def test_nothing_is_moved_back_over_another_file(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sort(survey, out, "move")
    (survey / "cam1" / "2.jpg").write_text("someone's")
    (out / "fox" / "cam2" / "1.jpg").unlink()
    (_, first), (_, second) = undo(out).skipped
    assert "another file is now at" in first
    assert "it is gone, and so is" in second
    assert (survey / "cam1" / "2.jpg").read_text() == "someone's"
    assert (out / "blank" / "cam1" / "2.jpg").read_bytes() == b"photograph 1"
    assert (survey / "cam1" / "1.jpg").read_bytes() == b"photograph 0"


def test_removed_folders_are_created_again(survey: Path, tmp_path: Path) -> None:
    before = tree(survey)
    sort(survey, tmp_path / "out", "move")
    shutil.rmtree(survey)
    undo(tmp_path / "out")
    assert tree(survey) == before


def test_folders_with_other_files_are_kept(survey: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    sort(survey, out, "copy")
    (out / "fox" / "notes.txt").write_text("mine")
    undo(out)
    assert [path.relative_to(out).as_posix() for path in out.rglob("*.*")] == ["fox/notes.txt"]


@pytest.mark.parametrize(
    "target", ["../survey/cam1/1.jpg", "/etc/passwd", "a/../../b", "a//b", "", "."]
)
def test_log_that_leads_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    out = tmp_path / "out"
    out.mkdir()
    line = f'{{"how": "copy", "filepath": "a", "source": "/a", "target": "{target}", '
    (out / UNDO_FILE).write_text(line + '"size": 1, "mtime_ns": 1}\n')
    with pytest.raises(InputError, match=r"Line 1 of .*undo.jsonl is damaged"):
        undo(out)


@pytest.mark.parametrize("line", ["junk", "[]", "{}", '{"how": "copy"}', "\xff"])
def test_damaged_log_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / UNDO_FILE).write_text(f"{line}\n", encoding="latin-1")
    with pytest.raises(InputError, match=r"Line 1 of .*undo.jsonl is damaged"):
        undo(tmp_path)


def test_folder_without_a_log_cannot_be_undone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass the folder of the sort"):
        undo(tmp_path)

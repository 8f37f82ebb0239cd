from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from speciesnet.errors import InputError, OutputError
from speciesnet.export.files import Results, check_not_same, output_file

needs_posix = pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")


def write(path: Path, text: str = "new") -> None:
    with output_file(path) as part:
        part.write_text(text)


@needs_posix
def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    file, link = tmp_path / "there" / "real.csv", tmp_path / "link.csv"
    link.symlink_to(file)
    for text in ("first", "second"):  # at first, the link is broken
        write(link, text)
        assert file.read_text() == text
    assert link.is_symlink()
    assert list((tmp_path / "there").iterdir()) == [file]


@needs_posix
def test_pipe_is_written_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    write(pipe)
    reader.join()
    assert read == ["new"]
    assert pipe.is_fifo()


def test_other_file_that_ends_in_part_stays(tmp_path: Path) -> None:
    theirs = tmp_path / "a.csv.part"
    theirs.write_text("theirs")
    write(tmp_path / "a.csv")
    assert theirs.read_text() == "theirs"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.csv.part"]


@needs_posix
def test_permissions_stay(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write(file)
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()
    file.chmod(0o640)
    write(file)
    assert file.stat().st_mode & 0o777 == 0o640


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_failure_leaves_the_earlier_file(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    write(file, "old")
    with pytest.raises(ValueError, match="stop"), output_file(file) as part:
        part.write_text("half")
        raise ValueError("stop")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path)


def test_input_is_not_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "media.csv"
    check_not_same(file, tmp_path / "media.csv")  # the target does not exist yet
    write(file)
    with pytest.raises(InputError, match=r"media.csv would overwrite the table of deployments"):
        check_not_same(file, tmp_path / "." / "media.csv", "table of deployments")


def test_skipped_files_end_in_one_sentence() -> None:
    Results(done=3).raise_if_skipped(*["of 3 photographs"] * 2)
    results = Results(done=1, skipped=[("a.jpg", "no permission to read it"), ("b.jpg", "gone")])
    with pytest.raises(OutputError) as caught:
        results.raise_if_skipped(*["of 3 photographs"] * 2)
    assert str(caught.value) == (
        "2 of 3 photographs were skipped, such as a.jpg (no permission to read it). Fix the cause and "
        "run the same command again."
    )

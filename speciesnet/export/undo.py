"""The log of a sort into folders, and its undo."""

from __future__ import annotations

import filecmp
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from speciesnet.constants import UNDO_FILE
from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.export.files import Results, output_file
from speciesnet.files.no_overwrite import is_same_file, is_same_place, link_target, move_file

PART_FILE = ".sorting.part"  # an incomplete copy
_LONGEST_LINE = 1 << 20  # bytes; more than three paths of 4,096 characters, 12 bytes each
_CLOCK_STEP = 2 * 10**9  # nanoseconds; FAT, the file system of memory cards, has even seconds only

How = Literal["hardlink", "symlink", "copy", "move"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One photograph that was sorted.

    Attributes:
        how: What was done.
        filepath: The path in the predictions.
        source: The absolute path before the sort.
        target: The path of the link, the copy or the moved file, relative to the folder of the log.
        size: The size in bytes.
        mtime_ns: The time of the last change, in nanoseconds.
    """

    how: How
    filepath: str
    source: str
    target: str
    size: int
    mtime_ns: int

    def as_line(self) -> bytes:
        """JSON in ASCII, which can hold names that are invalid Unicode."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    def is_unchanged(self, file: os.stat_result) -> bool:
        """Whether a file still has the size and date of the photograph."""
        return file.st_size == self.size and abs(file.st_mtime_ns - self.mtime_ns) <= _CLOCK_STEP


def read_entries(out: Path) -> Iterator[Entry]:
    """The entries in the log of a folder, in order; none if there is no log.

    An incomplete last line, which a crash leaves, is skipped.

    Raises:
        InputError: The log is damaged.
    """
    path = out / UNDO_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _entry(line)
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"Line {number} of {path} is damaged ({error}); correct or remove that line."
                ) from error


def open_log(out: Path) -> BinaryIO:
    """Opens the log of a folder to append to it, and removes an incomplete last line."""
    file = (out / UNDO_FILE).open("ab+")
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_LINE))
    tail = file.read()
    file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
    return file


def _entry(line: bytes) -> Entry:
    entry = Entry(**json.loads(line))
    parts = entry.target.split("/")
    is_ours = (
        entry.how in ("hardlink", "symlink", "copy", "move") and Path(entry.source).is_absolute()
    )
    if not is_ours or not isinstance(entry.size, int) or not isinstance(entry.mtime_ns, int):
        raise ValueError("another program wrote it")
    if {"..", "."} & set(parts) or not all(parts) or ("\\" in entry.target and os.name == "nt"):
        raise ValueError(f"{entry.target!r} is outside the folder")
    return entry


def undo(out: str | os.PathLike[str], *, dry_run: bool = False) -> Results:
    """Undoes a sort, starting with the last photograph, without overwriting any file.

    Photographs that were moved are moved back. Links and copies are removed if they are unchanged and
    their photograph still exists. Folders left empty are removed. After an interruption, the same
    call continues.

    Args:
        out: The folder that the photographs were sorted into.
        dry_run: Whether to only count.

    Returns:
        The number of photographs, and the skipped ones, which stay in the log.

    Raises:
        InputError: The folder has no log, or a damaged one.
        OutputError: The folder cannot be written.
    """
    out = Path(out)
    entries = list(read_entries(out))
    if not (out / UNDO_FILE).exists():
        raise InputError(
            f"There is no {out / UNDO_FILE}: there is nothing to undo; pass the folder of the sort."
        )
    results, left = Results(), []
    for entry in reversed(entries):
        try:
            existed, reason = _undo_entry(entry, out, dry_run)
        except OSError as error:
            existed, reason = False, error.strerror or str(error)
        results.done += existed
        if reason:
            results.skipped.append((entry.target, reason))
            left.append(entry)
    results.skipped.reverse()
    if not dry_run:
        _clean_up(out, entries, left[::-1])
    return results


def _undo_entry(entry: Entry, out: Path, dry_run: bool) -> tuple[bool, str | None]:
    """Undoes one entry; returns whether its target existed, and the reason if it was skipped."""
    source, target = Path(entry.source), out / entry.target
    if not os.path.lexists(target):
        if entry.how == "move" and not os.path.lexists(source):
            return False, f"it is gone, and so is {source}"
        return False, None
    reason = _reason_to_keep(entry, source, target)
    if reason or dry_run:
        return reason is None, reason
    part = source.with_name(PART_FILE)
    if entry.how == "move":
        part.unlink(missing_ok=True)  # left by a crash while a file was moved back
    if entry.how == "move" and not os.path.lexists(source):
        source.parent.mkdir(parents=True, exist_ok=True)
        move_file(target, source, part)
    else:
        target.unlink()
    return True, None


def _reason_to_keep(entry: Entry, source: Path, target: Path) -> str | None:
    changed = "it has been changed since"
    if entry.how == "symlink":
        is_ours = target.is_symlink() and link_target(target) == entry.source
        return None if is_ours else changed
    if source.exists() and is_same_place(source, target):
        return f"{source} leads to it"
    if entry.how == "move":
        if target.is_dir():
            return changed
        if not os.path.lexists(source) or is_same_file(source, target):
            return None
        # A move to another drive that was interrupted after its copy leaves both.
        same = entry.is_unchanged(target.stat()) and filecmp.cmp(source, target, shallow=False)
        return None if same else f"another file is now at {source}"
    if not source.exists():
        return f"its photograph, {source}, is gone"
    if entry.how == "hardlink":
        return None if target.samefile(source) else changed
    is_ours = target.is_file() and entry.is_unchanged(target.lstat())
    return None if is_ours else changed


def _remove_empty(folder: Path, out: Path) -> None:
    while folder != out:
        try:
            folder.rmdir()
        except FileNotFoundError:  # an interrupted undo has removed it
            pass
        except OSError:  # not empty
            return
        folder = folder.parent


def _clean_up(out: Path, entries: Sequence[Entry], left: Sequence[Entry]) -> None:
    """Removes empty folders, and removes all entries from the log except the remaining ones."""
    (out / PART_FILE).unlink(missing_ok=True)
    for folder in {(out / entry.target).parent for entry in entries}:
        _remove_empty(folder, out)
    if left:
        with output_file(out / UNDO_FILE) as part:
            part.write_bytes(b"".join(entry.as_line() for entry in left))
        return
    name = f"The sort is undone, but {out / UNDO_FILE}"
    with file_errors(OutputError, name, "removed", "Remove it."):
        (out / UNDO_FILE).unlink()
    with suppress(OSError):  # other files are in it
        out.rmdir()

"""The list by which a sort into folders is taken back."""

from __future__ import annotations

import errno
import filecmp
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

from speciesnet.errors import InputError, OutputError
from speciesnet.export.files import output_file

UNDO_FILE = "undo.jsonl"
PART_FILE = ".sorting.part"  # a copy on its way
_LONGEST_LINE = 1 << 20  # bytes; three paths of 4,096 characters, 12 bytes each, are less
_CLOCK_STEP = 2_000_000_000  # nanoseconds; FAT, which memory cards have, keeps even seconds only

How = Literal["hardlink", "symlink", "copy", "move"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One photograph that was sorted.

    Attributes:
        how: What was done.
        filepath: Its path in the predictions.
        source: Where it was, absolute.
        target: Where it went, relative to the folder of the list, with slashes.
        size: Bytes.
        mtime_ns: When it was changed last, nanoseconds.
    """

    how: How
    filepath: str
    source: str
    target: str
    size: int
    mtime_ns: int

    def as_line(self) -> bytes:
        """JSON in ASCII, which can hold names that are no valid Unicode."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    def is_unchanged(self, file: os.stat_result) -> bool:
        """Whether a file still has the size and date of the photograph."""
        return file.st_size == self.size and abs(file.st_mtime_ns - self.mtime_ns) <= _CLOCK_STEP


def read_entries(out: Path) -> Iterator[Entry]:
    """The list of a folder, in order, or nothing where there is none.

    What a crash cut off at its end is passed over.

    Raises:
        InputError: It is damaged.
    """
    path = out / UNDO_FILE
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield _entry(json.loads(line))
            except (ValueError, TypeError) as error:
                raise InputError(
                    f"Line {number} of {path} is damaged ({error}); correct or remove that line."
                ) from error


def open_list(out: Path) -> BinaryIO:
    """Opens the list of a folder to go on with it; a line that a crash cut off goes."""
    file = (out / UNDO_FILE).open("ab+")
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_LINE))
    tail = file.read()
    file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)
    return file


def _entry(values: dict[str, Any]) -> Entry:
    entry = Entry(**values)
    parts = entry.target.split("/")
    if entry.how not in ("hardlink", "symlink", "copy", "move") or not isinstance(entry.size, int):
        raise ValueError("it is none of this program's")
    if {"..", "."} & set(parts) or not all(parts) or ("\\" in entry.target and os.name == "nt"):
        raise ValueError(f"{entry.target!r} leads out of the folder")
    if not Path(entry.source).is_absolute() or not isinstance(entry.mtime_ns, int):
        raise ValueError("it is none of this program's")
    return entry


@dataclass(frozen=True)
class Undone:
    """What became of a list.

    Attributes:
        back: Photographs moved back, and links and copies removed.
        kept: What could not be taken back: where it is, and why. It stays in the list.
    """

    back: int
    kept: list[tuple[str, str]]


def undo(out: str | os.PathLike[str], *, dry_run: bool = False) -> Undone:
    """Takes a sort back, the last photograph first. Overwrites nothing.

    Photographs that were moved go back. Links and copies are removed where they are as they were made
    and the photograph that they were made of is still there. Folders that became empty go. Given
    again after an interruption, it goes on.

    Args:
        out: The folder that the photographs were sorted into.
        dry_run: Only counts.

    Raises:
        InputError: The folder holds no list, or a damaged one.
        OutputError: The folder cannot be written.
    """
    out = Path(out)
    entries = list(read_entries(out))
    if not (out / UNDO_FILE).exists():
        raise InputError(
            f"There is no {out / UNDO_FILE}: nothing to take back; give the folder that was sorted into."
        )
    back, kept, left = 0, [], []
    for entry in reversed(entries):
        try:
            was_there, reason = _take_back(entry, out, dry_run)
        except OSError as error:
            was_there, reason = False, error.strerror or str(error)
        back += was_there
        if reason:
            kept.append((entry.target, reason))
            left.append(entry)
    if not dry_run:
        _clear_up(out, entries, left[::-1])
    return Undone(back, kept[::-1])


def _take_back(entry: Entry, out: Path, dry_run: bool) -> tuple[bool, str | None]:
    """Whether there was anything to take back, and why it was not."""
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
        part.unlink(missing_ok=True)  # a crash on the way back from another drive leaves one
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
        # A move between drives that was cut off after its copy leaves both.
        same = entry.is_unchanged(target.stat()) and filecmp.cmp(source, target, shallow=False)
        return None if same else f"another file is now at {source}"
    if not source.exists():
        return f"the photograph that it was made of, {source}, is gone"
    if entry.how == "hardlink":
        return None if target.samefile(source) else changed
    is_ours = target.is_file() and entry.is_unchanged(target.lstat())
    return None if is_ours else changed


def link_target(link: Path) -> str:
    """Where a symbolic link leads, without the prefix that Windows puts before it."""
    return str(link.readlink()).removeprefix("\\\\?\\")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, a symbolic link being a file of its own."""
    return os.path.samestat(one.lstat(), other.lstat())


def is_same_place(one: Path, other: Path) -> bool:
    """Whether two paths of existing files lead to one name, so that removing it removes both."""
    one, other = one.resolve(), other.resolve()
    return one == other or (
        one.name.lower() == other.name.lower() and one.parent.samefile(other.parent)
    )


def move_file(source: Path, target: Path, part: Path) -> None:
    """Moves a file, also to another drive, without ever overwriting one.

    Args:
        source: The file.
        target: Where it goes.
        part: See ``copy_file``.

    Raises:
        FileExistsError: The target exists.
        OSError: It cannot be moved; it is where it was.
    """
    try:
        place(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(source, target, part, to_disk=True)
        remove_source(source, target)


def copy_file(source: Path, target: Path, part: Path, *, to_disk: bool = False) -> None:
    """Copies a file, with its dates, so that the target appears whole or not at all.

    Args:
        source: The file.
        target: Its copy.
        part: Where the copy grows, on the target's drive.
        to_disk: Waits until it is safe from a power cut.

    Raises:
        FileExistsError: The target exists.
        OSError: It cannot be read or written.
    """
    # One that a crash left may be another name of the last target: it must not be written to.
    part.unlink(missing_ok=True)
    try:
        shutil.copyfile(source, part)
        if to_disk:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        shutil.copystat(source, part)
        place(part, target)
    finally:
        part.unlink(missing_ok=True)


def place(source: Path, target: Path) -> None:
    """Renames a file on one drive; raises ``FileExistsError`` rather than overwrite."""
    if os.name == "nt":
        source.rename(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError) as error:
        # Memory cards know no hard links, and some systems let nobody link another's files.
        if os.path.lexists(target):
            raise FileExistsError(*error.args[:2], str(target)) from error
        source.rename(target)
    else:
        remove_source(source, target)


def remove_source(source: Path, target: Path) -> None:
    """Ends a move; where that is refused, it has not happened."""
    try:
        source.unlink()
    except OSError:
        target.unlink()
        raise


def _remove_empty(folder: Path, out: Path) -> None:
    while folder != out:
        try:
            folder.rmdir()
        except FileNotFoundError:  # an undo that was cut off has removed it
            pass
        except OSError:  # not empty
            return
        folder = folder.parent


def _clear_up(out: Path, entries: list[Entry], left: list[Entry]) -> None:
    """The list keeps what is left of it; what is empty goes."""
    (out / PART_FILE).unlink(missing_ok=True)
    for folder in {(out / entry.target).parent for entry in entries}:
        _remove_empty(folder, out)
    if left:
        with output_file(out / UNDO_FILE) as part:
            part.write_bytes(b"".join(entry.as_line() for entry in left))
        return
    try:
        (out / UNDO_FILE).unlink()
    except OSError as error:
        raise OutputError(
            f"All is taken back, but {out / UNDO_FILE} cannot be removed ({error.strerror})."
        ) from error
    try:
        out.rmdir()
    except OSError:  # other files are in it
        return

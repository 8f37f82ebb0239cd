"""Moves and copies of files that never overwrite another file."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path


def link_target(link: Path) -> str:
    """The target of a symbolic link, without the prefix that Windows adds."""
    return str(link.readlink()).removeprefix("\\\\?\\")


def is_same_file(one: Path, other: Path) -> bool:
    """Whether two names refer to the same file; a symbolic link counts as a separate file."""
    return os.path.samestat(one.lstat(), other.lstat())


def is_same_place(one: Path, other: Path) -> bool:
    """Whether two paths of existing files lead to the same name, so that removing one removes both."""
    one, other = one.resolve(), other.resolve()
    return one == other or (
        one.name.lower() == other.name.lower() and one.parent.samefile(other.parent)
    )


def move_file(source: Path, target: Path, part: Path) -> None:
    """Moves a file, even to another drive, without overwriting any file.

    Args:
        source: The file.
        target: Its new path.
        part: See ``copy_file``.

    Raises:
        FileExistsError: The target exists.
        OSError: The file cannot be moved; it is still at its old path.
    """
    try:
        _rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        copy_file(source, target, part, fsync=True)
        remove_source(source, target)


def copy_file(source: Path, target: Path, part: Path, *, fsync: bool = False) -> None:
    """Atomically copies a file with its dates, without overwriting any file.

    Args:
        source: The file.
        target: The path of the copy.
        part: A path for the incomplete copy, on the target's drive.
        fsync: Whether to wait until the copy is safe from a power failure.

    Raises:
        FileExistsError: The target exists.
        OSError: A file cannot be read or written.
    """
    # One that a crash left may be another name of the last target: it must not be written to.
    part.unlink(missing_ok=True)
    try:
        shutil.copyfile(source, part)
        if fsync:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        shutil.copystat(source, part)
        _rename(part, target)
    finally:
        part.unlink(missing_ok=True)


def _rename(source: Path, target: Path) -> None:
    """Renames a file on one drive; raises ``FileExistsError`` instead of overwriting another."""
    if os.name == "nt":
        source.rename(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError) as error:
        # Memory cards have no hard links, and some systems forbid links to files of other users.
        if os.path.lexists(target):
            raise FileExistsError(*error.args[:2], str(target)) from error
        source.rename(target)
    else:
        remove_source(source, target)


def remove_source(source: Path, target: Path) -> None:
    """Completes a move; if the source cannot be removed, removes the target instead."""
    try:
        source.unlink()
    except OSError:
        target.unlink()
        raise

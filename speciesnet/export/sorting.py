"""Photographs sorted into folders by what is on them."""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal

from absl import logging

from speciesnet.errors import OutputError, SkippedFileError
from speciesnet.export.safe_paths import Parts, common_folder, path_below, safe_name
from speciesnet.export.undo import (
    PART_FILE,
    Entry,
    How,
    copy_file,
    is_same_place,
    link_target,
    move_file,
    open_list,
    read_entries,
    remove_source,
)
from speciesnet.records import Record, answer_of, is_failed, named
from speciesnet.survey.photographs import Photographs, none_found, with_metadata
from speciesnet.survey.sequences import DEFAULT_GAP, camera_folder, clock_time, sequence_numbers
from speciesnet.taxonomy import BLANK, UNKNOWN, category_of, species_name

Answer = Literal["species", "category"]

FAILED = "failed"
UNSURE = "unsure"


def folder_of(record: Mapping[str, Any], by: Answer, min_score: float) -> str:
    """The name of the folder that a record's photograph belongs into.

    A record of the detector alone goes by its best box.

    Raises:
        InputError: The record is malformed.
    """
    with named(record):
        if is_failed(record):
            return FAILED
        label, score, _ = answer_of(record)
        if label is not None:
            name = species_name(label) if by == "species" else category_of(label)
        elif record.get("detections"):
            best = max(record["detections"], key=lambda box: box["conf"])
            name, score = best["label"] if by == "category" else UNKNOWN, best["conf"]
        else:
            name, score = BLANK if by == "category" and "detections" in record else UNKNOWN, 1.0
        return UNSURE if score < min_score else safe_name(name)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a photograph belongs.

    Attributes:
        filepath: Its path in the predictions.
        folder: The name of its folder.
    """

    filepath: str
    folder: str


def places_by_answer(records: Iterable[Record], by: Answer, min_score: float = 0.0) -> list[Place]:
    """Places by what the predictions say; raises ``InputError`` for a malformed record."""
    names: dict[str, str] = {}  # each name is in memory once
    found = []
    for record in records:
        name = folder_of(record, by, min_score)
        found.append(Place(record["filepath"], names.setdefault(name, name)))
    return found


def places_by_sequence(
    records: Iterable[Record], photographs: Photographs, gap: float = DEFAULT_GAP
) -> list[Place]:
    """Places by when each camera took them: ``2024-05-01_063000_0001``, or ``undated_0002``.

    Args:
        records: Of any run.
        photographs: Where to read the dates that records do not keep.
        gap: See ``sequence_numbers``.
    """
    files, taken = [], []
    for record, metadata in with_metadata(records, photographs):
        files.append(record["filepath"])
        taken.append(metadata.datetime)
    cameras = ["/".join(camera_folder(file)) for file in files]
    numbers = sequence_numbers(zip(cameras, taken, strict=True), gap)
    starts: dict[tuple[str, int], str] = {}
    for camera, number, date in zip(cameras, numbers, taken, strict=True):
        if date is not None:
            start = clock_time(date).strftime("%Y-%m-%d_%H%M%S")
            starts[camera, number] = min(start, starts.get((camera, number), start))
    return [
        Place(file, f"{starts.get((camera, number), 'undated')}_{number:04d}")
        for file, camera, number in zip(files, cameras, numbers, strict=True)
    ]


@dataclass
class Sorted:
    """What became of the photographs.

    Attributes:
        sorted: Linked, copied or moved now; with ``dry_run``, those that would be.
        already: Where they belong since an earlier run.
        missing: Not where the predictions say.
        left_alone: Photographs whose place another file has, and those that cannot be read: what they
            are, and why.
    """

    sorted: int = 0
    already: int = 0
    missing: int = 0
    left_alone: list[tuple[str, str]] = field(default_factory=list)


class SortedPhotographs(Photographs):
    """Finds photographs also where an earlier sort into the same folder has moved them.

    Args:
        out: The folder that they are sorted into.
        image_root: See ``Photographs``.

    Attributes:
        out: The same, absolute; links in it stay as they are given.

    Raises:
        InputError: The folder of the photographs does not exist, or the list in ``out`` is damaged.
    """

    def __init__(self, out: str | os.PathLike[str], image_root: str | None = None) -> None:
        super().__init__(image_root)
        self.out = _absolute(out)
        self._moves: dict[str, list[Entry]] = {}
        for entry in read_entries(self.out):
            if entry.how == "move":
                self._moves.setdefault(entry.filepath, []).append(entry)

    def _find(self, filepath: str) -> Path | None:
        for entry in reversed(self._moves.get(filepath, [])):
            target, source = self.out / entry.target, Path(entry.source)
            if target.is_file():
                return source if source.is_file() else target  # both: the move was cut off
        return super()._find(filepath)

    def source(self, filepath: str) -> Path | None:
        """As ``find``: there is nothing to sort in a bucket."""
        return self.find(filepath)

    def has_sorted(self, filepath: str, file: Path) -> bool:
        """Whether a file is where an earlier sort has moved it to."""
        return any(self.out / entry.target == file for entry in self._moves.get(filepath, []))

    def was_moved(self, filepath: str, source: Path, target: Path) -> bool:
        """Whether the list has this move, done or only begun."""
        return any(
            entry.source == str(source) and self.out / entry.target == target
            for entry in self._moves.get(filepath, [])
        )


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def sort_photographs(
    places: list[Place],
    photographs: SortedPhotographs,
    *,
    how: How = "copy",
    dry_run: bool = False,
    tell: Callable[[Path, Path], None] | None = None,
) -> Sorted:
    """Puts photographs at ``out/FOLDER/path below the common folder of all``. Overwrites nothing.

    What is done is written to ``out/undo.jsonl`` before it is done: see ``undo``. After an
    interruption, the same call goes on.

    Args:
        places: Of all photographs.
        photographs: Where they are, and the folder to put them into; it is made if need be.
        how: Hard links need no room and survive the originals; symbolic links need no room either.
        dry_run: Touches nothing.
        tell: Called with the photograph and its place for each that is, or would be, sorted.

    Raises:
        InputError: There are photographs in the predictions, but none is found.
        OutputError: The system refuses; what was done is kept, and nothing is half done.
    """
    result = Sorted()
    common = common_folder(place.filepath for place in places)
    with _Sorter(photographs, how, dry_run) as sorter:
        for place in places:
            found = photographs.find(place.filepath)
            if found is None:
                result.missing += 1
                continue
            source = _absolute(found)
            below = (place.folder, *path_below(place.filepath, common))
            try:
                if sorter.is_done(place.filepath, source, below):
                    result.already += 1
                    continue
                sorter.sort(place.filepath, source, below)
            except SkippedFileError as reason:
                logging.debug("%s is left alone: %s.", source, reason)
                result.left_alone.append((str(source), str(reason)))
                continue
            result.sorted += 1
            if tell is not None:
                tell(source, photographs.out.joinpath(*below))
    if result.missing and result.missing == len(places):
        raise none_found([place.filepath for place in places])
    return result


class _Sorter:
    """Sorts one photograph at a time, and keeps the list of what it does."""

    def __init__(self, photographs: SortedPhotographs, how: How, dry_run: bool) -> None:
        self._photographs = photographs
        self._out = photographs.out
        self._how: How = how
        self._dry_run = dry_run
        self._list: BinaryIO | None = None

    def __enter__(self) -> _Sorter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._list is not None:
            self._list.close()
        if not self._dry_run:
            with suppress(OSError):
                (self._out / PART_FILE).unlink()

    def is_done(self, filepath: str, source: Path, below: Parts) -> bool:
        """Whether the place holds what it should; ends a move that was cut off.

        Raises:
            SkippedFileError: The place holds another file, or cannot be read.
        """
        target = self._out.joinpath(*below)
        try:
            if not os.path.lexists(target):
                return False
            if self._how == "symlink":
                done = target.is_symlink() and link_target(target) == str(source)
            elif self._how == "hardlink":
                done = target.samefile(source)
            elif self._how == "copy":  # size and date are enough where they are the same
                done = target.samefile(source) or filecmp.cmp(source, target)
            elif is_same_place(source, target):
                done = True
            else:
                done = self._photographs.was_moved(filepath, source, target) and filecmp.cmp(
                    source, target, shallow=False
                )
                if done and not self._dry_run:
                    remove_source(source, target)
        except OSError as error:
            raise SkippedFileError(f"{target} cannot be read: {error.strerror or error}") from error
        if not done:
            raise SkippedFileError(f"another file is at {target}")
        return True

    def sort(self, filepath: str, source: Path, below: Parts) -> None:
        """Writes the list, then acts; does neither in a dry run.

        Raises:
            SkippedFileError: The photograph cannot be read.
            OutputError: The system refuses.
        """
        target = self._out.joinpath(*below)
        try:
            if source.is_symlink() and self._how == "hardlink":
                source = source.resolve()  # a link to a link would not survive the photograph
            elif source.is_symlink() and self._how == "move":
                raise SkippedFileError("a link that is moved may lead nowhere; give another --how")
            if self._how == "move" and self._is_among_photographs(filepath, source):
                raise SkippedFileError(
                    f"it lies in {self._out} itself; give a folder beside that, or a new one in it"
                )
            if self._how == "copy" and not os.access(source, os.R_OK):
                raise SkippedFileError("no permission to read it")
            if self._dry_run:
                return
            self._make_folder(target.parent)
            file = source.stat()
            self._note(
                Entry(
                    self._how,
                    filepath,
                    str(source),
                    "/".join(below),
                    file.st_size,
                    file.st_mtime_ns,
                )
            )
            self._act(source, target)
        except FileExistsError as error:
            raise SkippedFileError(f"another file is at {target}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise SkippedFileError(f"{target} is too long a name") from error
            raise OutputError(self._sentence(source, error)) from error

    def _is_among_photographs(self, filepath: str, source: Path) -> bool:
        """Whether a photograph would only move within its own folder: a later run would find a mess."""
        is_inside = source.is_relative_to(self._out)
        return is_inside and not self._photographs.has_sorted(filepath, source)

    def _make_folder(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SkippedFileError(f"{folder} is no folder") from error

    def _note(self, entry: Entry) -> None:
        if self._list is None:
            self._list = open_list(self._out)
        self._list.write(entry.as_line())
        self._list.flush()

    def _act(self, source: Path, target: Path) -> None:
        if self._how == "hardlink":
            os.link(source, target)
        elif self._how == "symlink":
            target.symlink_to(source)
        elif self._how == "copy":
            copy_file(source, target, self._out / PART_FILE)
        else:
            move_file(source, target, self._out / PART_FILE)

    def _sentence(self, source: Path, error: OSError) -> str:
        reason = error.strerror or str(error)
        if self._how == "hardlink" and error.errno == errno.EXDEV:
            return (
                f"Hard links cannot reach from {source} to {self._out}, which is on another drive; "
                "give --how copy, or a folder on the same drive."
            )
        if self._how == "symlink" and getattr(error, "winerror", None) == 1314:
            return (
                "Windows lets only administrators make symbolic links; turn on its developer mode, or "
                "give --how hardlink or copy."
            )
        return (
            f"{source} cannot be sorted into {self._out} ({reason}); mend that, or give another --how "
            "or --out. The same command goes on, and --undo takes back what is done."
        )

"""Sorts photographs into folders by their answers."""

from __future__ import annotations

import errno
import filecmp
import os
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import BinaryIO, Literal

from absl import logging

from speciesnet.constants import DEFAULT_SEQUENCE_GAP, UNDO_FILE, Detection
from speciesnet.ensemble.taxonomy import BLANK, UNKNOWN, category_of, species_name
from speciesnet.errors import InputError, OutputError, SkippedFileError
from speciesnet.export.files import Results
from speciesnet.export.undo import PART_FILE, Entry, How, open_log, read_entries
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.no_overwrite import (
    copy_file,
    is_same_place,
    link_target,
    move_file,
    remove_source,
)
from speciesnet.files.paths import common_folder, path_below, safe_name
from speciesnet.records import Record, answer_of, record_errors
from speciesnet.records.failures import is_failed
from speciesnet.survey.cards import folder_parts, note_on
from speciesnet.survey.dates import DateRules
from speciesnet.survey.people import shows_people, unmentioned
from speciesnet.survey.photographs import with_metadata
from speciesnet.survey.sequences import (
    camera_folder,
    clock_time,
    is_blank,
    sequence_numbers,
)

By = Literal["species", "category"]

FAILED = "failed"
UNSURE = "unsure"


def folder_of(record: Record, by: By, min_score: float) -> str:
    """The name of the folder for a record's photograph.

    A record of a run with the detector alone is sorted by its best box.

    Raises:
        InputError: The record is malformed.

    Examples:
        >>> fox = "u;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> record = {"filepath": "a.jpg", "prediction": fox, "prediction_score": 0.9}
        >>> folder_of(record, "species", 0.0), folder_of(record, "category", 0.0)
        ('red fox (Vulpes vulpes)', 'animal')
    """
    with record_errors(record):
        if is_failed(record):
            return FAILED
        label, score, _ = answer_of(record)
        if label is not None:
            name = species_name(label) if by == "species" else category_of(label)
        elif boxes := record.get("detections"):
            best = max(boxes, key=lambda box: box["conf"])
            name, score = best["label"] if by == "category" else UNKNOWN, best["conf"]
        else:
            name, score = BLANK if by == "category" and "detections" in record else UNKNOWN, 1.0
        return UNSURE if score < min_score else safe_name(name)


@dataclass(frozen=True, slots=True)
class Destination:
    """The folder for one photograph.

    Attributes:
        filepath: The path in the predictions.
        folder: The name of the folder.
        shows_people: Whether it shows people, by a box or by its answer.
        hides_people: Whether it shows people although its answer is not human.
    """

    filepath: str
    folder: str
    shows_people: bool = False
    hides_people: bool = False

    @classmethod
    def of(cls, record: Record, folder: str) -> Destination:
        """The destination of a record's photograph; raises ``InputError`` if the record is malformed."""
        with record_errors(record):
            hides = Detection.HUMAN in unmentioned(record)
            # sys.intern keeps each name in memory once.
            return cls(record["filepath"], intern(folder), shows_people(record), hides)


def destinations_by_answer(
    records: Iterable[Record], by: By, min_score: float = 0.0
) -> list[Destination]:
    """Destinations by ``folder_of``; raises ``InputError`` if a record is malformed."""
    return [Destination.of(record, folder_of(record, by, min_score)) for record in records]


def destinations_by_sequence(
    records: Iterable[Record],
    photographs: Photographs,
    gap: float = DEFAULT_SEQUENCE_GAP,
    dates: DateRules | None = None,
) -> list[Destination]:
    """Destinations by sequence: ``2024-05-01_063000_0001``, or ``undated_0002``.

    Args:
        records: Records from any run.
        photographs: Finds the photographs, to read dates that are not in the records.
        gap: The longest time between two photographs of a sequence, in seconds.
        dates: Dates from file names, and corrections of the cameras' clocks.
    """
    found, taken, blanks = [], [], []
    for record, metadata in with_metadata(records, photographs, dates):
        found.append(Destination.of(record, ""))
        taken.append(metadata.datetime)
        with record_errors(record):
            blanks.append(is_blank(record))
    cameras = ["/".join(camera_folder(one.filepath)) for one in found]
    numbers = sequence_numbers(zip(cameras, taken, strict=True), gap, blanks)
    (dates or DateRules()).add_note(note_on(map(folder_parts, (one.filepath for one in found))))
    starts: dict[tuple[str, int], str] = {}
    for camera, number, date in zip(cameras, numbers, taken, strict=True):
        if date is not None:
            start = clock_time(date).strftime("%Y-%m-%d_%H%M%S")
            starts[camera, number] = min(start, starts.get((camera, number), start))
    return [
        replace(one, folder=f"{starts.get((camera, number), 'undated')}_{number:04d}")
        for one, camera, number in zip(found, cameras, numbers, strict=True)
    ]


def set_people_aside(destinations: Iterable[Destination], folder: str) -> list[Destination]:
    """Replaces the folder of all photographs that show people, whatever their answers.

    Raises:
        InputError: The name is not a valid folder name, or it is the folder of photographs without
            people.

    Example:
        >>> walk = Destination("a.jpg", "domestic dog", shows_people=True, hides_people=True)
        >>> [one] = set_people_aside([walk], "people")
        >>> one.folder
        'people'
    """
    if safe_name(folder) != folder or folder.casefold() in (UNDO_FILE, PART_FILE):
        raise InputError(
            f"--people {folder!r} is not the name of a folder. Use a name such as people."
        )
    destinations = list(destinations)
    for one in destinations:
        if not one.shows_people and one.folder.casefold() == folder.casefold():
            raise InputError(
                f"--people {folder} is also the folder of photographs that show no people (first: "
                f"{one.filepath}). Use a different name."
            )
    return [
        replace(one, folder=folder, hides_people=False) if one.shows_people else one
        for one in destinations
    ]


class SortedPhotographs(Photographs):
    """Finds photographs, even those that an earlier sort into the same folder has moved.

    Args:
        out: The folder to sort into.
        image_root: See ``Photographs``.

    Attributes:
        out: The absolute path of that folder; links in it are not resolved.

    Raises:
        InputError: The folder with the photographs does not exist, or the log in ``out`` is damaged.
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
                return source if source.is_file() else target  # both: the move was interrupted
        return super()._find(filepath)

    def source(self, filepath: str) -> Path | None:
        """Like ``find``: photographs in a bucket are not found, because they cannot be sorted."""
        return self.find(filepath)

    def was_moved(self, filepath: str, target: Path, source: Path | None = None) -> bool:
        """Whether the log has a move to a target, complete or not; None means from any source."""
        return any(
            self.out / entry.target == target and source in (None, Path(entry.source))
            for entry in self._moves.get(filepath, [])
        )


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve would follow links


def sort_photographs(
    destinations: list[Destination],
    photographs: SortedPhotographs,
    *,
    how: How = "copy",
    dry_run: bool = False,
    report: Callable[[Path, Path], None] | None = None,
) -> Results:
    """Sorts photographs into ``out/FOLDER/PATH``, with paths below their common folder.

    No file is overwritten. Each step is logged in ``out/undo.jsonl`` before it is done, see ``undo``.
    After an interruption, the same call continues.

    Args:
        destinations: The destinations of all photographs.
        photographs: Finds the photographs; its folder ``out`` is created if it does not exist.
        how: Whether to copy, link or move. Neither kind of link needs disk space; hard links outlive
            the originals.
        dry_run: Whether to only count and report.
        report: Called with the path of each photograph and its new path.

    Raises:
        InputError: There are photographs in the predictions, but none is found.
        OutputError: The system refuses a step; finished steps are kept, and none is left half done.
    """
    results = Results()
    common = common_folder(destination.filepath for destination in destinations)
    with ExitStack() as at_end:
        sorter = _Sorter(photographs, how, dry_run, at_end)
        for destination, found in results.located(destinations, photographs):
            source, below = _absolute(found), path_below(destination.filepath, common)
            target = photographs.out.joinpath(destination.folder, *below)
            try:
                is_new = sorter.sort(destination.filepath, source, target)
            except SkippedFileError as reason:
                logging.debug("%s is skipped: %s.", source, reason)
                results.skipped.append((str(source), str(reason)))
                continue
            results.done += is_new
            results.unchanged += not is_new
            if is_new and report is not None:
                report(source, target)
    return results


class _Sorter:
    """Sorts one photograph at a time, and writes the log; ``at_end`` closes it."""

    def __init__(
        self, photographs: SortedPhotographs, how: How, dry_run: bool, at_end: ExitStack
    ) -> None:
        self._photographs = photographs
        self._out = photographs.out
        self._how: How = how
        self._dry_run = dry_run
        self._at_end = at_end
        self._log: BinaryIO | None = None
        if not dry_run:
            at_end.callback(self._remove_part)

    def _remove_part(self) -> None:
        with suppress(OSError):
            (self._out / PART_FILE).unlink()

    def sort(self, filepath: str, source: Path, target: Path) -> bool:
        """Logs and sorts a photograph; a dry run does neither.

        Returns:
            False if the photograph is already at its target; completes an interrupted move.

        Raises:
            SkippedFileError: The photograph cannot be sorted, or another file is at the target.
            OutputError: The system refuses.
        """
        if os.path.lexists(target):
            try:
                if not self._is_done(filepath, source, target):
                    raise SkippedFileError(f"there is another file at {target}")
            except OSError as error:
                reason = error.strerror or error
                raise SkippedFileError(f"{target} cannot be read: {reason}") from error
            return False
        try:
            if source.is_symlink() and self._how == "hardlink":
                source = source.resolve()  # a link to a link would not outlive the photograph
            self._check(filepath, source)
            if not self._dry_run:
                self._act(filepath, source, target)
        except FileExistsError as error:
            raise SkippedFileError(f"there is another file at {target}") from error
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise SkippedFileError(f"{target} is too long for a name") from error
            raise OutputError(self._message(source, error)) from error
        return True

    def _is_done(self, filepath: str, source: Path, target: Path) -> bool:
        """Whether the file at the target is the photograph; completes an interrupted move."""
        if self._how == "symlink":
            return target.is_symlink() and link_target(target) == str(source)
        if self._how == "hardlink":
            return target.samefile(source)
        if self._how == "copy":  # the same size and date are enough
            return target.samefile(source) or filecmp.cmp(source, target)
        if is_same_place(source, target):
            return True
        done = self._photographs.was_moved(filepath, target, source) and filecmp.cmp(
            source, target, shallow=False
        )
        if done and not self._dry_run:
            remove_source(source, target)
        return done

    def _check(self, filepath: str, source: Path) -> None:
        """Raises ``SkippedFileError`` for a photograph that cannot be sorted."""
        if self._how == "copy" and not os.access(source, os.R_OK):
            raise SkippedFileError("no permission to read it")
        if self._how != "move":
            return
        if source.is_symlink():
            raise SkippedFileError("a link may break when it is moved; use a different --how")
        # It would move within its own folder, and be sorted again later.
        if source.is_relative_to(self._out) and not self._photographs.was_moved(filepath, source):
            raise SkippedFileError(
                f"it is in {self._out} itself; pass a different folder, or a new folder inside it"
            )

    def _act(self, filepath: str, source: Path, target: Path) -> None:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise SkippedFileError(f"{target.parent} is not a folder") from error
        file, below = source.stat(), target.relative_to(self._out).as_posix()
        entry = Entry(self._how, filepath, str(source), below, file.st_size, file.st_mtime_ns)
        if self._log is None:
            self._log = self._at_end.enter_context(open_log(self._out))
        self._log.write(entry.as_line())
        self._log.flush()
        if self._how == "hardlink":
            os.link(source, target)
        elif self._how == "symlink":
            target.symlink_to(source)
        else:
            act = copy_file if self._how == "copy" else move_file
            act(source, target, self._out / PART_FILE)

    def _message(self, source: Path, error: OSError) -> str:
        if self._how == "hardlink" and error.errno == errno.EXDEV:
            return (
                f"Hard links cannot be created from {source} to {self._out}, which is on a different "
                "drive; use --how copy, or a folder on the same drive."
            )
        if self._how == "symlink" and getattr(error, "winerror", None) == 1314:
            return (
                "Windows lets only administrators make symbolic links; turn on its developer mode, or "
                "use --how hardlink or copy."
            )
        return (
            f"{source} cannot be sorted into {self._out} ({error.strerror or error}). Fix the cause, or "
            "use a different --how or --out. Run it again to continue; --undo undoes what has been done."
        )

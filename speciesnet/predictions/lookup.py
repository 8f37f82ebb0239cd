"""Looks up the records of a predictions file by image, without keeping them in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from absl import logging

from speciesnet.ensemble.taxonomy import LABEL_FORM, LABEL_PARTS
from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files import storage
from speciesnet.files.input_notes import counted, plural
from speciesnet.predictions import layout, reading
from speciesnet.predictions.format5 import as_ours
from speciesnet.predictions.matching import match_names
from speciesnet.predictions.megadetector import (
    is_megadetector_file,
    read_detections,
    with_our_labels,
)
from speciesnet.records import Box, FrameClasses, Record, in_file, record_errors
from speciesnet.records.numbers import malformed, with_checked_numbers

_RESULTS = ("failures", "detections", "classifications")  # the results of single steps


class RecordsByFile(Mapping[str, Record]):
    """The records of a predictions file by file path. Only their offsets are in memory.

    Args:
        path: Path or URL of a predictions file in any layout, or of detections in MegaDetector's
            format.
        filepaths: The images of the run, which the file may name differently; see ``match_names``.
        for_classes: Whether its classes will be used.

    Attributes:
        path: The file.
        notes: Sentences about records without an image in the run, images without a record, and what
            files of format 5 lack.

    Raises:
        OutputError: The file cannot be read, or names only other images.
        InputError: A name in the file matches several images, an image has two different records, or a
            detection is malformed.
        MalformedRecordError: A record of format 5 is malformed; a number is NaN or out of its range; or a
            class that will be used is not a label.

    Examples:
        >>> path = Path("detections.json")
        >>> _ = path.write_text('{"predictions": [{"filepath": "fox.jpg", "detections": []}]}')
        >>> RecordsByFile(path, ["fox.jpg", "owl.jpg"])["fox.jpg"]
        {'filepath': 'fox.jpg', 'detections': []}
    """

    def __init__(
        self, path: str | os.PathLike[str], filepaths: Iterable[str], *, for_classes: bool = True
    ) -> None:
        self.path = os.fspath(path)
        self._for_classes = for_classes
        known = dict.fromkeys(filepaths)
        notes: list[str] = []
        with file_errors(OutputError, self.path), storage.local_file(self.path) as local:
            if not local.is_file():
                raise OutputError(
                    f"There is no file {self.path}. Pass a file that an earlier step wrote."
                )
            is_copy = storage.scheme_of(self.path) is not None
            self._file = _open(local, notes, is_copy=is_copy, for_classes=for_classes)
        self._offsets: dict[str, int] = {}
        others: dict[str, int] = {}
        repeated: list[tuple[str, int, int]] = []
        with in_file(self.path):
            for offset, line in layout.record_lines(self._file):
                filepath = layout.filepath_of(line)
                if filepath is not None:
                    offsets = self._offsets if filepath in known else others
                    if filepath in offsets:
                        repeated.append((filepath, offsets[filepath], offset))
                    offsets[filepath] = offset
        self._check_repeated(repeated)
        if known and not self._offsets and not others:
            raise OutputError(
                f"{self.path} contains no records. Run the step that wrote it again, or pass a different "
                "file."
            )
        self.notes = (*notes, *self._match(others, known))
        for note in self.notes:
            logging.warning("%s", note)

    def _check_repeated(self, repeated: Iterable[tuple[str, int, int]]) -> None:
        """Refuses two records of an image with different results."""
        for filepath, *offsets in repeated:
            with in_file(self.path):
                found = [
                    layout.split_line(line)[0] for line in layout.lines_of(self._file, offsets)
                ]
            results = [{key: one.get(key) for key in _RESULTS} for one in found if one is not None]
            if any(result != results[0] for result in results):
                raise _two_entries(self.path, filepath)

    def _match(self, others: Mapping[str, int], known: Collection[str]) -> tuple[str, ...]:
        """Adds the records that name images of the run differently, and notes the rest."""
        notes: list[str] = []
        left_out: list[str] = []
        if others:
            found = match_names(others, known, self._offsets.keys(), self.path)
            self._offsets.update({path: others[name] for name, path in found.paths.items()})
            left_out = [name for name in others if name not in found.paths]
            if not self._offsets:
                count = len(left_out)
                images = plural(len(known), "the only image", f"any of the {len(known)} images")
                entries = (
                    f"The only entry of {self.path} does not match"
                    if count == 1
                    else f"None of the {count} entries of {self.path} matches"
                )
                raise OutputError(
                    f"{entries} {images} of this run: it names {left_out[0]}, and the run has "
                    f"{next(iter(known))}. Pass the file of these images. {self._if_renamed}"
                )
            if left_out:
                out = plural(
                    len(left_out),
                    "is left out: its image is",
                    "are left out: their images are",
                )
                notes.append(
                    f"{len(left_out)} of {len(self._offsets) + len(left_out)} entries of {self.path} "
                    f"{out} not in this run, such as {left_out[0]}."
                )
            if found.moved:
                name, path = next(iter(found.moved.items()))
                elsewhere = plural(
                    len(found.moved),
                    "names an image in a different folder",
                    "name images in different folders",
                )
                notes.append(
                    f"{counted(len(found.moved), 'entry', 'entries')} of {self.path} {elsewhere}, such "
                    f"as {name} for {path}. Check that these are the same photographs."
                )
        missing = [path for path in known if path not in self._offsets]
        if missing:
            advice = f" {self._if_renamed}" if left_out else ""
            notes.append(
                f"{len(missing)} of {counted(len(known), 'image')} of this run "
                f"{plural(len(missing), 'has', 'have')} no entry in {self.path}, such as "
                f"{missing[0]}.{advice}"
            )
        return tuple(notes)

    @property
    def _if_renamed(self) -> str:
        return (
            f"If images were renamed or moved after {self.path} was written, give them their former "
            "names, or run that step again."
        )

    def __getitem__(self, filepath: str) -> Record:
        self._file.seek(self._offsets[filepath])
        with in_file(self.path):
            record = layout.decode_line(self._file.readline())
        if record is None:
            raise KeyError(filepath)
        with in_file(self.path), record_errors(record):
            record = with_our_labels(with_checked_numbers(as_ours(record)))
            if self._for_classes:
                _check_labels(record)
        return record if record["filepath"] == filepath else {**record, "filepath": filepath}

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)


def _check_labels(record: Record) -> None:
    """Refuses classes that the rules of the ensemble do not know.

    Raises:
        MalformedRecordError: A class is not a label of seven parts.
    """
    places: dict[str, Sequence[Record | Box | FrameClasses]] = {
        "": [record],
        "detection {}: ": record.get("detections") or (),
        "frame {}: ": record.get("frame_classifications", ()),
    }
    for place, parts in places.items():
        for number, part in enumerate(parts, start=1):
            found = part.get("classifications")
            for label in found["classes"] if found else ():
                if label.count(";") != LABEL_PARTS - 1:
                    wrong = (
                        f"{place.format(number)}the class {label!r} is not of the form {LABEL_FORM}"
                    )
                    raise malformed(record, wrong)


def _open(path: Path, notes: list[str], *, is_copy: bool, for_classes: bool) -> BinaryIO:
    """Opens a file in our own layout: the file itself, or a temporary copy of its records."""
    if for_classes and layout.has_own_layout(path) and layout.format_of(path) == 5:
        for _ in reading.read_records(path, notes=notes):
            pass
    if layout.has_own_layout(path) and not is_copy:
        return path.open("rb")
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the mapping)
    if layout.has_own_layout(path):  # it is a copy that will be deleted
        with path.open("rb") as source:
            shutil.copyfileobj(source, file)
    else:  # the layouts of other programs have no lines to seek to
        is_foreign = is_megadetector_file(path)
        if is_foreign:
            records = _read_once(path, notes)
        else:
            records = reading.read_records(path, notes=notes if for_classes else [])
        layout.write_lines(file, map(layout.encode_record, records))
    file.seek(0)
    return file


def _two_entries(name: str, filepath: str) -> InputError:
    return InputError(f"{name} has two different entries for {filepath}. Remove one of them.")


def _read_once(path: Path, notes: list[str]) -> Iterator[Record]:
    """The records of a file in MegaDetector's format; two entries of one image must be equal."""
    digests: dict[str, int] = {}
    for record in read_detections(path, notes):
        filepath, digest = record["filepath"], hash(layout.encode_record(record))
        if digests.setdefault(filepath, digest) != digest:
            raise _two_entries(storage.display_name(path), filepath)
        yield record

"""The records of a predictions file with smoothed boxes, one at a time, for exports.

A survey in memory smooths its pictures itself, see ``survey.Survey``; both give the same answers.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Mapping
from sys import intern

from absl import logging

from speciesnet.constants import DEFAULT_SEQUENCE_GAP
from speciesnet.errors import InputError
from speciesnet.files.input_notes import counted
from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.instances import path_digest
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.predictions.reading import read_records
from speciesnet.records import Record, record_errors, still_of
from speciesnet.survey.corrections import (
    Correction,
    corrected,
    noting_unmatched,
    stones_taken_out,
)
from speciesnet.survey.dates import DateRules, with_dates
from speciesnet.survey.photographs import with_camera_metadata
from speciesnet.survey.sequences import camera_folder, is_blank, sequence_numbers
from speciesnet.survey.smoothing import (
    certain_labels,
    followed_by,
    kinds_of,
    may_follow,
    with_answers,
)


class SmoothedRecords:
    """The records of a file, for any number of iterations; each one reads the file again.

    If the file has doubtful boxes, the first iteration is preceded by a pass that finds the sequences and
    the reliable boxes in them; it keeps a few numbers per record, and the metadata that it reads from
    photographs, so that no photograph is opened twice. Without answers for boxes, nothing is kept.

    Args:
        predictions: The predictions file.
        corrections: The corrections to apply, by filepath.
        photographs: Finds the photographs, to read dates that are not in the records; None opens
            none.
        dates: Dates from file names, and corrections of the cameras' clocks.
        gap: The longest time between two photographs of a sequence, in seconds, at least 0.
        smooth_boxes: Whether doubtful boxes follow the reliable ones in their sequence, see
            ``smoothing``; if False, the records are those of ``read_corrected``.
        whole_films: Whether films keep the boxes of all their frames, instead of only those of the
            frame that represents them.

    Raises:
        InputError: On iteration, a record is malformed, or the file was changed between two iterations.
        OutputError: On iteration, the file cannot be read.
    """

    def __init__(
        self,
        predictions: str | os.PathLike[str],
        *,
        corrections: Mapping[str, Correction] | None = None,
        photographs: Photographs | None = None,
        dates: DateRules | None = None,
        gap: float = DEFAULT_SEQUENCE_GAP,
        smooth_boxes: bool = True,
        whole_films: bool = False,
    ) -> None:
        self._whole_films = whole_films
        self._predictions = predictions
        self._corrections = corrections or {}
        self._photographs = photographs
        self._dates = dates or DateRules()
        self._gap = gap
        self._is_ready = not smooth_boxes
        self._kinds: list[list[str]] = []  # of all sequences in which boxes may follow
        # One entry per record, by its position in the file:
        self._sequence = array("i")  # the position of its kinds, or -1
        self._digests = array("Q")  # of its path
        self._metadata: dict[int, dict[str, str | float]] = {}  # if the record has none

    def predicted(self) -> Iterator[Record]:
        """The records without stones, but otherwise without corrections and smoothing.

        They include the metadata that has been read.
        """
        self._prepare()
        for position, record in enumerate(self._records()):
            if position in self._metadata:
                record["metadata"] = self._metadata[position]
            yield record

    def __iter__(self) -> Iterator[Record]:
        changed = 0
        records = noting_unmatched(self.predicted(), self._corrections, self._dates.add_note)
        for position, record in enumerate(corrected(records, self._corrections)):
            kinds = self._kinds_at(position, record)
            if not kinds:
                yield record
                continue
            with record_errors(record):
                answers = followed_by(record, kinds)
            changed += len(answers)
            yield with_answers(record, answers)
        log_followers(changed)

    def _records(self) -> Iterator[Record]:
        records = read_records(self._predictions)
        records = records if self._whole_films else map(still_of, records)
        return stones_taken_out(records, self._corrections)

    def _kinds_at(self, position: int, record: Record) -> list[str]:
        if position >= len(self._sequence):  # even if nothing may follow
            return []
        path = record["filepath"]
        if self._digests[position : position + 1].tobytes() != path_digest(path, 8):
            raise InputError(
                f"The predictions were changed while being read (the record of {path}); run the "
                "command again when the run has ended."
            )
        number = self._sequence[position]
        return [] if number < 0 else self._kinds[number]

    def _prepare(self) -> None:
        if self._is_ready:
            return
        self._is_ready = True
        if any(map(_has_doubtful_box, self._records())):
            self._find_kinds()

    def _find_kinds(self) -> None:
        """Finds the kinds in each sequence, in the first pass."""
        taken: list[tuple[str, str | None]] = []
        blanks = bytearray()
        certain: dict[int, list[str]] = {}
        for record, date in self._dated():
            path = record["filepath"]
            with record_errors(record):
                blanks.append(is_blank(record))
                if path in self._corrections:
                    (record,) = corrected([record], self._corrections)
                if labels := certain_labels(record):
                    certain[len(taken)] = [*map(intern, labels)]
            taken.append((intern("/".join(camera_folder(path))), date))
            self._digests.frombytes(path_digest(path, 8))
        numbers = sequence_numbers(taken, self._gap, bytes(blanks))
        labels_of: dict[tuple[str, int], set[str]] = {}
        for position, labels in certain.items():
            labels_of.setdefault((taken[position][0], numbers[position]), set()).update(labels)
        order = {key: number for number, key in enumerate(labels_of)}
        self._kinds = [*map(kinds_of, labels_of.values())]
        self._sequence.extend(
            order.get((camera, number), -1)
            for (camera, _), number in zip(taken, numbers, strict=True)
        )

    def _dated(self) -> Iterator[tuple[Record, str | None]]:
        """The records and their dates; metadata read from photographs is kept."""
        records = self._records()
        pairs = self._keeping(with_camera_metadata(records, self._photographs))
        for record, metadata in with_dates(pairs, self._dates, is_quiet=True):
            yield record, metadata.datetime

    def _keeping(
        self, pairs: Iterable[tuple[Record, PhotoMetadata]]
    ) -> Iterator[tuple[Record, PhotoMetadata]]:
        for position, (record, metadata) in enumerate(pairs):
            if not isinstance(record.get("metadata"), Mapping):
                self._metadata[position] = metadata.as_dict()
            yield record, metadata


def _has_doubtful_box(record: Record) -> bool:
    with record_errors(record):
        return any(map(may_follow, record.get("detections") or ()))


def log_followers(boxes: int) -> None:
    """Logs how many boxes follow others, if any."""
    if boxes:
        verb = "follows" if boxes == 1 else "follow"
        number = counted(boxes, "box", "boxes")
        logging.info("%s %s the reliable boxes in the same sequence.", number, verb)

"""Corrections: people's answers in a review, in a file next to the predictions.

``OUT.json.corrections.jsonl`` has one line of JSON for each answer, in order; the last line about a
photograph counts. Lines with ``stone`` are verdicts on boxes that never move; the last one about a
group counts. Lines are only ever appended, so a crash loses none. The predictions file itself never
changes; the corrections are applied when it is read.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import TypeVar

from absl import logging

from speciesnet.constants import CORRECTIONS_ENDING, REVIEWED
from speciesnet.ensemble.taxonomy import BLANK, LABEL_PARTS, category_of
from speciesnet.errors import InputError, OutputError, file_errors
from speciesnet.files.atomic import ExclusiveLock, write_all
from speciesnet.files.input_notes import Examples, counted, plural
from speciesnet.files.json_lists import without_repeats
from speciesnet.files.storage import display_name, local_file, scheme_of
from speciesnet.predictions.reading import read_records
from speciesnet.records import Box, Record, Review, still_of
from speciesnet.survey.box_corrections import BoxCorrection, with_box_corrections
from speciesnet.survey.stone_verdicts import (
    StoneBoxes,
    StoneVerdict,
    stones_of_images,
    without_stones,
)

T = TypeVar("T")
SOURCE = REVIEWED  # the prediction_source of a corrected record

_START = b'{"filepath"'  # the start of every line


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's answer for one photograph.

    Attributes:
        filepath: The path in the predictions.
        label: A label of seven parts, like a model's; the predicted label confirms the answer. None
            leaves the answer as predicted; without boxes and counts, it withdraws the earlier
            corrections.
        predicted: The label in the predictions, or None.
        at: The time, ISO 8601 in UTC.
        reviewer: The person's name, or "".
        boxes: The answers for individual boxes; all other boxes stay as predicted.
        counts: The number of individuals of each label, or None for the number of boxes.
        stones: The boxes that never move and were found to be stones, see ``without_stones``; they
            have separate lines in the file.
    """

    filepath: str
    label: str | None
    predicted: str | None
    at: str
    reviewer: str = ""
    boxes: tuple[BoxCorrection, ...] = ()
    counts: Mapping[str, int] | None = None
    stones: StoneBoxes | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it corrects nothing except stones, and so withdraws the earlier corrections."""
        return self.label is None and not self.boxes and self.counts is None

    def as_json(self) -> dict[str, object]:
        """Its line in the file; keys that later versions added are included only if they are used."""
        line: dict[str, object] = {
            "filepath": self.filepath,
            "label": self.label,
            "predicted": self.predicted,
            "at": self.at,
            "reviewer": self.reviewer,
        }
        if self.boxes:
            line["boxes"] = [box.as_json() for box in self.boxes]
        if self.counts is not None:
            line["counts"] = self.counts
        return line


class Corrections(dict[str, Correction]):
    """The current corrections in a file, by filepath.

    Attributes:
        note: A sentence for the user on damaged lines, or on an empty file; "" if there are neither.
    """

    note: str = ""


def now() -> str:
    """The current time in the format of ``Correction.at``."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def corrections_path(predictions: str | os.PathLike[str]) -> Path:
    """The path of the corrections of a predictions file."""
    path = Path(predictions)
    return path.with_name(f"{path.name}{CORRECTIONS_ENDING}")


def read_corrections(path: str | os.PathLike[str]) -> Corrections:
    """The current corrections, by filepath, with the stones; empty if there is no file.

    Damaged lines, such as one that a crash cut off, are skipped. The log and ``note`` count them.

    Raises:
        InputError: The file cannot be opened, or does not contain corrections.
    """
    found, damaged = Corrections(), _damaged_lines(path)
    verdicts: dict[str, StoneVerdict] = {}
    is_empty = Path(path).exists()
    for line in _read_lines(path, damaged):
        is_empty = False
        if isinstance(line, StoneVerdict):
            verdicts[line.name] = line
        elif line.is_empty:
            found.pop(line.filepath, None)
        else:
            found[line.filepath] = line
    for filepath, stones in stones_of_images(verdicts).items():
        person = found.get(filepath) or Correction(filepath, None, None, stones.at, stones.reviewer)
        found[filepath] = replace(person, stones=stones)
    if is_empty and not damaged.count:
        found.note = f"{display_name(Path(path))} is empty: it contains no corrections."
    else:
        found.note = str(damaged)
    if found.note:
        logging.warning("%s", found.note)
    return found


def read_verdicts(path: str | os.PathLike[str]) -> dict[str, StoneVerdict]:
    """The current verdicts on stones, by group name; ``read_corrections`` reports damaged lines."""
    found = _read_lines(path, _damaged_lines(path))
    lines = (line for line in found if isinstance(line, StoneVerdict))
    last = {line.name: line for line in lines}
    return {name: line for name, line in last.items() if line.verdict is not None}


def _damaged_lines(path: str | os.PathLike[str]) -> Examples:
    name = display_name(Path(path))
    return Examples(
        f"line of {name} is damaged and is skipped",
        f"lines of {name} are damaged and are skipped",
        ". Check the images that were reviewed last, and repeat missing corrections",
    )


def _read_lines(
    path: str | os.PathLike[str], damaged: Examples
) -> Iterator[Correction | StoneVerdict]:
    path = Path(path)
    if not path.exists():
        return
    fix = "Fix the cause, or ignore them with --corrections none."
    with file_errors(InputError, f"The corrections {path}", fix=fix):
        lines = path.read_bytes().splitlines()
    if lines and not lines[0].startswith(_START) and not _START.startswith(lines[0]):
        raise InputError(f"{path} does not contain corrections; pass a file that review wrote.")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            decoded = _decode(line)
        except (ValueError, TypeError, RecursionError) as error:
            damaged.add(f"line {number} ({error})")
            continue
        yield decoded


def _decode(line: bytes) -> Correction | StoneVerdict:
    values = json.loads(line, object_pairs_hook=without_repeats)
    if not isinstance(values, dict):
        raise TypeError("it is not an object")
    if "stone" in values:
        return StoneVerdict.from_json(values)
    if lacking := [name for name in ("filepath", "label", "predicted", "at") if name not in values]:
        raise ValueError(f"it lacks {', '.join(lacking)}")
    boxes = tuple(map(BoxCorrection.from_json, values.pop("boxes", ())))
    correction = Correction(**values, boxes=boxes)
    texts = (correction.filepath, correction.at, correction.reviewer)
    labels = (correction.label, correction.predicted)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("text is missing")
    if not all(label is None or isinstance(label, str) for label in labels):
        raise ValueError("a label is not text")
    if correction.label is not None and correction.label.count(";") != LABEL_PARTS - 1:
        raise ValueError(f"the label does not have {LABEL_PARTS} parts")
    if correction.counts is not None and not _is_counts(correction.counts):
        raise ValueError("the counts are not whole numbers by label")
    return correction


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(type(n) is int and n >= 0 for n in value.values())


def noting_unmatched(
    records: Iterable[Record], corrections: Collection[str], add_note: Callable[[str], None]
) -> Iterator[Record]:
    """Yields the records, and at the end notes the corrections of images that have none.

    Args:
        records: All records of a predictions file.
        corrections: The paths that are corrected.
        add_note: Receives a sentence, which is empty if there are no such corrections.
    """
    unmatched = dict.fromkeys(corrections)
    for record in records:
        unmatched.pop(record["filepath"], None)
        yield record
    add_note(_note_on_unmatched(unmatched))


def _note_on_unmatched(filepaths: Collection[str]) -> str:
    if not filepaths:
        return ""
    unknown = [*filepaths]
    verb = plural(len(unknown), "is for an image", "are for images")
    return (
        f"{counted(len(unknown), 'correction')} {verb} that the predictions do not contain, such as "
        f"{unknown[0]}. Pass the corrections that belong to them."
    )


def corrected(records: Iterable[Record], corrections: Mapping[str, Correction]) -> Iterator[Record]:
    """The records, with corrections applied.

    A corrected record has the score 1, the source ``review``, no failures, and under ``review`` the
    reviewer, the time and the predicted label. Boxes whose own answer was that of the image follow
    it, but corrections of individual boxes take precedence. If boxes or counts were corrected,
    ``box_review`` names the reviewer. Stones are removed first, see ``without_stones``.
    """
    for record in stones_taken_out(records, corrections):
        correction = corrections.get(record["filepath"])
        if correction is None or correction.is_empty:
            yield record
        else:
            yield _corrected(record, correction)


def stones_taken_out(
    records: Iterable[Record], corrections: Mapping[str, Correction]
) -> Iterator[Record]:
    """The records without boxes that are stones, but otherwise as predicted."""
    for record in records:
        correction = corrections.get(record["filepath"])
        yield record if correction is None else without_stones(record, correction.stones)


def _corrected(record: Record, correction: Correction) -> Record:
    record = record.copy()
    boxes = record.get("detections")
    review: Review = {
        "predicted": correction.predicted,
        "at": correction.at,
        "reviewer": correction.reviewer,
    }
    if correction.label is not None:
        record.pop("failures", None)
        record["prediction"] = correction.label
        record["prediction_score"] = 1.0
        record["prediction_source"] = SOURCE
        record["review"] = review
        if boxes:
            boxes = [_following(box, correction.label, correction.predicted) for box in boxes]
            record["detections"] = boxes
    if correction.boxes or correction.counts is not None:
        record["box_review"] = review
    if correction.boxes:
        record["detections"] = with_box_corrections(boxes or (), correction.boxes, SOURCE)
    if correction.counts is not None:
        record["counts"] = dict(correction.counts)
    return record


def _following(box: Box, label: str, predicted: str | None) -> Box:
    """A box after its image was corrected; boxes in a blank image are empty."""
    own = box.get("prediction")
    if own is None or (own != predicted and category_of(label) != BLANK):
        return box
    return {
        **box,
        "prediction": label,
        "prediction_score": 1.0,
        "prediction_source": SOURCE,
    }


def read_corrected(
    predictions: str | os.PathLike[str], corrections: str | None = "auto"
) -> Iterator[Record]:
    """The records of a predictions file, with the corrections of a review applied.

    Args:
        predictions: The predictions file.
        corrections: Path or URL of the corrections. "auto": the file next to the predictions, if any;
            "none" or None: no corrections.

    Raises:
        InputError: The named corrections do not exist or cannot be read.
        OutputError: The predictions cannot be read.

    Examples:
        >>> path = Path("out.json")
        >>> _ = path.write_text('{"predictions": [{"filepath": "a.jpg", "failures": ["DETECTOR"]}]}')
        >>> list(read_corrected(path))
        [{'filepath': 'a.jpg', 'failures': ['DETECTOR']}]
    """
    return corrected(
        map(still_of, read_records(predictions)), find_corrections(predictions, corrections)
    )


def find_corrections(predictions: str | os.PathLike[str], corrections: str | None) -> Corrections:
    """The corrections that ``read_corrected`` applies, for the same arguments."""
    return _found(predictions, corrections, read_corrections, Corrections())


def find_verdicts(
    predictions: str | os.PathLike[str], corrections: str | None
) -> dict[str, StoneVerdict]:
    """The verdicts on stones that ``read_corrected`` applies, by the names of their groups."""
    return _found(predictions, corrections, read_verdicts, {})


def _found(
    predictions: str | os.PathLike[str],
    corrections: str | None,
    read: Callable[[str | os.PathLike[str]], T],
    nothing: T,
) -> T:
    if corrections is None or corrections == "none":
        return nothing
    if corrections == "auto":
        return read(corrections_path(predictions))
    if scheme_of(corrections) is None and not Path(corrections).is_file():
        raise InputError(
            f"There is no file {corrections}; pass the corrections that review wrote, auto or none."
        )
    fix = "Pass the file that review wrote, auto or none."
    with (
        file_errors(InputError, f"The corrections {corrections}", fix=fix),
        local_file(corrections) as copy,
    ):
        return read(copy)


class CorrectionsFile:
    """Appends corrections to a file that no other program may write; use it as a context manager.

    Args:
        path: The file; created with its first line.

    Raises:
        OutputError: The file cannot be written, or another review is writing it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = ExclusiveLock(
            self.path, "another review", "use the page of that review", required=True
        )

    def __enter__(self) -> CorrectionsFile:
        if not self.path.parent.is_dir():  # the lock would create it
            raise OutputError(
                f"There is no folder {self.path.parent} for the corrections; pass a different file."
            )
        self._lock.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def add(self, corrections: Sequence[Correction | StoneVerdict]) -> None:
        """Appends corrections and verdicts, and flushes them to disk.

        Raises:
            OutputError: They cannot be written; none of them is.
        """
        lines = b"".join(
            json.dumps(correction.as_json()).encode("ascii") + b"\n" for correction in corrections
        )
        name, fix = f"The corrections {self.path}", "Fix the cause, and continue."
        with (
            file_errors(OutputError, name, "written", fix),
            self.path.open("ab+", buffering=0) as file,
        ):
            size = file.tell()
            if size:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # an earlier crash truncated the last line
                    lines = b"\n" + lines
            try:
                write_all(file, lines)
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(size)  # an answer that is reported as unsaved must not stay
                raise

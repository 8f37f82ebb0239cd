"""What people say is on photographs: a file of corrections beside the predictions.

``OUT.json.corrections.jsonl`` holds one line of JSON for each thing that was said, in order; of a
photograph, the last line counts. Lines are only ever added, so a crash costs none. The predictions
file itself never changes: whoever reads it asks for the corrections with it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from io import FileIO
from pathlib import Path
from typing import Any

from absl import logging

from speciesnet.constants import CORRECTIONS_ENDING
from speciesnet.errors import InputError, OutputError
from speciesnet.files.atomic import ExclusiveLock, write_all
from speciesnet.files.storage import display_name, local_file, scheme_of
from speciesnet.predictions.reading import read_records
from speciesnet.records import Record
from speciesnet.taxonomy import LABEL_PARTS

SOURCE = "review"  # the prediction_source of a corrected record
REVIEW = "review"  # the key that holds who said it, and what was predicted; never in a file

_START = b'{"filepath"'  # of every line


@dataclass(frozen=True, slots=True)
class Correction:
    """What a person said about one photograph.

    Attributes:
        filepath: Its path in the predictions.
        label: Seven parts, as a model's labels; the predicted one confirms it. None takes back what
            was said before.
        predicted: The label that the predictions gave, or None.
        at: When, ISO 8601 in UTC.
        reviewer: Who, or "".
    """

    filepath: str
    label: str | None
    predicted: str | None
    at: str
    reviewer: str = ""


def now() -> str:
    """The time of a correction."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def corrections_path(predictions: str | os.PathLike[str]) -> Path:
    """Where the corrections of a predictions file are."""
    path = Path(predictions)
    return path.with_name(f"{path.name}{CORRECTIONS_ENDING}")


def read_corrections(path: str | os.PathLike[str]) -> dict[str, Correction]:
    """The corrections that count, by filepath; none where there is no file.

    Lines that cannot be read, such as one that a crash cut off, are passed over with a warning.

    Raises:
        InputError: The file cannot be opened, or is another one.
    """
    found: dict[str, Correction] = {}
    path = Path(path)
    if not path.exists():
        return found
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(
            f"The corrections {path} cannot be read ({error.strerror}); mend that, or give "
            "--corrections none to go without."
        ) from error
    if lines and not lines[0].startswith(_START) and not _START.startswith(lines[0]):
        raise InputError(f"{path} holds no corrections; give the file that review wrote.")
    for number, line in enumerate(lines, start=1):
        try:
            correction = _decode(json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            logging.warning(
                "Line %d of %s is damaged and ignored (%s).", number, display_name(path), error
            )
            continue
        if correction.label is None:
            found.pop(correction.filepath, None)
        else:
            found[correction.filepath] = correction
    return found


def _decode(values: dict[str, Any]) -> Correction:
    correction = Correction(**values)
    texts = (correction.filepath, correction.at, correction.reviewer)
    labels = (correction.label, correction.predicted)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a text is missing")
    if not all(label is None or isinstance(label, str) for label in labels):
        raise ValueError("a label is no text")
    if correction.label is not None and correction.label.count(";") != LABEL_PARTS - 1:
        raise ValueError(f"the label has not {LABEL_PARTS} parts")
    return correction


def corrected(records: Iterable[Record], corrections: Mapping[str, Correction]) -> Iterator[Record]:
    """Records whose answer is what a person said, where one did.

    Such a record has the score 1, the source ``review``, no failures, and under ``review`` who said
    it, when, and what was predicted.
    """
    for record in records:
        correction = corrections.get(record["filepath"])
        if correction is not None:
            record = {key: value for key, value in record.items() if key != "failures"} | {
                "prediction": correction.label,
                "prediction_score": 1.0,
                "prediction_source": SOURCE,
                REVIEW: {
                    "predicted": correction.predicted,
                    "at": correction.at,
                    "reviewer": correction.reviewer,
                },
            }
        yield record


def read_corrected(
    predictions: str | os.PathLike[str], corrections: str | None = "auto"
) -> Iterator[Record]:
    """The records of a predictions file with what people said about them.

    Args:
        predictions: The file.
        corrections: Path or URL of their file; "auto" takes the one beside the predictions if there is
            one, and "none" or None leaves records as they are.

    Raises:
        InputError: The corrections were named, but are not there, or cannot be read.
        OutputError: The predictions cannot be read.
    """
    return corrected(read_records(predictions), find_corrections(predictions, corrections))


def find_corrections(
    predictions: str | os.PathLike[str], corrections: str | None
) -> dict[str, Correction]:
    """The corrections that ``read_corrected`` uses, for the same arguments."""
    if corrections is None or corrections == "none":
        return {}
    if corrections == "auto":
        return read_corrections(corrections_path(predictions))
    if scheme_of(corrections) is not None:
        try:
            with local_file(corrections) as copy:
                return read_corrections(copy)
        except OSError as error:
            raise InputError(
                f"The corrections {corrections} cannot be read ({error.strerror or error}); give the "
                "file that review wrote, or auto or none."
            ) from error
    if not Path(corrections).is_file():
        raise InputError(
            f"There is no file {corrections}; give the corrections that review wrote, or auto or none."
        )
    return read_corrections(corrections)


class CorrectionsFile:
    """A file of corrections while one program adds to it; use it as a context manager.

    Args:
        path: The file; made with its first line.

    Raises:
        OutputError: It cannot be written, or another review has it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = ExclusiveLock(
            self.path, "another review", "stop that review first", required=True
        )

    def __enter__(self) -> CorrectionsFile:
        if not self.path.parent.is_dir():  # the lock would make it
            raise OutputError(
                f"There is no folder {self.path.parent} for the corrections; give another file."
            )
        self._lock.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def add(self, corrections: Sequence[Correction]) -> None:
        """Adds corrections; they are on disk when it returns.

        Raises:
            OutputError: None of them is, for the reason that it gives.
        """
        lines = b"".join(
            json.dumps(asdict(correction)).encode("ascii") + b"\n" for correction in corrections
        )
        try:
            with self.path.open("ab+", buffering=0) as file:
                size = file.tell()
                if size and not _ends_with_line(file):  # an earlier crash cut one off
                    lines = b"\n" + lines
                try:
                    write_all(file, lines)
                    os.fsync(file.fileno())
                except OSError:
                    with suppress(OSError):
                        file.truncate(size)  # what nobody is told of is not there either
                    raise
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: Exception) -> OutputError:
        reason = getattr(error, "strerror", None) or str(error)
        return OutputError(
            f"The corrections {self.path} cannot be written ({reason}); mend that, and go on."
        )


def _ends_with_line(file: FileIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"

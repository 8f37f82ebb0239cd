"""The predictions file, which is both the output and the checkpoint of a run.

It is valid JSON at every moment; see ``layout.py``. New records overwrite the closing brackets and write
them again, so a record costs the same however many there are, and every whole line survives a crash.
"""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from absl import logging

from speciesnet.constants import OutputFormat
from speciesnet.errors import OutputError
from speciesnet.files.atomic import ExclusiveLock, keep_backup
from speciesnet.files.input_notes import counted, plural
from speciesnet.predictions import format5, layout
from speciesnet.predictions.appender import Appender
from speciesnet.predictions.format5 import Form, from_format5, is_format5, other_format
from speciesnet.predictions.layout import FOOTER, HEADERS, cannot_write
from speciesnet.predictions.reading import names_other_images, read_as_written
from speciesnet.predictions.settings import (
    RunSettings,
    film_settings,
    read_settings,
    settings_path,
    write_settings,
)
from speciesnet.records import Instance, Record, Tally, in_file, record_errors


class _Predictions:
    """The output of a run. An image given twice is predicted once and recorded twice, in a row."""

    def __init__(self, instances: Sequence[Instance]) -> None:
        self.tally = Tally()
        self._instances = instances
        self._positions: dict[str, list[int]] = {}
        for position, instance in enumerate(instances):
            self._positions.setdefault(instance.filepath, []).append(position)

    @property
    def pending(self) -> list[str]:
        """Images without a finished record, once each, in the order of the instances."""
        raise NotImplementedError

    @property
    def finished(self) -> list[str]:
        """Images with a record, once each, in the order of the instances."""
        pending = set(self.pending)
        return [path for path in self._positions if path not in pending]

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about the output for the end of the run."""
        return ()

    def instances_of(self, filepath: str) -> list[Instance]:
        """The instances of an image: more than one if the image was given more than once."""
        return [self._instances[position] for position in self._positions[filepath]]


class PredictionsList(_Predictions):
    """Predictions in memory, for callers that need no file; a run writes to it as to a file.

    Args:
        instances: The images of the run, in order.

    Attributes:
        tally: Counts of the records.
        records: One record for each instance, complete once the run is.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        super().__init__(instances)
        self.path = None
        self.records: list[Record] = [{"filepath": i.filepath} for i in instances]

    @property
    def pending(self) -> list[str]:
        """Images without a record, once each, in the order of the instances."""
        return [path for path, at in self._positions.items() if len(self.records[at[0]]) == 1]

    def replace(self, filepaths: Collection[str]) -> None:
        """Forgets the records of images, which are written next."""
        positions = [position for path in filepaths for position in self._positions[path]]
        for position in positions:
            self.records[position] = {"filepath": self._instances[position].filepath}
        self.tally = Tally()
        for record in self.records:
            if len(record) > 1:
                self.tally.count(record)

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image."""
        for record, position in zip(records, self._positions[records[0]["filepath"]], strict=True):
            self.records[position] = record
            self.tally.count(record)


class PredictionsFile(_Predictions):
    """A predictions file while one run writes it; use it as a context manager.

    Opening it locks the file for this run, checks that it belongs to the same images and settings, and
    keeps its finished records. Closing it puts a complete file into the order of the instances. Records
    of images that have been deleted since stay in the file, at its end once it is put into order.

    Args:
        path: The file; its folder must exist.
        instances: The images of the run, in order.
        settings: The settings that two runs into one file must share; kept next to it.
        ignore_existing: Starts over; an existing file is kept as ``*.bak``.
        form: How records are written in format 5; None writes format 4.
        display_name: The name of the file in messages about its content; its path by default.

    Attributes:
        path: The file.
        tally: Counts of the records in the file whose images are in this run.

    Raises:
        OutputError: The file cannot be written, is in use, or belongs to another run or other images.
        MalformedRecordError: The file contains a malformed record.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        instances: Sequence[Instance],
        settings: RunSettings,
        *,
        ignore_existing: bool = False,
        form: Form | None = None,
        display_name: str | None = None,
    ) -> None:
        super().__init__(instances)
        self.path = Path(path)
        self._name = display_name or str(self.path)
        self._settings = settings
        self._ignore_existing = ignore_existing
        self._form = form
        self._of_films: dict[str, object] = {}
        self._format: OutputFormat = 4 if form is None else 5
        self._header = HEADERS[self._format]
        self._forget()

    @property
    def pending(self) -> list[str]:
        """Images without a finished record in the file."""
        return [
            path for path, positions in self._positions.items() if self._offsets[positions[0]] < 0
        ]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on records without an image, if there are any."""
        if not (number := len(self._others)):
            return ()
        kept = plural(number, "is kept although its image is", "are kept although their images are")
        records = f"{counted(number, 'record')} of {self._name}"
        return (f"{records} {kept} not in this run, such as {self._other}.",)

    def __enter__(self) -> PredictionsFile:
        check_output_path(self.path)
        with ExitStack() as stack:
            stack.enter_context(
                ExclusiveLock(self.path, "another run", "pass another file to --predictions_json")
            )
            try:
                self._open()
                for note in self.notes:
                    logging.warning("%s", note)
                # A run without films continues the file of one with films, whose settings stay.
                write_settings(self.path, {**self._of_films, **self._settings.as_dict()})
                self._appender = Appender(self.path, self._end, len(self._header))
            except OSError as error:
                raise cannot_write(self.path, error) from error
            stack.callback(lambda: self._appender.stop())
            self._releasing = stack.pop_all()
        return self

    def _open(self) -> None:
        """Makes the file one of our own layout, with the finished records of this run only."""
        if self._ignore_existing and self.path.exists():
            if self.path.stat().st_size > len(layout.HEADER + FOOTER):
                keep_backup(self.path)
            self.path.unlink()
        if self.path.exists() and self.path.stat().st_size and any(self._records()):
            if (found := layout.format_of(self.path)) != self._format:
                raise other_format(self._name, found, self._format)
            self._check_settings()
            self._resume()
        else:
            if self.path.exists() and not layout.has_own_layout(self.path):
                keep_backup(self.path)  # without a single whole record, but perhaps of use
            self.path.write_bytes(self._header + FOOTER)

    def _records(self) -> Iterator[Record]:
        return read_as_written(self.path, display_name=self._name)

    def _as_ours(self, record: Record) -> Record:
        """A record of the file as one of this program."""
        if self._form is None:
            if is_format5(record):
                raise other_format(self._name, 5, 4)
            return record
        with in_file(self._name), record_errors(record):
            return from_format5(record)

    def _check_settings(self) -> None:
        """Refuses the file of another run by the settings next to it, if they are still there."""
        try:
            earlier = read_settings(self.path)
            differences = self._settings.differences(earlier)
            self._of_films = film_settings(earlier)
        except FileNotFoundError:
            return
        except (ValueError, TypeError, AttributeError, RecursionError):
            logging.warning("%s is damaged and ignored.", settings_path(self.path))
            return
        if differences:
            raise self._other_run("; ".join(differences))

    def _resume(self) -> None:
        if not layout.has_own_layout(self.path):
            self._check_foreign()
            keep_backup(self.path)
            self._rewrite(map(layout.encode_record, self._records()))
        counts, failed, is_damaged = self._scan()
        if self._others and not counts:
            raise names_other_images(self._name, self._other)
        incomplete = {
            path for path, count in counts.items() if count != len(self._positions[path])
        } | failed
        if self._others and incomplete == counts.keys():
            # They are the only sign that the file belongs to these images, so they stay until the first
            # of them has a new record.
            self._forget()
            self._replaced = frozenset(incomplete)
            self._scan()
        elif incomplete or is_damaged:
            # Lines that will be written again, or are not whole, are removed first, so that no image
            # ever has two records.
            self._rewrite(layout.lines_without(self.path, incomplete))
            self._forget()
            self._scan()

    def _check_foreign(self) -> None:
        """Checks all records of another layout, before the file is touched."""
        others, is_of_this_run = [], False
        for record in self._records():
            position = self._position_of(record["filepath"], 0)
            self._check_record(self._as_ours(record), position)
            if position is not None:
                is_of_this_run = True
            elif not others:
                others.append(record["filepath"])
        if others and not is_of_this_run:
            raise names_other_images(self._name, others[0])

    def _forget(self) -> None:
        self._offsets = array("q", [-1]) * len(self._instances)
        self._others, self._other = array("q"), ""  # records without an image: offsets, an example
        self._in_order, self._last_position = True, -1
        self._end = len(self._header)
        self._replaced: frozenset[str] = frozenset()  # their records go with the first new one
        self.tally = Tally()

    def _scan(self) -> tuple[dict[str, int], set[str], bool]:
        """Notes the offset of every record.

        Returns:
            The number of records of each image, the images that failed, and whether a line is damaged.
        """
        counts: dict[str, int] = {}
        failed: set[str] = set()
        is_damaged = False
        with self.path.open("rb") as file:
            for offset, line in layout.record_lines(file):
                record, own = layout.split_line(line)
                if record is None:
                    # Only the last line of a file that was cut off is not whole: the next record
                    # overwrites it. Any other is removed.
                    is_damaged = is_damaged or line.endswith(b"\n")
                    continue
                record = self._as_ours(record)
                filepath = record["filepath"]
                position = self._position_of(filepath, counts.get(filepath, 0))
                self._check_record(record, position)
                if filepath in self._replaced:
                    pass
                elif position is None:
                    self._others.append(offset)
                    self._other = self._other or filepath
                else:
                    counts[filepath] = counts.get(filepath, 0) + 1
                    if record.get("failures"):
                        failed.add(filepath)
                    self._note(record, position, offset)
                self._end = offset + line.index(own) + len(own)
                is_damaged = is_damaged or line.strip() not in (own, own + b",")
        return counts, failed, is_damaged

    def _position_of(self, filepath: str, count: int) -> int | None:
        """The position of the instance of a record; None for an image that is not in this run."""
        positions = self._positions.get(filepath)
        return None if positions is None else positions[count % len(positions)]

    def _note(self, record: Record, position: int, offset: int) -> None:
        self._in_order = self._in_order and position == self._last_position + 1
        self._last_position = position
        self._offsets[position] = offset
        self.tally.count(record)

    def _check_record(self, record: Record, position: int | None) -> None:
        """Refuses a record that this run would not have written."""
        with in_file(self._name), record_errors(record):
            Tally().count(record)
            instance = None if position is None else self._instances[position]
            difference = self._settings.difference_in(record, instance)
        if difference:
            raise self._other_run(difference)

    def _other_run(self, difference: str) -> OutputError:
        return OutputError(
            f"{self._name} belongs to another run ({difference}). Repeat the settings of that run to "
            "continue it, pass another file to --predictions_json, or add --ignore_existing to start "
            "over."
        )

    def _rewrite(self, lines: Iterable[bytes]) -> None:
        layout.rewrite(self.path, lines, self._format)

    def replace(self, filepaths: Collection[str]) -> None:
        """Replaces the records of images by those that are written next.

        The former ones stay in the file until the first of the others is written.
        """
        self._appender.flush()
        self._forget()
        self._replaced = frozenset(filepaths)
        self._scan()

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image; they reach the disk within seconds.

        Raises:
            OutputError: The disk is full or gone; the records written before stay valid.
        """
        if self._replaced:
            self._replace(self._encoded(record) for record in records)
            return
        positions = self._positions[records[0]["filepath"]]
        offsets = self._appender.append(self._encoded(record) for record in records)
        if self._form is not None:  # as a later run counts them
            records = [from_format5(format5.written(record, self._form)) for record in records]
        for record, position, offset in zip(records, positions, offsets, strict=True):
            self._note(record, position, offset)

    def _encoded(self, record: Record) -> bytes:
        return layout.encode_record(format5.written(record, self._form))

    def _replace(self, lines: Iterable[bytes]) -> None:
        """Removes the records of ``_replaced`` and adds lines, in one step."""
        self._appender.close()
        kept = layout.lines_without(self.path, self._replaced)
        self._rewrite(itertools.chain(kept, lines))
        self._forget()
        self._scan()
        self._appender = Appender(self.path, self._end, len(self._header))

    def snapshot(self, target: Path) -> None:
        """Copies the file as it is now, whole and valid.

        Raises:
            OSError: The copy cannot be written.
        """
        self._appender.copy_to(target)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._releasing:  # the lock, and the thread of the appender
            failure = self._appender.close()
            if failure:
                problem = cannot_write(self.path, failure)
                if kind is None:
                    raise problem
                if kind is not OutputError:  # which has reported it
                    logging.error("%s", problem)
            elif not self.tally.images and not self._others:
                # Without results, leave nothing behind.
                self.path.unlink(missing_ok=True)
                settings_path(self.path).unlink(missing_ok=True)
            elif kind is None and self.tally.images == len(self._instances) and not self._in_order:
                in_order = itertools.chain(self._offsets, self._others)
                self._rewrite(layout.lines_at(self.path, in_order))


def check_output_path(path: Path, what: str = "--predictions_json") -> None:
    """Checks that a predictions file can be written at a path.

    Args:
        path: The path.
        what: Its name in the message.

    Raises:
        OutputError: It cannot be written there.
    """
    if path.is_dir():
        raise OutputError(
            f"{what} {path} is a folder. Pass a file in it, such as {path / 'predictions.json'}."
        )
    if path.exists() and not path.is_file():
        raise OutputError(
            f"{what} {path} is a device or pipe, which a run cannot resume. Pass a regular file."
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{what} {path} is in a folder that does not exist. Create {path.parent} first."
        )
    target = path if path.exists() else path.parent
    if not os.access(path.parent, os.W_OK) or not os.access(target, os.W_OK):
        raise OutputError(f"{what} {path} cannot be written: no permission to write to {target}.")

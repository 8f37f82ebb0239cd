"""The predictions file, which is both the output and the checkpoint of a run.

It is valid JSON at all times; see ``layout.py``. New records overwrite the closing brackets, followed
by new brackets, so adding a record costs the same at any file size, and every complete line survives
a crash.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TypedDict

from absl import logging

from speciesnet.constants import OutputFormat
from speciesnet.errors import OutputError
from speciesnet.files.atomic import ExclusiveLock, keep_backup
from speciesnet.files.input_notes import counted, plural
from speciesnet.predictions import format5, layout
from speciesnet.predictions.appender import Appender
from speciesnet.predictions.format5 import Form, from_format5, other_format
from speciesnet.predictions.index import Index, Scanned
from speciesnet.predictions.layout import FOOTER, HEADERS, cannot_write
from speciesnet.predictions.ownership import Ownership
from speciesnet.predictions.reading import names_other_images
from speciesnet.predictions.settings import RunSettings, settings_path, write_settings
from speciesnet.predictions.tally import Tally
from speciesnet.records import Instance, Record


class OutputOptions(TypedDict, total=False):
    """How a predictions file is opened, on a disk or in a bucket.

    Attributes:
        ignore_existing: Whether to start over; an existing file is kept as ``*.bak`` (default False).
        form: How records are written in format 5; None (default) writes format 4.
    """

    ignore_existing: bool
    form: Form | None


class _Predictions:
    """The output of a run. An image passed twice is predicted once and gets two consecutive records."""

    def __init__(self, instances: Sequence[Instance]) -> None:
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
        """The instances of an image: more than one if it was passed more than once."""
        return [self._instances[position] for position in self._positions[filepath]]


class PredictionsList(_Predictions):
    """Predictions in memory, for callers that need no file; used like ``PredictionsFile``.

    Args:
        instances: The images of the run, in order.

    Attributes:
        tally: Counts of the records.
        records: One record for each instance; complete when the run is.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        super().__init__(instances)
        self.path = None
        self.tally = Tally()
        self.records: list[Record] = [{"filepath": i.filepath} for i in instances]

    @property
    def pending(self) -> list[str]:
        """Images without a record, once each, in the order of the instances."""
        return [path for path, at in self._positions.items() if len(self.records[at[0]]) == 1]

    def replace(self, filepaths: Collection[str]) -> None:
        """Drops the records of images, whose new records are written next."""
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

    Opening it locks the file for this run, checks that it belongs to the same images and settings,
    and keeps its finished records. Closing it sorts a complete file by the order of the instances.
    Records of images that have since been deleted stay in the file and are sorted to its end.

    Args:
        path: The file; its folder must exist.
        instances: The images of the run, in order.
        settings: The settings that all runs on one file must share; kept next to it.
        ignore_existing: Whether to start over; an existing file is kept as ``*.bak``.
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
        self._ownership = Ownership(self.path, self._name, settings, form is not None)
        self._ignore_existing = ignore_existing
        self._form = form
        self._format: OutputFormat = 4 if form is None else 5
        self._header = HEADERS[self._format]
        self._index = self._new_index()

    def _new_index(self, replaced: Iterable[str] = ()) -> Index:
        return Index(self._instances, self._positions, len(self._header), replaced)

    @property
    def tally(self) -> Tally:
        """Counts of the records in the file whose images are in this run."""
        return self._index.tally

    @property
    def pending(self) -> list[str]:
        """Images without a finished record in the file."""
        offsets = self._index.offsets
        return [path for path, at in self._positions.items() if offsets[at[0]] < 0]

    @property
    def notes(self) -> tuple[str, ...]:
        """A sentence on records without an image, if there are any."""
        if not (number := len(self._index.others)):
            return ()
        kept = plural(number, "is kept although its image is", "are kept although their images are")
        records = f"{counted(number, 'record')} of {self._name}"
        return (f"{records} {kept} not in this run, such as {self._index.other}.",)

    def __enter__(self) -> PredictionsFile:
        check_output_path(self.path)
        with ExitStack() as stack:
            stack.enter_context(
                ExclusiveLock(
                    self.path, "another run", "pass a different file to --predictions_json"
                )
            )
            try:
                self._open()
                for note in self.notes:
                    logging.warning("%s", note)
                keeps = not self._ignore_existing
                settings = self._ownership.all_settings() if keeps else self._settings.as_dict()
                write_settings(self.path, settings)
                self._appender = self._new_appender()
            except OSError as error:
                raise cannot_write(self.path, error) from error
            stack.callback(lambda: self._appender.stop())
            self._releasing = stack.pop_all()
        return self

    def _open(self) -> None:
        """Converts the file to our own layout, with only the finished records of this run."""
        if self._ignore_existing and self.path.exists():
            if self.path.stat().st_size > len(layout.HEADER + FOOTER):
                keep_backup(self.path)
            self.path.unlink()
        if self.path.exists() and self.path.stat().st_size and any(self._ownership.records()):
            if (found := layout.format_of(self.path)) != self._format:
                raise other_format(self._name, found, self._format)
            self._ownership.check_settings()
            self._resume()
        else:
            if self.path.exists() and not layout.has_own_layout(self.path):
                keep_backup(self.path)  # without a single whole record, but perhaps of use
            self.path.write_bytes(self._header + FOOTER)

    def _resume(self) -> None:
        if not layout.has_own_layout(self.path):
            self._check_foreign()
            keep_backup(self.path)
            self._rewrite(map(layout.encode_record, self._ownership.records()))
        found = self._scan()
        counts, others = found.counts, self._index.others
        if others and not counts:
            raise names_other_images(self._name, self._index.other)
        incomplete = {
            path for path, count in counts.items() if count != len(self._positions[path])
        } | found.failed
        if others and incomplete == counts.keys():
            # They are the only sign that the file belongs to these images, so they stay until the first
            # new record is written.
            self._scan(replaced=incomplete)
        elif incomplete or found.is_damaged:
            # Lines that will be rewritten or are incomplete are removed first, so that no image ever
            # has two records.
            self._rewrite(layout.lines_without(self.path, incomplete))
            self._scan()

    def _check_foreign(self) -> None:
        """Checks all records of a file in another layout before the file is changed."""
        others, is_of_this_run = [], False
        for record in self._ownership.records():
            position = self._index.position_of(record["filepath"], 0)
            instance = self._index.instance_at(position)
            self._ownership.check_record(self._ownership.as_ours(record), instance)
            if instance is not None:
                is_of_this_run = True
            elif not others:
                others.append(record["filepath"])
        if others and not is_of_this_run:
            raise names_other_images(self._name, others[0])

    def _scan(self, replaced: Iterable[str] = ()) -> Scanned:
        self._index = self._new_index(replaced)
        return self._index.scan(self._ownership)

    def _new_appender(self) -> Appender:
        return Appender(self.path, self._index.end, len(self._header))

    def _rewrite(self, lines: Iterable[bytes]) -> None:
        layout.rewrite(self.path, lines, self._format)

    def replace(self, filepaths: Collection[str]) -> None:
        """Replaces the records of images with those that are written next.

        The old records stay in the file until the first new one is written.
        """
        self._appender.flush()
        self._scan(replaced=filepaths)

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image; they reach the disk within seconds.

        Raises:
            OutputError: The disk is full or missing; records written earlier stay valid.
        """
        if self._index.replaced:
            self._replace(self._encoded(record) for record in records)
            return
        positions = self._positions[records[0]["filepath"]]
        offsets = self._appender.append(self._encoded(record) for record in records)
        if self._form is not None:  # as a later run counts them
            records = [from_format5(format5.written(record, self._form)) for record in records]
        for record, position, offset in zip(records, positions, offsets, strict=True):
            self._index.add(record, position, offset)

    def _encoded(self, record: Record) -> bytes:
        return layout.encode_record(format5.written(record, self._form))

    def _replace(self, lines: Iterable[bytes]) -> None:
        """Removes replaced records and adds lines in one step."""
        self._appender.close()
        kept = layout.lines_without(self.path, self._index.replaced)
        self._rewrite(itertools.chain(kept, lines))
        self._scan()
        self._appender = self._new_appender()

    def snapshot(self, target: Path) -> None:
        """Copies the file in its current state, complete and valid.

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
        self._close(kind)

    def _close(self, kind: type[BaseException] | None) -> None:
        """Completes the file; ``kind`` is the class of the error that ends the run, if any."""
        with self._releasing:  # the lock, and the thread of the appender
            failure = self._appender.close()
            if failure:
                problem = cannot_write(self.path, failure)
                if kind is None:
                    raise problem
                if kind is not OutputError:  # an OutputError has reported it
                    logging.error("%s", problem)
            elif not self.tally.images and not self._index.others:
                # Without results, leave nothing behind.
                self.path.unlink(missing_ok=True)
                settings_path(self.path).unlink(missing_ok=True)
            elif kind is None and self._is_complete and not self._index.is_in_order:
                self._rewrite(layout.lines_at(self.path, self._index.in_order()))

    @property
    def _is_complete(self) -> bool:
        return self.tally.images == len(self._instances)


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

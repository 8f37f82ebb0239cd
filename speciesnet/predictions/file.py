"""The predictions file, which is both the output and the checkpoint of a run.

It is valid JSON at every moment: ``{"predictions": [``, one record a line, ``]}``. New records
overwrite the closing brackets and write them again, so a record costs the same however many there
are, and after a crash every whole line is kept.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import tempfile
import threading
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import ijson
import orjson
from absl import logging
from filelock import FileLock, Timeout

from speciesnet.constants import RUN_ENDING, Components
from speciesnet.errors import OutputError
from speciesnet.files import json_lists, storage
from speciesnet.instances import Instance
from speciesnet.predictions import megadetector
from speciesnet.records import Record, Tally, components_of, named, read_from

HEADER = b'{"predictions": [\n'
SEPARATOR = b",\n"
FOOTER = b"\n]}\n"
FLUSH_SECONDS = 2.0  # how much work a crash may cost
BUFFER_BYTES = 2**20
LINES_LOOKED_AT = 1000  # to tell whose layout a file has: the first ones may be damaged

_CLASSES_OF_A_BOX = "raw_classifications"  # in the layout of the published program since 5.0.6
_FILEPATH = re.compile(rb'\{"filepath": ?("(?:[^"\\]|\\.)*")')
_T = TypeVar("_T")


def encode_record(record: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8."""
    try:
        return orjson.dumps(record)
    except TypeError:  # a file name that is no valid Unicode; JSON escapes can hold it
        return json.dumps(record).encode("ascii")


def decode_line(line: bytes) -> Record | None:
    """The record of a line; None for one that is not whole."""
    return _split_line(line)[0]


def _split_line(line: bytes) -> tuple[Record | None, bytes]:
    """The record of a line, and its own bytes without what stands around it."""
    own = line.strip().removesuffix(b",")
    try:
        record = orjson.loads(own)
    except orjson.JSONDecodeError:
        try:
            # Takes the lone surrogates that orjson refuses, and brackets behind the last record.
            text = line.strip().decode()
            record, end = json.JSONDecoder().raw_decode(text)
        except (ValueError, RecursionError):
            return None, own
        if text[end:].strip() not in ("", ",", "]}"):
            return None, own
        own = text[:end].encode()
    is_record = isinstance(record, dict) and isinstance(record.get("filepath"), str)
    return (record if is_record else None), own


def _has_own_layout(path: Path) -> bool:
    """Whether a file is laid out one record a line (or cut off before its first record)."""
    with path.open("rb") as file:
        start = file.read(len(HEADER))
        if start != HEADER:
            return HEADER.startswith(start)
        damaged: list[bytes] = []
        for line in filter(bytes.strip, islice(file, LINES_LOOKED_AT)):
            if decode_line(line) or (line.strip() == b"]}" and not damaged):
                return True
            damaged.append(line[-2:])
    # What is left is the layout of others, or one record of ours that is cut off.
    return not damaged or (len(damaged) == 1 and not damaged[0].endswith((b"\n", b"]}")))


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Offset and bytes of each record's line, in a file of our own layout."""
    offset = len(file.readline())
    for line in file:
        if line.strip() not in (b"", b"]}"):
            yield offset, line
        offset += len(line)


def read_records(path: str | os.PathLike[str]) -> Iterator[Record]:
    """The records of a predictions file, one at a time, whatever program laid it out.

    The whole records of a file that is cut off are given; the rest is passed over.

    Raises:
        OutputError: The file cannot be read, or is no predictions file.
    """
    path = Path(path)
    try:
        if _has_own_layout(path):
            damaged = 0
            with path.open("rb") as file:
                for _, line in _lines(file):
                    if (record := decode_line(line)) is None:
                        damaged += 1
                    else:
                        yield record
            if damaged:
                logging.warning("%s is cut off: its whole records are used.", path)
        else:
            yield from _read_foreign(path)
    except OSError as error:
        raise OutputError(
            f"The predictions file {path} cannot be read ({error.strerror}); mend that, or give another "
            "file."
        ) from error


def _read_foreign(path: Path) -> Iterator[Record]:
    for number, record in enumerate(_items(path), start=1):
        if not isinstance(record, dict) or not isinstance(record.get("filepath"), str):
            raise OutputError(f'Record {number} of {path} lacks "filepath"; correct it.')
        boxes = record.get("detections")
        if isinstance(boxes, list) and any(
            isinstance(box, dict) and _CLASSES_OF_A_BOX in box for box in boxes
        ):
            raise OutputError(
                f"{path} was written by SpeciesNet 5.0.6 or a later one, with classes for each "
                "detection, which would be lost here; make the predictions again with this program."
            )
        yield record


def _items(path: Path) -> Iterator[Any]:
    """The items of the list "predictions" of a JSON file, one at a time."""

    def ends(file: BinaryIO, error: Exception) -> bool:
        if is_cut_off := _is_cut_off(file, error):
            logging.warning("%s is cut off: its whole records are used.", path)
        return is_cut_off

    try:
        yield from json_lists.read_items(path, "predictions", ends)
    except json_lists.NoListError as error:
        raise OutputError(
            f'{path} is no predictions file: it has no list "predictions"; give another file.'
        ) from error
    except json_lists.TooDeepError as error:
        raise OutputError(f"{path} is nested too deeply; mend it, or give another file.") from error
    except json_lists.DamagedError as error:
        raise OutputError(
            f"{path} is damaged or not in UTF-8 ({error}); mend it, or give another file."
        ) from error


def _is_cut_off(file: BinaryIO, error: Exception) -> bool:
    """Whether a JSON file ends before its end; ijson's readers in C call any damage incomplete."""
    if not isinstance(error, ijson.IncompleteJSONError):
        return False
    file.seek(max(file.seek(0, os.SEEK_END) - BUFFER_BYTES, 0))
    is_closed = file.read().rstrip().endswith(b"}")
    return not is_closed or "EOF" in str(error) or "ncomplete" in str(error)


def finished_images(path: str) -> set[str]:
    """Images of a predictions file that need not be done again; none if there is no such file.

    Args:
        path: Path or URL.

    Raises:
        OutputError: It cannot be read, or is no predictions file.
    """
    try:
        with storage.local_file(path) as local:
            if not local.exists() or not local.stat().st_size:
                return set()
            return {r["filepath"] for r in read_records(local) if not r.get("failures")}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise OutputError(
            f"{path} cannot be read ({error.strerror or error}); mend that, or give another file."
        ) from error


def save_predictions(predictions_dict: Mapping[str, Any], filepath: str) -> None:
    """Writes ``{"predictions": [...]}``, at once or not at all; raises ``OutputError``."""
    rewrite(Path(filepath), map(encode_record, predictions_dict["predictions"]))


def load_partial_predictions(
    predictions_json: str | None, instances: Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Record], list[Mapping[str, Any]]]:
    """Finished records by filepath, and the instances that have none.

    Args:
        predictions_json: A predictions file; no name, or one that does not exist, holds nothing.
        instances: ``[{"filepath": ...}, ...]``.

    Raises:
        OutputError: The file is no predictions file, or names images that are not in ``instances``.
    """
    if not predictions_json or not Path(predictions_json).exists():
        return {}, list(instances)
    known = {instance["filepath"] for instance in instances}
    finished = {}
    for record in read_records(predictions_json):
        if record["filepath"] not in known:
            raise _names_other_images(Path(predictions_json), record["filepath"])
        if not record.get("failures"):
            finished[record["filepath"]] = record
    return finished, [i for i in instances if i["filepath"] not in finished]


def _names_other_images(path: Path, filepath: str) -> OutputError:
    return OutputError(
        f"{path} has a record of {filepath}, which is not among the images of this run; give the file "
        "that belongs to these images, or the images that belong to the file."
    )


def _filepath_of(line: bytes) -> str | None:
    """The image of a line, which need not be decoded for that; None where it is not whole."""
    match = _FILEPATH.match(line) if line.endswith(b"\n") else None  # or it may be cut off
    if match:
        try:
            return json.loads(match[1])
        except ValueError:
            return None
    record = decode_line(line)
    return None if record is None else record["filepath"]


class RecordsByFile(Mapping[str, Record]):
    """The records of a predictions file by filepath, kept on disk: only offsets are in memory.

    Args:
        path: A predictions file of any layout, or detections in the MegaDetector format; a path or URL.
        filepaths: Images that the file may name.

    Raises:
        OutputError: The file cannot be read, or names other images.
    """

    def __init__(self, path: str | os.PathLike[str], filepaths: Iterable[str]) -> None:
        path = os.fspath(path)
        known = dict.fromkeys(filepaths)
        try:
            with storage.local_file(path) as local:
                if not local.is_file():
                    raise OutputError(
                        f"There is no file {path}; give one that an earlier step wrote."
                    )
                self._read(local, known, is_copy=storage.scheme_of(path) is not None)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be read ({error.strerror or error}); mend that, or give another file."
            ) from error

    def _read(self, path: Path, known: Collection[str], is_copy: bool) -> None:
        if not _has_own_layout(path):
            # Another program's layout has no lines to seek to: a copy of ours has.
            is_foreign = megadetector.is_megadetector_file(path)
            records = (
                megadetector.read_detections(path, known) if is_foreign else read_records(path)
            )
            self._file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115
            _write_lines(self._file, map(encode_record, records))
            self._file.seek(0)
        elif is_copy:  # which is about to go
            self._file = tempfile.TemporaryFile()  # noqa: SIM115
            with path.open("rb") as file:
                shutil.copyfileobj(file, self._file)
            self._file.seek(0)
        else:
            self._file = path.open("rb")
        self._offsets: dict[str, int] = {}
        for offset, line in _lines(self._file):
            filepath = _filepath_of(line)
            if filepath is None:
                continue
            if filepath not in known:
                raise _names_other_images(path, filepath)
            self._offsets[filepath] = offset

    def __getitem__(self, filepath: str) -> Record:
        self._file.seek(self._offsets[filepath])
        record = decode_line(self._file.readline())
        if record is None:
            raise KeyError(filepath)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)


@dataclass(frozen=True)
class RunSettings:
    """What two runs must share to write into one file.

    Attributes:
        components: "all", "detector", "classifier" or "ensemble".
        model: What tells the model package from another one; ``ModelInfo.fingerprint``.
        geofence: Whether geofencing is on.
        country: As given for all images, or None.
        admin1_region: As given for all images, or None.
        country_from_coordinates: Whether countries are looked up.
        exif_gps: Whether positions are taken from the photographs.
        metadata: Whether records keep what the cameras wrote.
        inputs: What tells the files apart that the answers depend on: past results, target labels.
        model_name: Where later programs find the rules and labels; may differ.
    """

    components: Components
    model: Mapping[str, Any]
    geofence: bool = True
    country: str | None = None
    admin1_region: str | None = None
    country_from_coordinates: bool = False
    exif_gps: bool = False
    metadata: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)
    model_name: str = ""

    def differences(self, earlier: Mapping[str, Any]) -> list[str]:
        """What an earlier run's settings have otherwise, in words."""
        found = []
        for key, here in asdict(self).items():
            there = earlier.get(key, here)
            if key == "model_name":
                continue
            if key == "model" and there != here:
                there, here = there.get("version"), here["version"]
                here = "the same with other files" if here == there else here
                found.append(f"model {there} there, {here} here")
            elif key == "inputs":
                changed = [name for name in {**there, **here} if there.get(name) != here.get(name)]
                found += [f"another --{name}" for name in changed]
            elif there != here:
                found.append(f"{key} {_in_words(there)} there, {_in_words(here)} here")
        return found


def _in_words(value: Any) -> str:
    return {None: "none", True: "on", False: "off"}.get(value) or str(value)


class Held:
    """Keeps others from writing into a predictions file; use it as a context manager.

    Args:
        path: The file.
        writer: Who else it is that may write it, in words.
        mend: What to do instead of waiting, in words.

    Raises:
        OutputError: Somebody is writing it.
    """

    def __init__(self, path: Path, writer: str, mend: str) -> None:
        self._path, self._writer, self._mend = path, writer, mend
        self._lock_path = path.with_name(f"{path.name}.lock")
        self._lock = FileLock(self._lock_path, timeout=0)

    def __enter__(self) -> None:
        try:
            self._lock.acquire()
        except Timeout as error:
            raise OutputError(
                f"{self._path} is being written by {self._writer}; wait for it, or {self._mend}."
            ) from error
        except NotImplementedError:  # some network drives
            logging.warning("%s cannot be locked: start no second run on it.", self._path)
        except OSError as error:
            raise _cannot_write(self._path, error) from error

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets others write it."""
        if os.name != "nt":  # where a file in use cannot be removed
            self._lock_path.unlink(missing_ok=True)
        self._lock.release()


class PredictionsFile:
    """A predictions file while one run writes it; use it as a context manager.

    Opening it takes the file for this run alone, checks that it belongs to the same images and
    settings, and keeps its finished records. Closing it puts a complete file into the order of the
    instances.

    Args:
        path: The file; its folder must exist.
        instances: The images of the run, in order.
        settings: What must not have changed since the file was begun; kept beside it.
        ignore_existing: Begins anew; an existing file is kept under the name ``*.bak``.

    Attributes:
        tally: Counts of the records in it.

    Raises:
        OutputError: The file cannot be written, is in use, or belongs to another run.
        MalformedRecord: It has a record that is none.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        instances: Sequence[Instance],
        settings: RunSettings,
        *,
        ignore_existing: bool = False,
    ) -> None:
        self.path = Path(path)
        self._instances = instances
        self._settings = settings
        self._ignore_existing = ignore_existing
        self._settings_path = settings_path(self.path)

        # A path given twice is predicted once and recorded twice, in a row.
        self._positions = _positions_by_path(instances)
        self._buffer: list[bytes] = []
        self._buffer_bytes = 0
        self._forget()
        self._error: OSError | None = None
        self._mutex = threading.Lock()
        self._closing = threading.Event()

    @property
    def pending(self) -> list[str]:
        """Images without a finished record, once each, in the order of the instances."""
        return [
            path for path, positions in self._positions.items() if self._offsets[positions[0]] < 0
        ]

    def __enter__(self) -> PredictionsFile:
        check_output_path(self.path)
        self._held = Held(self.path, "another run", "give another file to --predictions_json")
        self._held.__enter__()
        try:
            self._open()
        except OSError as error:
            self._held.release()
            raise _cannot_write(self.path, error) from error
        except BaseException:
            self._held.release()
            raise
        self._flusher = threading.Thread(target=self._flush_now_and_then, daemon=True)
        self._flusher.start()
        return self

    def _open(self) -> None:
        if self._ignore_existing and self.path.exists():
            if self.path.stat().st_size > len(HEADER + FOOTER):
                keep_copy(self.path)
            self.path.unlink()
        if self.path.exists() and self.path.stat().st_size and any(read_records(self.path)):
            self._check_settings()
            self._resume()
        else:
            if self.path.exists() and not _has_own_layout(self.path):
                keep_copy(self.path)  # not one whole record, but perhaps of use to somebody
            self._file = self.path.open("w+b", buffering=0)
            _write_all(self._file, HEADER + FOOTER)
        write_settings(self.path, asdict(self._settings))

    def _check_settings(self) -> None:
        """Refuses the file of another run by the settings kept beside it, if they are still there."""
        try:
            earlier = json.loads(self._settings_path.read_text(encoding="utf-8"))
            differences = self._settings.differences(earlier)
        except FileNotFoundError:
            return
        except (ValueError, TypeError, AttributeError, RecursionError):
            logging.warning("%s is damaged and passed over.", self._settings_path)
            return
        if differences:
            raise _other_run(self.path, "; ".join(differences))

    def _resume(self) -> None:
        if not _has_own_layout(self.path):
            for record in read_records(self.path):  # all of them, before the file is touched
                self._check_record(record, self._position_of(record["filepath"], 0))
            keep_copy(self.path)
            rewrite(self.path, map(encode_record, read_records(self.path)))
        counts, failed, damaged = self._scan()
        incomplete = {
            path for path, count in counts.items() if count != len(self._positions[path])
        } | failed
        if incomplete or damaged:
            # Lines that will be written again, or are not whole, are taken out first, so that no
            # image ever has two records.
            rewrite(self.path, self._raw_records_without(incomplete))
            self._forget()
            self._scan()
        self._file = self.path.open("r+b", buffering=0)
        if not self.tally.images:  # all that there was has failed
            _write_all(self._file, HEADER)
        self._restore_brackets()

    def _forget(self) -> None:
        self._offsets = array("q", [-1]) * len(self._instances)
        self._in_order, self._last_position = True, -1
        self._end = len(HEADER)
        self.tally = Tally()

    def _scan(self) -> tuple[dict[str, int], set[str], bool]:
        """Notes the place of every record.

        Returns:
            How many records each image has, images that failed, and whether a line is damaged.
        """
        counts: dict[str, int] = {}
        failed: set[str] = set()
        damaged = False
        with self.path.open("rb") as file:
            for offset, line in _lines(file):
                record, own = _split_line(line)
                if record is None:
                    # Only the last line of a file that was cut off is not whole: the next one
                    # overwrites it. Any other is taken out.
                    damaged = damaged or line.endswith(b"\n")
                    continue
                filepath = record["filepath"]
                position = self._position_of(filepath, counts.get(filepath, 0))
                self._check_record(record, position)
                counts[filepath] = counts.get(filepath, 0) + 1
                if record.get("failures"):
                    failed.add(filepath)
                self._note(record, position, offset)
                self._end = offset + line.index(own) + len(own)
                damaged = damaged or line.strip() not in (own, own + b",")
        return counts, failed, damaged

    def _position_of(self, filepath: str, count: int) -> int:
        positions = self._positions.get(filepath)
        if positions is None:
            raise _names_other_images(self.path, filepath)
        return positions[count % len(positions)]

    def _note(self, record: Record, position: int, offset: int) -> None:
        self._in_order = self._in_order and position == self._last_position + 1
        self._last_position = position
        self._offsets[position] = offset
        self.tally.count(record)

    def _check_record(self, record: Record, position: int) -> None:
        """Refuses a record that this run would not have written."""
        with read_from(self.path), named(record):
            Tally().count(record)
        wanted = "all" if self._settings.components == "ensemble" else self._settings.components
        found = components_of(record)
        if found not in (None, wanted):
            names = {"all": "the ensemble", "detector": "the detector alone"}
            raise _other_run(
                self.path,
                f"it was written by {names.get(found, 'the classifier alone')}, this is a run of "
                f"{names.get(wanted, 'the classifier alone')}",
            )
        if wanted != "all":
            return
        version = self._settings.model.get("version")
        if record.get("model_version", version) != version:
            raise _other_run(self.path, f"model {record['model_version']} there, {version} here")
        if self._settings.exif_gps:  # the place is known once the photograph is read
            return
        instance = self._instances[position]
        for name in ("country", "admin1_region"):
            there, here = record.get(name), getattr(instance, name)
            if there != here and found == "all":
                raise _other_run(
                    self.path,
                    f"{record['filepath']} has {name} {_in_words(there)} there, {_in_words(here)} here",
                )

    def _raw_records_without(self, left_out: set[str]) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for _, line in _lines(file):
                record, own = _split_line(line)
                if record is not None and record["filepath"] not in left_out:
                    yield own

    def instances_of(self, filepath: str) -> list[Instance]:
        """The instances that a path stands for: more than one if it was given more than once."""
        return [self._instances[position] for position in self._positions[filepath]]

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image; they reach the disk within seconds.

        Raises:
            OutputError: The disk is full or gone; what was written before stays valid.
        """
        with self._mutex:
            for record, position in zip(
                records, self._positions[records[0]["filepath"]], strict=True
            ):
                line = encode_record(record)
                separator = SEPARATOR if self.tally.images else b""
                self._note(record, position, self._end + self._buffer_bytes + len(separator))
                self._buffer.append(separator + line)
                self._buffer_bytes += len(separator) + len(line)
            if self._buffer_bytes > BUFFER_BYTES:
                self._flush()
            if self._error:
                raise _cannot_write(self.path, self._error)

    def snapshot(self, target: Path) -> None:
        """Copies the file as it is now, whole and valid.

        Raises:
            OSError: The copy cannot be written.
        """
        with self._mutex:
            self._flush()
            end = self._end
        with self.path.open("rb") as file, target.open("wb") as copy:
            while end and (piece := file.read(min(end, BUFFER_BYTES))):  # what is there stays so
                copy.write(piece)
                end -= len(piece)
            copy.write(FOOTER)

    def _flush_now_and_then(self) -> None:
        while not self._closing.wait(FLUSH_SECONDS):
            with self._mutex:
                self._flush()

    def _flush(self) -> None:
        """Writes the buffer over the closing brackets, and the brackets again, in one write."""
        if self._error:
            return
        try:
            if not self.path.exists():  # Unix would let us write on, into nowhere
                raise FileNotFoundError(errno.ENOENT, "it, or its folder, was moved or deleted")
            if not self._buffer:
                return
            self._file.seek(self._end)
            _write_all(self._file, b"".join(self._buffer) + FOOTER)
            os.fsync(self._file.fileno())
        except OSError as error:
            self._error = error
            try:
                self._restore_brackets()  # the room of the old ones is still ours
            except OSError:
                logging.warning("%s is left cut off; the next run mends it.", self.path)
            return
        self._end += self._buffer_bytes
        self._buffer.clear()
        self._buffer_bytes = 0

    def _restore_brackets(self) -> None:
        """Ends the file after its last whole record."""
        self._file.truncate(self._end)
        self._file.seek(self._end)
        _write_all(self._file, FOOTER)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._mutex:  # first of all: who is in a hurry presses Ctrl-C again
                self._flush()
            self._closing.set()
            self._flusher.join()
            self._file.close()
            if self._error:
                problem = _cannot_write(self.path, self._error)
                if kind is None:
                    raise problem
                if kind is not OutputError:  # which has said so already
                    logging.error("%s", problem)
            elif not self.tally.images:  # nothing came of it: leave nothing behind
                self.path.unlink(missing_ok=True)
                self._settings_path.unlink(missing_ok=True)
            elif kind is None and self.tally.images == len(self._instances) and not self._in_order:
                self._put_in_order()
        finally:
            self._closing.set()  # or the flusher could write into what a later run has begun
            self._held.release()

    def _put_in_order(self) -> None:
        def records() -> Iterator[bytes]:
            with self.path.open("rb") as file:
                for offset in self._offsets:
                    file.seek(offset)
                    yield file.readline().strip().removesuffix(b",")

        rewrite(self.path, records())


class PredictionsList:
    """Predictions in memory, for callers that want no file; as ``PredictionsFile`` to a run.

    Args:
        instances: The images of the run, in order.

    Attributes:
        tally: Counts of the records.
        records: One record for each instance, complete once the run is.
    """

    def __init__(self, instances: Sequence[Instance]) -> None:
        self._instances = instances
        self._positions = _positions_by_path(instances)
        self.records: list[Record] = [{}] * len(instances)
        self.tally = Tally()

    @property
    def pending(self) -> list[str]:
        """Images, once each, in the order of the instances."""
        return list(self._positions)

    def instances_of(self, filepath: str) -> list[Instance]:
        """The instances that a path stands for."""
        return [self._instances[position] for position in self._positions[filepath]]

    def write(self, records: Sequence[Record]) -> None:
        """Adds the records of all instances of one image."""
        for record, position in zip(records, self._positions[records[0]["filepath"]], strict=True):
            self.records[position] = record
            self.tally.count(record)


def _positions_by_path(instances: Sequence[Instance]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = {}
    for position, instance in enumerate(instances):
        positions.setdefault(instance.filepath, []).append(position)
    return positions


def settings_path(path: Path) -> Path:
    """Where the settings of the run that writes a predictions file are kept."""
    return path.with_name(f"{path.name}{RUN_ENDING}")


def write_settings(path: Path, settings: Mapping[str, Any]) -> None:
    """Keeps the settings of a run beside its predictions file, at once or not at all.

    Raises:
        OSError: They cannot be written.
    """
    target = settings_path(path)
    part = target.with_name(f"{target.name}.part")
    try:
        part.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def model_of_run(predictions: str | os.PathLike[str]) -> str | None:
    """The name of the model that made a predictions file, or None where that is not known."""
    return _noted_setting(predictions, "model_name", str) or None


def is_geofenced(predictions: str | os.PathLike[str]) -> bool:
    """Whether a predictions file was made with the geofence; it was where that is not known."""
    geofence = _noted_setting(predictions, "geofence", bool)
    return True if geofence is None else geofence


def _noted_setting(predictions: str | os.PathLike[str], name: str, kind: type[_T]) -> _T | None:
    """What the run that made a predictions file noted beside it."""
    try:
        settings = json.loads(settings_path(Path(predictions)).read_text(encoding="utf-8"))
        value = settings.get(name)
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    return value if isinstance(value, kind) else None


def check_output_path(path: Path, what: str = "--predictions_json") -> None:
    """Raises ``OutputError`` for a path that cannot become a predictions file, of which it says what."""
    if path.is_dir():
        raise OutputError(
            f"{what} {path} is a folder; give a file in it, such as {path / 'predictions.json'}."
        )
    if path.exists() and not path.is_file():
        raise OutputError(
            f"{what} {path} is a device or pipe, which no run can go on with; give a file."
        )
    if not path.parent.is_dir():
        raise OutputError(
            f"{what} {path} lies in a folder that does not exist; create {path.parent} first."
        )
    target = path if path.exists() else path.parent
    if not os.access(path.parent, os.W_OK) or not os.access(target, os.W_OK):
        raise OutputError(f"{what} {path} cannot be written: no permission to write to {target}.")


def _other_run(path: Path, difference: str) -> OutputError:
    return OutputError(
        f"{path} belongs to another run ({difference}); repeat that run's settings to go on with it, "
        "give another file to --predictions_json, or add --ignore_existing to begin anew."
    )


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}); mend that and give the same command "
        "again: what is in the file is kept."
    )


def keep_copy(path: Path) -> None:
    """Copies a file to the first free name of ``*.bak``, ``*.bak2`` and so on."""
    names = (path.with_name(f"{path.name}.bak{number or ''}") for number in (0, *range(2, 10_000)))
    backup = next(name for name in names if not name.exists())
    shutil.copy2(path, backup)
    logging.info("%s is kept as %s.", path, backup)


def rewrite(path: Path, records: Iterable[bytes]) -> None:
    """Replaces a predictions file at once; raises ``OutputError`` and leaves it if that fails."""
    target = Path(os.path.realpath(path))  # a link stays a link
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            _write_lines(file, records)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def _write_lines(file: BinaryIO, records: Iterable[bytes]) -> None:
    file.write(HEADER)
    for number, record in enumerate(records):
        file.write(SEPARATOR + record if number else record)
    file.write(FOOTER)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Unbuffered files may take only a part at a time, as when a disk is nearly full."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]

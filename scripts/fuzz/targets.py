"""What each reader may do with any bytes: a target passes them on, and raises only for a defect.

A reader returns the content of the bytes, or raises one of the errors that its docstring names. Any
other exception is a defect; so is a result that breaks the assertions here.
"""

from __future__ import annotations

import functools
import io
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from speciesnet.errors import ImageError, InputError, ModelError, OutputError
from speciesnet.records import Box, Record

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
NETWORKS = {
    "network", "checkpoint_pickle", "fx_pickle", "fx_source", "keras_config", "keras_weights",
}  # fmt: skip

MAX_PIXELS = 2 * 89_478_485  # Pillow's limit, above which it refuses to decode
NAMES = [f"{folder}/{number}.jpg" for folder in ("a", "b ñ") for number in range(4)]


def target(function: Target) -> Target:
    """Registers a function under its name."""
    TARGETS[function.__name__] = function
    return function


@contextmanager
def file_of(data: bytes, name: str) -> Iterator[Path]:
    """A file with these bytes in its own folder."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Images


@target
def image(data: bytes) -> None:
    """Pixels or ``ImageError``; damaged EXIF never prevents decoding, and reading it raises nothing."""
    from PIL import Image

    from speciesnet.images.decoding import FORMATS, read_metadata, read_photograph
    from speciesnet.images.metadata import metadata_of

    with file_of(data, "image.jpg") as path:
        with suppress(ImageError):
            photograph, facts = read_photograph(str(path))
            assert photograph.mode == "RGB"
            assert 0 < photograph.width * photograph.height <= MAX_PIXELS
            kept = replace(facts, orientation=None)  # records do not contain it
            assert kept == type(facts).from_dict(facts.as_dict())
            assert replace(read_metadata(str(path)), orientation=None) == kept
            return
        try:
            plain = Image.open(io.BytesIO(data), formats=FORMATS)
            plain.load()
            plain = plain.convert("RGB")
        except Exception:  # nobody can read it
            return
        metadata_of(plain)
        raise AssertionError(f"a picture of {plain.size} is lost")


# Inputs


@target
def instances(data: bytes) -> None:
    """Instances with plausible fields, or ``InputError``."""
    from speciesnet.images.instances import prepare_instances, prepare_instances_dict

    with file_of(data, "instances.json") as path:
        try:
            found = prepare_instances(instances_json=str(path))
        except InputError as error:
            assert "instances.json" in str(error) or "list is empty" in str(error)
            return
    assert found
    for one in found:
        assert isinstance(one.filepath, str) and one.filepath
        assert one.latitude is None or abs(one.latitude) <= 90
        assert one.longitude is None or abs(one.longitude) <= 180
        assert one.country is None or len(one.country) == 3
    again = prepare_instances_dict({"instances": [_given(one) for one in found]})
    assert [one["filepath"] for one in again["instances"]] == [one.filepath for one in found]


def _given(instance: Any) -> dict[str, Any]:
    return {"filepath": instance.filepath, **instance.location}


@target
def lists(data: bytes) -> None:
    """Lists of images and of target species: lines or ``InputError``."""
    from speciesnet.classifier import _read_targets
    from speciesnet.images.instances import prepare_instances

    with file_of(data, "list.txt") as path:
        with suppress(InputError):
            assert all(one.filepath.strip() for one in prepare_instances(filepaths_txt=str(path)))
        with suppress(InputError):
            labels = ["u;a;b;c;d;e;f", "u;;;;;;blank"]
            assert set(_read_targets(str(path), labels) or ()) <= set(labels)


# Predictions


def record_of(name: str) -> Record:
    """The record that runs of these targets make for an image."""
    number = NAMES.index(name)
    box: Box = {"category": "1", "label": "animal", "conf": 0.5 + number / 100, "bbox": [0.1] * 4}
    return {"filepath": name, "detections": [box] * (number % 3)}


@functools.cache
def uninterrupted() -> bytes:
    """The predictions file of a complete run."""
    with file_of(b"", "out.json") as path:
        resume(path)
        return path.read_bytes()


def resume(path: Path) -> None:
    """Repeats the command of a run, to complete the rest."""
    from speciesnet.images.instances import Instance
    from speciesnet.predictions.file import PredictionsFile
    from speciesnet.predictions.settings import RunSettings

    with PredictionsFile(
        path, list(map(Instance, NAMES)), RunSettings("detector", {"version": "1"})
    ) as file:
        for name in file.pending:
            file.write([record_of(name)])


@target
def predictions(data: bytes) -> None:
    """Any predictions file is read or refused; a run continues it without losing a record.

    Complete records of ours are kept; a file that is not ours stays unchanged or is kept as a backup.
    """
    from speciesnet.predictions.lookup import RecordsByFile
    from speciesnet.predictions.reading import read_records

    with file_of(data, "out.json") as path:
        read: list[Record] = []
        with suppress(InputError, OutputError):
            for record in read_records(path):
                assert isinstance(record["filepath"], str)
                read.append(record)
        with suppress(InputError, OutputError):
            by_file = RecordsByFile(path, NAMES)
            assert all(by_file.get(name, {}).get("filepath", name) == name for name in by_file)
        before = _contents(path.parent)
        assert list(before) == ["out.json"]
        try:
            resume(path)
        except (InputError, OutputError):
            assert _contents(path.parent) == before
            return
        written = json.loads(path.read_bytes())["predictions"]
        of_run = [record for record in written if record["filepath"] in NAMES]
        assert [record["filepath"] for record in of_run] == NAMES
        assert not any(record.get("failures") for record in of_run)
        is_kept = data in _contents(path.parent).values()
        for record in _whole_records(data):
            assert is_kept or record.get("failures") or record in written, record
        for record in read if not is_kept else ():
            assert record["filepath"] in NAMES or record in written


def _whole_records(data: bytes) -> Iterator[dict[str, Any]]:
    """The records in complete lines, read as simply as possible; only one per image must be kept."""
    text = data.decode("utf-8", "replace")
    for line in data.split(b"\n"):
        with suppress(ValueError, RecursionError):
            record = json.loads(line.strip().removesuffix(b","))
            if isinstance(record, dict) and record.get("filepath") in NAMES:
                name = record["filepath"]
                if text.count(name) + text.count(json.dumps(name)[1:-1]) <= 1 + name.isascii():
                    yield record


@target
def run_settings(data: bytes) -> None:
    """Damaged settings next to the predictions are ignored; those of another run are refused."""
    from speciesnet.predictions.settings import is_geofenced, model_of_run, settings_path

    with file_of(uninterrupted(), "out.json") as path:
        settings_path(path).write_bytes(data)
        assert isinstance(is_geofenced(path), bool)
        assert isinstance(model_of_run(path), str | None)
        with suppress(OutputError):
            resume(path)
        assert path.read_bytes() == uninterrupted()


@target
def megadetector(data: bytes) -> None:
    """Records with plausible boxes from MegaDetector, or ``InputError``."""
    from speciesnet.predictions.lookup import RecordsByFile
    from speciesnet.predictions.megadetector import is_megadetector_file, read_detections

    with file_of(data, "md.json") as path:
        is_megadetector_file(path)
        with suppress(InputError):
            for record in read_detections(path):
                assert isinstance(record["filepath"], str)
                for box in record.get("detections", ()):
                    assert box["label"] in ("animal", "human", "vehicle")
                    assert len(box["bbox"]) == 4
                    assert all(map(math.isfinite, [box["conf"], *box["bbox"]]))
        with suppress(InputError, OutputError):
            assert set(RecordsByFile(path, NAMES)) <= set(NAMES)


@target
def corrections(data: bytes) -> None:
    """The readable part of a corrections file; adding to it loses nothing, whatever the file contains."""
    from speciesnet.survey.corrections import Correction, CorrectionsFile, read_corrections

    with file_of(data, "out.json.corrections.jsonl") as path:
        try:
            before = read_corrections(path)
        except InputError:
            return
        said = Correction("new.jpg", "u;a;b;c;d;e;f", None, "2024-05-01T06:30:00+00:00")
        with CorrectionsFile(path) as file:
            file.add([said])
        assert path.read_bytes().startswith(data)
        assert read_corrections(path) == before | {"new.jpg": said}


# Model packages


@contextmanager
def _package(**files: bytes) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("classifier", "classifier_labels", "detector", "taxonomy", "geofence"):
            (Path(folder) / name).write_bytes(files.get(name, b""))
        named = {name: name for name in ("classifier", "classifier_labels", "detector")}
        info = {
            "version": "1",
            "type": "always_crop",
            "taxonomy": "taxonomy",
            "geofence": "geofence",
        }
        (Path(folder) / "info.json").write_bytes(
            files.get("info", json.dumps(info | named).encode())
        )
        yield Path(folder)


@target
def package_info(data: bytes) -> None:
    """A package whose files are in its folder, or ``ModelError``."""
    from speciesnet.files.packages.info import ModelInfo

    with _package(info=data) as folder, suppress(ModelError):
        info = ModelInfo(str(folder))
        assert info.version and info.fingerprint
        files = [info.classifier, info.classifier_labels, info.taxonomy, info.geofence]
        for path in [*files, *([info.detector] if isinstance(info.detector, Path) else [])]:
            assert path.resolve().parent == folder.resolve()


@target
def labels(data: bytes) -> None:
    """Labels of seven parts, and a taxonomy that a roll-up can use, or ``ModelError``."""
    from speciesnet.classifier import _check_labels
    from speciesnet.ensemble.taxonomy import (
        LEVELS,
        category_of,
        get_ancestor_at_level,
        load_taxonomy,
        species_name,
    )
    from speciesnet.files.packages.info import ModelInfo

    with _package(classifier_labels=data, taxonomy=data) as folder:
        info = ModelInfo(str(folder))
        with suppress(ModelError):
            lines = info.read_lines("classifier_labels")
            assert lines and not any("\n" in line for line in lines)
            for line in lines:
                assert category_of(line) and species_name(line)
            _check_labels(lines, info.classifier_labels)
            taxonomy = load_taxonomy(info)
            for label in lines[:20]:
                for level in LEVELS:
                    get_ancestor_at_level(label, level, taxonomy)


@target
def geofence(data: bytes) -> None:
    """Rules that have an answer for every place, or ``ModelError``."""
    from speciesnet.ensemble.geofence import load_geofence, should_geofence_animal_classification
    from speciesnet.files.packages.info import ModelInfo

    with _package(geofence=data) as folder, suppress(ModelError):
        rules = load_geofence(ModelInfo(str(folder)))
        for key in list(rules)[:20]:
            for country in ("USA", "KEN"):
                for region in ("CA", None):
                    if key.count(";") == 4:
                        fenced = should_geofence_animal_classification(
                            f"u;{key};name", country, region, rules, True
                        )
                        assert isinstance(fenced, bool)


# Networks


class CodeRunError(Exception):
    """Reading a file did something that only running code can do."""


# Events of sys.addaudithook that the reading of a network never raises.
_FORBIDDEN = (
    "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.startfile", "subprocess.",
    "socket.connect", "socket.bind", "urllib.", "os.remove", "os.rename", "os.mkdir", "os.rmdir",
    "os.link", "os.symlink", "os.chmod", "shutil.", "pickle.find_class", "webbrowser.", "ctypes.dlopen",
)  # fmt: skip
_watching = False
_seen: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    writes = event == "open" and any(letter in str(arguments[1]) for letter in "wax+")
    if writes or event.startswith(_FORBIDDEN):
        _seen.append(f"{event}{arguments!r}")


@functools.cache
def _add_hook() -> None:
    sys.addaudithook(_hook)  # for good: there is no way to take one away


@contextmanager
def no_code_runs() -> Iterator[None]:
    """Raises ``CodeRunError`` if code ran, or a file, program or connection was opened."""
    global _watching
    _add_hook()
    _seen.clear()
    _watching = True
    try:
        yield
    finally:
        _watching = False
    if _seen:
        raise CodeRunError("; ".join(_seen))


@dataclass(frozen=True)
class Readers:
    """The readers of networks, imported once, so that no import is attributed to a file."""

    is_ultralytics: Callable[[Path], bool]
    yolov5: Callable[[Path], Any]
    classifier: Callable[[Path], Any]
    unsupported: type[Exception]


@functools.cache
def readers() -> Readers:
    """The readers, each of which has already read a file, because error paths also import modules."""
    from speciesnet.engines.checkpoint import is_ultralytics_checkpoint, read_yolov5_checkpoint
    from speciesnet.engines.classifier_file import read_classifier_network
    from speciesnet.errors import UnsupportedNetworkError

    found = Readers(
        is_ultralytics_checkpoint,
        read_yolov5_checkpoint,
        read_classifier_network,
        UnsupportedNetworkError,
    )
    from fuzz import files

    for data in (b"", files.checkpoint(), files.fx_file(), files.keras_file()):
        _read_networks(data, found)
    return found


@functools.cache
def ultralytics_reader() -> Callable[[Path], Any]:
    """The reader of ultralytics checkpoints; separate, because importing it takes seconds."""
    from fuzz import files
    from speciesnet.engines.ultralytics import _load

    with file_of(files.archive_of(b"\x80\x02}."), "network.pt") as path, suppress(ModelError):
        _load(path)
    return _load


def _read_networks(data: bytes, use: Readers) -> None:
    with file_of(data, "network.pt") as path:
        for read in (use.is_ultralytics, use.yolov5, use.classifier):
            with suppress(ModelError, use.unsupported):
                read(path)


@target
def network(data: bytes) -> None:
    """Passes any file to every reader of networks: a network or ``ModelError``, and no code is run."""
    use = readers()
    with file_of(data, "network.pt") as path, no_code_runs():
        for read in (use.is_ultralytics, use.yolov5, use.classifier):
            with suppress(ModelError, use.unsupported):
                read(path)


@target
def checkpoint_pickle(data: bytes) -> None:
    """The pickle in a detector's checkpoint with a valid archive."""
    from fuzz import files

    network(files.replaced(files.checkpoint(), "data.pkl", data))


@target
def fx_pickle(data: bytes) -> None:
    """The pickle in an onnx2torch classifier with a valid archive."""
    from fuzz import files

    network(files.replaced(files.fx_file(), "data.pkl", data))


@target
def fx_source(data: bytes) -> None:
    """The source code in such a pickle."""
    from fuzz import files

    network(files.fx_file(data.decode("utf-8", "replace")))


@target
def keras_config(data: bytes) -> None:
    """The configuration in a Keras file with a valid archive."""
    from fuzz import files

    network(files.replaced(files.keras_file(), "config.json", data))


@target
def keras_weights(data: bytes) -> None:
    """The HDF5 file in a Keras file with a valid archive."""
    from fuzz import files

    network(files.replaced(files.keras_file(), "model.weights.h5", data))

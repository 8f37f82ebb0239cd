"""A cache on disk of networks converted for OpenVINO.

The folder of a converted network is named after everything that the network depends on: the content of
the source file and the versions of the converters. So it is never stale, and loading it needs no other
framework. Folders of older versions can be deleted at any time.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from absl import logging
from filelock import FileLock

from speciesnet import __version__
from speciesnet.engines.base import version_of
from speciesnet.engines.memory import return_memory
from speciesnet.errors import ModelError, first_line
from speciesnet.files.atomic import write_atomically
from speciesnet.files.packages.downloads import cache_folder


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Keeps OpenVINO and NNCF from sending telemetry to Intel on import, by hiding its package."""
    earlier = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if earlier is None:
            del sys.modules["openvino_telemetry"]
        else:
            sys.modules["openvino_telemetry"] = earlier


with without_telemetry():
    import openvino

_NETWORK, WEIGHTS, _FACTS = "network.xml", "network.bin", "facts.json"
_HASH_CHUNK = 2**22  # bytes
_KEY = re.compile("[0-9a-f]{32}")
_SETTLED = 2 * 10**9  # nanoseconds after which a file's timestamps tell its states apart

Facts = dict[str, Any]
_CONVERTING = threading.Lock()
_UNFINISHED: set[Path] = set()  # folders that this process is writing

T = TypeVar("T")
Conversion = Callable[[Path], tuple[openvino.Model, Facts]]


@dataclass(frozen=True)
class ConvertedNetwork:
    """A network on disk.

    Attributes:
        network: OpenVINO's XML file, with the weights next to it; or the network itself, if it could not
            be stored.
        facts: Other results of the conversion.
    """

    network: Path | openvino.Model
    facts: Facts


def load_converted(source: Path, convert: Conversion, load: Callable[[ConvertedNetwork], T]) -> T:
    """Loads the converted network of a file, from the cache if possible.

    Args:
        source: The file of a detector or a classifier.
        convert: Converts the file to a network and facts that can be stored as JSON.
        load: Compiles the network; raises an error if the cached network is damaged.

    Raises:
        ModelError: The file cannot be read.
    """
    folder = converted_folder(source)
    with suppress(FileNotFoundError, NotADirectoryError):
        return load_folder(folder, load)
    # One at a time: a conversion needs a lot of memory and changes settings of the whole process.
    with _CONVERTING, ExitStack() as stack:
        # Nor may other processes convert the same network, if files can be locked.
        with suppress(OSError, NotImplementedError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(FileLock(f"{folder}.lock"))
        with suppress(FileNotFoundError, NotADirectoryError):  # another process was first
            return load_folder(folder, load)
        network, facts = convert(source)
        logging.info("%s was converted for this machine; this happens only once.", source.name)
        try:
            write_network(network, facts, folder)
        except (OSError, RuntimeError) as error:  # OpenVINO raises the latter when a disk is full
            logging.warning(
                "The converted network cannot be stored in %s (%s): later runs will also start slowly.",
                folder.parent,
                first_line(error),
            )
            return load(ConvertedNetwork(network, facts))
        del network
        gc.collect()  # PyTorch's network is part of a reference cycle
        return_memory()
    try:
        return load_folder(folder, load)
    except FileNotFoundError as error:  # not a damaged file: it has just been written
        raise ModelError(
            f"OpenVINO cannot load the network converted from {source} ({error.__cause__ or error}). "
            "Free some memory, or use --engine torch."
        ) from error


def converted_folder(source: Path) -> Path:
    """Where the cache keeps the converted network of a file, whether it exists or not."""
    return cache_folder() / "openvino" / _key(source)


def load_folder(folder: Path, load: Callable[[ConvertedNetwork], T]) -> T:
    """Loads the network in a folder; raises ``FileNotFoundError`` if it is incomplete."""
    content = (folder / _FACTS).read_text(encoding="utf-8")
    try:
        facts = json.loads(content)
        for name, size in facts["sizes"].items():
            if (folder / name).stat().st_size != size:
                raise ValueError(f"{name} has a different size")
        return load(ConvertedNetwork(folder / _NETWORK, facts["facts"]))
    except ModelError:
        raise
    except Exception as error:  # OpenVINO raises its own for what it cannot read
        logging.warning("%s is damaged (%s) and is created again.", folder, first_line(error))
        shutil.rmtree(folder, ignore_errors=True)
        raise FileNotFoundError(folder) from error


def _key(source: Path) -> str:
    """A hash of everything that the converted network depends on.

    Hashing a full-size network takes a quarter of a second, so the result is kept for this state of the
    file: different content has a different size or timestamp.
    """
    versions = [__version__, openvino.__version__, version_of("torch")]
    facts = source.stat()
    times = facts.st_mtime_ns, facts.st_ctime_ns
    state = f"{source.resolve()} {facts.st_size} {facts.st_ino} {times} {versions}"
    kept = cache_folder() / "hashes" / hashlib.sha256(os.fsencode(state)).hexdigest()[:32]
    with suppress(OSError, ValueError):
        if _KEY.fullmatch(found := kept.read_text(encoding="ascii")):
            return found
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    digest.update(repr(versions).encode())
    key = digest.hexdigest()[:32]
    if time.time_ns() - max(times) > _SETTLED:  # two quick changes may have the same timestamp
        with suppress(OSError):
            kept.parent.mkdir(parents=True, exist_ok=True)
            with write_atomically(kept, fsync=False) as part:
                part.write_text(key, encoding="ascii")
    return key


def write_network(network: openvino.Model, facts: Facts, folder: Path) -> None:
    """Writes to a temporary folder first, so that a folder in the cache is always complete."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
    _UNFINISHED.add(part)
    part.mkdir(parents=True)
    try:
        openvino.save_model(network, part / _NETWORK, compress_to_fp16=False)
        sizes = {name: (part / name).stat().st_size for name in (_NETWORK, WEIGHTS)}
        (part / _FACTS).write_text(json.dumps({"sizes": sizes, "facts": facts}), encoding="utf-8")
        for path in part.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        _UNFINISHED.discard(part)


def remove_unfinished() -> None:
    """Removes what this process has not finished writing, before it ends early."""
    for part in [*_UNFINISHED]:
        shutil.rmtree(part, ignore_errors=True)

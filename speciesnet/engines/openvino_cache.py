"""Networks converted for OpenVINO, kept on disk.

A converted network lies in a folder named after everything that it follows from: the source file's
content, and the versions of what converts it. So it is never stale, and needs no framework.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from absl import logging

from speciesnet.downloads import cache_folder

# OpenVINO reports its first import to its maker; without this package it does not.
_earlier = sys.modules.get("openvino_telemetry")
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
try:
    import openvino
finally:
    if _earlier is None:
        del sys.modules["openvino_telemetry"]
    else:
        sys.modules["openvino_telemetry"] = _earlier

CONVERSION = 1  # to be counted up when the conversion here changes
_NETWORK, _WEIGHTS, _FACTS = "network.xml", "network.bin", "facts.json"
_HASH_CHUNK = 2**22  # bytes

Facts = dict[str, Any]
Conversion = Callable[[Path], tuple[openvino.Model, Facts]]


@dataclass(frozen=True)
class ConvertedNetwork:
    """A network on disk.

    Attributes:
        network: OpenVINO's description of it, beside which its weights lie; or the network itself,
            where it could not be kept.
        facts: What the conversion knows about it besides.
    """

    network: Path | openvino.Model
    facts: Facts


def converted(source: Path, convert: Conversion) -> ConvertedNetwork:
    """The converted network of a file, from the cache if it is there and whole.

    Args:
        source: A checkpoint or a ``.keras`` file.
        convert: Makes the network, and what else is to be kept of it, which must be JSON.

    Raises:
        ModelError: The file cannot be read.
    """
    folder = cache_folder() / "openvino" / _key(source)
    if (found := _read(folder)) is not None:
        return found
    network, facts = convert(source)
    logging.info("%s was converted for this machine, once.", source.name)
    try:
        _write(network, facts, folder)
    except (OSError, RuntimeError) as error:  # OpenVINO raises the latter when a disk is full
        logging.warning(
            "The converted network cannot be kept in %s (%s): later runs start slowly, too.",
            folder.parent,
            str(error).strip().splitlines()[0],
        )
        return ConvertedNetwork(network, facts)
    return ConvertedNetwork(folder / _NETWORK, facts)


def _key(source: Path) -> str:
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            digest.update(chunk)
    for package in ("openvino", "torch"):
        digest.update(f"{package} {importlib.metadata.version(package)}\n".encode())
    digest.update(f"conversion {CONVERSION}".encode())
    return digest.hexdigest()[:32]


def _read(folder: Path) -> ConvertedNetwork | None:
    """What lies in a folder, unless it is missing or cut off."""
    try:
        content = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
        sizes, facts = content["sizes"], content["facts"]
        if any((folder / name).stat().st_size != size for name, size in sizes.items()):
            raise ValueError("its size is another")
        return ConvertedNetwork(folder / _NETWORK, facts)
    except (FileNotFoundError, NotADirectoryError):
        if folder.exists():
            logging.warning("%s is not whole and is made again.", folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        logging.warning("%s is damaged (%s) and is made again.", folder, error)
    return None


def _write(network: openvino.Model, facts: Facts, folder: Path) -> None:
    """Writes into a folder of its own first: another process may be doing the same."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
    try:
        openvino.save_model(network, part / _NETWORK, compress_to_fp16=False)
        sizes = {name: (part / name).stat().st_size for name in (_NETWORK, _WEIGHTS)}
        (part / _FACTS).write_text(json.dumps({"sizes": sizes, "facts": facts}), encoding="utf-8")
        _put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _put_in_place(part: Path, folder: Path) -> None:
    if folder.exists() and _read(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)  # damaged
    try:
        part.rename(folder)
    except OSError:
        if _read(folder) is None:
            raise
        # Another process was first; what it wrote is the same.

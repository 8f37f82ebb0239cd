"""Where the photographs of a predictions file are now, and what their cameras wrote."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from absl import logging

from speciesnet.errors import ImageError, InputError
from speciesnet.images import read_metadata, scheme_of
from speciesnet.metadata import PhotoMetadata
from speciesnet.records import Record

READERS = 4  # files of a network drive or a spinning disk that are waited for at once
READ_AHEAD = 64


class Photographs:
    """Finds photographs by the paths in records; may be used by several threads.

    Args:
        image_root: The folder that they have moved to; None where they are as the records say.

    Attributes:
        found: How many have been found.
        missing: How many have not.

    Raises:
        InputError: The folder does not exist.
    """

    def __init__(self, image_root: str | None = None) -> None:
        if image_root is not None and not Path(image_root).is_dir():
            raise InputError(
                f"--image_root {image_root} is no folder; give the one that holds the photographs now."
            )
        self._root = None if image_root is None else Path(image_root)
        self._folders: dict[tuple[str, ...], list[Path]] = {}  # see _folders_of
        self._lock = threading.Lock()
        self.found = self.missing = 0

    def find(self, filepath: str) -> Path | None:
        """The file of a path in a record, or None where there is none (or it is on the web).

        Under ``image_root`` that is the longest end of the path that is there.
        """
        path = self._find(filepath)
        with self._lock:
            if path is None:
                self.missing += 1
            else:
                self.found += 1
        return path

    def _find(self, filepath: str) -> Path | None:
        if scheme_of(filepath) is not None:
            return None
        if self._root is None:
            return _existing(Path(filepath))
        *parts, name = PurePosixPath(filepath.replace("\\", "/")).parts or ("",)
        if name in ("", "..", "/") or name.endswith(":"):
            return None
        files = (_existing(folder / name) for folder in self._folders_of(tuple(parts), self._root))
        return next((file for file in files if file is not None), None)

    def _folders_of(self, parts: tuple[str, ...], root: Path) -> list[Path]:
        """The ends of a folder of the predictions that are below the root, longest first."""
        with self._lock:
            if parts not in self._folders:
                ends = (parts[dropped:] for dropped in range(len(parts) + 1))
                self._folders[parts] = [
                    root.joinpath(*end)
                    for end in ends
                    if not {"..", "/"} & set(end)
                    and not (end and end[0].endswith(":"))
                    and _is_folder(root.joinpath(*end))
                ]
            return self._folders[parts]

    def warn_of_missing(self, consequence: str) -> None:
        """Says once how many photographs were not found.

        Args:
            consequence: What was done without them, such as "their dates are left empty".
        """
        if self.missing:
            logging.warning(
                "%d of %d photographs are not where the predictions say; %s. If they have moved, give "
                "the folder that holds them now with --image_root.",
                self.missing,
                self.missing + self.found,
                consequence,
            )


def _existing(path: Path) -> Path | None:
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # names that no file system takes
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def with_metadata(
    records: Iterable[Record], photographs: Photographs | None
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """Records with what their cameras wrote, in order.

    A record that keeps ``metadata`` is taken at its word; for others the photograph is opened, a few
    beside each other, without decoding it; or none is, where ``photographs`` is None.
    """

    def read(path: Path) -> PhotoMetadata:
        try:
            return read_metadata(str(path))
        except ImageError:  # the run has told of it
            return PhotoMetadata()

    def start(record: Record) -> tuple[Record, Future[PhotoMetadata] | PhotoMetadata]:
        kept: Any = record.get("metadata")
        if isinstance(kept, Mapping):
            return record, PhotoMetadata.from_dict(kept)
        path = photographs.find(record["filepath"]) if photographs else None
        return record, executor.submit(read, path) if path else PhotoMetadata()

    with ThreadPoolExecutor(READERS, thread_name_prefix="exif") as executor:
        started = map(start, records)
        waiting = deque(itertools.islice(started, READ_AHEAD))
        while waiting:
            record, metadata = waiting.popleft()
            yield record, metadata.result() if isinstance(metadata, Future) else metadata
            waiting.extend(itertools.islice(started, 1))

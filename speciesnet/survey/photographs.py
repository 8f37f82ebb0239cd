"""Where the photographs of a predictions file are now, and what their cameras wrote."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from absl import logging

from speciesnet.errors import ImageError, InputError
from speciesnet.files.clouds import RemoteError
from speciesnet.files.storage import is_cloud, scheme_of
from speciesnet.images import read_metadata
from speciesnet.metadata import PhotoMetadata
from speciesnet.records import Record

_Found = TypeVar("_Found", bound=Path | str | None)

READERS = 4  # files of a network drive or a spinning disk that are waited for at once
REMOTE_READERS = 32  # photographs in buckets that are waited for at once
READ_AHEAD = 64


class Photographs:
    """Finds photographs by the paths in records; may be used by several threads.

    Args:
        image_root: The folder that they have moved to; None where they are as the records say.

    Attributes:
        found: How many have been found.
        missing: How many have not.

    Raises:
        InputError: The folder does not exist, or is not on this computer.
    """

    def __init__(self, image_root: str | None = None) -> None:
        if image_root is not None and scheme_of(image_root) is not None:
            raise InputError(
                f"--image_root {image_root} is not on this computer, where photographs are looked for; "
                "download that folder, and give the copy."
            )
        if image_root is not None and not Path(image_root).is_dir():
            raise InputError(
                f"--image_root {image_root} is no folder; give the one that holds the photographs now."
            )
        self._root = None if image_root is None else Path(image_root)
        self._folders: dict[tuple[str, ...], list[Path]] = {}  # see _folders_of
        self._lock = threading.Lock()
        self.found = self.missing = 0

    def find(self, filepath: str) -> Path | None:
        """The file of a path or URL in a record on this computer, or None where there is none.

        Under ``image_root`` that is the longest end of the path that is there.
        """
        return self._counted(self._find(filepath))

    def source(self, filepath: str) -> Path | str | None:
        """As ``find``; and a photograph in a bucket is its URL, unless there is an ``image_root``.

        Whether it is there turns out when it is opened: see ``not_there``.
        """
        is_url = self._root is None and is_cloud(filepath)
        return self._counted(filepath if is_url else self._find(filepath))

    def _counted(self, found: _Found) -> _Found:
        with self._lock:
            if found is None:
                self.missing += 1
            else:
                self.found += 1
        return found

    def not_there(self) -> None:
        """Counts a photograph that ``source`` gave, and that cannot be fetched, as missing."""
        with self._lock:
            self.found -= 1
            self.missing += 1

    def _find(self, filepath: str) -> Path | None:
        if self._root is None:
            return None if scheme_of(filepath) is not None else _existing(Path(filepath))
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


def none_found(filepaths: Sequence[str]) -> InputError:
    """That no photograph is found by a program that works on files."""
    if scheme_of(filepaths[0]) is not None:
        return InputError(
            f"The photographs are not on this computer, such as {filepaths[0]}; download them, and give "
            "the folder that holds them with --image_root."
        )
    return InputError(
        f"None of the {len(filepaths)} photographs is where the predictions say, such as "
        f"{filepaths[0]}; give the folder that holds them now with --image_root."
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

    Raises:
        CredentialsError: Those for the bucket of a photograph have expired or are refused.
    """

    def read(path: Path | str) -> PhotoMetadata:
        try:
            return read_metadata(str(path))
        except ImageError as error:  # of a file, the run has told of it
            if photographs and isinstance(error.__cause__, RemoteError | FileNotFoundError):
                photographs.not_there()
            return PhotoMetadata()

    def start(record: Record) -> tuple[Record, Future[PhotoMetadata] | PhotoMetadata]:
        kept: Any = record.get("metadata")
        if isinstance(kept, Mapping):
            return record, PhotoMetadata.from_dict(kept)
        path = photographs.source(record["filepath"]) if photographs else None
        if path is None:
            return record, PhotoMetadata()
        return record, (here if isinstance(path, Path) else elsewhere).submit(read, path)

    with (
        ThreadPoolExecutor(READERS, thread_name_prefix="exif") as here,
        ThreadPoolExecutor(REMOTE_READERS, thread_name_prefix="exif") as elsewhere,
    ):
        started = map(start, records)
        waiting = deque(itertools.islice(started, READ_AHEAD))
        while waiting:
            record, metadata = waiting.popleft()
            yield record, metadata.result() if isinstance(metadata, Future) else metadata
            waiting.extend(itertools.islice(started, 1))

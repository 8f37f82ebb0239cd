"""Finds the photographs of a predictions file, and reads the metadata that their cameras wrote."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar

from absl import logging

from speciesnet.errors import ImageError, InputError
from speciesnet.files.clouds import RemoteError
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.listing import is_film_name
from speciesnet.files.paths import with_slashes
from speciesnet.files.storage import is_cloud, scheme_of
from speciesnet.films import read_film_metadata
from speciesnet.images import read_metadata
from speciesnet.metadata import PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.dates import DateRules, with_dates

_Found = TypeVar("_Found", bound=Path | str | None)

READERS = 4  # files read in parallel, from a network drive or a spinning disk
REMOTE_READERS = 32  # photographs read in parallel from buckets
READ_AHEAD = 64  # photographs whose reading starts before their turn


class Photographs:
    """Finds photographs by the paths in records; safe to use from several threads.

    Args:
        image_root: The folder that the photographs have moved to; None if the paths are still right.

    Attributes:
        found: The number of photographs that were found.
        missing: The number of photographs that were not found.

    Raises:
        InputError: The folder does not exist, or is not on this computer.
    """

    def __init__(self, image_root: str | None = None) -> None:
        if image_root is not None and scheme_of(image_root) is not None:
            raise InputError(
                f"--image_root {image_root} is not on this computer. Download that folder, and pass "
                "the copy."
            )
        if image_root is not None and not Path(image_root).is_dir():
            raise InputError(
                f"--image_root {image_root} is not a folder; pass the folder of the photographs."
            )
        self._root = None if image_root is None else Path(image_root)
        self._folders: dict[tuple[str, ...], list[Path]] = {}  # see _folders_of
        self._lock = threading.Lock()
        self.found = self.missing = 0

    def find(self, filepath: str) -> Path | None:
        """The file on this computer for a path or URL in a record, or None if there is none.

        Under ``image_root`` that is the file that matches the longest end of the path.
        """
        return self._counted(self._find(filepath))

    def source(self, filepath: str) -> Path | str | None:
        """Like ``find``, but a photograph in a bucket is its URL, unless there is an ``image_root``.

        Whether the URL exists is known only once it is opened: see ``not_there``.
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
        """Counts a photograph that ``source`` returned as missing, because it cannot be fetched."""
        with self._lock:
            self.found -= 1
            self.missing += 1

    def _find(self, filepath: str) -> Path | None:
        if self._root is None:
            path = Path(filepath)
            return path if scheme_of(filepath) is None and _is_there(path, Path.is_file) else None
        *parts, name = PurePosixPath(with_slashes(filepath)).parts or ("",)
        if name in ("", "..", "/") or name.endswith(":"):
            return None
        files = (folder / name for folder in self._folders_of(tuple(parts), self._root))
        return next((file for file in files if _is_there(file, Path.is_file)), None)

    def _folders_of(self, parts: tuple[str, ...], root: Path) -> list[Path]:
        """The folders below the root that match an end of a folder's parts, longest first."""
        with self._lock:
            if parts not in self._folders:
                ends = (parts[dropped:] for dropped in range(len(parts) + 1))
                self._folders[parts] = [
                    root.joinpath(*end)
                    for end in ends
                    if not {"..", "/"} & set(end)
                    and not (end and end[0].endswith(":"))
                    and _is_there(root.joinpath(*end), Path.is_dir)
                ]
            return self._folders[parts]

    def warn_of_missing(self, consequence: str) -> None:
        """Logs how many photographs were not found, if any.

        Args:
            consequence: The consequence for these photographs: "their dates are left empty".
        """
        if self.missing:
            logging.warning(
                "%d of %s %s not where the predictions say; %s. If they have moved, pass "
                "their new folder with --image_root.",
                self.missing,
                counted(self.missing + self.found, "photograph"),
                plural(self.missing, "is", "are"),
                consequence,
            )


def _is_there(path: Path, check: Callable[[Path], bool]) -> bool:
    try:
        return check(path)
    except (OSError, ValueError):  # names that no file system accepts
        return False


def position_of(record: Record, metadata: PhotoMetadata) -> tuple[float | None, float | None]:
    """Latitude and longitude in degrees: those of the record, or else those of the camera."""
    if "latitude" in record:
        return record["latitude"], record.get("longitude")
    return metadata.latitude, metadata.longitude


def with_metadata(
    records: Iterable[Record], photographs: Photographs | None, dates: DateRules | None = None
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """Records with the metadata that their cameras wrote, in order.

    The ``metadata`` of a record is used if there is any. Otherwise the photograph is opened, without
    decoding it and a few in parallel; ``photographs`` None opens no photograph. Dates that cannot be
    read are counted, and reported once at the end.

    Args:
        records: Records of any run.
        photographs: The finder of photographs, or None.
        dates: Dates from file names, and corrections of the cameras' clocks.

    Raises:
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
        InputError: The clock corrections do not fit the photographs.
    """
    yield from with_dates(with_camera_metadata(records, photographs), dates or DateRules())


def with_camera_metadata(
    records: Iterable[Record], photographs: Photographs | None
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """As ``with_metadata``, with the dates as the cameras wrote them, and without a report."""

    def read(path: Path | str) -> PhotoMetadata:
        try:
            read_it = read_film_metadata if is_film_name(str(path)) else read_metadata
            return read_it(str(path))
        except ImageError as error:  # the run has already reported an unreadable file
            if photographs and isinstance(error.__cause__, RemoteError | FileNotFoundError):
                photographs.not_there()
            return PhotoMetadata()

    def start(record: Record) -> tuple[Record, Future[PhotoMetadata] | PhotoMetadata]:
        kept = record.get("metadata")
        if isinstance(kept, Mapping):
            return record, PhotoMetadata.from_dict(kept)
        path = photographs.source(record["filepath"]) if photographs else None
        if path is None:
            return record, PhotoMetadata()
        return record, (here if isinstance(path, Path) else elsewhere).submit(read, path)

    def found() -> Iterator[tuple[Record, PhotoMetadata]]:
        started = map(start, records)
        waiting = deque(itertools.islice(started, READ_AHEAD))
        while waiting:
            record, metadata = waiting.popleft()
            yield record, metadata.result() if isinstance(metadata, Future) else metadata
            waiting.extend(itertools.islice(started, 1))

    with (
        ThreadPoolExecutor(READERS, thread_name_prefix="exif") as here,
        ThreadPoolExecutor(REMOTE_READERS, thread_name_prefix="exif") as elsewhere,
    ):
        yield from found()

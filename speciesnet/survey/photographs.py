"""Reads the metadata that cameras wrote into the photographs of a predictions file."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from speciesnet.errors import ImageError
from speciesnet.files.clouds import RemoteError
from speciesnet.files.extensions import is_film_name
from speciesnet.files.moved_photographs import Photographs
from speciesnet.films import read_film_metadata
from speciesnet.images import read_metadata
from speciesnet.metadata import PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.clock_jumps import ClockJumps
from speciesnet.survey.dates import DateRules, with_dates

READERS = 4  # files read in parallel, from a network drive or a spinning disk
REMOTE_READERS = 32  # photographs read in parallel from buckets
READ_AHEAD = 64  # photographs whose reading starts before their turn


def position_of(record: Record, metadata: PhotoMetadata) -> tuple[float | None, float | None]:
    """Latitude and longitude in degrees, from the record, otherwise from the camera."""
    if "latitude" in record:
        return record["latitude"], record.get("longitude")
    return metadata.latitude, metadata.longitude


def with_metadata(
    records: Iterable[Record], photographs: Photographs | None, dates: DateRules | None = None
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """The records, in order, with the metadata that their cameras wrote.

    If a record has ``metadata``, this is used. Otherwise, the photograph is opened without decoding it;
    a few are opened at a time. If ``photographs`` is None, none is opened. Unreadable dates and clocks
    that jumped are counted and reported once, at the end.

    Args:
        records: Records from any run.
        photographs: Finds the photographs, or None.
        dates: Dates from file names, and corrections of the cameras' clocks.

    Raises:
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
        InputError: The clock corrections do not fit the photographs.
    """
    rules, jumps = dates or DateRules(), ClockJumps()
    for record, metadata in with_dates(with_camera_metadata(records, photographs), rules):
        if rules.checks_clocks and metadata.datetime is not None:
            jumps.add(record["filepath"], metadata.datetime)
        yield record, metadata
    rules.add_note(jumps.note())


def with_camera_metadata(
    records: Iterable[Record], photographs: Photographs | None
) -> Iterator[tuple[Record, PhotoMetadata]]:
    """Like ``with_metadata``, but with the dates as written by the cameras, and without a report."""

    def read(path: Path | str) -> PhotoMetadata:
        try:
            read_it = read_film_metadata if is_film_name(str(path)) else read_metadata
            return read_it(str(path))
        except ImageError as error:  # the run has already reported an unreadable file
            if photographs and isinstance(error.__cause__, RemoteError | FileNotFoundError):
                photographs.not_there(str(path))
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

"""Lists of instances that may be too long for memory, read one instance at a time."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from speciesnet.errors import InputError, NoListError, file_errors
from speciesnet.files import json_lists, storage
from speciesnet.files.given_paths import GivenPaths
from speciesnet.files.input_notes import InputNotes
from speciesnet.geolocation import override_location, resolve_locations
from speciesnet.images.instances import (
    COLUMNS,
    Instance,
    listed_paths,
    no_instances,
    parse_instance,
    split_paths,
    walk_images,
    without_films,
)

CHUNK = 5_000  # instances whose places are looked up together


def read_instances(
    source: str,
    *,
    country: str | None = None,
    admin1_region: str | None = None,
    country_from_coordinates: bool = False,
    films: bool = True,
    notes: InputNotes | None = None,
) -> Iterator[Instance]:
    """Reads instances and resolves their places; relative paths become absolute.

    Args:
        source: A list on a disk or in a bucket: an instances JSON (``.json``), one JSON object per line
            (``.jsonl``), a table (``.parquet``) or one path per line (``.txt``). Otherwise folders,
            separated by commas and searched for images at any depth.
        country: Country of all instances, ISO 3166-1 alpha-3.
        admin1_region: State or province of all instances; needs a country.
        country_from_coordinates: Whether coordinates override countries; see ``resolve_locations``.
        films: Whether to include films; otherwise they are left out and counted.
        notes: Receives what a user should know about the input.

    Raises:
        InputError: The list cannot be read, is empty, or contains an invalid instance.
    """
    notes = InputNotes() if notes is None else notes
    instances = iter(_read(source, notes, films))
    if not films:
        instances = without_films(instances, notes)
    number = 0
    while chunk := list(itertools.islice(instances, CHUNK)):
        placed = override_location(chunk, country, admin1_region, first=number + 1)
        number += len(chunk)
        absolute = [replace(i, filepath=absolute_path(i.filepath)) for i in placed]
        yield from resolve_locations(absolute, country_from_coordinates=country_from_coordinates)
    if not number:
        raise InputError(f"There are no images in {source}: it is empty. Add images to it.")
    notes.log()


def absolute_path(path: str) -> str:
    """Makes a relative path absolute; leaves absolute paths and URLs exactly as they are written."""
    if storage.scheme_of(path) or os.path.isabs(path):  # noqa: PTH117 (spellings name records)
        return path
    return os.path.abspath(path)  # noqa: PTH100


def _read(source: str, notes: InputNotes, films: bool) -> Iterable[Instance]:
    readers: dict[str, Callable[[Path, str], Iterator[object]]] = {
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".parquet": _read_parquet,
        ".txt": _read_paths,
    }
    reader = readers.get(PurePosixPath(source).suffix.lower())
    if reader is None:
        folders = map(GivenPaths(notes).find, split_paths(source))
        yield from map(Instance, walk_images(folders, notes, films=films))
        return
    found = GivenPaths(notes, source).find
    name, fix = f"The list of instances {source}", "Fix the cause or pass a different list."
    try:
        with file_errors(InputError, name, fix=fix), storage.local_file(source) as path:
            for number, raw in enumerate(reader(path, source), start=1):
                instance = parse_instance(raw, source, number)
                yield replace(instance, filepath=found(instance.filepath))
    except UnicodeDecodeError as error:
        raise InputError(f"{name} is not UTF-8 text. Save it as UTF-8.") from error


def _read_json(path: Path, source: str) -> Iterator[object]:
    try:
        with json_lists.described_errors(source, InputError, "Correct the file."):
            yield from json_lists.read_items(path, "instances")
    except NoListError as error:
        raise InputError(no_instances(source)) from error


def _read_json_lines(path: Path, source: str) -> Iterator[object]:
    for number, line in enumerate(_lines(path), start=1):
        try:
            if line.strip():
                yield json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"Line {number} of {source} is not valid JSON ({error}). Correct the line."
            ) from error


def _read_paths(path: Path, source: str) -> Iterator[object]:
    for line in listed_paths(_lines(path), source, "image"):
        yield {"filepath": line}


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as file:
        yield from file


def _read_parquet(path: Path, source: str) -> Iterator[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            columns = [name for name in COLUMNS if name in table.schema_arrow.names]
            if "filepath" not in columns:
                raise InputError(
                    f"{source} has no filepath column. Add one with the paths of the images."
                )
            for batch in table.iter_batches(CHUNK, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # from the disk, not from Arrow
            raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"The list of instances {source} is not a readable Parquet file ({reason}). Write it again."
        ) from error

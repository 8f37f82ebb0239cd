"""Instances of a list that may be too long for memory, one at a time."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from speciesnet.errors import InputError
from speciesnet.files import json_lists, storage
from speciesnet.geolocation import override_location, resolve_locations
from speciesnet.instances import (
    COLUMNS,
    Instance,
    no_instances,
    parse_instance,
    split_paths,
    walk_images,
)

CHUNK = 5_000  # instances that are looked at together


def read_instances(
    source: str,
    *,
    country: str | None = None,
    admin1_region: str | None = None,
    country_from_coordinates: bool = False,
) -> Iterator[Instance]:
    """Instances, ready for a run; relative paths become whole ones, as machines start in other folders.

    Args:
        source: By its ending an instances JSON (``.json``), a JSON object a line (``.jsonl``), a table
            (``.parquet``) or a path a line (``.txt``); otherwise folders, comma-separated, searched for
            images at any depth. On a disk or in a bucket.
        country: For every instance, ISO 3166-1 alpha-3.
        admin1_region: For every instance; needs a country.
        country_from_coordinates: As for ``resolve_locations``.

    Raises:
        InputError: The list cannot be read, is empty, or one of its instances is wrong.
    """
    instances = iter(_read(source))
    number = 0
    while chunk := list(itertools.islice(instances, CHUNK)):
        placed = override_location(chunk, country, admin1_region, first=number + 1)
        number += len(chunk)
        whole = [replace(i, filepath=whole_path(i.filepath)) for i in placed]
        yield from resolve_locations(whole, country_from_coordinates=country_from_coordinates)
    if not number:
        raise InputError(f"There are no images in {source}: it is empty; put images into it.")


def whole_path(path: str) -> str:
    """A path that means the same in all folders; whole ones and URLs stay as they are."""
    if storage.scheme_of(path) or os.path.isabs(path):  # noqa: PTH117 (other spellings are other records)
        return path
    return os.path.abspath(path)  # noqa: PTH100


def _read(source: str) -> Iterable[Instance]:
    reader = {
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".parquet": _read_parquet,
        ".txt": _read_paths,
    }.get(PurePosixPath(source).suffix.lower())
    if reader is None:
        return map(Instance, walk_images(split_paths(source)))
    return _read_file(source, reader)


def _read_file(source: str, reader: Any) -> Iterator[Instance]:
    try:
        with storage.local_file(source) as path:
            for number, raw in enumerate(reader(path, source), start=1):
                yield parse_instance(raw, source, number)
    except OSError as error:
        raise InputError(
            f"The list of instances {source} cannot be read ({error.strerror or error}); give one that "
            "can."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"The list of instances {source} is no UTF-8; save it as that.") from error


def _read_json(path: Path, source: str) -> Iterator[Any]:
    try:
        yield from json_lists.read_items(path, "instances")
    except json_lists.NoListError as error:
        raise InputError(no_instances(source)) from error
    except json_lists.TooDeepError as error:
        raise InputError(f"{source} is nested too deeply; correct it there.") from error
    except json_lists.DamagedError as error:
        raise InputError(
            f"The list of instances {source} is not valid JSON ({error.__cause__}); correct it there."
        ) from error


def _read_json_lines(path: Path, source: str) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            try:
                if line.strip():
                    yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise InputError(
                    f"Line {number} of {source} is not valid JSON ({error}); correct it there."
                ) from error


def _read_paths(path: Path, source: str) -> Iterator[Any]:
    with path.open(encoding="utf-8-sig") as file:
        for line in file:
            if line.strip():
                yield {"filepath": line.strip()}


def _read_parquet(path: Path, source: str) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as table:
            if "filepath" not in table.schema_arrow.names:
                raise InputError(
                    f"{source} has no column filepath; add one with the images' paths."
                )
            columns = [name for name in COLUMNS if name in table.schema_arrow.names]
            for batch in table.iter_batches(CHUNK, columns=columns):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk, not of Arrow
            raise
        reason = " ".join(str(error).split())
        raise InputError(
            f"The list of instances {source} is no Parquet that can be read ({reason}); make it again."
        ) from error

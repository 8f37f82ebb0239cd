"""Shards: files of a few hundred finished records each, in the output folder of a cluster run.

A shard is JSON lines, or Parquet with some columns to query and the whole record as JSON. Its name is
derived from its images, so it never replaces the shard of other images.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from absl import logging

from speciesnet.images.instances import path_digest
from speciesnet.predictions.layout import decode_line, encode_record
from speciesnet.predictions.tally import Tally
from speciesnet.records import Record, answer_of
from speciesnet.records.failures import is_failed
from speciesnet.run.distributed.folder import Folder

FORMATS = ("jsonl", "parquet")
DIGEST_BYTES = 16
RUN_FILE = "run.json"  # next to the shards: the run that owns the folder, and its settings
_SHARD = re.compile(r"part-[0-9a-f]{24}\.(jsonl|parquet)")  # other programs write part-0 and so on


def digest(filepath: str) -> bytes:
    """Returns ``DIGEST_BYTES`` that identify an image where its path would take too much space."""
    return path_digest(filepath, DIGEST_BYTES)


def shard_name(filepaths: Iterable[str], shard_format: str) -> str:
    """Returns the name of the shard with these images, whatever their order."""
    digests = hashlib.blake2b(b"".join(sorted(map(digest, filepaths))), digest_size=12)
    return f"part-{digests.hexdigest()}.{shard_format}"


def shard_names(folder: Folder) -> list[str]:
    """Lists the shards in a folder; raises ``InputError`` if it cannot be listed."""
    return [name for name in folder.names() if _SHARD.fullmatch(name)]


def write_shard(
    folder: Folder, records: Sequence[Record], shard_format: str, lines: Sequence[bytes] = ()
) -> None:
    """Writes records into the shard that is named after their images; raises ``OutputError``.

    ``lines`` are the records encoded by ``encode_record``, if the caller has them already.
    """
    name = shard_name((record["filepath"] for record in records), shard_format)
    folder.write(name, _encode(records, shard_format, lines))


def _encode(records: Sequence[Record], shard_format: str, lines: Sequence[bytes] = ()) -> bytes:
    lines = lines or list(map(encode_record, records))
    if shard_format == "jsonl":
        return b"".join(line + b"\n" for line in lines)
    import pyarrow as pa
    import pyarrow.parquet as pq

    answers = [answer_of(record) for record in records]
    paths = [record["filepath"].encode("utf-8", "replace").decode() for record in records]
    failures = [record.get("failures", []) for record in records]
    table = pa.table(
        {
            "filepath": pa.array(paths, pa.string()),  # with "?" for invalid Unicode
            "prediction": pa.array([label for label, _, _ in answers], pa.string()),
            "prediction_score": pa.array([score for _, score, _ in answers], pa.float64()),
            "prediction_source": pa.array([source for _, _, source in answers], pa.string()),
            "failures": pa.array(failures, pa.list_(pa.string())),
            "record": pa.array(lines, pa.binary()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def read_shard(path: Path, shard_format: str) -> Iterator[Record | None]:
    """Reads the records of a shard; raises ``OSError``.

    Yields None for each damaged record, and once for a damaged table.
    """
    if shard_format == "jsonl":
        with path.open("rb") as file:
            for line in file:
                yield decode_line(line) if line.endswith(b"\n") else None
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = path.read_bytes()  # outside the try: Arrow raises OSError for damage, as a disk does
    try:
        lines = pq.read_table(pa.BufferReader(content), columns=["record"])["record"].to_pylist()
    except (pa.ArrowException, OSError, KeyError):
        yield None
        return
    for line in lines:
        yield decode_line(line) if isinstance(line, bytes) else None


class FinishedImages(NamedTuple):
    """The images in a shard that need not be run again: their joined digests, and counts of records."""

    digests: bytes
    tally: Tally


def finished_in(folder: Folder, name: str, repair: bool) -> FinishedImages:
    """Finds the images in a shard that need not be run again.

    Args:
        folder: The output folder.
        name: Name of the shard.
        repair: Whether to remove failed and damaged records from the shard, so that an image that is
            run again never has two records.

    Raises:
        InputError: The shard cannot be read.
        OutputError: The shard cannot be written.
    """
    shard_format = name.rpartition(".")[2]
    with folder.local(name) as path:
        records = list(read_shard(path, shard_format))
    kept = [record for record in records if record is not None and not is_failed(record)]
    tally = Tally()
    for record in kept:
        tally.count(record)
    if repair and len(kept) < len(records):
        if None in records:
            logging.warning("%s is damaged; its intact records are kept.", folder.at(name))
        folder.write(name, _encode(kept, shard_format))
    return FinishedImages(b"".join(digest(record["filepath"]) for record in kept), tally)

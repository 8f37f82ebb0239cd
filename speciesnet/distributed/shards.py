"""Shards: files of a few hundred finished records each, which lie in one folder.

A shard is JSON lines, or Parquet with a few columns to ask for and the whole record as JSON. Its name
is made from the images in it: other images never replace it.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from absl import logging

from speciesnet.distributed.folder import Folder
from speciesnet.instances import path_digest
from speciesnet.predictions.layout import decode_line, encode_record
from speciesnet.records import Record, Tally, answer_of, is_failed

PREFIX = "part-"
FORMATS = ("jsonl", "parquet")
DIGEST_BYTES = 16
RUN_FILE = "run.json"  # beside the shards: whose folder it is
_SHARD = re.compile(r"part-[0-9a-f]{24}\.(jsonl|parquet)")  # other programs have a part-0 and so on


def digest(filepath: str) -> bytes:
    """Stands for an image where a list of all paths would be too long."""
    return path_digest(filepath, DIGEST_BYTES)


def shard_name(filepaths: Iterable[str], shard_format: str) -> str:
    """The name of the shard that holds these images."""
    digests = hashlib.blake2b(b"".join(sorted(map(digest, filepaths))), digest_size=12)
    return f"{PREFIX}{digests.hexdigest()}.{shard_format}"


def shard_names(folder: Folder) -> Iterator[str]:
    """The shards in a folder."""
    for name in folder.names():
        if _SHARD.fullmatch(name):
            yield name


def write_shard(folder: Folder, records: Sequence[Record], shard_format: str) -> None:
    """Writes records as the shard that their images make; raises ``OutputError``."""
    name = shard_name((record["filepath"] for record in records), shard_format)
    folder.write(name, _encode(records, shard_format))


def _encode(records: Sequence[Record], shard_format: str) -> bytes:
    lines = [encode_record(record) for record in records]
    if shard_format == "jsonl":
        return b"".join(line + b"\n" for line in lines)
    import pyarrow as pa
    import pyarrow.parquet as pq

    answers = [answer_of(record) for record in records]
    table = pa.table(
        {
            "filepath": pa.array([_text(record["filepath"]) for record in records], pa.string()),
            "prediction": pa.array([label for label, _, _ in answers], pa.string()),
            "prediction_score": pa.array([score for _, score, _ in answers], pa.float64()),
            "prediction_source": pa.array([source for _, _, source in answers], pa.string()),
            "failures": pa.array(
                [record.get("failures", []) for record in records], pa.list_(pa.string())
            ),
            "record": pa.array(lines, pa.binary()),
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _text(filepath: str) -> str:
    """A path that Parquet takes: names that are no valid Unicode show what they can."""
    return filepath.encode("utf-8", "replace").decode()


def read_shard(path: Path, shard_format: str) -> Iterator[Record | None]:
    """The records of a shard, and None for what is not whole; raises ``OSError``."""
    if shard_format == "jsonl":
        with path.open("rb") as file:
            for line in file:
                yield decode_line(line) if line.endswith(b"\n") else None
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    content = (
        path.read_bytes()
    )  # or damage could not be told from a disk that fails: both are OSError
    try:
        lines = pq.read_table(pa.BufferReader(content), columns=["record"])["record"].to_pylist()
    except (pa.ArrowException, OSError, KeyError):
        yield None
        return
    for line in lines:
        yield decode_line(line) if isinstance(line, bytes) else None


@dataclass
class Finished:
    """What a shard has of a run.

    Attributes:
        digests: Of its images that need not be done again, one after the other.
        tally: Counts of their records.
    """

    digests: bytes = b""
    tally: Tally = field(default_factory=Tally)


def finished_in(folder: Folder, name: str, mend: bool) -> Finished:
    """Looks through a shard of an earlier run for what need not be done again.

    Args:
        folder: Where it lies.
        name: Of the shard.
        mend: Takes out of it what failed, and what is not whole: so no image ever has two records.

    Raises:
        InputError: The shard cannot be read.
        OutputError: It cannot be written.
    """
    finished = Finished()
    shard_format = name.rpartition(".")[2]
    with folder.local(name) as path:
        records = list(read_shard(path, shard_format))
    kept = [record for record in records if record is not None and not is_failed(record)]
    for record in kept:
        finished.tally.count(record)
    finished.digests = b"".join(digest(record["filepath"]) for record in kept)
    if mend and len(kept) < len(records):
        if None in records:
            logging.warning("%s is damaged: its whole records are used.", folder.at(name))
        folder.write(name, _encode(kept, shard_format))
    return finished

"""Shards of records, intact and damaged."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from speciesnet.predictions.layout import encode_record
from speciesnet.records import Record
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.shards import (
    DIGEST_BYTES,
    FORMATS,
    digest,
    finished_in,
    read_shard,
    shard_name,
    shard_names,
    write_shard,
)

DEER = "u1;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;white-tailed deer"
GOOD: list[Record] = [
    {
        "filepath": f"/images/{name}",
        "country": "USA",
        "detections": [{"category": "1", "label": "animal", "conf": 0.1 + 0.2, "bbox": [0.0] * 4}],
        "prediction": DEER,
        "prediction_score": 1e-07,
        "prediction_source": "classifier",
        "model_version": "demo-1",
    }
    for name in ("a.jpg", "é 🦌.jpg", "\udcff.jpg")
]
FAILED: Record = {"filepath": "/images/f.jpg", "failures": ["DETECTOR", "CLASSIFIER"]}


@pytest.fixture(params=FORMATS)
def shard_format(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(str(tmp_path))


def written(folder: Folder, records: list[Record], shard_format: str) -> Path:
    write_shard(folder, records, shard_format)
    (name,) = shard_names(folder)
    return Path(folder.at(name))


def test_records_are_read_as_they_were_written(folder: Folder, shard_format: str) -> None:
    records = [*GOOD, FAILED]
    path = written(folder, records, shard_format)
    assert list(read_shard(path, shard_format)) == records


def test_encoded_records_are_written_as_they_are(folder: Folder, shard_format: str) -> None:
    path = written(folder, GOOD, shard_format)
    before = path.read_bytes()
    write_shard(folder, GOOD, shard_format, lines=list(map(encode_record, GOOD)))
    assert path.read_bytes() == before


def test_columns_of_a_table(folder: Folder) -> None:
    table = pq.read_table(written(folder, [*GOOD, FAILED], "parquet"))
    assert table["filepath"].to_pylist() == ["/images/a.jpg", "/images/é 🦌.jpg", "/images/?.jpg", FAILED["filepath"]]  # fmt: skip  # noqa: E501
    assert table["prediction"].to_pylist() == [DEER, DEER, DEER, None]
    assert table["prediction_score"].to_pylist() == [1e-07, 1e-07, 1e-07, 0.0]
    assert table["failures"].to_pylist() == [[], [], [], ["DETECTOR", "CLASSIFIER"]]


def test_name_depends_on_the_images_alone(folder: Folder, shard_format: str) -> None:
    paths = [record["filepath"] for record in GOOD]
    name = shard_name(paths, shard_format)
    assert name == shard_name(reversed(paths), shard_format)
    assert name != shard_name(paths[1:], shard_format)
    assert written(folder, GOOD, shard_format).name == name
    assert written(folder, GOOD[::-1], shard_format).name == name  # replaces the other


def test_other_files_are_not_shards(folder: Folder) -> None:
    own = shard_name(["1.jpg"], "parquet")
    others = ("part-1.parquet", "part-00000-c000.jsonl")  # names of other programs
    for name in ("run.json", f".{own}.0.part", f"{own}.part", *others, own):
        folder.write(name, b"")
    (Path(folder.path) / shard_name(["2.jpg"], "jsonl")).mkdir()
    assert list(shard_names(folder)) == [own]


def test_repair_removes_failed_records(folder: Folder, shard_format: str) -> None:
    path = written(folder, [GOOD[0], FAILED, GOOD[1]], shard_format)
    before = path.read_bytes()
    finished = finished_in(folder, path.name, repair=False)
    assert path.read_bytes() == before
    assert finished.digests == digest(GOOD[0]["filepath"]) + digest(GOOD[1]["filepath"])
    assert finished == finished_in(folder, path.name, repair=True)
    assert (finished.tally.images, finished.tally.failed) == (2, 0)
    assert list(read_shard(path, shard_format)) == GOOD[:2]


def test_shard_with_failed_records_only(folder: Folder, shard_format: str) -> None:
    path = written(folder, [FAILED], shard_format)
    assert finished_in(folder, path.name, repair=True).digests == b""
    assert list(read_shard(path, shard_format)) == []


def test_intact_shard_is_not_rewritten(folder: Folder, shard_format: str) -> None:
    path = written(folder, GOOD, shard_format)
    before = path.stat().st_ino
    assert len(finished_in(folder, path.name, repair=True).digests) == 3 * DIGEST_BYTES
    assert path.stat().st_ino == before


@pytest.mark.parametrize("size", [0, 1, 100, -1, -9])
def test_truncated_shard(folder: Folder, shard_format: str, size: int) -> None:
    path = written(folder, GOOD, shard_format)
    path.write_bytes(path.read_bytes()[:size])
    left = finished_in(folder, path.name, repair=True).tally.images
    kept = list(read_shard(path, shard_format))
    assert None not in kept and len(kept) == left < 3
    assert left == (2 if size < 0 and shard_format == "jsonl" else 0)


def test_every_damaged_byte_of_a_table(folder: Folder) -> None:
    """All records or none, but never an error of a library."""
    path = written(folder, GOOD, "parquet")
    content = path.read_bytes()
    for position in range(0, len(content), 7):
        path.write_bytes(content[:position] + b"\xff\xff\xff" + content[position + 3 :])
        assert len(list(read_shard(path, "parquet"))) in (1, 3)


def test_tables_of_other_programs(folder: Folder) -> None:
    path = Path(folder.path) / "part-others.parquet"
    for column in ({"x": [1]}, {"record": [1]}, {"record": ["text"]}, {"record": [b"[]", None]}):
        pq.write_table(pa.table(column), path)
        assert set(read_shard(path, "parquet")) == {None}

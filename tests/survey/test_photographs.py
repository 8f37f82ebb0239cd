from __future__ import annotations

from pathlib import Path

from photographs import NAIROBI, photograph

from speciesnet.files.moved_photographs import Photographs
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Record
from speciesnet.survey.photographs import position_of, with_metadata


def test_records_keep_their_order_and_their_own_metadata(tmp_path: Path) -> None:
    records: list[Record] = [
        {"filepath": photograph(tmp_path / f"{i}.jpg", gps=NAIROBI if i % 2 else None)}
        for i in range(200)
    ]
    records[5]["metadata"] = {"latitude": 7.0, "longitude": 8.0}
    (tmp_path / "8.jpg").write_bytes(b"rubbish")
    found = list(with_metadata(records, Photographs()))
    assert [record for record, _ in found] == records
    latitudes = [metadata.latitude for _, metadata in found]
    assert latitudes == [7.0 if i == 5 else -1.29 if i % 2 else None for i in range(200)]


def test_position_is_that_of_the_record_otherwise_of_the_camera() -> None:
    camera = PhotoMetadata(latitude=1.0, longitude=2.0)
    record: Record = {"filepath": "a.jpg", "latitude": 3.0, "longitude": 4.0}
    assert position_of(record, camera) == (3.0, 4.0)
    assert position_of({"filepath": "a.jpg"}, camera) == (1.0, 2.0)
    assert position_of({"filepath": "a.jpg"}, PhotoMetadata()) == (None, None)

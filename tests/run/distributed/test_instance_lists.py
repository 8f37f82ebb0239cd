"""Lists of instances in every format, read one at a time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from buckets import Bucket

from speciesnet.errors import InputError
from speciesnet.files.input_notes import InputNotes
from speciesnet.images.instances import Instance
from speciesnet.run.distributed import instance_lists
from speciesnet.run.distributed.instance_lists import read_instances

KENYA: dict[str, Any] = {"country": "KEN", "latitude": -1.5, "longitude": 36.8}
ROWS: list[dict[str, Any]] = [{"filepath": "/a/1.jpg", **KENYA}, {"filepath": "s3://b/2.jpg"}]
WANTED = [Instance("/a/1.jpg", "KEN", None, -1.5, 36.8), Instance("s3://b/2.jpg")]


def read(path: Path, content: str | bytes, **options: Any) -> list[Instance]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return list(read_instances(str(path), **options))


def test_json_with_its_instances_anywhere(tmp_path: Path) -> None:
    document = {"info": {"instances": [1]}, "instances": ROWS, "more": [2]}
    assert read(tmp_path / "list.json", json.dumps(document)) == WANTED


def test_json_lines(tmp_path: Path) -> None:
    lines = "\n\n".join(map(json.dumps, ROWS))
    assert read(tmp_path / "list.jsonl", lines) == WANTED


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.Table.from_pylist([{"extra": 1, **row} for row in ROWS]), path)
    assert list(read_instances(str(path))) == WANTED


def test_text_file_of_paths(tmp_path: Path) -> None:
    found = read(tmp_path / "list.txt", "/a/1.jpg\r\n\n /b/2.jpg \n", country="KEN")
    assert found == [Instance("/a/1.jpg", "KEN"), Instance("/b/2.jpg", "KEN")]


def test_folders(photographs: Path) -> None:
    source = f"{photographs / 'a'},{photographs / 'b'}"
    names = sorted(Path(i.filepath).name for i in read_instances(source))
    assert names == ["1.jpg", "2.JPG", "3.png"]


def test_bucket_and_a_list_in_it(s3_bucket: Bucket) -> None:
    s3_bucket.put("images/1.jpg", b"x")
    s3_bucket.put("images/notes.txt", b"x")
    s3_bucket.put("list.jsonl", json.dumps(ROWS[0]).encode())
    assert list(read_instances(s3_bucket.url("images"))) == [
        Instance(s3_bucket.url("images/1.jpg"))
    ]
    assert list(read_instances(s3_bucket.url("list.jsonl"))) == WANTED[:1]


def test_names_with_invalid_unicode(tmp_path: Path) -> None:
    rows = [{"filepath": "/a.jpg"}, {"filepath": "/\udcff.jpg"}, {"filepath": "/c.jpg"}]
    wanted = [Instance(row["filepath"]) for row in rows]
    assert read(tmp_path / "list.json", json.dumps({"instances": rows})) == wanted
    assert read(tmp_path / "list.jsonl", "\n".join(map(json.dumps, rows))) == wanted


@pytest.mark.parametrize("ending", ["json", "jsonl", "txt"])
def test_byte_order_mark(tmp_path: Path, ending: str) -> None:
    content = {"json": '{"instances": [{"filepath": "/a"}]}', "jsonl": '{"filepath": "/a"}'}
    text = content.get(ending, "/a")
    assert read(tmp_path / f"list.{ending}", b"\xef\xbb\xbf" + text.encode()) == [Instance("/a")]


def test_relative_paths_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "a.jpg\n/b//../c.jpg\ns3://b/d.jpg"
    found = [i.filepath for i in read(tmp_path / "list.txt", text)]
    assert found == [f"{tmp_path}/a.jpg", "/b//../c.jpg", "s3://b/d.jpg"]


def test_places_are_looked_up_in_every_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_lists, "CHUNK", 2)
    rows = [{"filepath": f"/{i}", "latitude": -1.5, "longitude": 36.8} for i in range(5)]
    lines = "\n".join(map(json.dumps, rows))
    found = read(tmp_path / "list.jsonl", lines, country_from_coordinates=True)
    assert [i.country for i in found] == ["KEN"] * 5


def test_a_list_is_read_no_further_than_needed(tmp_path: Path) -> None:
    lines = [json.dumps({"filepath": f"/{i}"}) for i in range(instance_lists.CHUNK)]
    path = tmp_path / "list.jsonl"
    path.write_text("\n".join([*lines, "damaged"]), encoding="utf-8")
    instances = read_instances(str(path))
    assert len(list(itertools.islice(instances, instance_lists.CHUNK))) == instance_lists.CHUNK
    with pytest.raises(InputError, match=f"Line {len(lines) + 1}"):
        next(instances)


def test_error_far_down_in_a_list_has_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_lists, "CHUNK", 2)
    lines = [json.dumps({"filepath": f"/{i}", "country": "KEN"}) for i in range(5)]
    lines[3] = json.dumps({"filepath": "/3", "country": "KEN", "admin1_region": "X3"})
    with pytest.raises(InputError, match=r"Instance 4 .*admin1_region"):
        read(tmp_path / "list.jsonl", "\n".join(lines), country="USA")


@pytest.mark.parametrize("ending", ["json", "jsonl", "parquet", "txt"])
def test_paths_as_people_write_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    wanted = [tmp_path / "a b.jpg", tmp_path / "home/1.jpg", tmp_path / "lists/2.jpg"]
    for path in wanted:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    lines = [f'"{tmp_path}/a b.jpg"', "~/1.jpg", "2.jpg"]
    rows = [{"filepath": line} for line in lines]
    source = tmp_path / f"lists/list.{ending}"
    notes = InputNotes()
    contents = {
        "json": json.dumps({"instances": rows}),
        "jsonl": "\n".join(map(json.dumps, rows)),
        "txt": "\n".join(lines),
    }
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    else:
        source.write_text(contents[ending], encoding="utf-8")
    found = [i.filepath for i in read_instances(str(source), notes=notes)]
    assert found == [str(path) for path in wanted]
    assert notes.relocated.count == 1


def test_files_that_are_passed_over_are_noted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("1.jpg", "._1.jpg", "2.MP4"):
        (tmp_path / name).touch()
    notes = InputNotes()
    assert len(list(read_instances(f'"{tmp_path}"', films=False, notes=notes))) == 1
    assert "1 other file was skipped: 1 .MP4." in notes.lines()
    assert notes.hidden_files.count == 1
    assert len(list(read_instances(f'"{tmp_path}"'))) == 2


def test_films_in_a_list_can_be_left_out(tmp_path: Path) -> None:
    source, notes = tmp_path / "list.txt", InputNotes()
    source.write_text("/a.jpg\n/b.MP4\n")
    found = read_instances(str(source), films=False, notes=notes)
    assert [instance.filepath for instance in found] == ["/a.jpg"]
    assert notes.skipped_films.count == 1


DEEP = "[" * 50_000 + "]" * 50_000
DAMAGED = {
    "empty.json": ("", 'no "instances" list'),
    "none.json": ('{"instances": {}}', 'no "instances" list'),
    "no-images.json": ('{"instances": []}', "empty"),
    "cut.json": ('{"instances": [{"filepath": "a"}, {"fi', "cut off"),
    "more.json": ('{"instances": [{"filepath": "a"}]} x', "damaged"),
    "bytes.json": (b'{"instances": [{"filepath": "\xff"}]}', "UTF-8"),
    "deep.json": (f'{{"instances": [{{"filepath": "a", "x": {DEEP}}}]}}', "too deeply"),
    "range.json": ('{"instances": [{"filepath": "a", "latitude": 91}]}', '"latitude"'),
    "cut.jsonl": ('{"filepath": "a"}\n{"fi', "Line 2"),
    "deep.jsonl": (DEEP, "Line 1"),
    "number.jsonl": ("3", "Instance 1"),
    "nothing.jsonl": ("\n\n", "empty"),
    "country.jsonl": ('{"filepath": "a", "country": "KE"}', '"country"'),
    "table.txt": ("filepath,country\n/a.jpg,KEN", "a table"),
    "json.txt": ('{"instances": []}', "is JSON"),
    "bytes.txt": (b"\xff", "UTF-8"),
    "nothing.txt": ("\n", "empty"),
    "none.parquet": (b"", "Parquet"),
    "junk.parquet": (b"PAR1" + bytes(100) + b"PAR1", "Parquet"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_list(tmp_path: Path, name: str) -> None:
    content, words = DAMAGED[name]
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content)
    sentence = str(caught.value)
    assert words in sentence and name in sentence
    assert sentence.endswith(".") and "\n" not in sentence


@pytest.mark.parametrize("cut", [lambda b: b[:-9], lambda b: b[:8] + b"\xff" * 40 + b[48:]])
def test_damaged_parquet(tmp_path: Path, cut: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"filepath": ["/a.jpg"] * 100}), path)
    with pytest.raises(InputError, match="Parquet"):
        read(path, cut(path.read_bytes()))


def test_parquet_without_paths(tmp_path: Path) -> None:
    path = tmp_path / "list.parquet"
    pq.write_table(pa.table({"file": ["/a.jpg"]}), path)
    with pytest.raises(InputError, match="no filepath column"):
        list(read_instances(str(path)))


@pytest.mark.parametrize("source", ["/nowhere", "/nowhere.json", "https://site.org/images"])
def test_missing_sources(source: str) -> None:
    with pytest.raises(InputError, match=source):
        list(read_instances(source))

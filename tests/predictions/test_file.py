"""The predictions file: output and checkpoint in one."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import Unpack

from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import Instance
from speciesnet.predictions import appender
from speciesnet.predictions.file import PredictionsFile
from speciesnet.predictions.layout import FOOTER, HEADER, SEPARATOR, encode_record, save_predictions
from speciesnet.predictions.lookup import RecordsByFile
from speciesnet.predictions.reading import load_partial_predictions, read_records
from speciesnet.predictions.settings import RunSettings, settings_path
from speciesnet.records import Box, Location, Record, components_of

SETTINGS = RunSettings("detector", {"version": "1.0", "type": "always_crop", "files": {}})
CUT_BYTES = 640  # at the end of a file: the last four records
NAMES = ["a/1.jpg", "b/ñandú š.jpg", 'c/😀 "quoted".jpg', "d/back\\slash.jpg", "e,f.jpg"]


def images(names: Iterable[str]) -> list[Instance]:
    return [Instance(name) for name in names]


def numbered(count: int) -> list[Instance]:
    return images(f"{number:03}.jpg" for number in range(count))


def detected(name: str) -> Record:
    box: Box = {
        "category": "1", "label": "animal", "conf": 0.1 + len(name) / 1000, "bbox": [0.1] * 4
    }  # fmt: skip
    return {"filepath": name, "detections": [box]}


def failed(name: str) -> Record:
    return {"filepath": name, "failures": ["DETECTOR"]}


def ensembled(name: str, **place: Unpack[Location]) -> Record:
    return {
        "filepath": name,
        **place,
        "classifications": {"classes": ["x"], "scores": [1.0]},
        "detections": [],
        "prediction": "x",
        "prediction_score": 1.0,
        "prediction_source": "classifier",
        "model_version": "1.0",
    }


def write(
    path: Path,
    instances: Sequence[Instance],
    settings: RunSettings = SETTINGS,
    make: Callable[[str], Record] = detected,
    order: Callable[[list[str]], Iterable[str]] = iter,
    ignore_existing: bool = False,
) -> list[str]:
    """Runs the pending images, and returns them."""
    with PredictionsFile(path, instances, settings, ignore_existing=ignore_existing) as file:
        pending = file.pending
        for name in order(pending):
            file.write([make(name) for _ in file.instances_of(name)])
    return pending


def write_published(path: Path, records: Sequence[Mapping[str, object]]) -> None:
    path.write_text(json.dumps({"predictions": records}, indent=1), encoding="utf-8")


def own_layout(records: Iterable[Mapping[str, object]]) -> bytes:
    return HEADER + SEPARATOR.join(map(encode_record, records)) + FOOTER


def read_predictions(path: Path) -> list[Record]:
    """The records of a file that must be valid JSON."""
    return json.loads(path.read_text(encoding="utf-8"))["predictions"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.json"


@pytest.fixture
def unbuffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushes after every record."""
    monkeypatch.setattr(appender, "BUFFER_BYTES", 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skips the waits for the disk, as no power cut is simulated."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def contents(folder: Path) -> dict[str, bytes]:
    """Files by name, except locks in use, which Windows cannot remove."""
    return {
        file.name: file.read_bytes()
        for file in folder.iterdir()
        if not (os.name == "nt" and file.suffix == ".lock")
    }


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    """Checks that no file is changed, created or removed inside."""
    before = contents(folder)
    yield
    assert contents(folder) == before


# Writing


def test_records_come_back_as_they_were_written(path: Path) -> None:
    write(path, images(NAMES))
    expected = [detected(name) for name in NAMES]
    assert read_predictions(path) == expected
    assert list(read_records(path)) == expected


def test_has_one_record_a_line_in_utf8(path: Path) -> None:
    write(path, images(NAMES))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"predictions": [' and lines[-1] == "]}"
    assert [json.loads(line.rstrip(","))["filepath"] for line in lines[1:-1]] == NAMES
    assert "ñandú" in lines[2]


def test_is_valid_json_after_every_flush(path: Path, unbuffered: None) -> None:
    with PredictionsFile(path, numbered(20), SETTINGS) as file:
        assert read_predictions(path) == []
        for count, instance in enumerate(numbered(20), start=1):
            file.write([detected(instance.filepath)])
            assert len(read_predictions(path)) == count


def test_a_record_reaches_the_disk_without_another_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "FLUSH_SECONDS", 0.02)
    with PredictionsFile(path, numbered(2), SETTINGS) as file:
        file.write([detected("000.jpg")])
        deadline = time.monotonic() + 60
        while not read_predictions(path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert len(read_predictions(path)) == 1


def test_a_write_touches_only_the_tail(path: Path, unbuffered: None, quick: None) -> None:
    instances = numbered(2001)
    with PredictionsFile(path, instances, SETTINGS) as file:
        for instance in instances[:1000]:
            file.write([detected(instance.filepath)])
        before, inode = path.read_bytes(), path.stat().st_ino
        written = _bytes_written()
        for instance in instances[1000:2000]:
            file.write([detected(instance.filepath)])
        written = _bytes_written() - written
        assert path.read_bytes().startswith(before.removesuffix(FOOTER))
        assert path.stat().st_ino == inode
    if written:
        assert written < 1.2 * len(before)  # each record once


def _bytes_written() -> int:
    """Bytes written by this process so far; 0 if the system does not report them."""
    try:
        return int(Path("/proc/self/io").read_text().split("wchar: ")[1].split()[0])
    except (OSError, IndexError):
        return 0


def test_a_run_in_order_is_never_rewritten(path: Path) -> None:
    with PredictionsFile(path, numbered(50), SETTINGS) as file:
        inode = path.stat().st_ino
        for instance in numbered(50):
            file.write([detected(instance.filepath)])
    assert path.stat().st_ino == inode


@pytest.mark.parametrize("seed", range(3))
def test_finished_file_is_in_the_order_of_the_instances(path: Path, seed: int) -> None:
    instances = numbered(30)
    write(path, instances, order=lambda names: random.Random(seed).sample(names, len(names)))
    assert path.read_bytes() == own_layout(detected(i.filepath) for i in instances)


def test_path_given_twice_is_recorded_twice_in_its_places(path: Path) -> None:
    names = ["a", "b", "a", "c", "b", "a"]
    assert write(path, images(names)) == ["a", "b", "c"]
    assert [record["filepath"] for record in read_predictions(path)] == names


def test_path_given_twice_keeps_both_places(path: Path) -> None:
    instances = [Instance("a", "KEN"), Instance("b"), Instance("a", "UGA")]
    with PredictionsFile(path, instances, replace(SETTINGS, components="all")) as file:
        for name in file.pending:
            file.write([ensembled(name, **i.location) for i in file.instances_of(name)])
    assert [r.get("country") for r in read_predictions(path)] == ["KEN", None, "UGA"]
    assert write(path, instances, replace(SETTINGS, components="all")) == []


def test_names_that_are_not_unicode_come_back(path: Path) -> None:
    names = ["a/\udcff\udcfe.jpg", "b/ñ\udc80.jpg", "c.jpg"]
    write(path, images(names), order=reversed)
    assert [record["filepath"] for record in read_predictions(path)] == names
    assert [record["filepath"] for record in read_records(path)] == names
    assert RecordsByFile(path, names)[names[1]] == detected(names[1])
    assert write(path, images(names)) == []


def test_leaves_only_the_file_and_its_settings(path: Path) -> None:
    write(path, numbered(5), order=reversed)
    assert contents(path.parent).keys() == {"out.json", settings_path(path).name}


def test_error_in_a_run_keeps_what_was_added(path: Path) -> None:
    with pytest.raises(ZeroDivisionError), PredictionsFile(path, numbered(9), SETTINGS) as file:
        file.write([detected("000.jpg")])
        raise ZeroDivisionError
    assert read_predictions(path) == [detected("000.jpg")]
    assert len(write(path, numbered(9))) == 8


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_symbolic_link_stays_one(path: Path) -> None:
    (path.parent / "disk").mkdir()
    path.symlink_to(path.parent / "disk" / "real.json")
    write(path, numbered(3), order=reversed)
    assert path.is_symlink()
    assert len(read_predictions(path.parent / "disk" / "real.json")) == 3


# Resuming


def test_resumes_with_the_missing_images(path: Path) -> None:
    instances = numbered(10)
    write(path, instances, order=lambda names: [names[i] for i in (7, 2, 3)])
    assert write(path, instances) == [
        i.filepath for n, i in enumerate(instances) if n not in (7, 2, 3)
    ]
    assert path.read_bytes() == own_layout(detected(i.filepath) for i in instances)


def test_retries_failed_images_and_keeps_the_others(path: Path) -> None:
    instances = numbered(6)
    bad = {"001.jpg", "004.jpg"}
    write(path, instances, make=lambda name: failed(name) if name in bad else detected(name))
    assert write(path, instances) == sorted(bad)
    assert path.read_bytes() == own_layout(detected(i.filepath) for i in instances)


def test_failed_images_are_counted_once(path: Path) -> None:
    write(path, numbered(2), make=failed)
    with PredictionsFile(path, numbered(2), SETTINGS) as file:
        assert file.tally.images == 0
        file.write([failed("000.jpg")])
        file.write([detected("001.jpg")])
        assert (file.tally.images, file.tally.failed) == (2, 1)


def test_path_given_twice_that_failed_is_tried_once_more(path: Path) -> None:
    instances = images(["a", "b", "a"])
    write(path, instances, make=lambda name: failed(name) if name == "a" else detected(name))
    assert write(path, instances) == ["a"]
    assert path.read_bytes() == own_layout(map(detected, "aba"))


def test_finished_file_stays_as_it_is(path: Path) -> None:
    write(path, numbered(5))
    before, stat = path.read_bytes(), path.stat()
    assert write(path, numbered(5)) == []
    assert path.read_bytes() == before
    assert path.stat().st_ino == stat.st_ino


def test_more_images_may_be_added(path: Path) -> None:
    write(path, numbered(3))
    assert write(path, numbered(5)) == ["003.jpg", "004.jpg"]


def test_order_of_the_images_may_change(path: Path) -> None:
    write(path, images(["b", "a"]))
    assert write(path, images(["a", "b", "c"])) == ["c"]
    assert path.read_bytes() == own_layout(map(detected, "abc"))


def _after_crashes(whole: bytes, start: int) -> Iterator[bytes]:
    """Contents after a crash, if the last write started after ``start`` bytes of records."""
    for length in range(len(HEADER) + 1):
        yield whole[:length]
    for length in range(len(whole) - CUT_BYTES, len(whole)):
        yield whole[:length]  # cut off
        yield whole[:length] + bytes(9)  # as long as it should be, but never written to the disk
    for length in range(len(FOOTER) + 1):  # a part of the old brackets is still there
        yield whole[: start + length] + FOOTER[length:]


def test_file_cut_off_at_any_byte_ends_as_an_uninterrupted_one(path: Path, quick: None) -> None:
    instances = images([*NAMES, "\udcff.jpg", *(f"{number:02}.jpg" for number in range(30))])
    write(path, instances)
    whole = path.read_bytes()
    ends = [
        whole.index(line) + len(line)
        for line in (encode_record(detected(i.filepath)) for i in instances)
    ]
    contents = list(_after_crashes(whole, ends[20]))
    assert len(contents) > 2 * CUT_BYTES
    for content in contents:
        path.write_bytes(content)
        redone = write(path, instances)
        assert path.read_bytes() == whole, content
        if whole.startswith(content):
            assert len(redone) == sum(end > len(content) for end in ends), content


@pytest.mark.parametrize("seed", range(5))
def test_file_cut_off_again_and_again_ends_as_an_uninterrupted_one(path: Path, seed: int) -> None:
    dice = random.Random(seed)
    instances = images([f"{number:02}.jpg" for number in range(12)] + ["03.jpg", "07.jpg"])
    for _ in range(40):
        some = [
            name for name in dict.fromkeys(i.filepath for i in instances) if dice.random() < 0.5
        ]
        dice.shuffle(some)
        write(
            path,
            instances,
            make=lambda name: failed(name) if dice.random() < 0.2 else detected(name),
            order=lambda names, some=some: [name for name in some if name in names],
        )
        content = path.read_bytes()
        path.write_bytes(content[: dice.randrange(len(content) + 1)])
    write(path, instances)
    assert path.read_bytes() == own_layout(detected(i.filepath) for i in instances)


def test_image_of_a_damaged_line_is_pending(path: Path) -> None:
    write(path, numbered(5))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"002.jpg","det', b'"002.j\x00\xff","d'))
    assert write(path, numbered(5)) == ["002.jpg"]
    assert path.read_bytes() == whole


def test_records_after_damage_at_the_beginning_are_kept(path: Path) -> None:
    write(path, numbered(30))
    whole = path.read_bytes()
    start, end = len(HEADER) + 5, whole.index(b"020.jpg")
    path.write_bytes(
        whole[:start] + b"[" + whole[start + 1 : end].replace(b'"', b"'") + whole[end:-9]
    )
    redone = write(path, numbered(30))
    assert redone == [*(f"{number:03}.jpg" for number in range(21)), "029.jpg"]
    assert path.read_bytes() == whole


def test_published_layout_without_a_whole_record_is_kept_as_backup(path: Path) -> None:
    write_published(path, [detected("000.jpg")])
    path.write_bytes(path.read_bytes()[:60])
    before = path.read_bytes()
    write(path, numbered(2))
    assert path.with_name("out.json.bak").read_bytes() == before
    assert len(read_predictions(path)) == 2


@pytest.mark.parametrize("comma", [b"", b","])
def test_brackets_in_the_middle_leave_valid_json(path: Path, comma: bytes) -> None:
    write(path, numbered(4))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"}]},\n", b"}]}]}" + comma + b"\n", 1))
    write(path, numbered(4))
    assert path.read_bytes() == whole


def test_brackets_may_follow_the_last_record_on_its_line(path: Path) -> None:
    write(path, numbered(2))
    whole = path.read_bytes()
    path.write_bytes(whole.replace(FOOTER, b"]}"))
    assert write(path, numbered(3)) == ["002.jpg"]
    assert read_predictions(path) == [detected(f"{number:03}.jpg") for number in range(3)]


@pytest.mark.parametrize(
    "record",
    [
        {"filepath": "000.jpg", "classifications": {"classes": []}},
        {"filepath": "000.jpg", "classifications": 3},
        {"filepath": "000.jpg", "detections": [{}]},
        {"filepath": "000.jpg", "detections": [{"label": []}]},
        {"filepath": "000.jpg", "prediction": {}},
    ],
)
@pytest.mark.parametrize("layout", ["own", "published"])
def test_malformed_record_is_named_and_the_file_left_alone(
    path: Path, record: Record, layout: str
) -> None:
    path.write_bytes(own_layout([record]))
    if layout == "published":
        write_published(path, [record])
    with untouched(path.parent), pytest.raises(InputError, match=r"out\.json: .*000\.jpg is malf"):
        write(path, numbered(2))


def test_empty_file_is_started(path: Path) -> None:
    path.touch()
    assert len(write(path, numbered(3))) == 3
    assert len(read_predictions(path)) == 3


# Files of other runs


def test_other_images_are_refused(path: Path) -> None:
    write(path, images(["a.jpg", "b.jpg"]))
    with (
        untouched(path.parent),
        pytest.raises(OutputError, match=r"out\.json has a record of a\.jpg"),
    ):
        write(path, images(["c.jpg", "d.jpg"]))


@pytest.mark.parametrize("layout", ["own", "published"])
def test_records_of_deleted_images_are_kept(
    path: Path, layout: str, caplog: pytest.LogCaptureFixture
) -> None:
    records = [failed("000.jpg"), detected("gone/1.jpg"), detected("001.jpg"), failed("gone/2.jpg")]
    if layout == "own":
        path.write_bytes(own_layout(records))
    else:
        write_published(path, records)
    with PredictionsFile(path, numbered(3), SETTINGS) as file:
        assert file.pending == ["000.jpg", "002.jpg"]
        assert file.tally.images == 1
        (note,) = file.notes
        assert "2 records of" in note and "such as gone/1.jpg" in note and note in caplog.text
        for name in file.pending:
            file.write([detected(name)])
    expected = [*(detected(i.filepath) for i in numbered(3)), records[1], records[3]]
    assert path.read_bytes() == own_layout(expected)
    before, stat = path.read_bytes(), path.stat()
    assert write(path, numbered(3)) == []
    assert (path.read_bytes(), path.stat().st_ino) == (before, stat.st_ino)


def test_records_of_deleted_images_stay_in_their_places(path: Path) -> None:
    write(path, numbered(5))
    before, stat = path.read_bytes(), path.stat()
    some = [instance for instance in numbered(5) if instance.filepath != "002.jpg"]
    assert write(path, some) == []
    assert (path.read_bytes(), path.stat().st_ino) == (before, stat.st_ino)
    assert write(path, numbered(6)) == ["005.jpg"]  # the image is there again
    assert path.read_bytes() == own_layout(detected(i.filepath) for i in numbered(6))


def test_records_of_deleted_images_survive_a_run_without_results(path: Path) -> None:
    path.write_bytes(own_layout([failed("000.jpg"), detected("gone.jpg")]))
    for _ in range(3):  # the failed record shows that the file belongs to this run
        assert write(path, numbered(1), order=lambda names: []) == ["000.jpg"]
        assert read_predictions(path) == [failed("000.jpg"), detected("gone.jpg")]
    assert write(path, numbered(2), order=lambda names: names[1:]) == ["000.jpg", "001.jpg"]
    assert read_predictions(path) == [detected("gone.jpg"), detected("001.jpg")]
    assert write(path, numbered(2)) == ["000.jpg"]
    assert path.read_bytes() == own_layout(map(detected, ["000.jpg", "001.jpg", "gone.jpg"]))


def test_images_that_fail_again_have_one_record(path: Path, unbuffered: None) -> None:
    path.write_bytes(own_layout([failed("000.jpg"), detected("gone.jpg"), failed("001.jpg")]))
    with PredictionsFile(path, numbered(2), SETTINGS) as file:
        assert (file.tally.images, len(file.notes)) == (0, 1)
        file.write([failed("001.jpg")])
        assert read_predictions(path) == [detected("gone.jpg"), failed("001.jpg")]
        file.write([failed("000.jpg")])
        assert (file.tally.images, file.tally.failed, len(file.notes)) == (2, 2, 1)
    expected = [failed("000.jpg"), failed("001.jpg"), detected("gone.jpg")]
    assert path.read_bytes() == own_layout(expected)


def test_records_of_deleted_images_must_be_of_the_same_run(path: Path) -> None:
    path.write_bytes(own_layout([ensembled("gone.jpg"), detected("000.jpg")]))
    with untouched(path.parent), pytest.raises(OutputError, match="belongs to another run"):
        write(path, numbered(1))
    places = replace(SETTINGS, components="all", country="KEN")
    path.write_bytes(own_layout([ensembled("gone.jpg", country="UGA"), ensembled("000.jpg")]))
    assert write(path, numbered(2), places, make=ensembled) == ["001.jpg"]


@pytest.mark.parametrize("seed", range(2))
def test_file_cut_off_again_and_again_keeps_the_records_of_deleted_images(
    path: Path, seed: int
) -> None:
    dice = random.Random(seed)
    gone = detected("gone.jpg")
    path.write_bytes(own_layout([detected("000.jpg"), gone]))
    kept = path.stat().st_size - len(FOOTER)
    for _ in range(20):
        write(
            path,
            numbered(9),
            make=lambda name: failed(name) if dice.random() < 0.2 else detected(name),
            order=lambda names: dice.sample(names, min(len(names), 2)),
        )
        content = path.read_bytes()
        assert gone in read_predictions(path)
        if content.startswith(own_layout([detected("000.jpg"), gone]).removesuffix(FOOTER)):
            path.write_bytes(content[: dice.randrange(kept, len(content) + 1)])
    write(path, numbered(9))
    written = read_predictions(path)
    assert sorted(r["filepath"] for r in written) == [
        *(f"{n:03}.jpg" for n in range(9)),
        "gone.jpg",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("components", "classifier"),
        ("components", "all"),
        ("model", {"version": "2.0", "type": "always_crop", "files": {}}),
        ("model", {"version": "1.0", "type": "always_crop", "files": {"detector": 1}}),
        ("geofence", False),
        ("country", "KEN"),
        ("admin1_region", "CA"),
        ("country_from_coordinates", True),
    ],
)
def test_other_settings_are_refused(path: Path, name: str, value: object) -> None:
    write(path, numbered(3))
    words = rf"belongs to another run \({name}.* there, .* here\)"
    with untouched(path.parent), pytest.raises(OutputError, match=words):
        write(path, numbered(3), replace(SETTINGS, **{name: value}))


def test_other_inputs_are_refused(path: Path) -> None:
    write(path, numbered(3), replace(SETTINGS, inputs={"target_species_txt": "0123"}))
    words = r"belongs to another run \(a different --target_species_txt\)"
    for inputs in ({}, {"target_species_txt": "4567"}):
        with untouched(path.parent), pytest.raises(OutputError, match=words):
            write(path, numbered(3), replace(SETTINGS, inputs=inputs))


_MADE_BY: dict[str, Callable[[str], Record]] = {
    "detector": detected,
    "classifier": lambda name: {
        "filepath": name,
        "classifications": {"classes": ["x"], "scores": [1.0]},
    },
    "all": ensembled,
}


_SAME = {
    ("detector", "detector"),
    ("classifier", "classifier"),
    ("all", "all"),
    ("all", "ensemble"),
}


@pytest.mark.parametrize(("there", "here"), sorted(_SAME))
def test_records_of_the_same_components_are_kept_without_settings(
    path: Path, there: str, here: str
) -> None:
    path.write_bytes(own_layout([_MADE_BY[there]("000.jpg")]))
    settings = replace(SETTINGS, components=here)
    assert write(path, numbered(2), settings, make=_MADE_BY[there]) == ["001.jpg"]


@pytest.mark.parametrize(
    ("there", "here"),
    sorted({(there, here) for there in _MADE_BY for here in (*_MADE_BY, "ensemble")} - _SAME),
)
def test_records_of_other_components_are_refused_without_settings(
    path: Path, there: str, here: str
) -> None:
    path.write_bytes(own_layout([_MADE_BY[there]("000.jpg")]))
    settings = replace(SETTINGS, components=here)
    with (
        untouched(path.parent),
        pytest.raises(OutputError, match="belongs to another run"),
    ):
        write(path, numbered(2), settings)


@pytest.mark.parametrize("what", [{"prediction": "x"}, {"classifications": {}, "detections": []}])
def test_record_of_a_whole_run_need_not_name_the_model(what: Record) -> None:
    assert components_of({"filepath": "a", "detections": [], **what}) == "all"


@pytest.mark.parametrize("part", ["DETECTOR", "CLASSIFIER"])
def test_failed_records_of_other_components_are_refused_without_settings(
    path: Path, part: str
) -> None:
    record: Record = {"filepath": "000.jpg", "failures": [part]}
    path.write_bytes(own_layout([record]))
    other = {"DETECTOR": "classifier", "CLASSIFIER": "detector"}[part]
    assert components_of(record) not in (None, other)
    with untouched(path.parent), pytest.raises(OutputError, match="belongs to another run"):
        write(path, numbered(1), replace(SETTINGS, components=other))


@pytest.mark.parametrize(
    ("instance", "record", "words"),
    [
        (Instance("a", "KEN"), ensembled("a", country="USA"), "country USA there, KEN here"),
        (Instance("a"), ensembled("a", country="USA"), "country USA there, none here"),
        (Instance("a", "KEN"), ensembled("a"), "country none there, KEN here"),
        (
            Instance("a", "USA", "NY"),
            ensembled("a", country="USA", admin1_region="CA"),
            "admin1_region CA there, NY here",
        ),
        (Instance("a"), ensembled("a") | {"model_version": "0.9"}, "model 0.9 there, 1.0 here"),
    ],
)
def test_records_of_another_place_or_model_are_refused_without_settings(
    path: Path, instance: Instance, record: Record, words: str
) -> None:
    path.write_bytes(own_layout([record]))
    with untouched(path.parent), pytest.raises(OutputError, match=words):
        write(path, [instance], replace(SETTINGS, components="all"))


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "null",
        '{"images": []}',
        '{"predictions": {}}',
        '{"instances": [{"filepath": "000.jpg"}]}',
        "filepath,prediction\n",
        "\xff\xd8\xff\xe0JFIF",
        '{"predictions": [{"file": "000.jpg"}]}',
        '{"predictions": [{"filepath": 3}]}',
        '{"predictions": ["000.jpg"]}',
    ],
)
def test_other_files_are_refused(path: Path, content: str) -> None:
    path.write_bytes(content.encode("latin-1"))
    with untouched(path.parent), pytest.raises(OutputError, match=r"out\.json"):
        write(path, numbered(2))


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"model": null}', '{"country": []}', "\0", "[" * 100_000],
    ids=len,
)
def test_damaged_settings_are_ignored(path: Path, text: str) -> None:
    write(path, numbered(3), order=lambda names: names[:1])
    settings_path(path).write_text(text, encoding="utf-8")
    assert len(write(path, numbered(3))) == 2
    with pytest.raises(OutputError):
        write(path, numbered(3), replace(SETTINGS, geofence=False))


def test_file_without_records_belongs_to_nobody(path: Path) -> None:
    write(path, numbered(2), order=lambda names: [])
    other = replace(SETTINGS, components="all", country="KEN", model={"version": "2.0"})
    with PredictionsFile(path, numbered(2), other) as file:
        assert len(file.pending) == 2


def test_settings_may_contain_text_that_is_not_unicode(path: Path) -> None:
    settings = replace(SETTINGS, country="KEN", admin1_region="\udcff")
    write(path, numbered(2), settings, order=lambda names: names[:1])
    assert write(path, numbered(2), settings) == ["001.jpg"]


def test_outputs_that_differ_in_their_extension_have_settings_of_their_own(tmp_path: Path) -> None:
    north, south = tmp_path / "site.north", tmp_path / "site.south"
    write(north, numbered(3), order=lambda names: names[:1])
    write(south, numbered(3), replace(SETTINGS, country="KEN"))
    assert len(write(north, numbered(3))) == 2


def test_ignore_existing_starts_over_and_keeps_the_old_file(path: Path) -> None:
    write(path, images(["a.jpg"]))
    before = path.read_bytes()
    other = replace(SETTINGS, country="KEN")
    assert write(path, images(["b.jpg"]), other, ignore_existing=True) == ["b.jpg"]
    assert path.with_name("out.json.bak").read_bytes() == before
    assert read_predictions(path) == [detected("b.jpg")]
    assert write(path, images(["b.jpg"]), other) == []


def test_ignore_existing_twice_loses_neither_file(path: Path) -> None:
    write(path, images(["a.jpg"]))
    for name in ("b.jpg", "c.jpg"):
        write(path, images([name]), ignore_existing=True)
    texts = [file.read_text(encoding="utf-8") for file in path.parent.iterdir()]
    assert all(any(name in text for text in texts) for name in ("a.jpg", "b.jpg", "c.jpg"))


# Two runs at the same time

_HOLD = """
import sys, time
from speciesnet.images.instances import Instance
from speciesnet.predictions.file import PredictionsFile
from speciesnet.predictions.settings import RunSettings
settings = RunSettings("detector", {"version": "1.0", "type": "always_crop", "files": {}})
instances = [Instance(f"{number:03}.jpg") for number in range(3)]
with PredictionsFile(sys.argv[1], instances, settings) as file:
    file.write([{"filepath": "000.jpg", "detections": []}])
    file._appender.flush()
    print("ready", flush=True)
    time.sleep(600)
"""


def test_second_run_is_refused_until_the_first_one_is_gone(path: Path) -> None:
    first = subprocess.Popen([sys.executable, "-c", _HOLD, str(path)], stdout=subprocess.PIPE)
    try:
        assert first.stdout is not None and first.stdout.readline() == b"ready\n"
        before = path.read_bytes()
        for ignore_existing in (False, True):
            with pytest.raises(OutputError, match="is being written by another run"):
                write(path, numbered(3), ignore_existing=ignore_existing)
        assert path.read_bytes() == before
        first.kill()
        first.wait()
        assert write(path, numbered(3)) == ["001.jpg", "002.jpg"]
    finally:
        first.kill()
        first.wait()
        first.stdout.close()  # type: ignore[union-attr]


# Files of other programs


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_published_layout_is_continued(path: Path, indent: int | None) -> None:
    records = [detected(NAMES[0]), failed(NAMES[1]), detected(NAMES[2])]
    path.write_text(json.dumps({"predictions": records}, indent=indent), encoding="utf-8")
    assert "\\u00f1" in path.read_text(encoding="utf-8")
    assert write(path, images(NAMES)) == [NAMES[1], *NAMES[3:]]
    assert path.read_bytes() == own_layout(map(detected, NAMES))


@pytest.mark.parametrize("escaped", [True, False])
def test_published_layout_that_is_cut_off_is_continued(
    path: Path, escaped: bool, quick: None
) -> None:
    records = [detected(name) for name in NAMES]
    text = json.dumps({"predictions": records}, indent=1, ensure_ascii=escaped)
    whole = text.encode()
    start = whole.index(b"[") + 1
    for length in range(start, len(whole), 7):
        path.write_bytes(whole[:length])
        settings_path(path).unlink(missing_ok=True)
        write(path, images(NAMES))
        assert path.read_bytes() == own_layout(map(detected, NAMES)), length


def test_published_layout_of_another_run_is_refused(path: Path) -> None:
    write_published(path, [detected("000.jpg"), detected("other.jpg")])
    with untouched(path.parent), pytest.raises(OutputError, match=r"record of 000\.jpg"):
        write(path, images(["001.jpg"]))
    with untouched(path.parent), pytest.raises(OutputError, match="belongs to another run"):
        write(path, images(["000.jpg", "other.jpg"]), replace(SETTINGS, components="all"))


def test_published_layout_that_is_cut_off_and_of_another_run_is_refused(path: Path) -> None:
    write_published(path, [detected("other.jpg"), detected("2.jpg"), detected("third.jpg")])
    path.write_bytes(path.read_bytes()[:-60])
    with untouched(path.parent), pytest.raises(OutputError, match=r"record of other\.jpg"):
        write(path, numbered(2))


def test_published_names_that_are_not_unicode_are_read(path: Path) -> None:
    names = ["a\udcff.jpg", "b.jpg"]
    write_published(path, [detected(name) for name in names])
    assert [record["filepath"] for record in read_records(path)] == names
    assert write(path, images(names)) == []


def test_published_file_with_a_number_too_large_is_read_to_its_end(path: Path) -> None:
    path.write_text(
        f'{{"predictions": [{{"filepath": "a", "x": {"9" * 30}}}, {{"filepath": "b"}}]}}'
    )
    assert [record["filepath"] for record in read_records(path)] == ["a", "b"]


def test_published_layout_that_is_damaged_in_the_middle_is_refused(path: Path) -> None:
    write_published(path, [detected(name) for name in NAMES])
    path.write_bytes(path.read_bytes().replace(b'"d/', b'"d\0', 1))
    with untouched(path.parent), pytest.raises(OutputError, match=r"out\.json is damaged"):
        write(path, images(NAMES))


@pytest.mark.parametrize(
    "start", ["", '{"images": [', '{"predictions": [{"filepath": "000.jpg", "x": ']
)
def test_file_nested_too_deeply_is_refused_in_little_memory(path: Path, start: str) -> None:
    path.write_text(start + "[" * 100_000)
    with (
        untouched(path.parent),
        pytest.raises(OutputError, match=r"nested too deeply|not a predictions"),
    ):
        write(path, numbered(2))
    with pytest.raises((InputError, OutputError), match=r"nested too deeply|not a predictions"):
        RecordsByFile(path, ["000.jpg"])


def test_byte_order_mark_is_ignored(path: Path) -> None:
    write_published(path, [detected("a.jpg")])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list(read_records(path)) == [detected("a.jpg")]


def test_what_the_published_system_wrote_is_kept_to_the_last_digit(
    path: Path, shared: Path
) -> None:
    golden = read_predictions(shared / "golden" / "small_random_predictions.json")
    write_published(path, golden)
    instances = [
        Instance(r["filepath"], *map(r.get, ("country", "admin1_region", "latitude", "longitude")))
        for r in golden
    ]
    settings = replace(
        SETTINGS, components="all", model={"version": golden[0].get("model_version")}
    )
    kept = [record for record in golden if not record.get("failures")]
    with PredictionsFile(path, instances, settings) as file:
        assert file.tally.images == len(kept)
    assert read_predictions(path) == kept


# Reading


@pytest.mark.parametrize("layout", ["own", "published"])
@pytest.mark.parametrize("end", [None, -9])
def test_records_by_file_in_both_layouts(path: Path, layout: str, end: int | None) -> None:
    records = [detected(name) for name in NAMES]
    if layout == "own":
        path.write_bytes(own_layout(records))
    else:
        write_published(path, records)
    path.write_bytes(path.read_bytes()[:end])
    whole = NAMES if end is None else NAMES[:-1]
    by_file = RecordsByFile(path, NAMES)
    assert dict(by_file.items()) == {name: detected(name) for name in whole}
    assert list(by_file) == whole and len(by_file) == len(whole)
    assert "other" not in by_file and by_file.get("other") is None
    assert by_file[NAMES[2]] == detected(NAMES[2])


@pytest.mark.parametrize("name", [b"00\xff.jpg", b"00\\q.jpg", b"00\n.jpg"])
def test_records_by_file_skips_a_line_whose_name_is_damaged(path: Path, name: bytes) -> None:
    path.write_bytes(own_layout(map(detected, NAMES)).replace(NAMES[0].encode(), name))
    assert list(RecordsByFile(path, NAMES)) == NAMES[1:]


@pytest.mark.parametrize("layout", ["own", "published"])
def test_records_by_file_refuses_other_images(path: Path, layout: str) -> None:
    records = [detected(name) for name in NAMES]
    if layout == "own":
        path.write_bytes(own_layout(records))
    else:
        write_published(path, records)
    with pytest.raises(
        OutputError, match=r"None of the 5 entries of .* matches the only image of this run"
    ):
        RecordsByFile(path, ["none.jpg"])
    assert list(RecordsByFile(path, NAMES[1:])) == NAMES[1:]


def test_records_by_file_needs_a_predictions_file(path: Path) -> None:
    with pytest.raises(OutputError, match="There is no file"):
        RecordsByFile(path, NAMES)
    path.write_text('{"instances": []}', encoding="utf-8")
    with pytest.raises(OutputError, match="not a predictions file"):
        RecordsByFile(path, NAMES)


@pytest.mark.parametrize("layout", ["own", "published"])
def test_reading_needs_little_memory(path: Path, layout: str) -> None:
    records = [detected(f"{number:06}.jpg") | {"padding": "x" * 1000} for number in range(5000)]
    if layout == "own":
        path.write_bytes(own_layout(records))
    else:
        write_published(path, records)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_records(path)) == 5000
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        '{"predictions": [\n{"filepath": "a"}]}',
        '{"predictions": [\n{"filepath": "a"}\n]}',
        '{"predictions": [\r\n{"filepath": "a"}\r\n]}\r\n',
        '{"predictions": [{"filepath": "a"}]}',
        '{"info": {"predictions": 1}, "predictions": [{"filepath": "a"}], "more": []}',
        '{"predictions":\n[\n{\n"filepath"\n:\n"a"\n}\n]\n}',
    ],
)
def test_any_layout_is_read(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    assert list(read_records(path)) == [{"filepath": "a"}]


def test_last_of_several_records_is_read_whatever_the_ending(path: Path) -> None:
    path.write_text('{"predictions": [\n{"filepath": "a"},\n{"filepath": "b"}]}', encoding="utf-8")
    assert [record["filepath"] for record in read_records(path)] == ["a", "b"]


def test_missing_file_cannot_be_read(path: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.json cannot be read"):
        list(read_records(path))


def test_saved_predictions_are_loaded(path: Path) -> None:
    records = [detected("a"), failed("b"), detected("c")]
    save_predictions({"predictions": records}, str(path))
    assert read_predictions(path) == records
    instances = [{"filepath": name} for name in "abcd"]
    finished, left = load_partial_predictions(str(path), instances)
    assert finished == {"a": detected("a"), "c": detected("c")}
    assert left == [{"filepath": "b"}, {"filepath": "d"}]


def test_without_a_file_nothing_is_loaded(path: Path) -> None:
    instances = [{"filepath": "a"}]
    assert load_partial_predictions(None, instances) == ({}, instances)
    assert load_partial_predictions("", instances) == ({}, instances)
    assert load_partial_predictions(str(path), instances) == ({}, instances)


def test_loading_refuses_other_images(path: Path) -> None:
    save_predictions({"predictions": [detected("a"), detected("z")]}, str(path))
    with pytest.raises(OutputError, match="record of z"):
        load_partial_predictions(str(path), [{"filepath": "a"}])


def test_saving_replaces_the_file_as_a_whole_or_not_at_all(path: Path) -> None:
    save_predictions({"predictions": [detected("a")]}, str(path))
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_predictions({"predictions": [detected("b"), {"filepath": object()}]}, str(path))
    assert path.read_bytes() == before
    assert contents(path.parent).keys() == {path.name}
    with pytest.raises(OutputError, match="cannot be written"):
        save_predictions({"predictions": []}, str(path.with_name("none") / "x.json"))

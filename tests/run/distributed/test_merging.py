"""Merging the parts of a run into one predictions file."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import pytest
from buckets import Bucket
from commands import read_predictions
from filelock import FileLock

from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import find_images
from speciesnet.predictions.layout import save_predictions
from speciesnet.predictions.settings import (
    RunSettings,
    add_to_settings,
    flawed_images_of,
    read_settings,
)
from speciesnet.records import Record
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.merging import merge
from speciesnet.run.distributed.shards import write_shard

SETTINGS = RunSettings("all", {"version": "demo-1"}, country="KEN", model_name="demo")


def record(path: str, **values: str) -> Record:
    fields = {"filepath": path, "prediction": "a;;;;;;animal", "prediction_score": 0.5, **values}
    return cast("Record", fields)  # a TypedDict takes no keyword arguments of unknown names


def failed(path: str) -> Record:
    return {"filepath": path, "failures": ["CLASSIFIER"]}


def shards(path: Path, *parts: list[Record], shard_format: str = "jsonl") -> str:
    for part in parts:
        write_shard(Folder(str(path)), part, shard_format)
    return str(path)


def with_settings(part: str, settings: RunSettings) -> str:
    path = Path(part)
    document: Any = asdict(settings)
    if path.is_dir():
        Folder(part).write("run.json", json.dumps({"run": "1", "settings": document}).encode())
    else:
        path.with_name(f"{path.name}.run.json").write_text(json.dumps(document))
    return part


def test_parts_of_every_kind_in_the_order_of_a_whole_run(tmp_path: Path, s3_bucket: Bucket) -> None:
    names = ["b.jpg", "a b/1.jpg", "a/2.jpg", "a/10.jpg", "a-1.jpg", "é.jpg", "🦌.jpg", "a/b/c.jpg"]
    images = tmp_path / "images"
    for name in names:
        (images / name).parent.mkdir(parents=True, exist_ok=True)
        (images / name).touch()
    records = [record(path) for path in find_images([str(images)])]
    shuffled = random.Random(1).sample(records, len(records))
    file = tmp_path / "part.json"
    save_predictions({"predictions": shuffled[:2]}, str(file))
    write_shard(Folder(s3_bucket.url("out")), shuffled[6:], "parquet")
    target = tmp_path / "out.json"
    tally = merge(
        [
            str(file),
            shards(tmp_path / "1", shuffled[2:4], shuffled[4:5]),
            shards(tmp_path / "2/", shuffled[5:6], shard_format="parquet"),
            s3_bucket.url("out/"),
        ],
        target,
    )
    assert (tally.images, tally.failed) == (8, 0)
    whole = tmp_path / "whole.json"
    save_predictions({"predictions": records}, str(whole))
    assert target.read_bytes() == whole.read_bytes()


def test_successful_and_later_records_are_preferred(
    tmp_path: Path,
) -> None:
    first = shards(tmp_path / "1", [record("a", model_version="1"), failed("b"), failed("c")])
    second = shards(tmp_path / "2", [failed("a"), record("b"), failed("c")])
    third = shards(tmp_path / "3", [record("a", model_version="3"), failed("c")])
    tally = merge([first, second, third], tmp_path / "out.json")
    assert read_predictions(tmp_path / "out.json") == [
        record("a", model_version="3"), record("b"), failed("c"),
    ]  # fmt: skip
    assert (tally.images, tally.failed) == (3, 1)


def test_names_with_invalid_unicode(tmp_path: Path) -> None:
    paths = ["/\ud800.jpg", "/\udcff.jpg", "/\ue000.jpg", "/🦌.jpg"]
    part = shards(tmp_path / "1", [record(path) for path in reversed(paths)])
    merge([part], tmp_path / "out.json")
    assert [r["filepath"] for r in read_predictions(tmp_path / "out.json")] == paths


def test_settings_are_copied_and_an_older_file_is_kept(tmp_path: Path) -> None:
    part = with_settings(shards(tmp_path / "1", [record("a")]), SETTINGS)
    target = tmp_path / "out.json"
    target.write_text("older")
    merge([part, shards(tmp_path / "2", [record("b")])], target)
    assert RunSettings.from_dict(read_settings(target)) == SETTINGS
    assert (tmp_path / "out.json.bak").read_text() == "older"
    assert {path.name for path in tmp_path.iterdir()} == {
        "1", "2", "out.json", "out.json.bak", "out.json.run.json"
    }  # fmt: skip


def test_parts_of_different_runs(tmp_path: Path) -> None:
    folder = with_settings(shards(tmp_path / "1", [record("a")]), SETTINGS)
    file = tmp_path / "part.json"
    save_predictions({"predictions": [record("b")]}, str(file))
    with_settings(str(file), replace(SETTINGS, country="UGA", model_name="elsewhere"))
    with pytest.raises(InputError, match=r"different runs .*country"):
        merge([folder, str(file)], tmp_path / "out.json")
    with_settings(str(file), replace(SETTINGS, model_name="elsewhere"))
    assert merge([folder, str(file)], tmp_path / "out.json").images == 2


def test_missing_shards_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def shard(number: int) -> str:
        part = str(tmp_path / f"{number}.json")
        save_predictions({"predictions": [record(f"{number}")]}, part)
        with_settings(part, replace(SETTINGS, shard=f"{number}/4"))
        add_to_settings(Path(part), "precision", {"fast": number})
        return part

    target = tmp_path / "all.json"
    assert merge([shard(3), shard(1)], target).images == 2
    assert "2 shards of the run are not among the parts: 2/4, 4/4." in caplog.text
    assert not {"shard", "precision"} & read_settings(target).keys()
    caplog.clear()
    merge([shard(number) for number in (1, 2, 3, 4)], target)
    assert "not among" not in caplog.text


def test_flawed_images_of_all_parts_are_kept(tmp_path: Path) -> None:
    def shard(number: int, flawed: object) -> str:
        part = str(tmp_path / f"{number}.json")
        save_predictions({"predictions": [record(f"{number}")]}, part)
        with_settings(part, replace(SETTINGS, shard=f"{number}/3"))
        add_to_settings(Path(part), "flawed_images", flawed)
        return part

    target = tmp_path / "all.json"
    merge([shard(1, {"1": "cut off"}), shard(2, {"2": "cut off"}), shard(3, "damaged")], target)
    assert flawed_images_of(target) == {"1": "cut off", "2": "cut off"}


def test_parts_made_from_parts_of_an_earlier_step(tmp_path: Path) -> None:
    def part(name: str, **inputs: str) -> str:
        save_predictions({"predictions": [record(name)]}, str(tmp_path / name))
        return with_settings(str(tmp_path / name), replace(SETTINGS, inputs=inputs))

    labels = {"target_species_txt": "0"}
    first = part("1.json", detections_json="a", **labels)
    second = part("2.json", detections_json="b", **labels)
    merge([first, second], tmp_path / "out.json")
    found = RunSettings.from_dict(read_settings(tmp_path / "out.json"))
    assert found == replace(SETTINGS, inputs=labels)
    merge([first, first], tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json.run.json").read_text())["inputs"]["detections_json"]
    with pytest.raises(InputError, match=r"different runs .*--target_species_txt"):
        merge([first, part("3.json", detections_json="a")], tmp_path / "out.json")


@pytest.mark.parametrize("shard_format", ["jsonl", "parquet"])
def test_damaged_shard_is_an_error_and_nothing_is_written(
    tmp_path: Path, shard_format: str
) -> None:
    part = shards(tmp_path / "1", [record("a"), record("b")], shard_format=shard_format)
    (shard,) = Path(part).iterdir()
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(OutputError, match=f"{shard.name} is damaged"):
        merge([part], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


def test_nothing_to_merge(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    save_predictions({"predictions": []}, str(tmp_path / "none.json"))
    for part, words in {
        "empty": "no shards",
        "nowhere": "nowhere",
        "none.json": "no records",
    }.items():
        with pytest.raises((InputError, OutputError), match=words):
            merge([str(tmp_path / part)], tmp_path / "out.json")
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    "content", ["", "[]", '{"settings": 3}', '{"settings": {"model": 1}}', "{"]
)
def test_damaged_settings(tmp_path: Path, content: str) -> None:
    first = with_settings(shards(tmp_path / "1", [record("a")]), SETTINGS)
    second = shards(tmp_path / "2", [record("b")])
    Folder(second).write("run.json", content.encode())
    for parts in ([first, second], [second, first]):
        with pytest.raises(InputError, match=r"run\.json|different runs"):
            merge(parts, tmp_path / "out.json")


MEASURE = """
import resource, sys
from pathlib import Path
from speciesnet.run.distributed.folder import Folder
from speciesnet.run.distributed.merging import merge
from speciesnet.run.distributed.shards import write_shard

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def make(number, name):
    for start in range(0, number, 10_000):
        write_shard(Folder(f"{sys.argv[1]}/{name}"), [
            {"filepath": f"/surveys/camera-{i % 977:04}/IMG_{i:09}.JPG", "prediction": "animal"}
            for i in range(start, start + 10_000)
        ], "jsonl")
    tally = merge([f"{sys.argv[1]}/{name}"], Path(f"{sys.argv[1]}/{name}.json"))
    assert tally.images == number, tally

make(20_000, "few")
before = peak()
make(200_000, "many")
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units")
def test_memory_does_not_grow_with_the_records(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    # MiB; the cache of the index takes up to 64, and a list of the records would take 80 more.
    assert int(done.stdout) < 70


def test_file_that_a_run_is_writing_is_not_replaced(tmp_path: Path) -> None:
    part, target = tmp_path / "part.json", tmp_path / "out.json"
    save_predictions({"predictions": [record("a")]}, str(part))
    target.write_text("{}")
    with FileLock(f"{target}.lock"), pytest.raises(OutputError, match="being written by a run"):
        merge([str(part)], target)
    assert target.read_text() == "{}"
    merge([str(part)], target)
    assert len(read_predictions(target)) == 1
    assert not Path(f"{target}.lock").exists()


def test_merging_array_jobs_needs_no_cluster_packages(tmp_path: Path) -> None:
    part, target = tmp_path / "part.json", tmp_path / "out.json"
    save_predictions({"predictions": [record("a")]}, str(part))
    program = "import sys; sys.modules.update(ray=None, pyarrow=None, pandas=None)\n"
    program += "from speciesnet.scripts import console, merge; console.start(merge.COMMAND)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(target), str(part)], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, f"{part}: 1 record.\n")
    assert read_predictions(target) == read_predictions(part)


def test_parts_of_format_5_stay_as_they_are(tmp_path: Path) -> None:
    raw = {"classes": ["fox"], "scores": [0.9]}
    box = {"category": "1", "label": "animal", "conf": 0.9, "bbox": [0.1] * 4}
    boxes = [{**box, "raw_classifications": raw}, box]
    parts = []
    for name in ("b", "a"):
        document = {
            "info": {"format_version": "20261015"},
            "predictions": [{"filepath": name, "detections": boxes, "model_version": "1"}],
        }
        parts.append(str(tmp_path / f"{name}.json"))
        Path(parts[-1]).write_text(json.dumps(document, indent=1))
    target = tmp_path / "out.json"
    assert merge(parts, target).images == 2
    merged = json.loads(target.read_text())
    assert merged["info"] == {"format_version": "20261015"}
    assert [record["filepath"] for record in merged["predictions"]] == ["a", "b"]
    assert all(record["detections"] == boxes for record in merged["predictions"])
    four = tmp_path / "four.json"
    four.write_text(json.dumps({"predictions": [{"filepath": "c", "detections": []}]}))
    with pytest.raises(InputError, match=r"is in format 5, and .* in format 4"):
        merge([*parts, str(four)], target)

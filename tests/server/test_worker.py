from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from servers import Server

from speciesnet.ensemble.thresholds import Thresholds
from speciesnet.errors import InputError
from speciesnet.images.instances import Instance, find_images
from speciesnet.run import Run
from speciesnet.run.model import ModelOptions
from speciesnet.server.worker import ImageTask, Refused, WorkerModel, groups_by_pixels

MEBIBYTE = 2**20


def images(folder: Path, *sides: int) -> list[str]:
    """Square images with the given sides in pixels, in few bytes."""
    paths = [folder / f"{number}.png" for number in range(len(sides))]
    for path, side in zip(paths, sides, strict=True):
        Image.new("1", (side, side)).save(path)
    return [str(path) for path in paths]


def test_images_are_grouped_by_their_pixels(tmp_path: Path) -> None:
    a, b, c, d, e = paths = images(tmp_path, 3400, 7900, 6000, 5000, 10)
    assert list(groups_by_pixels(paths)) == [[a, b], [c, d, e]]
    assert [len(group) for group in groups_by_pixels([b] * 3)] == [1, 1, 1]
    assert list(groups_by_pixels([])) == []
    usual = images(tmp_path, 3464)  # 12 million pixels
    assert [len(group) for group in groups_by_pixels(usual * 8)] == [8]


def test_unreadable_images_and_images_in_buckets_are_grouped_without_their_size(
    tmp_path: Path,
) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no photograph")
    paths = [str(tmp_path / "broken.jpg"), str(tmp_path / "gone.jpg"), "s3://survey/a.jpg"]
    assert list(groups_by_pixels(paths)) == [paths]
    buckets = [f"s3://survey/{number}.jpg" for number in range(9)]
    assert [len(group) for group in groups_by_pixels(buckets)] == [8, 1]


def test_answers_below_their_thresholds_are_replaced() -> None:
    path = find_images(["demo"])[10]
    options = ModelOptions("demo", precision="fp32", threads=1)
    answers = []
    for threshold in (0.0, 1.0):
        run = Run(thresholds=Thresholds("t.csv", {"red fox": threshold}))
        (record,) = WorkerModel(options, run, 60).records_of([ImageTask(Instance(path), path)])
        assert not isinstance(record, Refused)
        answers.append(record.get("prediction", "").rpartition(";")[2])
    assert answers == ["red fox", "animal"]
    with pytest.raises(InputError, match="which the model does not have"):
        WorkerModel(options, Run(thresholds=Thresholds("t.csv", {"red foxx": 1.0})), 60)


def _peak(pid: int) -> int:
    """The peak memory of a process since ``clear_refs``, in bytes."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_several_large_images_need_no_more_memory_than_one(server: Server, tmp_path: Path) -> None:
    content = [Path(path).read_bytes() for path in images(tmp_path, *[8000] * 6)]
    (worker,) = server.workers

    def growth(count: int) -> int:
        Path(f"/proc/{worker}/clear_refs").write_text("5")
        before = _peak(worker)
        records = server.upload(*((str(i), content[i]) for i in range(count))).records
        assert all("prediction" in record for record in records)
        return _peak(worker) - before

    one = growth(1)
    assert one > 200 * MEBIBYTE
    assert growth(6) < 1.5 * one

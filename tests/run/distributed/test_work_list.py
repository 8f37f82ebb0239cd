"""The list of unfinished instances, in memory that does not grow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from speciesnet.errors import InputError, OutputError
from speciesnet.images.instances import Instance
from speciesnet.run.distributed import work_list
from speciesnet.run.distributed.shards import digest
from speciesnet.run.distributed.work_list import SeenImages, read_work, write_work

INSTANCES = [Instance(f"/{i}.jpg", "USA", "CA", 37.5, -122.0) for i in range(7)]


def test_finished_and_repeated_images_are_left_out() -> None:
    given = [*INSTANCES, INSTANCES[3], INSTANCES[5], Instance("/\udcff"), Instance("/\udcff")]
    with SeenImages() as seen:
        seen.add(digest("/0.jpg") + digest("/5.jpg"))
        seen.add(digest("/of another run.jpg"))
        seen.add(b"")
        left = list(seen.unseen(given))
    assert left == [*INSTANCES[1:5], INSTANCES[6], Instance("/\udcff")]
    assert seen.new == 6
    assert seen.known == 2


def test_list_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_list, "FILE_INSTANCES", 3)
    odd = [Instance("/\udcff\u2028\n\r.jpg"), Instance("s3://b/é?#.jpg", "KEN")]
    files = write_work(iter([*INSTANCES, *odd]), tmp_path)
    assert len(files) == 3
    found = list(read_work(files, 2))
    assert [len(part) for part in found] == [2, 1, 2, 1, 2, 1]
    assert [instance for part in found for instance in part] == [*INSTANCES, *odd]
    assert write_work([], tmp_path) == []


def test_missing_and_damaged_files_of_the_list(tmp_path: Path) -> None:
    files = write_work(INSTANCES, tmp_path)
    files[0].unlink()
    with pytest.raises(InputError, match=r"0\.jsonl.*TMPDIR"):
        next(read_work(files, 3))
    files[0].write_bytes(b'{"filepath": "/0.jpg"}\n{"filep')
    with pytest.raises(InputError, match=r"0\.jsonl.*damaged.*TMPDIR"):
        next(read_work(files, 3))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"no room .* TMPDIR"):
        write_work(INSTANCES, tmp_path)


MEASURE = """
import resource, sys
from pathlib import Path
from speciesnet.run.distributed.shards import digest
from speciesnet.run.distributed.work_list import SeenImages, write_work
from speciesnet.images.instances import Instance

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def names(number):
    return (f"/surveys/camera-{i % 977:04}/IMG_{i:09}.JPG" for i in range(number))

def join(number):
    with SeenImages() as seen:
        for path in names(number // 2):
            seen.add(digest(path))
        write_work(seen.unseen(map(Instance, names(number))), Path(sys.argv[1]))
    assert seen.new == number - number // 2, seen.new

join(20_000)
before = peak()
join(200_000)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in other units")
def test_memory_does_not_grow_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    # MiB; the cache of the index takes up to 64, and a list of the instances would take 60 more.
    assert int(done.stdout) < 40

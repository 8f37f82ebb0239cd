from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from networks import NAMES, tiny_network
from yolov5_p6 import save_yolov5_checkpoint

from speciesnet.engines.base import EngineOptions
from speciesnet.engines.checkpoint import read_yolov5_checkpoint
from speciesnet.engines.select import load_detector_engine
from speciesnet.engines.yolov5 import DetectionModel

pytest.importorskip("openvino")
from speciesnet.engines import openvino_cache

OPENVINO = EngineOptions("openvino")
IMAGE = np.full((1, 64, 64, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def yolov5_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("yolov5") / "detector.pt"
    save_yolov5_checkpoint(tiny_network(), NAMES, path)
    return path


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def converted(yolov5_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the converted network."""
    folder = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECIESNET_CACHE", str(folder))
        boxes(yolov5_checkpoint)
    return folder


@pytest.fixture
def entry(converted: Path, cache: Path) -> Path:
    """The network in the cache of this test."""
    shutil.copytree(converted, cache)
    (found,) = entries(cache)
    return found


def boxes(checkpoint: Path) -> np.ndarray:
    return load_detector_engine(checkpoint, OPENVINO)(IMAGE)


def entries(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "openvino").iterdir() if path.is_dir())


@pytest.fixture(scope="module")
def wanted(yolov5_checkpoint: Path, converted: Path) -> np.ndarray:
    """The boxes of the converted network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECIESNET_CACHE", str(converted))
        return boxes(yolov5_checkpoint)


def test_network_is_converted_once(yolov5_checkpoint: Path, cache: Path) -> None:
    first = boxes(yolov5_checkpoint)
    (entry,) = entries(cache)
    times = {path.name: path.stat().st_mtime_ns for path in entry.iterdir()}
    assert np.array_equal(boxes(yolov5_checkpoint), first)
    assert {path.name: path.stat().st_mtime_ns for path in entry.iterdir()} == times


def test_converted_network_is_freed_once_it_is_stored(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[weakref.ref] = []

    def read_and_note(path: Path) -> DetectionModel:
        network = read_yolov5_checkpoint(path)
        read.append(weakref.ref(network))
        return network

    monkeypatch.setattr("speciesnet.engines.checkpoint.read_yolov5_checkpoint", read_and_note)
    engine = load_detector_engine(yolov5_checkpoint, OPENVINO)
    assert [network() for network in read] == [None]
    assert engine(IMAGE).size


def resident(path: Path) -> list[int]:
    """For each mapping of a file, how many of its bytes are in this process's memory."""
    blocks = re.split(r"^(?=[0-9a-f]+-)", Path("/proc/self/smaps").read_text(), flags=re.MULTILINE)
    found = [block for block in blocks if str(path) in block.partition("\n")[0]]
    return [1024 * int(re.findall(r"^Rss: +(\d+) kB", block, re.MULTILINE)[0]) for block in found]


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of mapped files")
def test_file_of_weights_leaves_memory_when_they_are_arranged(
    yolov5_checkpoint: Path, wanted: np.ndarray, entry: Path
) -> None:
    engine = load_detector_engine(yolov5_checkpoint, OPENVINO)
    wide = np.full((1, 64, 128, 3), 90, np.uint8)
    for image in (IMAGE, wide):
        found = engine(image)
        assert resident(entry / "network.bin") == [0]
        assert np.array_equal(engine(image), found)
    assert np.array_equal(engine(IMAGE), wanted)


def test_changed_checkpoint_is_another_network(
    yolov5_checkpoint: Path, cache: Path, tmp_path: Path
) -> None:
    path = tmp_path / "detector.pt"
    shutil.copy(yolov5_checkpoint, path)
    first = boxes(path)
    save_yolov5_checkpoint(tiny_network(seed=9), NAMES, path)
    assert not np.array_equal(boxes(path), first)
    assert len(entries(cache)) == 2


def test_what_another_version_made_is_stale(
    yolov5_checkpoint: Path, entry: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("speciesnet.engines.openvino_cache.__version__", "another")
    boxes(yolov5_checkpoint)
    assert len(entries(cache)) == 2


def test_hash_of_an_unchanged_file_is_computed_once(
    yolov5_checkpoint: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "detector.pt"
    shutil.copy(yolov5_checkpoint, path)
    found = openvino_cache.converted_folder(path)
    assert not (cache / "hashes").exists()  # the file is so new that it may still change

    monkeypatch.setattr(openvino_cache, "_SETTLED", 0)
    assert openvino_cache.converted_folder(path) == found
    (kept,) = (cache / "hashes").iterdir()
    kept.write_text("0" * 32)
    assert openvino_cache.converted_folder(path).name == "0" * 32
    kept.write_text("damaged")
    assert openvino_cache.converted_folder(path) == found


@pytest.mark.skipif(sys.platform == "win32", reason="its files have no time of the last change")
def test_hash_follows_a_change_that_keeps_size_and_date(
    yolov5_checkpoint: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_cache, "_SETTLED", 0)
    path = tmp_path / "detector.pt"
    shutil.copy(yolov5_checkpoint, path)
    before, facts = openvino_cache.converted_folder(path), path.stat()
    content = path.read_bytes()
    while path.stat().st_ctime_ns == facts.st_ctime_ns:  # the clock of the file system ticks slowly
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (facts.st_size, facts.st_mtime_ns)
    assert openvino_cache.converted_folder(path) != before


def test_a_network_that_is_being_written_can_be_removed(
    yolov5_checkpoint: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(_: object, path: Path, **__: object) -> None:
        path.write_text("half of it")
        assert [part.suffix for part in entries(cache)] == [".part"]
        openvino_cache.remove_unfinished()
        assert not entries(cache)
        raise RuntimeError("the process has ended")

    monkeypatch.setattr(openvino_cache.openvino, "save_model", save)
    boxes(yolov5_checkpoint)  # from memory
    assert not entries(cache)


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("network.bin", "cut"),
        ("network.xml", "gone"),
        ("network.xml", "zeros"),
        ("facts.json", "cut"),
    ],
)
def test_damaged_entry_is_created_again(
    yolov5_checkpoint: Path, wanted: np.ndarray, entry: Path, cache: Path, name: str, damage: str
) -> None:
    if damage == "cut":
        (entry / name).write_bytes((entry / name).read_bytes()[:-100])
    elif damage == "zeros":
        (entry / name).write_bytes(bytes((entry / name).stat().st_size))
    else:
        (entry / name).unlink()
    assert np.array_equal(boxes(yolov5_checkpoint), wanted)
    assert entries(cache) == [entry]
    assert len(list(entry.iterdir())) == 3


def test_cache_that_cannot_be_written_is_done_without(
    yolov5_checkpoint: Path, wanted: np.ndarray, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache.write_text("a file is in the way of the folder")
    np.testing.assert_allclose(boxes(yolov5_checkpoint), wanted, rtol=1e-4, atol=1e-3)
    assert "cannot be stored" in caplog.text


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_folder_that_is_read_only_is_done_without(yolov5_checkpoint: Path, cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o500)
    assert boxes(yolov5_checkpoint).size
    cache.chmod(0o700)


def test_half_written_entry_of_a_killed_process_is_cleared(
    yolov5_checkpoint: Path, entry: Path, cache: Path
) -> None:
    entry.rename(entry.with_name(f"{entry.name}.part"))
    boxes(yolov5_checkpoint)
    assert entries(cache) == [entry]


def test_two_simultaneous_processes_both_get_it(yolov5_checkpoint: Path, cache: Path) -> None:
    program = (
        "from pathlib import Path\nimport numpy as np\n"
        "from speciesnet.engines.base import EngineOptions\n"
        "from speciesnet.engines.select import load_detector_engine\n"
        f"engine = load_detector_engine(Path({str(yolov5_checkpoint)!r}), EngineOptions('openvino'))\n"
        "print(float(engine(np.full((1, 64, 64, 3), 90, np.uint8)).sum()))\n"
    )
    environment = os.environ | {"SPECIESNET_CACHE": str(cache)}
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = {process.communicate(timeout=120)[0] for process in running}
    assert [process.returncode for process in running] == [0, 0]
    assert len(outputs) == 1
    assert len(entries(cache)) == 1

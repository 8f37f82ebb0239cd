"""Shared fixtures: real photographs and packages, stand-ins for them, and the command line."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Outcome
from hypothesis import HealthCheck, settings
from PIL import Image
from slow import is_slow

from speciesnet.images.instances import find_images

pytest_plugins = ["bucket_servers"]

REPOSITORY = Path(__file__).parents[1]
LONGEST_FILES = (
    "test_run_on_ray.py",
    "test_model.py",
    "test_resume.py",
    "test_bad_input.py",
    "test_faults.py",
    "test_app.py",  # of the window in a browser, which waits most of the time
    "test_openapi.py",
)
MEMORY = Path("/dev/shm")  # a file system in memory
MEMORY_BYTES = 4 * 2**30  # free, for all temporary files of the tests and for Ray
MADE_IMAGES = ("ena24/352.jpg", "ena24/422.jpg", "ena24/423.jpg", "blank.jpg", "vehicle.jpg")


def prepare_process() -> None:
    """Prepares this process, and those that it starts, for many tests at the same time.

    Temporary files are in memory if there is room: outputs are flushed to the disk thousands of times,
    each of which may take a tenth of a second. Networks use one thread, because the processes of tests
    share the cores: with more threads, each would take twice the time. OpenVINO's telemetry is hidden,
    because it would fork this large process several times for every network that is converted; the
    package hides it too, but a test may import OpenVINO first.
    """
    is_writable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    if is_writable and shutil.disk_usage(MEMORY).free >= MEMORY_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as for a command in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)  # programs would inherit it
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]


prepare_process()
# Other programs may use the processor: slow inputs are not failures.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Turns off the garbage collector while modules are imported, because they stay until the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks slow tests, and moves the longest files to the front.

    Each file runs in one process: a long one at the end would leave the other processes idle.
    """
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)


def shared_folder() -> Path | None:
    """The folder of the reference data, if there is one."""
    folder = Path(os.environ.get("SPECIESNET_SHARED", REPOSITORY.parent / "shared"))
    return folder if (folder / "golden").is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photographs and reference outputs, which are not part of the project."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("needs the published reference outputs (SPECIESNET_SHARED)")
    return folder


@pytest.fixture(scope="session")
def command() -> Callable[..., Outcome]:
    """Runs the real command line to its end."""

    def run(*arguments: str | Path, cwd: Path | None = None, **options: Any) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-m", "speciesnet", *map(str, arguments)],
            cwd=cwd,
            capture_output=True,
            encoding="utf-8",
            stdin=options.pop("stdin", subprocess.DEVNULL),
            timeout=options.pop("timeout", 300),
            **options,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder with three small images in two subfolders."""
    folder = tmp_path / "photographs"
    random = np.random.default_rng(7)
    for name in ("a/1.jpg", "a/2.JPG", "b/3.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture
def other_drive(tmp_path: Path) -> Iterator[Path]:
    """A folder, which does not exist yet, on another drive than ``tmp_path``."""
    for drive in (MEMORY, Path(tempfile.gettempdir()), Path.home()):
        if drive.is_dir() and drive.stat().st_dev != tmp_path.stat().st_dev:
            folder = drive / f"speciesnet-test-{os.getpid()}"
            break
    else:
        pytest.skip("there is no second drive")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs in ``images`` and packages in ``packages``, for tests that need no known answers.

    Without the reference data these are samples of the demo and packages made here.
    """
    folder = shared_folder()
    if folder is None:
        from networks import save_small_package

        folder = tmp_path_factory.mktemp("materials")
        images = folder / "images"
        (images / "ena24").mkdir(parents=True)
        for name, sample in zip(MADE_IMAGES, find_images(["demo"]), strict=False):
            shutil.copyfile(sample, images / name)
        save_small_package(folder / "packages" / "small_random")
        save_small_package(folder / "packages" / "small_random_b", "full_image", seed=1)
    return folder


@pytest.fixture(scope="session")
def small_package(materials: Path) -> Path:
    """A package in the published formats with small random networks, of type ``always_crop``."""
    return materials / "packages" / "small_random"


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps tests out of the user's cache; their processes convert a network only once."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # of all processes
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPECIESNET_CACHE", str(folder / "cache"))
        yield

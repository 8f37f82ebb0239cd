"""Shared fixtures: real photographs and packages, stand-ins for them, and the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Outcome
from PIL import Image
from slow import is_slow

REPOSITORY = Path(__file__).parents[1]


@pytest.hookimpl(tryfirst=True)  # before pytest selects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks tests as slow that start a process, a browser or an emulator."""
    for item in items:
        if is_slow(item):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real photographs and reference outputs, which are not part of the project."""
    folder = Path(os.environ.get("SPECIESNET_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "golden").is_dir():
        pytest.skip(f"no reference data in {folder} (SPECIESNET_SHARED)")
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
    """A folder of three small pictures in two subfolders."""
    folder = tmp_path / "photographs"
    random = np.random.default_rng(7)
    for name in ("a/1.jpg", "a/2.JPG", "b/3.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.fixture(scope="session")
def small_package(shared: Path) -> Path:
    """A package with small random networks in the genuine formats that crops."""
    return shared / "packages" / "small_random"


@pytest.fixture(autouse=True)
def _own_cache(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Tests leave the user's cache alone."""
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
    yield

"""The home of a person with two cards, and a window on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from windows import IMAGES, Page

from speciesnet.app.window import Window


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    for card in ("card1", "card2"):
        (folder / card).mkdir(parents=True)
        for image in IMAGES[:3]:
            shutil.copy(image, folder / card / f"{image.parent.name}-{image.name}")
    cache = Path.home() / ".cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))  # converted networks
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("USERPROFILE", str(folder))
    monkeypatch.setattr("platformdirs.user_documents_dir", lambda: str(folder / "Documents"))
    return folder


@pytest.fixture
def data(home: Path) -> Path:
    """The window's own folder."""
    return home.parent / "data"


@pytest.fixture
def window(data: Path) -> Iterator[Window]:
    opened = Window(data)
    yield opened
    opened.close()


@pytest.fixture
def page(window: Window) -> Page:
    return Page(window)

"""Pictures with numbers, and a cache for each test."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from guarded import DECISIONS, Fake, decisions, make_pictures, wave

from speciesnet.pipeline.guard.passes import Passes


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return make_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECIESNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def truth(pictures: list[str]) -> list[object]:
    fake: Any = Fake(wave(0.0))
    return decisions(list(Passes(DECISIONS).run(pictures, fake)))

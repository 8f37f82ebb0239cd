"""One real server, shared by all tests that do not change it."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import SAMPLES, Server, served

pytest.importorskip("fastapi", reason='the extra "server" is not installed')


@pytest.fixture(scope="session")
def allowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The allowed folder: two photographs, a broken one, and links that lead out of it."""
    if sys.platform == "win32":
        pytest.skip("Windows has other links and signals")
    folder = tmp_path_factory.mktemp("allowed") / "photographs"
    (folder / "cam1").mkdir(parents=True)
    for number in range(2):
        shutil.copy(SAMPLES[number], folder / "cam1" / f"{number}.jpg")
    (folder / "cam1" / "broken.jpg").write_bytes(b"no photograph")
    outside = folder.parent / "outside"
    outside.mkdir()
    shutil.copy(SAMPLES[0], outside / "secret.jpg")
    (folder / "link.jpg").symlink_to(outside / "secret.jpg")
    (folder / "link").symlink_to(outside)
    (folder / "gone.jpg").symlink_to(outside / "gone.jpg")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, allowed: Path) -> Iterator[Server]:
    with served(
        tmp_path_factory.mktemp("server"),
        *("--allow_path", allowed),
        *(
            "--allow_url",
            "localhost,127.0.0.1,2130706433,0x7f.1,017700000001,[::1],[::ffff:127.0.0.1]",
        ),
        *("--extra_fields", "camera,note"),
        *("--max_image_mb", "1", "--max_body_mb", "4", "--max_instances", "40", "--backlog", "40"),
    ) as server:
        yield server
        assert server.stop() == 0

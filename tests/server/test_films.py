"""Films in requests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import clips
import numpy as np
import pytest
from PIL import Image
from servers import SAMPLES, Server, served

from speciesnet import SpeciesNet

SIZE = (320, 240)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a short film, a long one, and one that is cut off."""
    folder = tmp_path_factory.mktemp("films")
    pictures = [np.asarray(Image.open(path).resize(SIZE)) for path in SAMPLES[:2]]
    scenes = [picture[..., :3] for picture in pictures for _ in range(4)]
    clips.film(folder / "a.mp4", size=SIZE, fps=4, shown=scenes)
    clips.film(folder / "long.mkv", count=90, fps=10)
    (folder / "cut.mp4").write_bytes((folder / "a.mp4").read_bytes()[:2000])
    return folder


@pytest.fixture(scope="module")
def films_server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--max_film_seconds", "5", "--video_fps", "2", "--max_frames_per_video", "3")
    with served(
        tmp_path_factory.mktemp("server"), "--allow_path", folder, *options, "--precision", "fp32"
    ) as server:
        yield server


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, Any]:
    """The record of a run on one machine."""
    model = SpeciesNet("demo", precision="fp32")
    path = str(folder / "a.mp4")
    found = model.predict(filepaths=[path], video_fps=2.0, max_frames_per_video=3)
    assert found is not None
    return {**found["predictions"][0]}


def test_a_film_has_the_record_of_a_run(
    films_server: Server, folder: Path, expected: dict[str, Any]
) -> None:
    path = folder / "a.mp4"
    assert expected["frames_processed"] == [0, 2, 4]
    assert films_server.predict({"filepath": str(path)}).records == [expected]
    uploaded = films_server.upload(("fox", path.read_bytes()), ("b", SAMPLES[0].read_bytes()))
    film, photograph = uploaded.records
    assert film == {**expected, "filepath": "fox"}
    assert "frames_processed" not in photograph


def test_a_film_that_is_too_long_is_refused(films_server: Server, folder: Path) -> None:
    answer = films_server.upload(("long.mkv", (folder / "long.mkv").read_bytes()))
    assert answer.status == 413
    assert answer.error == (
        "long.mkv is a film of 9 s, and the server accepts films of at most 5 s. Send a part of it."
    )


def test_a_damaged_film_fails_alone(films_server: Server, folder: Path) -> None:
    paths = [str(folder / name) for name in ("cut.mp4", "a.mp4")]
    cut, whole = films_server.predict(*({"filepath": path} for path in paths)).records
    assert cut["failures"] == ["CLASSIFIER", "DETECTOR"]
    assert "prediction" in whole

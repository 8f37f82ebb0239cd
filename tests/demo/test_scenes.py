"""The scene generator, and the demo model and pictures that are shipped."""

from __future__ import annotations

import datetime as dt
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from demo.animals import KINDS
from demo.facts import LABEL_LINES, TAXONOMY_LINES, geofence
from demo.scenes import Site, burst, make_site, random_scene
from PIL import Image

_ROOT = Path(__file__).resolve().parents[2]
_DEMO = _ROOT / "speciesnet" / "files" / "packages" / "demo"
_MODEL = _DEMO / "model"
_IMAGES = sorted((_DEMO / "images").rglob("*.jpg"))
_EXIF, _GPS, _DATE = 0x8769, 0x8825, 0x9003


@pytest.fixture(scope="module")
def site() -> Site:
    return make_site(7, "woodland", (640, 480))


def test_same_seed_same_picture() -> None:
    first, second = (
        random_scene(5, "red fox", make_site(3, "woodland", (640, 480))) for _ in range(2)
    )
    assert np.array_equal(first.image, second.image)
    assert first.things == second.things
    assert first.time == second.time


def test_other_seed_other_picture(site: Site) -> None:
    first, second = (random_scene(seed, "red fox", site, night=False) for seed in (1, 2))
    assert not np.array_equal(first.image, second.image)


@pytest.mark.parametrize("label", [*KINDS, "human", "vehicle"])
def test_boxes_lie_inside_the_picture(label: str) -> None:
    biome = KINDS[label].biome if label in KINDS else "woodland"
    scene = random_scene(11, label, make_site(9, biome, (480, 360)))
    assert scene.label == label
    assert scene.things
    height, width = scene.image.shape[:2]
    for thing in scene.things:
        x0, y0, x1, y1 = thing.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        assert thing.label == label


def test_blank_has_nothing_in_it(site: Site) -> None:
    scene = random_scene(4, "blank", site)
    assert scene.things == ()
    assert scene.label == "blank"


def test_night_has_no_colour(site: Site) -> None:
    image = random_scene(6, "northern raccoon", site, night=True).image.astype(int)
    assert np.ptp(image, axis=2).max() == 0


def test_burst_is_one_camera_in_order_and_the_animal_moves(site: Site) -> None:
    frames = burst(12, "white-tailed deer", site, night=False)
    assert len(frames) == 3
    assert {frame.camera for frame in frames} == {site.name}
    assert {frame.image.shape for frame in frames} == {frames[0].image.shape}
    gaps = [b.time - a.time for a, b in pairwise(frames)]
    assert all(dt.timedelta(0) < gap <= dt.timedelta(seconds=2) for gap in gaps)
    lefts = [frame.things[0].box[0] for frame in frames]
    assert len(set(lefts)) == 3


def _taken(path: Path) -> dt.datetime:
    with Image.open(path) as image:
        stamp = image.getexif().get_ifd(_EXIF)[_DATE]
    return dt.datetime.strptime(stamp, "%Y:%m:%d %H:%M:%S")


def test_shipped_pictures_have_dates_and_most_have_positions() -> None:
    assert len(_IMAGES) >= 14
    placed = 0
    for path in _IMAGES:
        assert _taken(path).year > 2000
        with Image.open(path) as image:
            assert image.size == (1280, 960)
            placed += bool(image.getexif().get_ifd(_GPS))
    assert placed > len(_IMAGES) / 2


def test_shipped_pictures_hold_a_burst() -> None:
    longest = 0
    for folder in {path.parent for path in _IMAGES}:
        times = sorted(_taken(path) for path in folder.glob("*.jpg"))
        run = 1
        for before, after in pairwise(times):
            run = run + 1 if after - before <= dt.timedelta(seconds=5) else 1
            longest = max(longest, run)
    assert longest >= 3


def test_package_is_complete_and_small() -> None:
    info = json.loads((_MODEL / "info.json").read_text(encoding="utf-8"))
    for key in ("classifier", "classifier_labels", "detector", "taxonomy", "geofence"):
        assert (_MODEL / info[key]).is_file()
    assert (_MODEL / "MODEL_CARD.md").is_file()
    size = sum(path.stat().st_size for path in _DEMO.rglob("*") if path.is_file())
    assert size < 8_000_000


def test_package_texts_agree_with_their_source() -> None:
    def lines(name: str) -> tuple[str, ...]:
        return tuple((_MODEL / name).read_text(encoding="utf-8").splitlines())

    assert lines("labels.txt") == LABEL_LINES
    assert lines("taxonomy.txt") == TAXONOMY_LINES
    assert json.loads((_MODEL / "geofence.json").read_text(encoding="utf-8")) == geofence()


def test_every_ancestor_has_its_line() -> None:
    keys = {";".join(line.split(";")[1:6]) for line in TAXONOMY_LINES}
    for line in LABEL_LINES[3:]:
        parts = line.split(";")[1:6]
        for depth in range(1, 6):
            assert ";".join(parts[:depth] + [""] * (5 - depth)) in keys

"""Changes of scenes, on small pictures whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from speciesnet.survey.scenes import Look, look, scene_changes

START = datetime(2024, 5, 1)
Pixels = NDArray[np.float32]
Change = Callable[[Pixels, int], Pixels]
DAYS = 30


def scene(seed: int) -> Pixels:
    """A landscape in color: shapes at some places."""
    rng = np.random.default_rng(seed)
    image = np.full((96, 128, 3), rng.uniform(60, 140, 3), np.float32)
    for _ in range(25):
        place = (int(rng.integers(128)), int(rng.integers(96)))
        color = tuple(map(float, rng.uniform(20, 220, 3)))
        cv2.circle(image, place, int(rng.integers(4, 16)), color, -1)
    return image


def photographs(
    change: Change, seed: int = 1, hours: tuple[int, ...] = (2, 10, 14, 22)
) -> list[Look]:
    """Four photographs a day, with an animal in some and different light."""
    rng = np.random.default_rng(seed + 100)
    background = scene(seed)
    found = []
    for day in range(DAYS):
        for hour in hours:
            image = background.copy()
            if rng.random() < 0.3:
                cv2.circle(image, (int(rng.integers(128)), 60), 15, (90.0, 60.0, 40.0), -1)
            if not 6 <= hour <= 18:
                image = np.repeat(0.6 * image.mean(axis=2, keepdims=True), 3, axis=2)
            image = change(image * np.float32(rng.uniform(0.6, 1.2)), day * 24 + hour)
            image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
            moment = START + timedelta(days=day, hours=hour)
            found.append(look(moment, f"{day:02}-{hour:02}.jpg", Image.fromarray(image)))
    return found


def after(day: float, changed: Callable[[Pixels], Pixels]) -> Change:
    return lambda image, hour: changed(image) if hour >= 24 * day else image


def kinds(looks: list[Look]) -> list[tuple[str, int]]:
    """The kind of each change, and the day of the first picture after it."""
    return [(one.kind, (one.first.moment - START).days) for one in scene_changes(looks)]


def turned(image: Pixels) -> Pixels:
    return np.ascontiguousarray(image[::-1, ::-1])


def blurred(image: Pixels) -> Pixels:
    return np.asarray(0.2 * cv2.GaussianBlur(image, (0, 0), 30) + 60, np.float32)


def test_healthy_camera_has_no_findings() -> None:
    for seed in (1, 2, 3):
        assert kinds(photographs(lambda image, _: image, seed)) == []


def test_season_is_not_a_change() -> None:
    def season(image: Pixels, hour: int) -> Pixels:
        share = np.float32(hour / (24 * DAYS))
        return image * (1 - 0.4 * share) + 60 * share * np.array([1.0, 0.8, 0.3], np.float32)

    assert kinds(photographs(season)) == []


def test_small_shift_is_not_a_change() -> None:
    assert kinds(photographs(after(15, lambda image: np.roll(image, 4, axis=1)))) == []


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_moved_camera_is_found_once(seed: int) -> None:
    assert kinds(photographs(after(12, turned), seed)) == [("view", 12)]


def test_camera_that_moves_twice_is_found_twice() -> None:
    def twice(image: Pixels, hour: int) -> Pixels:
        return image if hour < 240 else turned(image) if hour < 480 else image[::-1]

    assert kinds(photographs(twice)) == [("view", 10), ("view", 20)]


def test_scene_that_returns_is_not_a_change() -> None:
    def for_a_while(image: Pixels, hour: int) -> Pixels:
        return turned(image) if 240 <= hour < 360 else image

    assert kinds(photographs(for_a_while)) == []


def test_change_in_the_last_hours_is_not_reported() -> None:
    assert kinds(photographs(after(DAYS - 0.6, turned))) == []


@pytest.mark.parametrize("covered", [blurred, lambda image: 0 * image + 25, lambda i: 0 * i + 240])
def test_covered_lens_is_found(covered: Callable[[Pixels], Pixels]) -> None:
    looks = photographs(after(20, covered))
    [found] = scene_changes(looks)
    assert (found.kind, (found.first.moment - START).days) == ("covered", 20)
    assert found.before is not None and found.before.moment < found.first.moment
    assert found.after.moment >= found.first.moment


def dark_at_night(image: Pixels, hour: int) -> Pixels:
    is_grey = float(np.abs(image[..., 0] - image[..., 2]).mean()) < 1
    return 0 * image + 2 if is_grey and hour >= 240 else image


def test_dead_flash_is_found() -> None:
    assert kinds(photographs(dark_at_night)) == [("flash", 10)]


def test_flash_that_never_worked_is_found() -> None:
    [found] = scene_changes(photographs(lambda image, _: dark_at_night(image, 999)))
    assert (found.kind, found.last, found.before) == ("flash", None, None)


def test_black_pictures_by_day_are_a_covered_lens_not_a_flash() -> None:
    assert kinds(photographs(after(10, lambda image: 0 * image + 2))) == [("covered", 10)]


def test_caption_does_not_count() -> None:
    def with_caption(image: Pixels, hour: int) -> Pixels:
        image = image.copy() if hour < 240 else 0 * image + 2
        image[-7:, ::4] = 255
        return image

    assert kinds(photographs(with_caption)) == [("covered", 10)]


def test_too_few_pictures_show_nothing() -> None:
    assert scene_changes([]) == []
    assert scene_changes(photographs(after(0, turned))[:1]) == []
    assert scene_changes(photographs(after(1, turned))[:8]) == []


def test_tinted_grey_has_no_colour() -> None:
    rng = np.random.default_rng(1)
    grey = np.repeat(rng.uniform(0, 200, (24, 40, 1)), 3, axis=2)
    tinted = (grey * [1.2, 1.0, 0.9]).astype(np.uint8)
    assert look(START, "a.jpg", Image.fromarray(tinted)).is_grey
    assert not look(START, "a.jpg", Image.fromarray(scene(1).astype(np.uint8))).is_grey

"""All rules together, for each deployment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.camera_check import CameraCheck, CheckedCamera, Sightings
from speciesnet.survey.effort import Deployed
from speciesnet.survey.reliable_dates import Taken
from speciesnet.survey.scene_reading import SceneReader
from speciesnet.survey.scenes import COLUMNS, ROWS, Look

START = datetime(2024, 5, 1, 12)


def day(number: float) -> datetime:
    return START + timedelta(days=number)


def files(*days: float, name: str = "cam1/IMG_{:04}.JPG") -> list[tuple[str, str | None]]:
    numbered = enumerate(days, 1)
    return [(name.format(number), day(taken).isoformat()) for number, taken in numbered]


class Scenes(SceneReader):
    """Reads no files: the scene of a photograph is given by its day; "" is a covered lens."""

    def __init__(self, scenes: Sequence[str]) -> None:
        super().__init__(Photographs())
        self.scenes = scenes

    def looks(self, chosen: Sequence[Taken]) -> list[Look]:
        found = []
        for one in chosen:
            scene = self.scenes[(one.moment - START).days]
            rng = np.random.default_rng(list(scene.encode()) or 0)
            level = rng.integers(0, 255, (ROWS, COLUMNS)) if scene else 30
            pixels = np.full((ROWS, COLUMNS), level).astype(np.uint8)
            found.append(Look(one.moment, one.filepath, pixels, 10.0))
        return found


def kinds(camera: CheckedCamera) -> list[str]:
    return [one.kind for one in camera.findings]


def test_nights_under_a_covered_lens_do_not_count() -> None:
    scenes = Scenes(["tree"] * 10 + [""] * 20)
    [found] = CameraCheck(Sightings(files(*range(30)))).checked(scenes)
    assert kinds(found) == ["covered"]
    assert (found.effort.nights, found.worked.nights, found.looked_at) == (29, 10, 30)


def test_nights_after_a_change_in_the_view_count() -> None:
    [found] = CameraCheck(Sightings(files(*range(30)))).checked(Scenes(["a"] * 10 + ["b"] * 20))
    assert kinds(found) == ["view"]
    assert found.worked.nights == found.effort.nights == 29


def test_camera_that_was_deployed_at_two_places_did_not_move() -> None:
    rows = [Deployed("A", "cam1", day(0), day(9.5)), Deployed("B", "cam1", day(9.6), day(30))]
    check = CameraCheck(Sightings(files(*range(30))), {"cam1": rows})
    one, other = check.checked(Scenes(["a"] * 10 + ["b"] * 20))
    assert (one.name, kinds(one), other.name, kinds(other)) == ("A", [], "B", [])
    assert check.pictures == 30


def test_silence_after_a_jump_of_the_clock_is_not_judged() -> None:
    rows = [Deployed("A", "cam1", day(0), day(60))]
    taken = files(*range(20), -2000, -1999, -1998)
    [found] = CameraCheck(Sightings(taken), {"cam1": rows}).checked()
    assert (kinds(found), found.unreliable, found.worked.nights) == (["clock"], 3, 60)


def test_clock_of_a_camera_is_reported_once() -> None:
    rows = [Deployed("A", "cam1", day(0), day(10)), Deployed("B", "cam1", day(11), day(20))]
    taken = files(*range(20), -2000)
    found = CameraCheck(Sightings(taken), {"cam1": rows}).checked()
    assert [kinds(one) for one in found] == [["clock"], []]


def test_days_count_photographs_and_blanks() -> None:
    seen = Sightings(files(0, 0.1, 1), blanks={"cam1/IMG_0001.JPG"})
    seen.dates.append(("cam1/x.jpg", None))
    [found] = CameraCheck(seen).checked()
    assert list(found.photographs.values()) == [2, 1]
    assert (found.blanks[START.date()], found.undated) == (1, 1)


def test_people_are_not_shown() -> None:
    scenes = ["a"] * 10 + ["b"] * 20
    taken = files(*range(30))
    seen = Sightings(taken, people={path for path, _ in taken[10:]})
    [found] = CameraCheck(seen).checked(Scenes(scenes))
    assert (found.findings[0].filepath, found.findings[0].before != "") == ("", True)

"""Which photographs are read to compare scenes."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image

from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.reliable_dates import Taken
from speciesnet.survey.scene_reading import FEWEST, MOST, SceneReader, chosen_pictures

START = datetime(2024, 5, 1)


def every_minute(days: int, step: int = 1) -> list[Taken]:
    minutes = range(0, 1440 * days, step)
    return [Taken(START + timedelta(minutes=minute), f"{minute}.jpg") for minute in minutes]


def test_a_few_photographs_of_each_day_are_chosen() -> None:
    chosen = chosen_pictures(every_minute(60, 10))
    assert len(chosen) == 360
    assert {one.moment.date() for one in chosen} == {
        (START + timedelta(days=day)).date() for day in range(60)
    }
    assert chosen == sorted(chosen)


def test_short_deployments_have_more_and_long_ones_fewer_a_day() -> None:
    assert len(chosen_pictures(every_minute(2))) == 2 * MOST
    assert len(chosen_pictures(every_minute(400, 60))) == 400 * FEWEST


def test_many_photographs_of_one_hour_count_like_one() -> None:
    flood = [Taken(START + timedelta(seconds=second), f"{second}.jpg") for second in range(3000)]
    assert len(chosen_pictures([*flood, *every_minute(60, 240)])) == 360


def test_films_are_left_out() -> None:
    assert chosen_pictures([Taken(START, "a.mp4"), Taken(START, "b.jpg")]) == [
        Taken(START, "b.jpg")
    ]


def test_missing_and_unreadable_photographs_are_counted(tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), (90, 120, 60)).save(tmp_path / "good.jpg")
    (tmp_path / "bad.jpg").write_bytes(b"not an image")
    seen: list[int] = []
    photographs = Photographs()
    reader = SceneReader(photographs, on_read=lambda: seen.append(1))
    files = [str(tmp_path / name) for name in ("good.jpg", "bad.jpg", "none.jpg")]
    looks = reader.looks([Taken(START, file) for file in files])
    assert [one.filepath for one in looks] == files[:1]
    assert (reader.read, reader.unreadable, photographs.missing, len(seen)) == (1, 1, 1, 3)

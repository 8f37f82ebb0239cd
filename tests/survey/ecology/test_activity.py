from __future__ import annotations

import math
import random
from datetime import datetime, timedelta, timezone

import pytest

from speciesnet.survey.ecology.activity import Times, by_hour, circular_mean
from speciesnet.survey.ecology.sun import sun_at

LONDON, TROMSO, NAIROBI = (51.48, 0.0), (69.65, 18.96), (-1.29, 36.82)


def night(events: int, hour: float = 22.0, seed: int = 1) -> Times:
    chance = random.Random(seed)
    return Times([chance.gauss(hour, 1.5) % 24 for _ in range(events)])


def test_the_mean_of_times_around_midnight_is_midnight() -> None:
    mean = circular_mean([22.0, 2.0])
    assert min(mean.hour, 24 - mean.hour) == pytest.approx(0, abs=1e-9)
    assert mean.concentration == pytest.approx(math.cos(math.pi / 6))
    assert circular_mean([0.0, 6.0, 12.0, 18.0]).concentration == pytest.approx(0)


def test_hours_are_counted_from_their_start() -> None:
    assert [n for n, events in enumerate(by_hour([0.0, 23.99, 24.0, 12.0])) if events] == [
        0,
        12,
        23,
    ]


def test_a_density_is_circular_and_has_the_area_1() -> None:
    curve = night(50).curve
    assert curve[0][1] == pytest.approx(curve[-1][1])
    assert sum(value for _, value in curve[1:]) * 24 / 127 == pytest.approx(1)


def test_one_event_has_the_density_of_the_kernel() -> None:
    # exp(kappa) / (2 pi I0(kappa)) per radian, with I0(2) = 2.2795853
    expected = math.exp(2) / (2 * math.pi * 2.2795853) * math.pi / 12
    assert Times([6.0]).density([6.0], 2.0) == pytest.approx([expected])


@pytest.mark.parametrize("events", [20, 100])  # few: at the events; many: interpolated
def test_overlap_is_1_with_itself_and_0_with_the_opposite(events: int) -> None:
    one = night(events)
    for overlap in (Times.overlap_1, Times.overlap_4):
        assert overlap(one, one) == pytest.approx(1)
        assert overlap(one, night(events, 10.0)) == pytest.approx(0, abs=0.02)


def test_activity_level_grows_with_the_time_of_activity() -> None:
    all_day = Times([hour / 4 for hour in range(96)])
    level, other = all_day.activity_level, night(96).activity_level
    assert level is not None and other is not None
    assert level > 0.95 > 0.4 > other


def test_events_at_one_moment_have_no_density() -> None:
    moment = Times([6.0] * 12)
    assert moment.bandwidth is None and moment.activity_level is None
    assert moment.curve == []
    assert moment.overlap_1(night(12)) is None
    assert night(12).overlap_4(moment) is None


# From the tables of the US Naval Observatory, in UTC: sunrise and sunset in London, 2024.
@pytest.mark.parametrize(
    ("rise", "set_"),
    [
        ("2024-03-20T06:04", "2024-03-20T18:14"),
        ("2024-06-20T03:43", "2024-06-20T20:21"),
        ("2024-12-21T08:04", "2024-12-21T15:53"),
    ],
)
def test_sun_time_is_6_at_sunrise_and_18_at_sunset(rise: str, set_: str) -> None:
    start, end = (datetime.fromisoformat(f"{text}:00+00:00") for text in (rise, set_))
    minutes = 24 / 60  # twice as long as a minute in the shortest night
    for moment, hour in ((start, 6), (start + (end - start) / 2, 12), (end, 18)):
        assert sun_at(moment, LONDON).hour == pytest.approx(hour, abs=0.1 + minutes / 12)


def test_light_depends_on_the_time_zone() -> None:
    morning = datetime(2024, 5, 1, 6, 15)
    nairobi = timezone(timedelta(hours=3))
    assert sun_at(morning.replace(tzinfo=nairobi), NAIROBI).light == "twilight"
    assert sun_at(morning.replace(tzinfo=timezone.utc), NAIROBI).light == "day"
    assert sun_at(morning.replace(hour=23, tzinfo=nairobi), NAIROBI).light == "night"


def test_polar_day_and_night_have_light_but_no_sun_time() -> None:
    midnight = datetime(2024, 6, 20, 23, 0, tzinfo=timezone.utc)
    noon = datetime(2024, 12, 20, 11, 0, tzinfo=timezone.utc)
    assert (sun_at(midnight, TROMSO).light, sun_at(midnight, TROMSO).hour) == ("day", None)
    assert (sun_at(noon, TROMSO).light, sun_at(noon, TROMSO).hour) == ("twilight", None)

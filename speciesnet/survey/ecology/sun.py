"""The sun at the time of an event: day, twilight or night, and the time between sunrise and sunset."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import Literal, NamedTuple

from speciesnet.survey.ecology.reading import Position

Light = Literal["day", "twilight", "night"]
# The height of the center of the sun in degrees. At sunrise and sunset, refraction lifts its upper edge
# to the horizon; civil twilight ends at -6 (https://aa.usno.navy.mil/faq/RST_defs).
RISE = -0.833
CIVIL = -6.0


class Sun(NamedTuple):
    """The sun at the time of an event.

    Attributes:
        height: The height of its center above the horizon in degrees, without refraction.
        hour: Sun time in hours: sunrise is 6, sunset is 18, and time is stretched evenly between them;
            None where the sun does not rise or set on that day.
    """

    height: float
    hour: float | None

    @property
    def light(self) -> Light:
        """Day if the sun is up, twilight if it is up to 6 degrees below the horizon, or night."""
        if self.height >= RISE:
            return "day"
        return "twilight" if self.height >= CIVIL else "night"


def sun_at(moment: datetime, position: Position) -> Sun:
    """The sun at a given time and place.

    Sun time is that of Nouvellet et al. (2012, doi:10.1111/j.1469-7998.2011.00864.x) and of R's
    ``overlap::sunTime``, but with the nearest sunrise and sunset before and after the event.

    Args:
        moment: The time, with its time zone.
        position: Latitude and longitude in degrees.

    Examples:
        >>> noon = datetime(2024, 3, 20, 9, 35, tzinfo=timezone.utc)
        >>> sun = sun_at(noon, (-1.29, 36.82))
        >>> sun.light, round(sun.hour)
        ('day', 12)
    """
    import ephem

    observer, sun = ephem.Observer(), ephem.Sun()
    observer.pressure = 0  # no refraction in addition to that in RISE
    observer.lat, observer.lon = map(math.radians, position)
    date = ephem.Date(moment.astimezone(timezone.utc).replace(tzinfo=None))
    observer.date = date
    sun.compute(observer)
    height = math.degrees(sun.alt)
    observer.horizon = math.radians(RISE)
    is_up = height >= RISE
    try:
        if is_up:
            start = observer.previous_rising(sun, use_center=True)
            observer.date = date
            end = observer.next_setting(sun, use_center=True)
        else:
            start = observer.previous_setting(sun, use_center=True)
            observer.date = date
            end = observer.next_rising(sun, use_center=True)
    except ephem.CircumpolarError:  # polar day or night
        return Sun(height, None)
    hour = (6 if is_up else 18) + 12 * (date - start) / (end - start)
    return Sun(height, hour % 24)

"""The country and the state of the USA of a point on the globe, from the nearest town and a map."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from speciesnet.geolocation.codes import US_TERRITORIES, USA, country_codes, us_states
from speciesnet.geolocation.land import is_on_land, points_of_coasts

if TYPE_CHECKING:
    from scipy.spatial import KDTree

_NEAR_180 = 170.0  # degrees of longitude from which the 180th meridian matters
_EARTH_RADIUS_KM = 6371.0
# A point may be in a country whose nearest town is no farther than this.
_SAME_AREA_FACTOR = 2.0  # times the distance of the nearest town
_SAME_AREA_KM = 20.0  # and this
# A point farther than these from every town and from all land on the map is at sea. Outside Antarctica,
# this is wrong for 0.02% of the land (small islands); near coasts, a sixth of the sea has a country.
FROM_TOWN_KM = 200.0
FROM_LAND_KM = 100.0
# Inhabited or protected islands for which that is wrong: latitude, longitude, and a radius in kilometers.
_ISLANDS = (
    (51.8, -177.5, 420.0),  # the western Aleutian Islands
    (-18.3, -178.8, 200.0),  # Lau, Fiji
)
OPEN_SEA = "the open sea"  # in place of a country
_POINTS = 2**16  # points whose places are kept, enough for a survey's cameras


@cache
def _geocoder() -> Any:
    import reverse_geocoder

    # Mode 1 uses one thread; mode 2 starts a process per core.
    return reverse_geocoder.RGeocoder(mode=1, verbose=False)


@lru_cache(_POINTS)
def nearest_place(latitude: float, longitude: float) -> tuple[str, str | None]:
    """The country (ISO alpha-3) and the US region (or None) of the place nearest to a point.

    Distances are in degrees, as in ``reverse_geocoder``, but on the globe near the 180th meridian.
    """
    # The tree of reverse_geocoder is flat: to it, -179 and 179 are 358 degrees apart.
    if abs(longitude) > _NEAR_180:
        town, _ = _nearest_town(latitude, longitude)
    else:
        [town] = _geocoder().query([(latitude, longitude)])
    country = _alpha_3().get(town["cc"], "")
    if country in US_TERRITORIES:
        return USA, US_TERRITORIES[country]
    return country, us_states().get(town["admin1"]) if country == USA else None


@lru_cache(_POINTS)
def find_country(latitude: float, longitude: float, given: str | None = None) -> str | None:
    """The country of a point: the given one, unless the point is definitely elsewhere.

    The country of a point is assumed to be that of the nearest town, by distance on the globe. This is
    uncertain near a border. A given country is therefore kept if its own nearest town is not much
    farther away: at most twice as far plus 20 km. It is also kept if the list has no towns in that
    country.

    A point at sea, far from every town and from the land of a map, has no country.

    Args:
        latitude: Degrees.
        longitude: Degrees.
        given: ISO 3166-1 alpha-3 code, or None. The USA includes its territories.

    Returns:
        ISO 3166-1 alpha-3 code; territories of the USA have their own. The given country at sea, and for
        (0, 0), which devices write if they have no position.

    Examples:
        >>> find_country(18.4, -66.1)
        'PRI'
    """
    if not (latitude or longitude):
        return given
    town, kilometers = _nearest_town(latitude, longitude)
    if _is_at_sea(latitude, longitude, kilometers):
        return given
    country = _alpha_3().get(town["cc"])
    if not given or not country or given == country:
        return given or country
    return given if _may_be_in(given, latitude, longitude, kilometers) else country


def _is_at_sea(latitude: float, longitude: float, kilometers: float) -> bool:
    """Whether a point is at sea, from its distance to the nearest town."""
    if kilometers <= FROM_TOWN_KM or is_on_land(latitude, longitude):
        return False
    point = latitude, longitude
    if any(distance_km(point, (north, east)) <= radius for north, east, radius in _ISLANDS):
        return False
    [chord], _ = _coasts().query(_on_globe([point]))
    return _kilometers(chord) > FROM_LAND_KM


@cache
def _coasts() -> KDTree:
    """A tree of the points on the coasts and borders of the map."""
    from scipy.spatial import KDTree

    return KDTree(_on_globe(points_of_coasts()))


def _may_be_in(given: str, latitude: float, longitude: float, kilometers: float) -> bool:
    """Whether a point may be in a country although the nearest town, at this distance, is elsewhere."""
    own = [given, *US_TERRITORIES] if given == USA else [given]
    trees = [tree for code in own if (tree := _towns_of(code)) is not None]
    if not trees:
        return True
    point = _on_globe([(latitude, longitude)])
    limit = _SAME_AREA_FACTOR * kilometers + _SAME_AREA_KM
    return any(_kilometers(tree.query(point)[0][0]) <= limit for tree in trees)


@lru_cache(_POINTS)
def contradicted_by(
    country: str | None, latitude: float | None, longitude: float | None
) -> str | None:
    """The country that a point is definitely in, if not the given one; see ``find_country``.

    Args:
        country: ISO 3166-1 alpha-3 code, or None.
        latitude: Degrees, or None.
        longitude: Degrees, or None.

    Returns:
        ISO 3166-1 alpha-3 code, or ``OPEN_SEA``; None if the point may be in the given country, or an
        argument is None.

    Examples:
        >>> contradicted_by("USA", -1.29, 36.82)
        'KEN'
    """
    if not country or latitude is None or longitude is None:
        return None
    found = find_country(latitude, longitude, country)
    if found != country:
        return found
    if not (latitude or longitude):
        return None
    _, kilometers = _nearest_town(latitude, longitude)
    is_at_sea = _is_at_sea(latitude, longitude, kilometers)
    is_far = is_at_sea and not _may_be_in(country, latitude, longitude, kilometers)
    return OPEN_SEA if is_far else None


def _nearest_town(latitude: float, longitude: float) -> tuple[dict[str, str], float]:
    """The town nearest to a point on the globe, and its distance in kilometers."""
    towns = _towns_of(None)
    assert towns is not None  # the list is not empty
    [point] = _on_globe([(latitude, longitude)])
    chord, index = towns.query(point)
    return _geocoder().locations[index], _kilometers(chord)


@cache
def _towns_of(country: str | None) -> KDTree | None:
    """A tree of the towns in a country, or in all countries for None; None if there are no towns."""
    from scipy.spatial import KDTree

    geocoder = _geocoder()
    towns = geocoder.tree.data
    if country is not None:
        code = country_codes().get(country)
        rows = [row for row, place in enumerate(geocoder.locations) if place["cc"] == code]
        towns = towns[rows]
    return KDTree(_on_globe(towns)) if len(towns) else None


def _on_globe(points: Any) -> Any:
    """Vectors of length 1 from the center of the globe to points in degrees, one per row."""
    import numpy as np

    latitudes, longitudes = np.radians(np.asarray(points, dtype=float)).T
    shadow = np.cos(latitudes)
    vectors = shadow * np.cos(longitudes), shadow * np.sin(longitudes), np.sin(latitudes)
    return np.stack(vectors, axis=1)


def _kilometers(chord: float) -> float:
    """The distance on the surface between two points, from their chord on a globe of radius 1."""
    return _EARTH_RADIUS_KM * 2 * math.asin(min(chord / 2, 1.0))


def distance_km(one: tuple[float, float], other: tuple[float, float]) -> float:
    """The distance on the globe between two points, each as latitude and longitude in degrees.

    Examples:
        >>> round(distance_km((0, 0), (0, 1)))
        111
    """
    first, second = _on_globe([one, other])
    return _kilometers(math.dist(first, second))


@cache
def _alpha_3() -> dict[str, str]:
    return {two: three for three, two in country_codes().items()}

"""Countries and states: codes, checks, and lookup from coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from absl import logging

from speciesnet.errors import InputError
from speciesnet.geolocation.country_names import suggest_country
from speciesnet.geolocation.land import is_on_land, points_of_coasts
from speciesnet.records import Instance

if TYPE_CHECKING:
    from scipy.spatial import KDTree

USA = "USA"
# Countries in ISO 3166-1 and in the place list, but regions of the USA in geofences.
US_TERRITORIES = {"ASM": "AS", "GUM": "GU", "MNP": "MP", "PRI": "PR", "UMI": "UM", "VIR": "VI"}
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
# User-assigned codes in wide use.
_KOSOVO = {"XKX": "XK"}
_POINTS = 2**16  # points whose places are kept, enough for a survey's cameras


@cache
def country_codes() -> dict[str, str]:
    """The ISO 3166-1 codes of all countries, alpha-2 by alpha-3, and Kosovo's."""
    import pycountry

    return {c.alpha_3: c.alpha_2 for c in pycountry.countries} | _KOSOVO


@cache
def us_states() -> dict[str, str]:
    """The USPS codes of the states, by the names that the place list of reverse_geocoder uses."""
    import pycountry

    parts = pycountry.subdivisions.get(country_code="US") or ()
    states = {part.name: part.code.removeprefix("US-") for part in parts if part.type == "State"}
    return states | {"Washington, D.C.": "DC"}


@cache
def us_regions() -> frozenset[str]:
    """The USPS codes of the states and territories."""
    return frozenset([*us_states().values(), *US_TERRITORIES.values()])


def country_name(code: str) -> str:
    """The common name of a country, such as Bolivia for BOL; the code itself if it is unknown.

    Examples:
        >>> country_name("KEN")
        'Kenya'
    """
    import pycountry

    if code in _KOSOVO:
        return "Kosovo"
    country = pycountry.countries.get(alpha_3=code)
    return getattr(country, "common_name", country.name) if country else code


def check_country(country: str, where: str) -> None:
    """Raises ``InputError`` unless a code is an ISO 3166-1 alpha-3 code.

    Args:
        country: The code.
        where: Name of the flag or field, for the message, such as "--country".
    """
    if country not in country_codes():
        raise InputError(
            f"{where} {country!r} is not an ISO 3166-1 alpha-3 country code{_country_hint(country)}."
        )


def _country_hint(text: str) -> str:
    code = suggest_country(text, country_codes())
    return f" (did you mean {code}?)" if code else "; codes look like USA, KEN or GBR"


def check_admin1_region(region: str, country: str | None, where: str) -> None:
    """Raises ``InputError`` unless a region of the USA is a state or territory code."""
    if country == USA and region not in us_regions():
        names = {name.lower(): code for name, code in us_states().items()}
        names |= {code.lower(): code for code in us_regions()}
        code = names.get(region.lower())
        hint = f" (did you mean {code}?)" if code else "; codes look like CA or NY"
        raise InputError(f"{where} {region!r} is not a two-letter state code of the USA{hint}.")


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


def find_admin1_region(
    country: str | None = None,
    admin1_region: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> str | None:
    """The region of an image: the given one, or, in the USA, that of its coordinates.

    Args:
        country: ISO 3166-1 alpha-3 code; if None, there is no region.
        admin1_region: The given region code, or None.
        latitude: Degrees, or None.
        longitude: Degrees, or None.

    Examples:
        >>> find_admin1_region("USA", latitude=37.77, longitude=-122.42)
        'CA'
    """
    if not country:
        return None
    if admin1_region or country != USA or latitude is None or longitude is None:
        return admin1_region or None
    return nearest_place(latitude, longitude)[1]


def override_location(
    instances: list[Instance], country: str | None, admin1_region: str | None, first: int = 1
) -> list[Instance]:
    """Sets the country (and the region, if given) of every instance.

    Args:
        instances: Part of a list.
        country: ISO 3166-1 alpha-3 code, or None to change nothing.
        admin1_region: State or province code, or None to keep the region of each instance.
        first: Number of the first instance in the list, for error messages.

    Raises:
        InputError: The country or a region is unknown.
    """
    if admin1_region and not country:
        raise InputError(
            f"--admin1_region {admin1_region} needs a country. Add, for example, --country USA."
        )
    if not country:
        return instances
    check_country(country, "--country")
    if admin1_region:
        check_admin1_region(admin1_region, country, "--admin1_region")
        return [replace(i, country=country, admin1_region=admin1_region) for i in instances]
    for number, i in enumerate(instances, start=first):
        if i.admin1_region:
            where = f'Instance {number} ({i.filepath}) has a wrong "admin1_region":'
            check_admin1_region(i.admin1_region, country, where)
    return [replace(i, country=country) for i in instances]


def resolve_locations(
    instances: Sequence[Instance], *, country_from_coordinates: bool = False
) -> list[Instance]:
    """Fills in the locations of instances from their coordinates.

    A missing region of the USA is looked up; a region without a country is dropped.

    Args:
        instances: The instances of a run.
        country_from_coordinates: Whether to also look up missing countries, and to overwrite
            countries if the point is definitely elsewhere; see ``find_country``.
    """
    if country_from_coordinates:
        instances = [_with_country(i) for i in instances]
    regions = (
        find_admin1_region(i.country, i.admin1_region, i.latitude, i.longitude) for i in instances
    )
    return [replace(i, admin1_region=r) for i, r in zip(instances, regions, strict=True)]


def with_coordinates(
    instance: Instance,
    latitude: float | None,
    longitude: float | None,
    *,
    country_from_coordinates: bool = False,
) -> Instance:
    """Adds a photograph's coordinates to an instance that has none, and resolves its location.

    Args:
        instance: An instance from ``resolve_locations``.
        latitude: Degrees, or None.
        longitude: Degrees, or None.
        country_from_coordinates: See ``resolve_locations``.
    """
    if None in (latitude, longitude) or None not in (instance.latitude, instance.longitude):
        return instance
    located = replace(instance, latitude=latitude, longitude=longitude)
    return resolve_locations([located], country_from_coordinates=country_from_coordinates)[0]


def _with_country(instance: Instance) -> Instance:
    if instance.latitude is None or instance.longitude is None:
        return instance
    country = find_country(instance.latitude, instance.longitude, instance.country)
    if country == instance.country:
        return instance
    if instance.country:
        logging.warning(
            "%s is in %s, not in %s: its country is overwritten.",
            instance.filepath,
            country,
            instance.country,
        )
    keeps_region = not instance.country and country == USA
    region = instance.admin1_region if keeps_region else None
    return replace(instance, country=country, admin1_region=region)

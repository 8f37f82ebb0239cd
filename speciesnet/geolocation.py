"""Countries and states: codes, checks, and lookup from coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from absl import logging

from speciesnet.country_names import suggest_country
from speciesnet.errors import InputError
from speciesnet.records import Instance

Coordinates = tuple[float, float]  # latitude, longitude in degrees

USA = "USA"
_WASHINGTON = "Washington, D.C."
# USPS codes by the names that the place list of reverse_geocoder uses.
US_STATES = {
    "Alabama": "AL",
    "Alaska": "AK",
    "Arizona": "AZ",
    "Arkansas": "AR",
    "California": "CA",
    "Colorado": "CO",
    "Connecticut": "CT",
    "Delaware": "DE",
    _WASHINGTON: "DC",
    "Florida": "FL",
    "Georgia": "GA",
    "Hawaii": "HI",
    "Idaho": "ID",
    "Illinois": "IL",
    "Indiana": "IN",
    "Iowa": "IA",
    "Kansas": "KS",
    "Kentucky": "KY",
    "Louisiana": "LA",
    "Maine": "ME",
    "Maryland": "MD",
    "Massachusetts": "MA",
    "Michigan": "MI",
    "Minnesota": "MN",
    "Mississippi": "MS",
    "Missouri": "MO",
    "Montana": "MT",
    "Nebraska": "NE",
    "Nevada": "NV",
    "New Hampshire": "NH",
    "New Jersey": "NJ",
    "New Mexico": "NM",
    "New York": "NY",
    "North Carolina": "NC",
    "North Dakota": "ND",
    "Ohio": "OH",
    "Oklahoma": "OK",
    "Oregon": "OR",
    "Pennsylvania": "PA",
    "Rhode Island": "RI",
    "South Carolina": "SC",
    "South Dakota": "SD",
    "Tennessee": "TN",
    "Texas": "TX",
    "Utah": "UT",
    "Vermont": "VT",
    "Virginia": "VA",
    "Washington": "WA",
    "West Virginia": "WV",
    "Wisconsin": "WI",
    "Wyoming": "WY",
}
# Countries in ISO 3166-1 and in the place list, but regions of the USA in geofences.
US_TERRITORIES = {"ASM": "AS", "GUM": "GU", "MNP": "MP", "PRI": "PR", "UMI": "UM", "VIR": "VI"}
US_REGIONS = frozenset([*US_STATES.values(), *US_TERRITORIES.values()])
# User-assigned codes, in wide use.
_KOSOVO = {"XKX": "XK"}


@cache
def country_codes() -> dict[str, str]:
    """The ISO 3166-1 codes of all countries, alpha-2 by alpha-3, and Kosovo's."""
    import pycountry

    return {c.alpha_3: c.alpha_2 for c in pycountry.countries} | _KOSOVO


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
        where: Name of the flag or field in the message, such as "--country".
    """
    if country not in country_codes():
        raise InputError(
            f"{where} {country!r} is not an ISO 3166-1 alpha-3 country code{_country_hint(country)}."
        )


def _country_hint(text: str) -> str:
    code = suggest_country(text, country_codes())
    return f"; did you mean {code}" if code else "; codes look like USA, KEN or GBR"


def check_admin1_region(region: str, country: str | None, where: str) -> None:
    """Raises ``InputError`` unless a region of the USA is a state or territory code."""
    if country == USA and region not in US_REGIONS:
        names = {name.lower(): code for name, code in US_STATES.items()}
        code = names.get(region.lower()) or (
            region.upper() if region.upper() in US_REGIONS else None
        )
        hint = f"; did you mean {code}" if code else "; codes look like CA or NY"
        raise InputError(f"{where} {region!r} is not a two-letter state code of the USA{hint}.")


@cache
def _geocoder() -> Any:
    import reverse_geocoder

    # Mode 1 uses one thread; mode 2 starts a process per core.
    return reverse_geocoder.RGeocoder(mode=1, verbose=False)


def nearest_places(coordinates: Sequence[Coordinates]) -> list[tuple[str, str | None]]:
    """The country (ISO alpha-3) and the US region (or None) of the place nearest to each point."""
    if not coordinates:
        return []
    alpha3 = {two: three for three, two in country_codes().items()}
    places = []
    for place in _geocoder().query(list(coordinates)):
        code = place["cc"]
        if code in US_TERRITORIES.values():
            places.append((USA, code))
        elif code == "US":
            places.append((USA, US_STATES.get(place["admin1"])))
        else:
            places.append((alpha3.get(code, ""), None))
    return places


def find_admin1_region(
    country: str | None = None,
    admin1_region: str | None = None,
    latitude: float | None = None,
    longitude: float | None = None,
) -> str | None:
    """The region of an image: the given one, or, in the USA, that of its coordinates.

    Args:
        country: ISO 3166-1 alpha-3 code; without one there is no region.
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
    return nearest_places([(latitude, longitude)])[0][1]


def override_location(
    instances: list[Instance], country: str | None, admin1_region: str | None, first: int = 1
) -> list[Instance]:
    """Sets the country, and the region if there is one, of every instance.

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
        country_from_coordinates: Whether to look up missing countries as well, and to overwrite
            countries that contradict the coordinates.
    """

    def needs_lookup(i: Instance) -> bool:
        if i.latitude is None or i.longitude is None:
            return False
        return country_from_coordinates or (i.country == USA and not i.admin1_region)

    points = sorted({(i.latitude, i.longitude) for i in instances if needs_lookup(i)})  # type: ignore[type-var]
    places = dict(zip(points, nearest_places(points), strict=True))  # type: ignore[arg-type]

    resolved = []
    for i in instances:
        if (place := places.get((i.latitude, i.longitude))) is not None:
            i = _with_place(i, *place, country_from_coordinates)
        resolved.append(replace(i, admin1_region=None) if i.admin1_region and not i.country else i)
    return resolved


def with_coordinates(
    instance: Instance,
    latitude: float | None,
    longitude: float | None,
    *,
    country_from_coordinates: bool = False,
) -> Instance:
    """Adds a photograph's coordinates to an instance without its own, and resolves its location.

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


def _with_place(
    instance: Instance, country: str, region: str | None, country_from_coordinates: bool
) -> Instance:
    is_territory = region and US_TERRITORIES.get(instance.country or "") == region
    if country_from_coordinates and country and instance.country != country and not is_territory:
        if instance.country:
            logging.warning(
                "%s is in %s, not in %s: its country is overwritten.",
                instance.filepath,
                country,
                instance.country,
            )
        if instance.country or country != USA:
            instance = replace(instance, admin1_region=None)
        instance = replace(instance, country=country)
    if instance.country == USA and not instance.admin1_region:
        return replace(instance, admin1_region=region)
    return instance

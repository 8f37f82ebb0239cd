"""Countries, states, and coordinates to either."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from typing import Any

from speciesnet.errors import InputError

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
# Countries of their own in ISO 3166-1 and in the place list, and regions of the USA in geofences.
US_TERRITORIES = {"ASM": "AS", "GUM": "GU", "MNP": "MP", "PRI": "PR", "UMI": "UM", "VIR": "VI"}
US_REGIONS = frozenset([*US_STATES.values(), *US_TERRITORIES.values()])
_COMMON_NAMES: dict[str, str] = dict.fromkeys(
    ["UK", "BRITAIN", "ENGLAND", "SCOTLAND", "WALES"], "GBR"
)
# In use, though ISO 3166-1 leaves it to users.
_KOSOVO = {"XKX": "XK"}


@cache
def country_codes() -> dict[str, str]:
    """The ISO 3166-1 codes of all countries, alpha-2 by alpha-3, and Kosovo's."""
    import pycountry

    return {c.alpha_3: c.alpha_2 for c in pycountry.countries} | _KOSOVO


def check_country(country: str, where: str) -> None:
    """Raises ``InputError`` unless a code is of ISO 3166-1 alpha-3.

    Args:
        country: The code.
        where: What the message calls it, such as "--country".
    """
    if country not in country_codes():
        raise InputError(
            f"{where} {country!r} is no ISO 3166-1 alpha-3 country code{_country_hint(country)}."
        )


def _country_hint(text: str) -> str:
    import pycountry

    if text.upper() in _COMMON_NAMES:
        return f"; did you mean {_COMMON_NAMES[text.upper()]}"
    try:
        return f"; did you mean {pycountry.countries.lookup(text).alpha_3}?".rstrip("?")
    except LookupError:
        pass
    close = difflib.get_close_matches(text.upper(), country_codes(), n=1)
    return f"; did you mean {close[0]}" if close else "; codes look like USA, KEN or GBR"


def check_admin1_region(region: str, country: str | None, where: str) -> None:
    """Raises ``InputError`` for a region of the USA that is no state or territory code."""
    if country == USA and region not in US_REGIONS:
        names = {name.lower(): code for name, code in US_STATES.items()}
        code = names.get(region.lower()) or (
            region.upper() if region.upper() in US_REGIONS else None
        )
        hint = f"; did you mean {code}" if code else "; codes look like CA or NY"
        raise InputError(f"{where} {region!r} is no two-letter state code of the USA{hint}.")


@cache
def _geocoder() -> Any:
    import reverse_geocoder

    # Mode 1 is one thread: the other one starts a process for each core.
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
    """The region to use for an image: the one given, else for the USA the one of the coordinates.

    Args:
        country: ISO 3166-1 alpha-3 code; without one there is no region.
        admin1_region: Region code as given, or None.
        latitude: Degrees, or None.
        longitude: Degrees, or None.
    """
    if not country:
        return None
    if admin1_region or country != USA or latitude is None or longitude is None:
        return admin1_region or None
    return nearest_places([(latitude, longitude)])[0][1]

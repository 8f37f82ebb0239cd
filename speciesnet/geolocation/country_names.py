"""Suggests a country code for a name, a shorter code, or a code from another system."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Mapping
from functools import cache

# Names that pycountry lacks, and codes of the Olympic Committee, of vehicles and of former countries
# that differ from ISO 3166-1. Where a name has two meanings, both are suggested.
_OTHER_NAMES = {
    "ARE": "uae, emirates",
    "BGR": "bul",
    "BWA": "bot",
    "CHE": "sui, swi",
    "CHL": "chi",
    "CIV": "ivory coast",
    "COD": "drc, zar, zaire, congo kinshasa, dr congo, democratic republic of congo",
    "COG": "cgo, congo brazzaville, republic of congo",
    "COG or COD": "congo",
    "CPV": "cape verde",
    "CRI": "crc",
    "CZE": "czech republic",
    "DEU": "ger, deutschland",
    "DNK": "den, danmark",
    "DZA": "alg",
    "ESP": "spa, espana",
    "GBR": "uk, britain, great britain, england, scotland, wales, northern ireland, eng, sco, wal, nir",
    "GRC": "gre, el",
    "GTM": "gua",
    "HND": "hon",
    "HRV": "cro",
    "HTI": "hai",
    "IDN": "ina",
    "KHM": "cam",
    "KOR or PRK": "korea",
    "LBY": "lba",
    "LKA": "sri",
    "LVA": "lat",
    "MDG": "mad",
    "MKD": "macedonia",
    "MMR": "burma, bur",
    "MNG": "mgl",
    "MWI": "maw",
    "MYS": "mas",
    "NER": "nig",
    "NGA": "ngr",
    "NLD": "holland, ned",
    "NPL": "nep",
    "PHL": "phi",
    "PRI": "pur",
    "PRT": "por",
    "PRY": "par",
    "ROU": "rom, rumania",
    "RUS": "russia",
    "SAU": "ksa",
    "SLV": "esa",
    "SVN": "slo",
    "SWZ": "swaziland",
    "TCD": "cha",
    "TLS": "east timor",
    "TUR": "turkey, turkiye",
    "TWN": "tpe",
    "TZA": "tan",
    "URY": "uru",
    "USA": "america, united states of america",
    "VNM": "vie",
    "XKX": "kosovo, kos, rks",
    "ZAF": "rsa",
    "ZMB": "zam",
    "ZWE": "zim, rhodesia",
}
_MIN_NAME = 4  # letters; similar shorter names mean different countries


def suggest_country(text: str, codes: Mapping[str, str]) -> str | None:
    """The ISO 3166-1 alpha-3 code that some text probably means, or None.

    The fuzzy search of pycountry also searches provinces: "Kosovo" is Serbia there, and "UK" is Uganda.

    Args:
        text: A name, a code in another case, or a code of another system.
        codes: The valid codes, alpha-2 by alpha-3.

    Returns:
        A code, or two joined by "or"; None if no country is similar enough.

    Examples:
        >>> suggest_country("Holland", {"NLD": "NL"})
        'NLD'
    """
    wanted = _normal(text)
    if wanted.upper() in codes:
        return wanted.upper()
    names = _names()
    if wanted in names:
        return names[wanted]
    for code, alpha_2 in codes.items():
        if wanted.upper() == alpha_2:
            return code
    if len(wanted) < _MIN_NAME:
        return None
    long_names = [name for name in names if len(name) >= _MIN_NAME]
    close = difflib.get_close_matches(wanted, long_names, n=1, cutoff=0.75)
    if close:
        return names[close[0]]
    near = difflib.get_close_matches(wanted.upper(), codes, n=1, cutoff=0.8)
    return near[0] if near else None


def other_names(code: str) -> list[str]:
    """Names of a country that pycountry lacks, and its codes in other systems, in lower case."""
    return [one for one in _OTHER_NAMES.get(code, "").split(", ") if one]


@cache
def _names() -> dict[str, str]:
    import pycountry

    names: dict[str, str] = {}
    short: dict[str, set[str]] = {}
    for country in pycountry.countries:
        for field in ("name", "common_name", "official_name", "numeric"):
            if name := getattr(country, field, None):
                names[_normal(name)] = country.alpha_3
                if "," in name:  # "Palestine, State of"
                    short.setdefault(_normal(name.split(",")[0]), set()).add(country.alpha_3)
    for name, meant in short.items():
        if len(meant) == 1:
            names.setdefault(name, *meant)
    for code, listed in _OTHER_NAMES.items():
        names |= dict.fromkeys(listed.split(", "), code)
    return names


def _normal(text: str) -> str:
    """A name in lower case without accents, punctuation, and "the"."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    words = "".join(
        c if c.isalnum() else " " if c not in ".'\u2019" else ""
        for c in letters
        if not unicodedata.combining(c)
    ).split()
    return " ".join(words[1:] if words[:1] == ["the"] and len(words) > 1 else words)

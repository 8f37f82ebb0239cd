#!/usr/bin/env bash
# pycountry's fuzzy search also matches the names of subdivisions and parts of words, and returns a different
# country first for names that are common in survey tables: Niger, Java, Zaire, ZAM. It finds nothing for
# Swaziland or Burma, finds Serbia for Kosovo, and does not know XKX.
# Code that takes the first match filters the species of a survey by the wrong country, without an error.
# This program accepts exact alpha-3 codes only, adds XKX, and suggests codes from a list of its own.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" pycountry==26.2.16

"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys

import pycountry

# The intended country, and the first match; None if there is no match.
QUERIES = {
    "Niger": ("NER", "NGA"),
    "ZAM": ("ZMB", "MOZ"),
    "Java": ("IDN", "GEO"),
    "Zaire": ("COD", "AGO"),
    "America": ("USA", "ASM"),
    "Kosovo": ("XKX", "SRB"),
    "XKX": ("XKX", None),
    "Swaziland": ("SWZ", None),
    "Burma": ("MMR", None),
}

print("pycountry", importlib.metadata.version("pycountry"), "\n")
seen = True
for query, (meant, first) in QUERIES.items():
    try:
        matches = [country.alpha_3 for country in pycountry.countries.search_fuzzy(query)]
    except LookupError:
        matches = []
    observed = ", ".join(matches[:4]) or "no match"
    print(f"{query:10} expected: {meant}   observed: {observed}")
    seen &= (matches[0] if matches else None) == first
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

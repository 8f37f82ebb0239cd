#!/usr/bin/env bash
# The published SpeciesNet documents admin1_region as a "first-level administrative division (in ISO
# 3166-2 format)" of any country, but its geofence raises a ValueError unless the code has two letters
# (should_geofence_animal_classification in geofence_utils.py). ISO 3166-2 has codes of one to three
# letters or digits: NSW in Australia, KZN in South Africa, IDF in France, 5 in Nepal.
# A list of instances with such a code is accepted, and the run ends with this error after the detector
# and the classifier have run, as soon as one image shows an animal.
# This program accepts these codes; only those of the USA are checked.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" speciesnet==5.0.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys
import types

# The package itself imports PyTorch; the two modules used here do not need any other package.
distribution = importlib.metadata.distribution("speciesnet")
package = types.ModuleType("speciesnet")
package.__path__ = [str(distribution.locate_file("speciesnet"))]
sys.modules["speciesnet"] = package

from speciesnet.ensemble_prediction_combiner import combine_predictions
from speciesnet.geofence_utils import (
    geofence_animal_classification,
    roll_up_labels_to_first_matching_level,
)

FOX = "00000000-0000-4000-8000-000000000001;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
PLACES = [
    ("USA", "CA"), ("AUS", "SA"), ("AUS", "NSW"), ("ZAF", "WC"), ("ZAF", "KZN"), ("FRA", "IDF"),
    ("NPL", "5"),
]

print("speciesnet", distribution.version, "\n")
seen = True
for country, region in PLACES:
    try:
        (answer,) = combine_predictions(
            classifications_list=[{"classes": [FOX], "scores": [0.95]}],
            detections=[{"label": "animal", "conf": 0.9}],
            country=country,
            admin1_region=region,
            taxonomy_map={},
            geofence_map={},
            enable_geofence=True,
            geofence_fn=geofence_animal_classification,
            roll_up_fn=roll_up_labels_to_first_matching_level,
        )
        observed = answer["class"].split(";")[-1]
    except ValueError as error:
        observed = f"ValueError: {error}"
    print(f"{country}, {region:3}  expected: red fox   observed: {observed}")
    expected = "red fox" if len(region) == 2 else f"ValueError: Invalid region code {region}"
    seen &= observed == expected
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

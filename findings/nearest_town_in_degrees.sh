#!/usr/bin/env bash
# reverse_geocoder searches for the nearest town in a flat plane of degrees: the plane ends at the 180th
# meridian, and a degree of longitude counts as much in the Arctic as at the equator. A camera in Alaska
# or Fiji can therefore be assigned to a different country, which has different species.
# This program compares distances on the globe with --country_from_coordinates, and for states within 10
# degrees of the 180th meridian; for other states, it uses the package's answer.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" reverse_geocoder==1.5.1 numpy==2.4.6 scipy==1.17.1

"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys

import numpy as np
import reverse_geocoder

POINTS = {
    "Amchitka Island, Alaska": (51.5, 179.0),
    "Arctic National Wildlife Refuge, Alaska": (69.0, -142.0),
    "East coast of Taveuni, Fiji": (-16.85, -179.95),
}

print("reverse_geocoder", importlib.metadata.version("reverse_geocoder"))
geocoder = reverse_geocoder.RGeocoder(mode=1, verbose=False)
towns = geocoder.locations
latitudes, longitudes = np.radians([(float(t["lat"]), float(t["lon"])) for t in towns]).T


def kilometres(point):
    """The great-circle distances from a point to all towns in the package's list."""
    latitude, longitude = np.radians(point)
    half_chord = (
        np.sin((latitudes - latitude) / 2) ** 2
        + np.cos(latitudes) * np.cos(latitude) * np.sin((longitudes - longitude) / 2) ** 2
    )
    return 2 * 6371 * np.arcsin(np.sqrt(half_chord))


seen = True
for name, point in POINTS.items():
    distances = kilometres(point)
    nearest = towns[int(distances.argmin())]
    answer = geocoder.query([point])[0]
    print(f"\n{name} {point}")
    print(f"  expected: {nearest['name']} ({nearest['cc']}), {distances.min():.0f} km away")
    distance = distances[towns.index(answer)]
    print(f"  observed: {answer['name']} ({answer['cc']}), {distance:.0f} km away")
    seen &= answer["cc"] != nearest["cc"] and distance > distances.min()
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

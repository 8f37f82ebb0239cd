#!/usr/bin/env bash
# The MegaDetector package rotates color JPEGs upright according to their EXIF orientation, but not gray ones:
# open_image in visualization_utils.py first converts a picture of mode L to RGB, and then calls _getexif of
# the copy, which only a newly opened JPEG has; the AttributeError is ignored.
# For a camera that is mounted on its side and saves its night pictures in gray, the day pictures are upright
# and the night pictures are not: their boxes do not match what viewers show, and the detector sees the animals
# lying on their sides.
# This program rotates a picture before it converts it.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" pytest==9.2.0 requests==2.34.2 # the package imports both
"${pip[@]}" --no-deps megadetector==10.0.28 jsonpickle==4.1.4 tqdm==4.70.1 numpy==2.4.6 \
    opencv-python-headless==5.0.0.93 pillow==13.0.0

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.metadata
import sys

from megadetector.visualization.visualization_utils import load_image
from PIL import Image

print("megadetector", importlib.metadata.version("megadetector"), "\n")
observed = {}
for name, mode in {"day.jpg": "RGB", "night.jpg": "L"}.items():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.new(mode, (96, 64), "grey").save(name, exif=exif)
    observed[mode] = load_image(name).size
    print(f"{name:9} mode {mode:3} expected: (64, 96)   observed: {observed[mode]}")
seen = observed == {"RGB": (64, 96), "L": (96, 64)}
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

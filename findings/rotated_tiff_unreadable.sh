#!/usr/bin/env bash
# OpenCV's cv2.imread returns None for a TIFF file whose Orientation tag rotates it by 90 degrees (5 to 8),
# unless the image is square, and even with IMREAD_IGNORE_ORIENTATION. cv2.imdecode reads the same bytes and
# rotates the image. In modules/imgcodecs, the TIFF decoder rotates the image itself and thereby replaces the
# memory that imread_ in loadsave.cpp prepared for the stored width and height; imread_ then rejects the result.
# Programs that use imread treat photographs from cameras mounted on their side as damaged if they were
# converted to TIFF, or crash if they do not expect None. The same tag in a JPEG, PNG or WebP file is no problem.
# This program reads photographs with Pillow.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" opencv-python-headless==5.0.0.93 numpy==2.4.6 pillow==13.0.0

cd "$folder"
OPENCV_LOG_LEVEL=OFF "$folder/venv/bin/python" - <<'PYTHON'
import sys

import cv2
import numpy as np
from PIL import Image

print("OpenCV", cv2.__version__, "\n")
seen = True
for name in ("photo.jpg", "photo.png", "photo.webp", "photo.tif"):
    for orientation in (1, 3, 6, 8):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (96, 64), "green").save(name, exif=exif)
        size = "64x96" if orientation > 4 else "96x64"
        answers = [
            cv2.imread(name),
            cv2.imread(name, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION),
            cv2.imdecode(np.fromfile(name, np.uint8), cv2.IMREAD_COLOR),
        ]
        sizes = ["None" if a is None else f"{a.shape[1]}x{a.shape[0]}" for a in answers]
        print(f"{name:10} orientation {orientation}  expected: {size}", end="   ")
        print("observed: imread {}, ignoring the orientation {}, imdecode {}".format(*sizes))
        refused = name == "photo.tif" and orientation > 4
        seen &= (sizes[0] == "None") == (sizes[1] == "None") == refused
        seen &= sizes[2] == size
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

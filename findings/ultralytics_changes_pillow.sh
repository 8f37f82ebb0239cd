#!/usr/bin/env bash
# "import ultralytics" replaces PIL.Image.open in the whole process. From then on, the first file that
# Pillow cannot identify makes ultralytics look for the package pi-heif and, unless YOLO_AUTOINSTALL is
# false, run pip to install it. Without an internet connection, the error is then no longer
# PIL.UnidentifiedImageError, an OSError that programs expect for a damaged photograph, but a
# ModuleNotFoundError, which makes them crash.
# A survey has thousands of photographs and some damaged ones, and the program that reads them need not be
# the one that imports ultralytics: a library that loads MegaDetector v6 is enough.
# This program restores Image.open after it has imported ultralytics.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" ultralytics==8.4.190 torch==2.14.1 torchvision==0.29.1 opencv-python-headless==5.0.0.93 pillow==13.0.0

cd "$folder"
# ultralytics' own offline switch keeps this script from installing anything.
YOLO_OFFLINE=true YOLO_CONFIG_DIR="$folder" "$folder/venv/bin/python" - <<'PYTHON'
import sys
from pathlib import Path

import PIL
from PIL import Image

Path("IMG_0001.JPG").write_bytes(b"")  # as a camera leaves it when its battery dies


def error_of_open() -> str:
    try:
        Image.open("IMG_0001.JPG")
    except Exception as error:
        return type(error).__name__
    return "none"


before, original = error_of_open(), Image.open
import ultralytics

after = error_of_open()
print(f"Pillow {PIL.__version__}, ultralytics {ultralytics.__version__}")
print("expected: Image.open stays Pillow's, and an empty file gives UnidentifiedImageError")
print(f"observed: {before} before the import, {after} after it; replaced: {Image.open is not original}")
seen = before == "UnidentifiedImageError" and after == "ModuleNotFoundError"
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

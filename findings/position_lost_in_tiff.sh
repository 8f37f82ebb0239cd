#!/usr/bin/env bash
# Pillow writes a position that was added to the Exif data of an image into a JPEG, PNG or WebP file, but not
# into a TIFF file: exif.get_ifd(IFD.GPSInfo) creates a group of tags that the Exif data list only once they are
# written, and _save in TiffImagePlugin.py writes only the listed groups. exif=exif.tobytes() writes the group.
# Most cameras write no position. If someone adds it with Pillow while converting images to TIFF, it is lost
# without an error, and so is a date that is added to an image without any Exif tags.
# This program reads positions from photographs and writes none.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
"${pip[@]}" pillow==13.0.0

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import PIL
from PIL import ExifTags, Image

POSITION = {
    ExifTags.GPS.GPSLatitudeRef: "S",
    ExifTags.GPS.GPSLatitude: (2.0, 20.0, 30.0),
    ExifTags.GPS.GPSLongitudeRef: "E",
    ExifTags.GPS.GPSLongitude: (34.0, 50.0, 0.0),
}

# As a camera writes it: with a date, without a position.
exif = Image.Exif()
exif[ExifTags.Base.Make] = "Example"
exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2024:05:06 07:08:09"
Image.new("RGB", (96, 64), "green").save("camera.jpg", exif=exif)

print("Pillow", PIL.__version__, "\n")
seen = True
for suffix in ("jpg", "png", "webp", "tif"):
    for as_bytes in (False, True):
        with Image.open("camera.jpg") as image:
            exif = image.getexif()
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(POSITION)
            image.save(f"tagged.{suffix}", exif=exif.tobytes() if as_bytes else exif)
        with Image.open(f"tagged.{suffix}") as image:
            exif = image.getexif()
            date = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
            position = dict(exif.get_ifd(ExifTags.IFD.GPSInfo))
        how = "exif=exif.tobytes()" if as_bytes else "exif=exif"
        print(f"{suffix:4} {how:19} expected: a date and a position", end="   ")
        print(f"observed: {date or 'no date'}, {'a position' if position == POSITION else 'no position'}")
        lost = suffix == "tif" and not as_bytes
        seen &= position == ({} if lost else POSITION) and date == "2024:05:06 07:08:09"
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

#!/usr/bin/env bash
# FFmpeg reports the date of an AVI file (the chunk IDIT) only if it looks like "Wed May  1 06:30:00 2024" or
# contains slashes. It silently drops all other dates, such as "2002-12-16  15:35:01", which the Konica KD-500Z
# writes according to ExifTool's source, and "2024:05:01 06:30:00", the notation of EXIF. The AVI RIFF File
# Reference does not prescribe a notation. ExifTool reads all of these.
# This program reads IDIT itself.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" av==18.1.0 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import struct
import sys

import av
import numpy as np

DATES = ("Wed May 01 06:30:00 2024", "2024/05/01 06:30:00", "2002-12-16  15:35:01", "2024:05:01 06:30:00")

with av.open("plain.avi", "w") as film:
    stream = film.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
    film.mux(stream.encode(None))
with open("plain.avi", "rb") as file:
    plain = file.read()


def reported(date: str) -> str | None:
    """Writes a film with a date at the end of its header, and returns the date that FFmpeg reports."""
    text = date.encode() + b"\0" * (2 - len(date) % 2)
    chunk = b"IDIT" + struct.pack("<I", len(text)) + text
    size = int.from_bytes(plain[16:20], "little")
    header = b"LIST" + struct.pack("<I", size + len(chunk)) + plain[20 : 20 + size] + chunk
    content = plain[8:12] + header + plain[20 + size :]
    with open("dated.avi", "wb") as file:
        file.write(b"RIFF" + struct.pack("<I", len(content)) + content)
    with av.open("dated.avi") as film:
        return film.metadata.get("creation_time")


print(f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")
print("expected: the date in the file, in any notation")
found = [reported(date) for date in DATES]
for date, creation_time in zip(DATES, found):
    print(f"observed: {date!r} -> {creation_time!r}")
seen = None not in found[:2] and found[2:] == [None, None]
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

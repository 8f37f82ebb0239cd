#!/usr/bin/env bash
# FFmpeg cannot open an AVI file that contains a block of Nikon tags (nctg in the list ncdt) with an odd length. RIFF
# pads such chunks with one byte, which FFmpeg mistakes for the start of the next chunk: it reads past the end of the
# list, misses the frames and reports invalid data. ExifTool can read the file.
# This program cannot read such a film either, and names it in the summary.
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

with av.open("plain.avi", "w") as film:
    stream = film.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    film.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
    film.mux(stream.encode(None))
with open("plain.avi", "rb") as file:
    plain = file.read()


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def frames_with(model: bytes) -> str:
    """Adds Nikon's block after the header, and returns how many frames FFmpeg finds."""
    tag = struct.pack("<HH", 4, len(model)) + model
    end = 20 + int.from_bytes(plain[16:20], "little")
    block = chunk(b"LIST", b"ncdt" + chunk(b"nctg", tag))
    with open("nikon.avi", "wb") as file:
        file.write(chunk(b"RIFF", plain[8:end] + block + plain[end:]))
    try:
        with av.open("nikon.avi") as film:
            return f"{sum(1 for _ in film.decode(video=0))} frame, {film.metadata.get('model')}"
    except av.error.FFmpegError as error:
        return f"{type(error).__name__}"


print(f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}")
print("expected: 1 frame, regardless of the length of the model's name")
even, odd = frames_with(b"COOLPIX S10\0"), frames_with(b"COOLPIX S1\0")
print(f"observed: {even}, with a block of even length; {odd}, with one of odd length")
seen = even == "1 frame, COOLPIX S10" and odd == "InvalidDataError"
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

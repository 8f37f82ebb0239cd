#!/usr/bin/env bash
# A PyAV frame whose side data has been read is not freed when the last reference to it is gone, but only when
# Python's garbage collector runs, because the frame and the container of its side data refer to each other.
# The collector counts objects, not bytes, so it rarely runs.
# Programs read the side data of each frame to turn films upright (phones store a display matrix there). In a
# 4K film, where a frame takes 12 MB, more than 2 GB of unneeded frames accumulate. A program that reads the
# side data of only one frame per film also needs more and more memory over hundreds of films.
# This program reads the side data from a copy of the frame, of two by two pixels.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" av==18.1.0 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import gc
import resource
import sys

import av
import numpy as np

FRAMES = 60
FILMS = 200


def write(name: str, width: int, height: int, frames: int) -> None:
    with av.open(name, "w") as film:
        stream = film.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            picture = np.full((height, width, 3), number, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        film.mux(stream.encode(None))


write("film.mp4", 64, 48, FRAMES)
write("clip.mp4", 1280, 720, 3)


def left(reads_side_data: bool) -> int:
    """Decodes all frames, keeping none, and counts those that still exist."""
    with av.open("film.mp4") as film:
        for frame in film.decode(video=0):
            if reads_side_data:
                frame.side_data.get("DISPLAYMATRIX")
    del frame
    return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())


def resident_after(films: int, reads_side_data: bool) -> int:
    """Opens and closes a clip many times, and returns the resident memory in MB."""
    for _ in range(films):
        with av.open("clip.mp4") as film:
            film.streams.video[0].codec_context.thread_count = 1
            for number, frame in enumerate(film.decode(video=0)):
                if reads_side_data and number == 0:
                    frame.side_data.get("DISPLAYMATRIX")
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 10**6


print(f"PyAV {av.__version__}, Python {sys.version.split()[0]}")
print(f"expected: after {FILMS} clips in 720p, the same memory, whether or not side data was read from a frame of each")
small = resident_after(FILMS, False)
large = resident_after(FILMS, True)
print(f"observed: {small} MB without reading any, {large} MB with")
gc.collect()
gc.disable()  # or the numbers depend on when it runs
print("expected: 0 frames left, whether or not their side data was read")
without, with_side_data = left(False), left(True)
gc.collect()
print(f"observed: {without} of {FRAMES} without, {with_side_data} with side data; after gc.collect()", end=" ")
print(sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()))
seen = without == 0 and with_side_data == FRAMES and large > 2 * small
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

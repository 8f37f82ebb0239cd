#!/usr/bin/env bash
# A frame of PyAV whose side data was read is not freed when the last reference to it goes, only when Python's
# garbage collector runs: the frame and its container of side data refer to each other. The collector
# counts objects, not bytes, so it runs seldom.
# Programs read the side data of each frame to turn films upright (the display matrix of telephones). In a
# film of 4K, where a frame has 12 MB, more than 2 GB of frames that nobody needs add up.
# This program reads the side data of the first frame only.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" av==18.1.0 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import gc
import sys

import av
import numpy as np

FRAMES = 60

with av.open("film.mp4", "w") as film:
    stream = film.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for number in range(FRAMES):
        picture = np.full((48, 64, 3), number, np.uint8)
        film.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
    film.mux(stream.encode(None))


def left(reads_side_data: bool) -> int:
    """Decodes all frames, keeping none, and counts those that still exist."""
    with av.open("film.mp4") as film:
        for frame in film.decode(video=0):
            if reads_side_data:
                frame.side_data.get("DISPLAYMATRIX")
    del frame
    return sum(isinstance(one, av.VideoFrame) for one in gc.get_objects())


gc.disable()  # or the numbers depend on when it runs
print(f"PyAV {av.__version__}")
print("expected: 0 frames left, whether or not their side data was read")
without, with_side_data = left(False), left(True)
gc.collect()
print(f"observed: {without} of {FRAMES} without, {with_side_data} with side data; after gc.collect()", end=" ")
print(sum(isinstance(one, av.VideoFrame) for one in gc.get_objects()))
seen = without == 0 and with_side_data == FRAMES
print("\nThe behavior is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

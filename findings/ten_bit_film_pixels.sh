#!/usr/bin/env bash
# For films with ten bits per sample, such as those from phones (HEVC Main 10), PyAV and OpenCV return different
# pixels from those of the ffmpeg program, although all three use FFmpeg's decoder and scaler. With eight bits,
# they agree to the last bit.
# A network therefore sees different pixels from those in the frames that "ffmpeg -i FILM frame%d.png" extracts,
# which is how many surveys are prepared. Fine textures, such as fur and grass, differ most.
# This program converts frames with FFmpeg's own filters (scale=flags=bicubic, format=rgb24), which are exact.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip=("$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" av==18.1.0 opencv-python-headless==5.0.0.93 imageio-ffmpeg==0.6.0 numpy==2.4.6

cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
import sys

import av
import cv2
import imageio_ffmpeg
import numpy as np

HEIGHT, WIDTH = 360, 640


def make_film(path: str, pix_fmt: str) -> None:
    """Writes one frame of random colors, losslessly."""
    picture = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    with av.open(path, "w") as film:
        stream = film.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pix_fmt
        film.mux([*stream.encode(av.VideoFrame.from_ndarray(picture)), *stream.encode(None)])


def ffmpeg(path: str) -> np.ndarray:
    program = imageio_ffmpeg.get_ffmpeg_exe()
    command = [program, "-v", "error", "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(HEIGHT, WIDTH, 3)


def pyav(path: str, interpolation: str) -> np.ndarray:
    with av.open(path) as film:
        return next(film.decode(video=0)).to_ndarray(format="rgb24", interpolation=interpolation)


def opencv(path: str) -> np.ndarray:
    return cv2.cvtColor(cv2.VideoCapture(path).read()[1], cv2.COLOR_BGR2RGB)


def difference(one: np.ndarray, other: np.ndarray) -> int:
    return int(np.abs(one.astype(int) - other.astype(int)).max())


print(f"PyAV {av.__version__}, OpenCV {cv2.__version__}, ffmpeg {imageio_ffmpeg.get_ffmpeg_version()}")
print("expected: differences of 0 of 255 levels for every pixel format, as for yuv420p")
seen = True
for pix_fmt in ("yuv420p", "yuv420p10le"):
    make_film("film.mp4", pix_fmt)
    right = ffmpeg("film.mp4")
    found = [difference(right, pyav("film.mp4", kind)) for kind in ("BILINEAR", "BICUBIC")]
    found.append(difference(right, opencv("film.mp4")))
    print(f"observed: {pix_fmt}: PyAV {found[0]}, PyAV with BICUBIC {found[1]}, OpenCV {found[2]} levels")
    seen = seen and (min(found) > 10 if pix_fmt == "yuv420p10le" else max(found) == 0)
print("\nThe behaviour is", "still observed." if seen else "no longer observed.")
sys.exit(0 if seen else 1)
PYTHON

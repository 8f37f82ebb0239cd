"""Measures how fast films are read and predicted.

    PYTHONPATH=scripts python -m benchmark.films [--model PACKAGE] [--clips N] [--seconds S]

It creates clips and reads them at one frame per second: opened, decoded, converted and letterboxed.
For comparison, OpenCV reads the same frames as megadetector 10.0.28 does: every frame is decoded with
``grab``, and the wanted ones are converted with ``read``. Both decode with their default threads, and
take turns.

With a model package, it also predicts the clips, and runs only the two networks on prepared frames.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from speciesnet import SpeciesNet
from speciesnet.detector import InputShape
from speciesnet.images.films import Sampling
from speciesnet.pipeline import Photo, classify, crop, detect
from speciesnet.pipeline.films import FilmReader

ROUNDS = 3
# Name, encoder, size, pixel format, frames between key frames.
KINDS = (
    ("H.264 1080p, a key frame a second", "libx264", (1920, 1080), "yuv420p", 30),
    ("H.264 1080p, a key frame in 250", "libx264", (1920, 1080), "yuv420p", 250),
    ("MJPEG 720p", "mjpeg", (1280, 720), "yuvj422p", 1),
)


def make_clip(path: Path, codec: str, size: tuple[int, int], pix_fmt: str, gop: int, n: int) -> str:
    """Writes a clip of a moving, noisy scene, 30 frames per second, at the bit rate of a trail camera."""
    random = np.random.default_rng(0)
    width, height = size
    small = random.integers(0, 255, (36, 64, 3), dtype=np.uint8)
    scene = np.asarray(cv2.resize(small, size), np.uint8)
    noise = random.integers(0, 12, (height, width + n, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options={"preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = width, height, pix_fmt, gop
        for number in range(n):
            picture = np.maximum(np.roll(scene, number, axis=1), 12)
            picture -= noise[:, number : number + width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return str(path)


def read_with_opencv(path: str, shape: InputShape) -> int:
    """Reads one frame per second as megadetector 10.0.28 does."""
    film = cv2.VideoCapture(path)
    step = int(film.get(cv2.CAP_PROP_FPS) + 0.001)
    count = number = 0
    while True:
        is_wanted = number % step == 0
        found, image = film.read() if is_wanted else (film.grab(), None)
        if not found:
            return count
        if image is not None:
            shape.fit(np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8))
            count += 1
        number += 1


def read_here(path: str, shape: InputShape) -> int:
    """Reads one frame per second as this program does."""
    return sum(photo.error is None for photo in FilmReader(Sampling(), shape).photos(path))


def rate_of(read: Callable[[str, InputShape], int], path: str, shape: InputShape) -> float:
    """Frames per second in one round."""
    start = time.perf_counter()
    count = read(path, shape)
    return count / (time.perf_counter() - start)


def compare_reading(folder: Path, seconds: int, shape: InputShape) -> None:
    """Prints the rates of both programs, which take turns."""
    for name, codec, size, pix_fmt, gop in KINDS:
        ending = "avi" if codec == "mjpeg" else "mp4"
        path = make_clip(folder / f"{codec}{gop}.{ending}", codec, size, pix_fmt, gop, 30 * seconds)
        pairs = [
            (rate_of(read_here, path, shape), rate_of(read_with_opencv, path, shape))
            for _ in range(ROUNDS)
        ]
        here, there = (statistics.median(one) for one in zip(*pairs, strict=True))
        print(f"{name}: {here:.1f} frames/s, OpenCV {there:.1f}: {here / there:.2f} times")


def compare_pipeline(model: SpeciesNet, paths: list[str]) -> None:
    """Prints how long a run takes compared with only its networks on prepared frames."""
    reader = FilmReader(Sampling(), model.detector.input_shape)
    model.predict(filepaths=paths[:1])
    for _ in range(ROUNDS):
        ready = [photo for path in paths for photo in reader.photos(path)]
        start = time.perf_counter()
        count = sum(1 for _ in _networks(model, iter(ready)))
        alone = time.perf_counter() - start
        del ready
        start = time.perf_counter()
        model.predict(filepaths=paths)
        whole = time.perf_counter() - start
        print(
            f"{count} frames: networks {alone:.1f} s, run {whole:.1f} s: {whole / alone:.3f} times"
        )


def _networks(model: SpeciesNet, photos: Iterator[Photo]) -> Iterator[Photo]:
    found = detect(photos, model.detector)
    return classify(crop(found, model.classifier.preprocess), model.classifier)


def main() -> None:
    """Runs the comparisons."""
    parser = argparse.ArgumentParser(description="Measures films.")
    parser.add_argument("--model", help="a model package, for whole runs")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--clips", type=int, default=2, help="of a whole run")
    parser.add_argument("--seconds", type=int, default=20, help="length of a clip")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare_reading(folder, arguments.seconds, InputShape(1280, 64))
        if arguments.model:
            path = folder / "libx26430.mp4"
            copies = [folder / f"{number}.mp4" for number in range(arguments.clips)]
            for copy in copies:
                copy.write_bytes(path.read_bytes())
            model = SpeciesNet(arguments.model, precision=arguments.precision)
            compare_pipeline(model, [*map(str, copies)])


if __name__ == "__main__":
    main()

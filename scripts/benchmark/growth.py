"""Measures how time and memory grow with the number of images.

    PYTHONPATH=scripts python -m benchmark.growth --images 1000 10000 100000 --clips 100 1000

Constants replace the networks, and the images are links to one small picture. This measures
everything else: reading, deciding, the predictions file, continuing a run, and the ensemble step.
The clips are links to one clip of a few seconds in 720p; the long films repeat ten seconds in 4K.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from pathlib import Path

import av
import numpy as np
from PIL import Image

from speciesnet.scripts.gpu_test import machine

_PROGRAM = """
import json, resource, sys, time
start = time.perf_counter()
import numpy as np
from speciesnet import SpeciesNet
from speciesnet.detector import SpeciesNetDetector
from speciesnet.classifier import SpeciesNetClassifier
folder, out, what, records = json.loads(sys.argv[1])

class Constant:
    name, on_cpu, image_size, stride, stretches, batch_size = "constant", True, 64, 64, False, 1
    classes, batches_alike = 13, True
    def __call__(self, images):
        if images.shape[1] == 480:
            return np.tile(np.arange(13, dtype=np.float32), (len(images), 1))
        box = np.array([[32, 32, 20, 20, 0.9, 0.95, 0.01, 0.01]], np.float32)
        return np.tile(box, (len(images), 1, 1))

import speciesnet.detector, speciesnet.classifier
speciesnet.detector.load_detector_engine = lambda *a: Constant()
speciesnet.classifier.load_classifier_engine = lambda *a: Constant()
net = SpeciesNet("demo", precision="fp32")
if what == "ensemble":
    from speciesnet.predictions.lookup import RecordsByFile
    from speciesnet.images.instances import find_images
    paths = find_images([folder])
    past = RecordsByFile(records, paths)
    net.ensemble_from_past_runs(folders=[folder], detections_dict=past, classifications_dict=past,
        predictions_json=out)
else:
    net.predict(folders=[folder], predictions_json=out)
print(json.dumps({"seconds": time.perf_counter() - start,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


_FILE = """
import json, resource, sys, time
from speciesnet.images.instances import Instance
from speciesnet.predictions.file import PredictionsFile
from speciesnet.predictions.settings import RunSettings
out, number, what, _ = json.loads(sys.argv[1])
bbox = [0.17343750596046448, 0.5083333253860474, 0.28984373807907104, 0.3104166667461395]
record = {
    "classifications": {"classes": ["u;mammalia;cetartiodactyla;cervidae;odocoileus;;deer"] * 5,
        "scores": [0.9711, 0.0132, 0.0023, 0.0009, 0.0003]},
    "detections": [{"category": "1", "label": "animal", "conf": 0.93 - i / 100, "bbox": bbox}
        for i in range(6)],
    "prediction": "u;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;deer",
    "prediction_score": 0.9711, "prediction_source": "classifier", "model_version": "v"}
instances = [Instance(f"/survey/camera{i // 1000:04d}/IMG_{i:07d}.JPG") for i in range(int(number))]
settings = RunSettings("all", {"version": "v"}, True)
start = time.perf_counter()
with PredictionsFile(out, instances, settings) as file:
    opened = time.perf_counter() - start
    for path in file.pending:
        file.write([{"filepath": path} | record])
print(json.dumps({"opened": opened, "seconds": time.perf_counter() - start,
    "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
"""


def run(*arguments: object, program: str = _PROGRAM) -> dict[str, float]:
    """Runs a program in another process and returns its seconds and MiB."""
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(list(map(str, arguments)))],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def repeat_film(source: str, target: Path, times: int) -> None:
    """Writes a film that shows another one several times, without encoding it again."""
    with av.open(str(target), "w") as output:
        stream = None
        for number in range(times):
            with av.open(source) as film:
                video = film.streams.video[0]
                length = video.duration or 0
                stream = stream or output.add_stream_from_template(video)
                for packet in film.demux(video):
                    if packet.dts is None or packet.pts is None:  # the end
                        continue
                    packet.dts += number * length
                    packet.pts += number * length
                    packet.stream = stream
                    output.mux(packet)


def measure_films(counts: list[int], seconds: int, minutes: list[int]) -> None:
    """Prints the time and memory of runs on many clips, and on one long film."""
    print("\nFilms, one frame per second, constants instead of networks.\n")
    print("| films | ms per frame | memory (MiB) |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        # Linux counts the memory of this process as that of those it starts, so it must not encode.
        with get_context("spawn").Pool(1) as pool:
            clips = [
                (top / "small.mp4", (1280, 720), 30 * seconds),
                (top / "large.mp4", (3840, 2160), 300),
            ]
            small, large = pool.starmap(_make_clip, clips)
        for count in counts:
            folder = top / f"clips{count}"
            folder.mkdir()
            for number in range(count):
                (folder / f"{number:05d}.mp4").hardlink_to(small)
            _print_films(f"{count:,} clips of {seconds} s, 720p", folder, seconds * count)
        for length in minutes:
            folder = top / f"minutes{length}"
            folder.mkdir()
            repeat_film(large, folder / "long.mp4", 6 * length)
            _print_films(f"1 film of {length} min, 4K", folder, 60 * length)


def _make_clip(path: Path, size: tuple[int, int], frames: int) -> str:
    from benchmark.films import make_clip

    return make_clip(path, "libx264", size, "yuv420p", 30, frames)


def _print_films(name: str, folder: Path, frames: int) -> None:
    found = run(folder, folder / "out.json", "all", "")
    cells = [name, f"{found['seconds'] / frames * 1000:.1f}", f"{found['memory']:.0f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--records", type=int, nargs="*", default=[1000, 100_000, 1_000_000])
    parser.add_argument("--clips", type=int, nargs="*", default=[100, 1000])
    parser.add_argument("--seconds", type=int, default=5, help="length of each clip")
    parser.add_argument("--minutes", type=int, nargs="*", default=[1, 60], help="length in 4K")
    options = parser.parse_args()
    print(machine())
    if options.clips or options.minutes:
        measure_films(options.clips, options.seconds, options.minutes)
    print("\nConstants instead of networks.\n")
    print(
        "| images | all (ms/image) | memory (MiB) | nothing left to do (s) | memory | ensemble alone "
        "(records/s) | memory | file (MB) |\n|---|---|---|---|---|---|---|---|"
    )
    for number in options.images:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "images"
            folder.mkdir()
            noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(noise).save(Path(name) / "picture.jpg")
            for i in range(number):
                (folder / f"{i:07d}.jpg").hardlink_to(Path(name) / "picture.jpg")
            out = Path(name) / "out.json"
            whole = run(folder, out, "all", "")
            again = run(folder, out, "all", "")
            ensemble = run(folder, Path(name) / "again.json", "ensemble", out)
            cells = [
                f"{number:,}",
                f"{whole['seconds'] / number * 1000:.2f}",
                f"{whole['memory']:.0f}",
                f"{again['seconds']:.1f}",
                f"{again['memory']:.0f}",
                f"{number / ensemble['seconds']:,.0f}",
                f"{ensemble['memory']:.0f}",
                f"{out.stat().st_size / 1e6:.1f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)
    print("\nThe predictions file alone.\n")
    print(
        "| records | writing (us/record) | memory (MiB) | opening it again (s) | memory | file (MB) |\n"
        "|---|---|---|---|---|---|"
    )
    for number in options.records:
        with tempfile.TemporaryDirectory() as name:
            out = Path(name) / "out.json"
            whole, again = (run(out, number, "", "", program=_FILE) for _ in range(2))
            cells = [
                f"{number:,}",
                f"{(whole['seconds'] - whole['opened']) / number * 1e6:.1f}",
                f"{whole['memory']:.0f}",
                f"{again['opened']:.1f}",
                f"{again['memory']:.0f}",
                f"{out.stat().st_size / 1e6:.0f}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Measures how well the rules for failed cameras work, and their speed.

    PYTHONPATH=.:scripts python -m benchmark.cameras [--cameras 60] [--photographs 100000]

The cameras are rendered: each has a landscape, animals that pass in bouts, days and nights, weather, and
a season that changes; some have snow for weeks. Most have one failure at a known time. A finding is right
if it has the kind of the failure and starts within ``NEAR`` of it; a second finding of the same failure
is wrong. Cameras of odd seeds have other landscapes than those of even seeds, so that rules can be chosen
on one half and measured on the other (``--half``).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
from demo.animals import KINDS
from demo.scenes import Site, make_conditions, make_site, random_actor, shoot
from numpy.typing import NDArray
from PIL import Image

from speciesnet.export.deployments import deployed
from speciesnet.files.moved_photographs import Photographs
from speciesnet.survey.camera_check import CameraCheck, Sightings
from speciesnet.survey.camera_findings import Finding, Kind
from speciesnet.survey.cards import folder_parts
from speciesnet.survey.reliable_dates import Taken
from speciesnet.survey.scene_reading import SceneReader
from speciesnet.survey.scenes import Look
from speciesnet.survey.sequences import camera_folder

Pixels = NDArray[np.float32]
START = datetime(2023, 9, 1)
SIZE = (320, 240)
NEAR = timedelta(days=3)
FAILURES: tuple[Kind | None, ...] = (
    None, None, "covered", "view", "flash", "blanks", "clock", "stopped", "silence", None,
)  # fmt: skip
DEER, BLANK = "1;mammalia;cetartiodactyla;cervidae;odocoileus;virginianus;deer", "2;;;;;;blank"


@dataclass
class Camera:
    """A simulated camera.

    Attributes:
        name: Its folder.
        start: When it was hung up.
        days: For how many days.
        failure: What fails, or None.
        at: When it fails.
        records: Path below the folder, date on its clock, and whether it is blank.
        truth: The failure as a finding would start.
    """

    name: str
    start: datetime
    days: int
    failure: Kind | None
    at: datetime
    records: list[tuple[str, datetime, bool]] = field(default_factory=list)

    @property
    def end(self) -> datetime:
        """When it was taken down."""
        return self.start + timedelta(days=self.days)


def moments(rng: np.random.Generator, camera: Camera) -> Iterator[tuple[datetime, bool]]:
    """The photographs of a healthy camera: bouts of visits, some weeks busier than others; and blanks."""
    rate = float(np.exp(rng.uniform(np.log(0.25), np.log(8))))  # visits a day
    busy = np.exp(rng.normal(0, 0.6, camera.days // 7 + 1))
    for shot in range(6):  # pictures of the person who hangs it up
        yield camera.start + timedelta(seconds=20 * shot), False
    for day in range(camera.days):
        for _ in range(rng.poisson(rate * busy[day // 7])):
            when = camera.start + timedelta(days=day, seconds=float(rng.uniform(0, 86_400)))
            is_blank = bool(rng.random() < 0.4)
            for shot in range(rng.integers(1, 8)):
                yield when + timedelta(seconds=15 * shot), is_blank


def _float(image: NDArray[np.generic]) -> Pixels:
    return np.asarray(image, np.float32)


class Renderer:
    """Renders the photographs of a camera from a few pictures by day and by night.

    Args:
        rng: The source of randomness.
        seed: The seed of the landscape.
    """

    def __init__(self, rng: np.random.Generator, seed: int) -> None:
        self.rng = rng
        self.site: Site = make_site(seed, size=SIZE)
        label = next(name for name, kind in KINDS.items() if kind.biome == self.site.biome)
        self.pool = {night: self._pictures(label, night) for night in (False, True)}
        self.shadows = rng.normal(0, 1, (8, 6)).astype(np.float32)
        self.snow = rng.uniform(0, 60, 2) if rng.random() < 0.25 else None
        self.turn = float(rng.choice([-1, 1]) * rng.uniform(12, 60))
        self.shift = rng.uniform(0.15, 0.5, 2) * rng.choice([-1, 1], 2)
        self.cover = rng.integers(3)

    def _pictures(self, label: str, night: bool) -> list[Pixels]:
        found = []
        for number in range(5):
            actors = [random_actor(self.site, self.rng, label)] if number > 2 else []
            scene = shoot(self.site, actors, make_conditions(self.rng, night))
            found.append(scene.image.astype(np.float32))
        return found

    def picture(self, camera: Camera, moment: datetime) -> Pixels:
        """One photograph, values 0 to 255."""
        hour = moment.hour + moment.minute / 60
        night = not 6.5 <= hour < 18.5
        failed = moment >= camera.at
        image = self.pool[night][self.rng.integers(5)].copy()
        strip = image[-10:].copy()
        image = self._night(image, moment) if night else self._day(image, camera, moment, hour)
        if night and failed and camera.failure == "flash":
            image = self.rng.normal(2, 2, image.shape).astype(np.float32)
        if failed and camera.failure == "view":
            image = self._moved(image)
        if failed and camera.failure == "covered":
            image = self._covered(image, night)
        image[-10:] = strip
        return np.clip(image + self.rng.normal(0, 3, image.shape), 0, 255).astype(np.float32)

    def _night(self, image: Pixels, moment: datetime) -> Pixels:
        horizon = int(self.site.horizon)
        if self._has_snow(moment):
            smooth = _float(cv2.GaussianBlur(image, (0, 0), 15))
            image[horizon:] = 0.35 * image[horizon:] + 0.65 * 1.8 * smooth[horizon:]
        return image * np.float32(self.rng.uniform(0.6, 1.3))

    def _has_snow(self, moment: datetime) -> bool:
        day = (moment - START) / timedelta(days=1)
        return self.snow is not None and self.snow.min() < day % 60 < self.snow.max()

    def _day(self, image: Pixels, camera: Camera, moment: datetime, hour: float) -> Pixels:
        season = (moment - camera.start) / timedelta(days=max(camera.days, 1))
        image = _float(image * (1 + season * np.array([0.12, -0.1, -0.05])))
        day = (moment - START) / timedelta(days=1)
        horizon = int(self.site.horizon)
        if self._has_snow(moment):
            image[horizon:] = 0.35 * image[horizon:] + 0.65 * 225
        pattern = np.roll(self.shadows, int(hour), axis=1)
        weather = np.random.default_rng([camera.days, abs(int(day))]).uniform()  # of the day
        if weather < 0.5:  # sun, whose shadows move
            shade = cv2.resize(pattern, SIZE, interpolation=cv2.INTER_CUBIC)[..., None]
            image = _float(image * (1 + 0.25 * np.clip(shade, -1.5, 1.5)))
        elif weather < 0.7:  # fog or rain
            veil = float(self.rng.uniform(0.2, 0.65))
            image = image * (1 - veil) + 170 * veil
        light = 0.35 + 0.75 * np.sin(np.pi * (hour - 6) / 13)
        return image * float(light * self.rng.uniform(0.85, 1.15))

    def _moved(self, image: Pixels) -> Pixels:
        width, height = SIZE
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), self.turn, 1.2)
        matrix[:, 2] += self.shift * SIZE
        return _float(cv2.warpAffine(image, matrix, SIZE, borderMode=cv2.BORDER_REFLECT))

    def _covered(self, image: Pixels, night: bool) -> Pixels:
        if self.cover == 0:  # a leaf or mud on the lens
            return np.full_like(image, 6 if night else 35)
        blurred = _float(cv2.GaussianBlur(image, (0, 0), 40))
        level = {1: blurred.mean(), 2: 40 if night else 225}[int(self.cover)]  # fogged; snow
        return (0.3 * blurred + 0.7 * level).astype(np.float32)


@dataclass
class RenderingReader(SceneReader):
    """Renders the photographs that are read.

    Attributes:
        cameras: The cameras by their folders.
    """

    cameras: dict[str, Camera] = field(default_factory=dict)

    def looks(self, chosen: Sequence[Taken]) -> list[Look]:
        """The photographs, rendered before they are read."""
        if chosen:
            name = "/".join(camera_folder(chosen[0].filepath))
            camera = self.cameras[name]
            seed = int(camera.name[3:])
            renderer = Renderer(np.random.default_rng([seed, 8]), seed)
            files = {f"{name}/{file}": moment for file, moment, _ in camera.records}
            for one in chosen:
                image = renderer.picture(camera, files[one.filepath])
                path = Path(one.filepath)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image.astype(np.uint8)).save(path, quality=80)
        return super().looks(chosen)


def simulated(seed: int) -> Camera:
    """A camera and its photographs, which are not rendered yet."""
    rng = np.random.default_rng([seed, 7])
    start = START + timedelta(days=int(rng.integers(0, 10)), hours=11)
    days = int(rng.integers(40, 90))
    at = start + timedelta(days=float(rng.uniform(0.25, 0.7)) * days)
    failure = FAILURES[seed // 2 % len(FAILURES)]
    camera = Camera(f"cam{seed:03}", start, days, failure, at)
    taken = sorted(moments(rng, camera))
    if failure == "stopped":
        taken = [one for one in taken if one[0] < at]
    if failure == "silence":
        again = at + timedelta(days=float(rng.uniform(0.2, 0.3)) * days)
        taken = [one for one in taken if not at <= one[0] < again]
    if failure == "blanks":
        hours = float(rng.uniform(3, 40))
        when = np.sort(rng.uniform(0, hours, int(rng.integers(250, 1500))))
        taken += [(at + timedelta(hours=float(hour)), True) for hour in when]
        taken.sort()
    reset = datetime(int(rng.choice([2017, 2020, 2023])), 1, 1)
    for number, (moment, is_blank) in enumerate(taken, 1):
        name = f"DCIM/{100 + number // 9999}RECNX/IMG_{number % 9999 + 1:04}.JPG"
        shown = reset + (moment - at) if failure == "clock" and moment >= at else moment
        camera.records.append((name, shown, is_blank))
    return camera


def table(cameras: Sequence[Camera], folder: Path) -> Path:
    """The deployments of the cameras."""
    path = folder / "deployments.csv"
    rows = [f"{c.name},{c.start.isoformat()},{c.end.isoformat()}" for c in cameras]
    path.write_text("\n".join(["deploymentID,deploymentStart,deploymentEnd", *rows, ""]))
    return path


def findings(cameras: Sequence[Camera], folder: Path, pictures: bool) -> list[Finding]:
    """What the rules find."""
    seen = Sightings()
    for camera in cameras:
        for name, moment, is_blank in camera.records:
            path = f"{folder}/{camera.name}/{name}"
            seen.dates.append((path, moment.isoformat(timespec="seconds")))
            if is_blank:
                seen.blanks.add(path)
    folders = list(dict.fromkeys(folder_parts(path) for path, _ in seen.dates))
    rows, unused = deployed(str(table(cameras, folder)), folders)
    known = {f"{folder}/{camera.name}": camera for camera in cameras}
    reader = RenderingReader(Photographs(), cameras=known) if pictures else None
    checked = CameraCheck(seen, rows, unused).checked(reader)
    return [finding for one in checked for finding in one.findings]


def score(cameras: Sequence[Camera], found: Sequence[Finding]) -> str:
    """A table of precision and recall for each kind."""
    known = {camera.name: camera for camera in cameras}
    right, wrong = Counter[str](), Counter[str]()
    delays: dict[str, list[float]] = defaultdict(list)
    matched: set[str] = set()
    for one in found:
        camera = known[one.camera.rpartition("/")[2]]
        last = max((m for _, m, _ in camera.records if m < camera.at), default=camera.at)
        moment = one.start or camera.at
        is_near = min(abs(moment - camera.at), abs(moment - last)) <= NEAR
        if one.kind == camera.failure and is_near and camera.name not in matched:
            matched.add(camera.name)
            right[one.kind] += 1
            delays[one.kind].append(abs(moment - camera.at) / timedelta(hours=1))
        elif not (one.kind == camera.failure == "clock"):  # both ways of one jump
            wrong[one.kind] += 1
            print(f"wrong: {camera.name} ({camera.failure} {camera.at}) {one.kind} {one.note}")
    for camera in cameras:
        if camera.failure and camera.name not in matched:
            print(f"missed: {camera.name} {camera.failure} {camera.at} of {len(camera.records)}")
    lines = ["| kind | failures | found | wrong | median error in hours |", "|---|---|---|---|---|"]
    for kind in filter(None, dict.fromkeys(FAILURES)):
        total = sum(camera.failure == kind for camera in cameras)
        middle = f"{np.median(delays[kind]):.0f}" if delays[kind] else ""
        lines.append(f"| {kind} | {total} | {right[kind]} | {wrong[kind]} | {middle} |")
    healthy = sum(camera.failure is None for camera in cameras)
    return "\n".join([f"{len(cameras)} cameras, {healthy} of them healthy", "", *lines])


def measure_speed(photographs: int, folder: Path) -> None:
    """Times the command on 12-megapixel photographs, which are links to a few files."""
    rng = np.random.default_rng(3)
    for number in range(8):
        image = cv2.resize(rng.integers(0, 255, (300, 400, 3), np.uint8), (4000, 3000))
        Image.fromarray(image).save(folder / f"large{number}.jpg", quality=85)
    cameras = max(photographs // 2000, 1)
    predictions = folder / "large.json"
    with predictions.open("w") as file:
        for number in range(photographs):
            camera, place = divmod(number, photographs // cameras)
            moment = START + timedelta(minutes=43.2 * place)
            path = folder / f"large/cam{camera:03}/IMG_{place % 9999 + 1:04}.JPG"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.hardlink_to(folder / f"large{number % 8}.jpg")
            record = {
                "filepath": str(path), "prediction": DEER, "prediction_score": 0.9,
                "prediction_source": "classifier", "detections": [],
                "metadata": {"datetime": moment.isoformat(timespec="seconds")},
            }  # fmt: skip
            file.write(('{"predictions": [\n' if number == 0 else ",\n") + json.dumps(record))
        file.write("\n]}\n")
    earlier = 0.0
    for flags in (["--no_pictures"], []):
        command = [sys.executable, "-m", "speciesnet", "cameras", str(predictions), *flags]
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = used.ru_utime + used.ru_stime
        print(
            f"{photographs} photographs of {cameras} cameras {' '.join(flags)}: "
            f"{time.perf_counter() - started:.0f} s, {seconds - earlier:.0f} s of CPU time, "
            f"{used.ru_maxrss / 1024:.0f} MiB"
        )
        earlier = seconds


def main() -> None:
    """Prints precision and recall, and the cost of the command."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cameras", type=int, default=60)
    parser.add_argument("--half", type=int, choices=(0, 1), default=1)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pictures", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--photographs", type=int, default=100_000)
    given = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.cameras:
            seeds = range(2 * given.first + given.half, 2 * (given.first + given.cameras), 2)
            cameras = [simulated(seed) for seed in seeds]
            print(score(cameras, findings(cameras, folder, given.pictures)))
        if given.photographs:
            measure_speed(given.photographs, folder)


if __name__ == "__main__":
    main()

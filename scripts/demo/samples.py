"""The sample pictures that are shipped with the package: invented cameras at real places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from demo.dataset import jpeg_bytes
from demo.scenes import Scene, Site, burst, make_site, random_scene

QUALITY = 74
SIZE = (1280, 960)  # pixels
_EXIF, _GPS = 0x8769, 0x8825


@dataclass(frozen=True)
class Shot:
    """One picture, or one burst, of a camera.

    Attributes:
        label: What it shows.
        seed: The seed of the picture.
        night: Whether it is taken at night.
        frames: 1, or the length of the burst.
    """

    label: str
    seed: int
    night: bool = False
    frames: int = 1


@dataclass(frozen=True)
class Camera:
    """An invented camera.

    Attributes:
        folder: Name of its folder.
        caption: Name in its caption strip.
        site: Seed of its landscape.
        biome: woodland or savanna.
        position: Latitude and longitude in degrees, or None for a camera without GPS.
        shots: The pictures that it took.
    """

    folder: str
    caption: str
    site: int
    biome: str
    position: tuple[float, float] | None
    shots: tuple[Shot, ...]


CAMERAS: tuple[Camera, ...] = (
    Camera("cam01_oak_ridge", "OAK RIDGE", 2_000_010, "woodland", (38.531, -78.437), (
        Shot("white-tailed deer", 41, False, 3), Shot("white-tailed deer", 34, True), Shot("blank",
            3),
        Shot("northern raccoon", 20, True),
    )),
    Camera("cam02_mill_creek", "MILL CREEK", 2_000_008, "woodland", (35.611, -83.489), (
        Shot("american black bear", 33), Shot("striped skunk", 42, True), Shot("wild turkey", 19),
            Shot("blank", 4, True),
    )),
    Camera("cam03_forest_gate", "FOREST GATE", 2_000_003, "woodland", None, (
        Shot("human", 25), Shot("vehicle", 18), Shot("red fox", 19),
    )),
    Camera("cam04_grenzwald", "GRENZWALD", 2_000_006, "woodland", (48.962, 13.395), (
        Shot("wild boar", 33, True), Shot("red fox", 50, True),
    )),
    Camera("cam05_waterhole", "WATERHOLE", 2_000_004, "savanna", (-24.012, 31.485), (
        Shot("plains zebra", 41), Shot("african elephant", 2), Shot("giraffe", 43), Shot("blank",
            4),
    )),
)  # fmt: skip


def camera_scenes(camera: Camera) -> list[Scene]:
    """The pictures from a camera, in chronological order."""
    site: Site = make_site(camera.site, camera.biome, SIZE)
    site.name = camera.caption
    scenes: list[Scene] = []
    for shot in camera.shots:
        seed = camera.site * 64 + shot.seed
        if shot.frames > 1:
            scenes += burst(seed, shot.label, site, shot.night, shot.frames)
        else:
            scenes.append(random_scene(seed, shot.label, site, shot.night))
    return sorted(scenes, key=lambda scene: scene.time)


def exif_of(scene: Scene, position: tuple[float, float] | None) -> bytes:
    """Date, an invented camera, and the position, as EXIF."""
    exif = Image.Exif()
    stamp = f"{scene.time:%Y:%m:%d %H:%M:%S}"
    exif[0x010F], exif[0x0110], exif[0x0132] = "Fieldmouse", "FM-20 Demo", stamp
    exif[0x0131] = "speciesnet demo scenes (rendered)"
    exif[_EXIF] = {0x9003: stamp, 0x9004: stamp}
    if position is not None:
        latitude, longitude = position
        exif[_GPS] = {
            1: "N" if latitude >= 0 else "S", 2: _sexagesimal(latitude),
            3: "E" if longitude >= 0 else "W", 4: _sexagesimal(longitude),
        }  # fmt: skip
    return exif.tobytes()


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    whole = abs(degrees)
    minutes = whole % 1 * 60
    return float(int(whole)), float(int(minutes)), round(minutes % 1 * 60, 2)


def write_samples(folder: Path, cameras: Sequence[Camera] = CAMERAS) -> int:
    """Writes the sample pictures; returns their total size in bytes."""
    total = 0
    for camera in cameras:
        target = folder / camera.folder
        target.mkdir(parents=True, exist_ok=True)
        for old in target.glob("*.jpg"):
            old.unlink()
        for i, scene in enumerate(camera_scenes(camera)):
            data = jpeg_bytes(scene, QUALITY, exif_of(scene, camera.position))
            (target / f"IMG_{i + 1:04d}.jpg").write_bytes(data)
            total += len(data)
    return total


def overview(cameras: Sequence[Camera] = CAMERAS, width: int = 640) -> Image.Image:
    """All sample pictures side by side, one camera per row."""
    rows = [
        [Image.fromarray(s.image).resize((width, width * 3 // 4)) for s in camera_scenes(c)]
        for c in cameras
    ]
    sheet = Image.new("RGB", (width * max(len(row) for row in rows), width * 3 // 4 * len(rows)))
    for y, row in enumerate(rows):
        for x, tile in enumerate(row):
            sheet.paste(tile, (x * width, y * width * 3 // 4))
    return sheet

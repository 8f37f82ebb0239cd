"""Renders camera-trap pictures: a camera at a fixed place, and what walks past it.

``Site`` is one camera with its landscape; ``shoot`` takes one picture, ``burst`` several that are
seconds apart. Everything follows from integer seeds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from demo.animals import KINDS, Pose, draw_animal, random_pose
from demo.props import (
    draw_bush,
    draw_log,
    draw_person,
    draw_rock,
    draw_trunk,
    draw_tuft,
    draw_vehicle,
)
from demo.sprites import Array, Colour, Light, Rng, Sprite, noise, paste

SIZES = (
    (1280, 960),
    (1280, 960),
    (1280, 720),
    (1024, 768),
    (1440, 1080),
)  # width, height in pixels
STRIP = 0.042  # height of the caption strip, as a share of the picture's
MIN_VISIBLE = 0.55  # objects that are less visible are placed again


@dataclass(frozen=True)
class Thing:
    """Something to find in a picture.

    Attributes:
        category: animal, person or vehicle.
        label: Common name: the kind of animal, human or vehicle.
        box: xmin, ymin, xmax and ymax of the visible part, in pixels.
        visible: The share of it that is not hidden, in [0, 1].
    """

    category: str
    label: str
    box: tuple[int, int, int, int]
    visible: float


@dataclass(frozen=True)
class Scene:
    """A finished picture.

    Attributes:
        image: Shape (height, width, 3), uint8 RGB.
        things: What is in it.
        label: Common name of the right answer: that of the things, or blank.
        time: When it was taken.
        night: Whether it is an infrared picture.
        camera: Name of the camera.
    """

    image: NDArray[Any]
    things: tuple[Thing, ...]
    label: str
    time: dt.datetime
    night: bool
    camera: str


@dataclass(frozen=True)
class Actor:
    """Something about to be drawn.

    Attributes:
        category: animal, person or vehicle.
        label: The label, as in ``Thing``.
        x: Column of its middle as a share of the width.
        depth: Distance in meters.
        height: Meters to the shoulder (animals).
        pose: How it stands.
        seed: The seed of the individual.
    """

    category: str
    label: str
    x: float
    depth: float
    height: float
    pose: Pose
    seed: int


@dataclass
class Site:
    """A camera and what it looks at.

    Attributes:
        seed: The seed of the landscape.
        biome: woodland or savanna.
        name: Name of the camera.
        width: Columns.
        height: Rows.
        horizon: Row of the horizon.
        camera_height: Meters above the ground.
        background: Shape (height, width, 3), daylight colors.
        depth: Shape (height, width), meters.
        props: Trunks, bushes, grass: (sprite of a light, column, row of the foot, meters).
        haze: Color of distant air.
        strip: Whether the caption strip shows the maker's mark, pressure and so on.
    """

    seed: int
    biome: str
    name: str
    width: int
    height: int
    horizon: float
    camera_height: float
    background: Array
    depth: Array
    props: list[tuple[Sprite, float, float, float]]
    haze: Colour
    strip: int
    _cache: dict[str, object] = field(default_factory=dict)

    def row(self, depth: float) -> float:
        """Row at which something at this distance touches the ground."""
        return self.horizon + self.camera_height * self.focal / depth

    def depth_of(self, row: float) -> float:
        """Distance in meters of the ground at a row below the horizon."""
        return self.camera_height * self.focal / max(row - self.horizon, 1.0)

    @property
    def focal(self) -> float:
        """Focal length in pixels, of a field of view of about 52 degrees."""
        return 1.03 * self.width


_GROUNDS: dict[str, tuple[tuple[Colour, Colour, Colour], ...]] = {
    "woodland": (
        ((0.36, 0.28, 0.18), (0.20, 0.15, 0.10), (0.34, 0.40, 0.16)),  # leaf litter
        ((0.30, 0.38, 0.15), (0.19, 0.24, 0.10), (0.42, 0.40, 0.20)),  # grass
        ((0.46, 0.30, 0.14), (0.28, 0.17, 0.08), (0.55, 0.38, 0.14)),  # autumn
        ((0.40, 0.36, 0.26), (0.25, 0.22, 0.16), (0.46, 0.44, 0.28)),  # late winter
        ((0.84, 0.86, 0.90), (0.66, 0.69, 0.75), (0.55, 0.50, 0.42)),  # snow
    ),
    "savanna": (
        ((0.62, 0.52, 0.30), (0.44, 0.34, 0.19), (0.68, 0.60, 0.36)),  # dry grass
        ((0.55, 0.37, 0.23), (0.40, 0.25, 0.15), (0.60, 0.50, 0.28)),  # red soil
        ((0.42, 0.46, 0.19), (0.30, 0.32, 0.14), (0.56, 0.52, 0.26)),  # after the rains
        ((0.56, 0.51, 0.41), (0.42, 0.37, 0.29), (0.58, 0.54, 0.34)),  # pale dust
    ),
}
_LEAVES: dict[str, tuple[Colour, ...]] = {
    "woodland": (
        (0.24, 0.36, 0.12),
        (0.17, 0.28, 0.11),
        (0.50, 0.36, 0.12),
        (0.32, 0.28, 0.17),
        (0.16, 0.24, 0.13),
    ),
    "savanna": ((0.42, 0.42, 0.18), (0.28, 0.33, 0.14), (0.34, 0.40, 0.16), (0.42, 0.38, 0.24)),
}
_PLACES = {
    "woodland": (
        "OAK RIDGE",
        "MILL CREEK",
        "NORTH GATE",
        "BEAVER POND",
        "FIRE ROAD",
        "STONE WALL",
        "HOLLOW",
        "PINE 7",
    ),
    "savanna": (
        "WATERHOLE",
        "EAST PLAIN",
        "ACACIA 3",
        "DRY RIVER",
        "SALT LICK",
        "KOPJE",
        "GATE B",
        "LONG PAN",
    ),
}


def make_site(seed: int, biome: str | None = None, size: tuple[int, int] | None = None) -> Site:
    """Builds the landscape of a camera.

    Args:
        seed: Determines everything that is not given.
        biome: woodland or savanna.
        size: Width and height of its pictures in pixels.
    """
    rng = np.random.default_rng([seed, 11])
    biome = biome or ("woodland" if rng.random() < 0.68 else "savanna")
    width, height = size or SIZES[rng.integers(len(SIZES))]
    horizon = height * float(
        rng.uniform(0.24, 0.44) if biome == "woodland" else rng.uniform(0.34, 0.52)
    )
    camera_height = float(rng.uniform(0.45, 0.95) if biome == "woodland" else rng.uniform(0.9, 1.8))
    ground_index = int(rng.choice(len(_GROUNDS[biome]), p=_weights(biome)))
    snow = biome == "woodland" and ground_index == 4
    leaves = _LEAVES[biome]
    leaf = leaves[min(ground_index, len(leaves) - 1)] if not snow else (0.30, 0.27, 0.22)
    haze: Colour = (0.74, 0.78, 0.80) if biome == "woodland" else (0.82, 0.80, 0.74)
    site = Site(
        seed, biome, f"{_PLACES[biome][rng.integers(8)]}", width, height, horizon, camera_height,
        np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32), [], haze,
        int(rng.integers(3)),
    )  # fmt: skip
    rows = np.arange(height, dtype=np.float32)[:, None]
    site.depth = np.minimum(
        camera_height
        * site.focal
        / np.maximum(rows - horizon, 1.0)
        * np.ones((1, width), np.float32),
        120.0,
    )
    light = Light(side=float(rng.uniform(-0.7, 0.7)))
    _draw_sky(site, rng)
    _draw_ground(site, rng, _GROUNDS[biome][ground_index])
    if biome == "woodland":
        _draw_forest_edge(site, rng, leaf, light)
    else:
        _draw_plain(site, rng, leaf)
    site.props = _scatter(site, rng, leaf, _GROUNDS[biome][ground_index], light, snow)
    site._cache["light"] = light
    return site


def _weights(biome: str) -> list[float]:
    return [0.26, 0.30, 0.17, 0.17, 0.10] if biome == "woodland" else [0.34, 0.2, 0.3, 0.16]


def _draw_sky(site: Site, rng: Rng) -> None:
    high = max(int(site.horizon) + 2, 4)
    t = np.linspace(0, 1, high, dtype=np.float32)[:, None, None]
    top = np.array(
        [[(0.36, 0.55, 0.82)], [(0.62, 0.68, 0.74)], [(0.52, 0.66, 0.84)]][rng.integers(3)],
        np.float32,
    )
    bottom = np.array([site.haze], np.float32) * 1.08
    sky = (1 - t) * top + t * bottom
    clouds = np.clip(noise(rng, (high, site.width), site.width / 4, 4) - 0.1, 0, 0.8)[..., None]
    site.background[:high] = sky + (0.94 - sky) * clouds


def _draw_ground(site: Site, rng: Rng, palette: tuple[Colour, Colour, Colour]) -> None:
    """A plane of noise seen in perspective, finer features near the camera."""
    first = int(site.horizon)
    rows = np.arange(first, site.height, dtype=np.float32)[:, None]
    depth = site.camera_height * site.focal / np.maximum(rows - site.horizon, 0.7)
    x = (np.arange(site.width, dtype=np.float32)[None] - site.width / 2) * depth / site.focal
    z = np.broadcast_to(depth, x.shape)

    def field(meters: float, octaves: int = 3) -> Array:
        cell = 16
        texture = noise(rng, (512, 512), cell, octaves)
        u, v = x / meters * cell, z / meters * cell
        far = np.clip(1.5 - depth / (meters * 220), 0, 1)
        mapped = cv2.remap(texture, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
                           borderMode=cv2.BORDER_REFLECT)  # fmt: skip
        return mapped * far

    base, dark, patch = (np.array(c, np.float32) for c in palette)
    coarse, medium, fine = field(1.6), field(0.35), field(0.08)
    grit = field(0.025, 3)
    ground = base + (patch - base) * np.clip(coarse * 1.3, 0, 1)[..., None]
    ground = ground + (dark - ground) * np.clip(0.3 + 1.1 * medium, 0, 0.85)[..., None]
    ground = ground * np.clip(1 + 0.45 * fine + 0.50 * grit, 0.3, 1.8)[..., None]
    if rng.random() < 0.4:  # a trail toward the camera
        middle = float(rng.uniform(-0.6, 0.6)) + 0.25 * float(rng.normal()) * (depth - 3) / 4
        worn = np.exp(-(((x - middle) / float(rng.uniform(0.3, 0.8))) ** 2))[..., None]
        soil = dark * 1.25 + 0.06
        ground = (
            ground + (soil * np.clip(1 + 0.4 * fine, 0.5, 1.5)[..., None] - ground) * 0.7 * worn
        )
    if site.biome == "woodland":  # sun flecks through the crowns
        flecks = np.clip(field(0.9, 2) * 1.5, -0.45, 0.55)[..., None]
        ground = ground * (0.86 + 0.5 * flecks)
    site.background[first:] = np.clip(ground, 0, 1)


def _draw_forest_edge(site: Site, rng: Rng, leaf: Colour, light: Light) -> None:
    """The wall of trees behind everything, hazier with distance."""
    h, w = site.height, site.width
    horizon = int(site.horizon)
    image = site.background
    density = float(rng.uniform(0.5, 1.1))
    wall = noise(rng, (horizon + 8, w), w / 7, 5)
    ramp = np.linspace(-0.45, 0.75, horizon + 8, dtype=np.float32)[:, None]
    cover = np.clip((wall + ramp + 0.35 * density) * 3, 0, 1)[..., None]
    tone = np.array(leaf, np.float32) * 0.62
    mottled = (
        tone * np.clip(1 + 0.9 * noise(rng, (horizon + 8, w), w / 40, 4), 0.25, 1.9)[..., None]
    )
    mottled = mottled + (np.array(site.haze, np.float32) - mottled) * float(rng.uniform(0.08, 0.3))
    here = image[: horizon + 8]
    here += (mottled - here) * cover
    bark = np.array(
        ((0.30, 0.25, 0.20), (0.38, 0.35, 0.31), (0.24, 0.18, 0.13))[rng.integers(3)], np.float32
    )
    for _ in range(int(26 * density)):
        depth = float(rng.uniform(14, 45))
        foot = site.row(depth)
        x = float(rng.uniform(0, w))
        radius = max(float(rng.uniform(0.08, 0.24)) * site.focal / depth, 1.2)
        tint = bark * float(rng.uniform(0.55, 1.1))
        tint = tint + (np.array(site.haze) - tint) * min(depth / 200, 0.22)
        lean = float(rng.normal(0, 0.02)) * h
        corners = [
            (x - radius, foot),
            (x + radius, foot),
            (x + 0.7 * radius + lean, -5),
            (x - 0.7 * radius + lean, -5),
        ]
        points = np.round(np.array(corners) * 16).astype(np.int32)
        cv2.fillPoly(image, [points], tuple(float(v) for v in tint), cv2.LINE_AA, 4)
    for _ in range(int(rng.integers(3, 9))):
        depth = float(rng.uniform(11, 26))
        bush = draw_bush(
            site.focal / depth,
            rng,
            leaf,
            float(rng.uniform(1.2, 3.5)),
            float(rng.uniform(0.6, 1.8)),
            0.13,
        )
        paste(image, bush, float(rng.uniform(0, w)), site.row(depth))
    band = slice(max(horizon - 12, 0), horizon + 14)
    image[band] = cv2.GaussianBlur(image[band], (0, 0), 2.0)


def _draw_plain(site: Site, rng: Rng, leaf: Colour) -> None:
    """Hills and flat-topped trees on the horizon."""
    h, w = site.height, site.width
    image = site.background
    if rng.random() < 0.7:
        ridge = site.horizon - np.abs(noise(rng, (1, w), w / 3, 3)[0]) * 0.10 * h - 2
        below = np.arange(h)[:, None] > ridge[None]
        below &= np.arange(h)[:, None] < site.horizon + 1
        image[below] = np.array(site.haze, np.float32) * np.array([0.72, 0.78, 0.84], np.float32)
    for _ in range(int(rng.integers(4, 18))):
        depth = float(rng.uniform(28, 90))
        _acacia(site, rng, leaf, depth, float(rng.uniform(0, w)))
    first = int(site.horizon)
    image[first - 3 : first + 8] = cv2.GaussianBlur(image[first - 3 : first + 8], (0, 0), 1.5)


def _acacia(site: Site, rng: Rng, leaf: Colour, depth: float, x: float) -> None:
    scale = site.focal / depth
    foot = site.row(depth)
    tall = float(rng.uniform(3.5, 7)) * scale
    fade = min(depth / 120, 0.5)
    haze = np.array(site.haze)
    trunk = np.array((0.26, 0.20, 0.15)) * (1 - fade) + haze * fade
    for side in (-1.0, 0.2, 1.0):
        start, end = (int(x), int(foot)), (int(x + side * 0.28 * tall), int(foot - 0.8 * tall))
        cv2.line(
            site.background,
            start,
            end,
            tuple(float(v) for v in trunk),
            max(int(0.13 * scale), 1),
            cv2.LINE_AA,
        )
    green = tuple(float(v) for v in np.array(leaf) * 0.8 * (1 - fade) + haze * fade)
    crown = draw_bush(scale, rng, green, tall / scale * 1.5, tall / scale * 0.42, 0.35)  # type: ignore[arg-type]
    paste(site.background, crown, x, foot - 0.62 * tall)


def _scatter(
    site: Site,
    rng: Rng,
    leaf: Colour,
    palette: tuple[Colour, Colour, Colour],
    light: Light,
    snow: bool,
) -> list[tuple[Sprite, float, float, float]]:
    """Objects in front of or behind an animal."""
    props: list[tuple[Sprite, float, float, float]] = []
    w = site.width
    near = site.depth_of(0.97 * site.height)
    woodland = site.biome == "woodland"

    def put(sprite: Sprite, x: float, depth: float) -> None:
        props.append((sprite, x, site.row(depth), depth))

    barks: tuple[Colour, ...] = ((0.33, 0.27, 0.21), (0.42, 0.39, 0.35), (0.27, 0.20, 0.14))
    bark = barks[rng.integers(3)]
    for _ in range(int(rng.integers(1, 6)) if woodland else int(rng.random() < 0.35)):
        depth = float(rng.uniform(max(2.2, near), 13))
        scale = site.focal / depth
        tall = (site.row(depth) + 20) / scale
        radius = float(rng.uniform(0.07, 0.20))
        if radius * scale < 0.12 * w:
            put(draw_trunk(scale, rng, light, radius, bark, tall), float(rng.uniform(0, w)), depth)
    for _ in range(int(rng.integers(0, 4))):
        depth = float(rng.uniform(max(2.0, near), 12))
        put(
            draw_rock(site.focal / depth, rng, light, float(rng.uniform(0.2, 0.9))),
            float(rng.uniform(0, w)),
            depth,
        )
    if (woodland and rng.random() < 0.45) or rng.random() < 0.15:
        depth = float(rng.uniform(2.5, 9))
        put(
            draw_log(site.focal / depth, rng, light, float(rng.uniform(1.2, 3.0))),
            float(rng.uniform(0, w)),
            depth,
        )
    for _ in range(int(rng.integers(0, 5))):
        depth = float(rng.uniform(max(3.0, near * 1.3), 14))
        size = float(rng.uniform(0.5, 1.6))
        put(draw_bush(site.focal / depth, rng, leaf, size * 1.4, size, float(rng.uniform(0.05,
            0.09))),
            float(rng.uniform(0, w)), depth)  # fmt: skip

    blade_mix = np.array(palette[2]) * 0.8 + np.array(leaf) * 0.35
    blade: Colour = tuple(float(v) for v in np.clip(blade_mix * (0.8 if not snow else 0.6), 0, 1))  # type: ignore[assignment]
    tall = float(rng.uniform(0.08, 0.32) if woodland else rng.uniform(0.15, 0.55))
    masters = [
        draw_tuft(site.focal / 4.0, rng, blade, tall, int(rng.integers(18, 45))) for _ in range(5)
    ]
    amount = float(rng.uniform(0.1, 1.0)) * (0.35 if snow else 1.0)
    for _ in range(int(150 * amount)):
        depth = float(np.exp(rng.uniform(np.log(max(1.8, near)), np.log(22))))
        put(
            _scaled(masters[rng.integers(5)], 4.0 / depth * float(rng.uniform(0.6, 1.25)), rng),
            float(rng.uniform(0, w)),
            depth,
        )
    for _ in range(int(rng.poisson(7 * amount))):  # blades right in front of the lens
        depth = float(rng.uniform(0.75, 1.0)) * near
        blurred = _scaled(masters[rng.integers(5)], 4.0 / max(depth, 1.2), rng)
        blurred.rgba = _soften(blurred.rgba, 0.0016 * w)
        x = float(rng.choice([rng.uniform(0, 0.3), rng.uniform(0.7, 1.0), rng.uniform(0, 1)])) * w
        props.append((blurred, x, site.height * float(rng.uniform(0.99, 1.08)), depth))
    if rng.random() < 0.22:  # a twig across a corner of the picture
        twig = draw_bush(site.focal / 1.2, rng, leaf, 0.5, 0.4, 0.05)
        twig.rgba = _soften(twig.rgba, 0.004 * w)
        corner = float(rng.choice([-0.03, 1.03])) * w
        props.append((twig, corner, site.height * float(rng.uniform(0.15, 0.35)), 0.9 * near))
    return sorted(props, key=lambda prop: -prop[3])


def _scaled(sprite: Sprite, factor: float, rng: Rng) -> Sprite:
    h, w = sprite.rgba.shape[:2]
    size = (max(int(w * factor), 2), max(int(h * factor), 2))
    rgba = cv2.resize(
        sprite.rgba, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    )
    if rng.random() < 0.5:
        rgba = np.ascontiguousarray(rgba[:, ::-1])
    tone = float(rng.uniform(0.78, 1.18))
    rgba = np.dstack([np.clip(rgba[..., :3] * tone, 0, 1), rgba[..., 3]])
    return Sprite(rgba, size[0] / 2, size[1] - 1.0)


def _soften(rgba: Array, sigma: float) -> Array:
    margin = int(3 * sigma) + 1
    padded = np.pad(rgba, ((margin, 0), (0, 0), (0, 0)))
    padded[..., :3] *= padded[..., 3:]
    padded = cv2.GaussianBlur(padded, (0, 0), max(sigma, 0.5))
    padded[..., :3] /= np.maximum(padded[..., 3:], 1e-3)
    return np.clip(padded[margin:], 0, 1)


# --- taking a picture -----------------------------------------------------------------------


@dataclass(frozen=True)
class Conditions:
    """The circumstances that the frames of one burst share.

    Attributes:
        night: Infrared flash in the dark.
        time: The time of the first frame.
        temperature: Degrees Celsius.
        exposure: Brightness of the picture.
        tint: Color balance, RGB factors.
        seed: The seed of lens and sensor.
    """

    night: bool
    time: dt.datetime
    temperature: int
    exposure: float
    tint: Colour
    seed: int


def make_conditions(rng: Rng, night: bool) -> Conditions:
    """Random circumstances of a picture by day or by night."""
    day = dt.datetime(2021, 1, 1) + dt.timedelta(days=int(rng.integers(0, 1400)))
    hour = float(rng.uniform(7.5, 17)) if not night else float(rng.uniform(20.5, 28.5))
    time = day + dt.timedelta(seconds=int(hour * 3600))
    warm = float(rng.normal(0, 0.05))
    return Conditions(
        night, time, int(rng.integers(-4, 31)), float(rng.uniform(0.78, 1.22)),
        (1 + warm, 1.0, 1 - warm), int(rng.integers(2**31)),
    )  # fmt: skip


def shoot(
    site: Site, actors: Sequence[Actor], conditions: Conditions, seconds: float = 0.0
) -> Scene:
    """Takes one picture.

    Args:
        site: The camera.
        actors: What is in front of it.
        conditions: Light, time and sensor.
        seconds: Time since the first frame of the burst.
    """
    rng = np.random.default_rng([conditions.seed, int(seconds * 1000)])
    light = Light(flash=True) if conditions.night else site._cache["light"]
    assert isinstance(light, Light)
    image = site.background.copy()
    depth = site.depth.copy()
    queue: list[tuple[float, Sprite, float, float, Actor | None]] = [
        (far, sprite, x, y, None) for sprite, x, y, far in site.props
    ]
    for actor in actors:
        sprite = _draw(actor, site.focal / actor.depth, light)
        queue.append((actor.depth, sprite, actor.x * site.width, site.row(actor.depth), actor))
    queue.sort(key=lambda item: -item[0])

    shown: list[tuple[Actor, Array, float]] = []
    glow: list[tuple[float, float, float, float]] = []
    for far, sprite, x, y, actor in queue:
        if actor is not None and not conditions.night:
            _shadow(image, x, y, sprite)
        covered = paste(image, sprite, x, y)
        if covered is None:
            continue
        rows, columns, alpha = covered
        patch = depth[rows, columns]
        patch += (far - patch) * (alpha > 0.4)
        for _, mask, _ in shown:
            mask[rows, columns] *= 1 - alpha
        if actor is not None:
            mask = np.zeros((site.height, site.width), np.float32)
            mask[rows, columns] = alpha
            shown.append((actor, mask, float(sprite.rgba[..., 3].sum())))
            glow += [
                (x + ex - sprite.x, y + ey - sprite.y, far, len(shown) - 1)
                for ex, ey in sprite.eyes
            ]

    if not conditions.night:
        image = _expose_day(site, image, depth, conditions)
    else:
        subject = min((actor.depth for actor in actors), default=0.0)
        image = _expose_night(site, image, depth, conditions, rng, subject)
        for ex, ey, far, k in glow:
            row, column = int(ey), int(ex)
            inside = 0 <= row < site.height and 0 <= column < site.width
            if inside and shown[int(k)][1][row, column] > 0.5 and rng.random() < 0.7:
                radius = int(np.clip(0.011 * site.focal / far, 1, 7))
                cv2.circle(image, (column, row), radius, (1.0, 1.0, 1.0), -1, cv2.LINE_AA)
    image = _sensor(site, image, conditions, rng)
    strip = round(STRIP * site.height)
    time = conditions.time + dt.timedelta(seconds=seconds)
    finished = _caption(site, image, conditions, time)
    things = []
    for actor, mask, whole in shown:
        mask[site.height - strip :] = 0
        seen = mask > 0.35
        if not seen.any():
            continue
        # A few stray pixels between leaves do not count.
        columns, rows = np.flatnonzero(seen.sum(0) > 1), np.flatnonzero(seen.sum(1) > 1)
        if not (len(columns) and len(rows)):
            continue
        box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
        things.append(Thing(actor.category, actor.label, box, float(mask.sum()) / max(whole, 1.0)))
    label = things[0].label if things else "blank"
    return Scene(finished, tuple(things), label, time, conditions.night, site.name)


def _draw(actor: Actor, pixels: float, light: Light) -> Sprite:
    if actor.category == "animal":
        return draw_animal(KINDS[actor.label], actor.height, actor.pose, pixels, actor.seed, light)
    if actor.category == "person":
        return draw_person(pixels, actor.seed, light, actor.pose.stride, actor.pose.squeeze)
    return draw_vehicle(pixels, actor.seed, light, actor.pose.squeeze)


def _shadow(image: Array, x: float, y: float, sprite: Sprite) -> None:
    """Darkens the ground under something, softly."""
    half = 0.42 * sprite.rgba.shape[1]
    flat = max(0.05 * sprite.rgba.shape[0], 3)
    middle = x - sprite.x + sprite.rgba.shape[1] / 2
    y0, y1 = int(max(y - 3 * flat, 0)), int(min(y + 3 * flat, image.shape[0]))
    x0, x1 = int(max(middle - 2 * half, 0)), int(min(middle + 2 * half, image.shape[1]))
    if y0 >= y1 or x0 >= x1:
        return
    rows, columns = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    distance = ((columns - middle) / half) ** 2 + ((rows - y) / flat) ** 2
    image[y0:y1, x0:x1] *= (1 - 0.5 * np.exp(-1.2 * distance))[..., None]


def _expose_day(site: Site, image: Array, depth: Array, c: Conditions) -> Array:
    veil = (1 - np.exp(-np.maximum(depth - 6, 0) / 170))[..., None]
    image = image + (np.array(site.haze, np.float32) - image) * veil
    return np.clip(image * c.exposure * np.array(c.tint, np.float32), 0, 1)


def _expose_night(
    site: Site, image: Array, depth: Array, c: Conditions, rng: Rng, subject: float
) -> Array:
    """What an infrared flash shows: near things bright, the rest black, no color.

    ``subject`` is the distance in meters of the nearest actor (0: there is none).
    """
    # Fur and leaves that look dark to the eye still reflect some infrared.
    mono = 0.05 + 0.92 * (image @ np.array([0.42, 0.40, 0.18], np.float32))
    reach = float(rng.uniform(4.5, 10.0)) * (1.0 if site.biome == "woodland" else 1.7)
    reach = max(reach, 0.8 * subject)  # cameras brighten the picture for a distant subject
    falloff = np.clip((reach / np.maximum(depth, 1.0)) ** 1.35, 0.035, 1.25)
    rows, columns = np.mgrid[0 : site.height, 0 : site.width].astype(np.float32)
    cx = site.width * (0.5 + 0.0006 * (c.seed % 100 - 50))
    radius = ((columns - cx) / (0.62 * site.width)) ** 2 + (
        (rows - 0.52 * site.height) / (0.66 * site.height)
    ) ** 2
    beam = np.exp(-0.9 * radius)
    mono = mono * falloff * (0.15 + beam) * c.exposure * 1.15
    sky = rows < site.horizon * 0.9
    mono = np.where(sky & (depth > 60), mono * 0.25, mono)
    mono = np.where(mono > 0.6, 0.6 + 0.38 * np.tanh((mono - 0.6) / 0.4), mono)
    return np.repeat(np.clip(mono, 0, 1)[..., None], 3, 2)


def _sensor(site: Site, image: Array, c: Conditions, rng: Rng) -> NDArray[Any]:
    """Lens blur, dark corners and noise."""
    fixed = np.random.default_rng([c.seed, 5])
    image = cv2.GaussianBlur(image, (0, 0), float(fixed.uniform(0.45, 1.15)) * site.width / 1280)
    h, w = image.shape[:2]
    strength = float(fixed.uniform(0.012, 0.035) if c.night else fixed.uniform(0.004, 0.016))
    grain = strength * rng.standard_normal((h, w, 1), np.float32)
    if not c.night:
        spots = 0.5 * strength * rng.standard_normal((h // 2, w // 2, 3), np.float32)
        grain = grain + cv2.resize(spots, (w, h), interpolation=cv2.INTER_NEAREST)
    else:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None] * 1.8
    x = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    y = np.linspace(-1, 1, h, dtype=np.float32)[:, None, None]
    corners = 1 - float(fixed.uniform(0.03, 0.16)) * (x * x + y * y)
    return (np.clip(image * corners + grain, 0, 1) * 255 + 0.5).astype(np.uint8)


def _caption(site: Site, image: NDArray[Any], c: Conditions, time: dt.datetime) -> NDArray[Any]:
    """The black strip with date, time, temperature and the camera's name."""
    strip = round(STRIP * site.height)
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([0, site.height - strip, site.width, site.height], fill=(0, 0, 0))
    font = ImageFont.load_default(size=0.66 * strip)
    y = site.height - 0.5 * strip
    fahrenheit = round(c.temperature * 9 / 5 + 32)
    if site.strip == 0:
        texts = [
            (0.02, "lm", f"{time:%Y-%m-%d  %H:%M:%S}"),
            (0.5, "mm", f"{c.temperature}°C"),
            (0.98, "rm", site.name),
        ]
    elif site.strip == 1:
        texts = [(0.02, "lm", f"{site.name}"), (0.55, "mm", f"{fahrenheit}°F  {c.temperature}°C"),
                 (0.98, "rm", f"{time:%m/%d/%Y  %I:%M:%S %p}")]  # fmt: skip
    else:
        texts = [
            (0.02, "lm", f"{c.temperature}°C ●"),
            (0.5, "mm", f"{time:%d.%m.%Y  %H:%M:%S}"),
            (0.98, "rm", site.name),
        ]
    for x, anchor, text in texts:
        draw.text((x * site.width, y), text.replace("●", "o"), (235, 235, 235), font, anchor=anchor)
    return np.asarray(picture)


# --- who walks past -------------------------------------------------------------------------


def _place(site: Site, rng: Rng, meters: float, pixels: float) -> float:
    """The distance on the ground at which something of this height covers about this many rows."""
    nearest = site.depth_of(0.93 * (1 - STRIP) * site.height)
    return float(np.clip(site.focal * meters / pixels, nearest, 45.0))


def random_actor(site: Site, rng: Rng, label: str, pixels: float | None = None) -> Actor:
    """Something with this label at a random place in front of the camera.

    Args:
        site: The camera.
        rng: Source of randomness.
        label: Kind of animal, human or vehicle.
        pixels: Rows that it should cover (to the shoulder).
    """
    share = float(np.exp(rng.uniform(np.log(0.075), np.log(0.52))))
    x = float(rng.uniform(0.08, 0.92))
    seed = int(rng.integers(2**31))
    if label == "human":
        pixels = pixels or site.height * float(np.exp(rng.uniform(np.log(0.16), np.log(0.85))))
        squeeze = float(rng.uniform(0.75, 1.0) * rng.choice([-1, 1]))
        pose = Pose(stride=float(rng.uniform(0, 2 * np.pi)), squeeze=squeeze)
        return Actor("person", label, x, _place(site, rng, 1.72, pixels), 1.72, pose, seed)
    if label == "vehicle":
        pixels = pixels or site.height * float(np.exp(rng.uniform(np.log(0.08), np.log(0.45))))
        pose = Pose(squeeze=float(rng.uniform(0.6, 1.0) * rng.choice([-1, 1])))
        return Actor("vehicle", label, x, _place(site, rng, 1.7, pixels), 1.7, pose, seed)
    kind = KINDS[label]
    height = float(rng.uniform(*kind.height))
    if label == "giraffe":
        share *= 0.6
    depth = _place(site, rng, height, pixels or share * site.height)
    return Actor("animal", label, x, depth, height, random_pose(kind, rng), seed)


def random_scene(
    seed: int, label: str, site: Site | None = None, night: bool | None = None
) -> Scene:
    """One picture of a label (a kind of animal, human, vehicle or blank).

    Args:
        seed: Decides everything that is not given.
        label: What it shows.
        site: The camera; a new one by default.
        night: Whether it is taken at night.
    """
    rng = np.random.default_rng([seed, 23])
    if site is None:
        biome = KINDS[label].biome if label in KINDS else None
        site = make_site(seed, biome)
    if night is None:
        share = (
            KINDS[label].nocturnal
            if label in KINDS
            else {"human": 0.3, "vehicle": 0.3}.get(label, 0.42)
        )
        night = bool(rng.random() < share)
    conditions = make_conditions(rng, night)
    if label == "blank":
        return shoot(site, [], conditions)
    for attempt in range(8):
        count = (
            1 if label in ("human", "vehicle") or rng.random() < 0.72 else int(rng.integers(2, 4))
        )
        if label == "human" and rng.random() < 0.2:
            count = 2
        actors = [random_actor(site, rng, label) for _ in range(count)]
        if count > 1:
            actors = [actors[0], *(_beside(site, rng, actors[0], other) for other in actors[1:])]
        scene = shoot(site, actors, conditions)
        if _good(scene, count) or attempt == 7:
            return scene
    raise AssertionError


def _beside(site: Site, rng: Rng, first: Actor, other: Actor) -> Actor:
    """Moves the second actor to about the distance of the first, as in a herd."""
    depth = float(
        np.clip(first.depth * rng.uniform(0.8, 1.5), site.depth_of(0.9 * site.height), 45)
    )
    return Actor(other.category, other.label, other.x, depth, other.height, other.pose, other.seed)


def _good(scene: Scene, count: int) -> bool:
    """Whether everything is visible enough, and neither too small nor too large."""
    if len(scene.things) < count:
        return False
    h, w = scene.image.shape[:2]
    for thing in scene.things:
        x0, y0, x1, y1 = thing.box
        tall, wide = (y1 - y0) / h, (x1 - x0) / w
        if thing.visible < MIN_VISIBLE or tall < 0.05 or wide < 0.03 or tall > 0.97 or wide > 0.97:
            return False
    return True


def burst(
    seed: int, label: str, site: Site | None = None, night: bool | None = None, frames: int = 3
) -> list[Scene]:
    """Pictures from one camera, one or two seconds apart, in which the animal keeps walking.

    Args:
        seed: Decides everything that is not given.
        label: A kind of animal, human or vehicle.
        site: The camera; a new one by default.
        night: Whether it is night.
        frames: The number of pictures.
    """
    rng = np.random.default_rng([seed, 31])
    if site is None:
        site = make_site(seed, KINDS[label].biome if label in KINDS else None)
    conditions = make_conditions(rng, bool(rng.random() < 0.5) if night is None else night)
    take = partial(shoot, site, conditions=conditions)
    scenes: list[Scene] = []
    for attempt in range(12):
        actor = random_actor(site, rng, label, float(rng.uniform(0.14, 0.30)) * site.height)
        heading = float(np.sign(actor.pose.squeeze))
        start = 0.5 - heading * float(rng.uniform(0.12, 0.3))
        pace = (
            heading
            * float(rng.uniform(0.45, 0.9))
            * site.focal
            / actor.depth
            / site.width
            * actor.height
        )
        gap = float(rng.choice([1.0, 2.0]))
        scenes = [
            take([_moved(actor, start + pace * gap * k, k)], seconds=gap * k) for k in range(frames)
        ]
        if all(_good(scene, 1) for scene in scenes) or attempt == 11:
            break
    return scenes


def herd(seed: int, labels: Sequence[str], frames: int = 4) -> list[Scene]:
    """Pictures from one camera, one or two seconds apart, of several animals; some walk, some graze.

    Args:
        seed: Decides everything else.
        labels: The kinds of animals, which live in the same kind of place.
        frames: The number of pictures.
    """
    rng = np.random.default_rng([seed, 37])
    site = make_site(seed, KINDS[labels[0]].biome)
    conditions = make_conditions(rng, bool(rng.random() < 0.4))
    gap = float(rng.choice([1.0, 2.0]))
    actors: list[Actor] = []
    paces: list[float] = []
    for _ in range(4):
        sizes = np.exp(rng.uniform(np.log(0.06), np.log(0.30), len(labels))) * site.height
        actors = [
            random_actor(site, rng, label, float(size))
            for label, size in zip(labels, sizes, strict=True)
        ]
        columns = rng.permutation((np.arange(len(labels)) + rng.uniform(0.2, 0.8)) / len(labels))
        starts = 0.12 + 0.76 * columns + rng.normal(0, 0.03, len(labels))
        actors = [_moved(actor, float(x), 0) for actor, x in zip(actors, starts, strict=True)]
        paces = [
            float(np.sign(actor.pose.squeeze) * rng.uniform(0.2, 0.7) * (rng.random() < 0.6))
            * actor.height * site.focal / actor.depth / site.width
            for actor in actors
        ]  # fmt: skip
        first = shoot(site, actors, conditions)
        if sum(thing.visible >= MIN_VISIBLE for thing in first.things) >= max(2, len(labels) - 1):
            break
    scenes = []
    for k in range(frames):
        moved = [
            _moved(actor, actor.x + pace * gap * k, k if pace else 0)
            for actor, pace in zip(actors, paces, strict=True)
        ]
        scenes.append(shoot(site, moved, conditions, gap * k))
    return scenes


def _moved(actor: Actor, x: float, step: int) -> Actor:
    pose = actor.pose
    walked = Pose(
        pose.stride + 1.9 * step,
        max(pose.gait, 12.0),
        pose.head,
        pose.squeeze,
        pose.tilt,
        pose.variant,
    )
    return Actor(actor.category, actor.label, x, actor.depth, actor.height, walked, actor.seed)


LABELS: tuple[str, ...] = ("blank", "human", "vehicle", *KINDS)

"""People, vehicles, and objects of the landscape."""

from __future__ import annotations

import cv2
import numpy as np

from demo.sprites import (
    Array,
    Canvas,
    Colour,
    Light,
    Part,
    Rng,
    Sprite,
    ellipse,
    limb,
    noise,
    render,
    smooth,
    turned,
)

_JACKETS: tuple[Colour, ...] = (
    (0.75, 0.16, 0.13), (0.16, 0.26, 0.52), (0.90, 0.45, 0.08), (0.25, 0.33, 0.20),
        (0.80, 0.80, 0.22),
    (0.14, 0.14, 0.16), (0.55, 0.52, 0.48), (0.36, 0.24, 0.45), (0.17, 0.48, 0.50),
        (0.86, 0.86, 0.86),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    (0.15, 0.18, 0.28), (0.30, 0.27, 0.20), (0.12, 0.12, 0.12), (0.40, 0.36, 0.28),
        (0.24, 0.27, 0.20),
)  # fmt: skip
_SKINS: tuple[Colour, ...] = (
    (0.85, 0.65, 0.53),
    (0.70, 0.49, 0.36),
    (0.45, 0.29, 0.20),
    (0.31, 0.20, 0.14),
)
_PAINTS: tuple[Colour, ...] = (
    (0.80, 0.81, 0.82), (0.55, 0.10, 0.09), (0.12, 0.20, 0.38), (0.08, 0.08, 0.09),
        (0.42, 0.44, 0.45),
    (0.24, 0.32, 0.22), (0.66, 0.56, 0.38), (0.85, 0.83, 0.76), (0.70, 0.42, 0.10),
)  # fmt: skip


def _dark(colour: Colour, by: float) -> Colour:
    return tuple(v * (1 - by) for v in colour)  # type: ignore[return-value]


def draw_person(pixels: float, seed: int, light: Light, stride: float, squeeze: float) -> Sprite:
    """A walking or standing person, about 1.7 m tall, facing right.

    Args:
        pixels: Pixels per meter.
        seed: The seed of the individual: clothes, hair, load.
        light: Where the light comes from.
        stride: Phase of the walk in radians.
        squeeze: Foreshortening; negative faces left.
    """
    rng = np.random.default_rng(seed)
    jacket = _JACKETS[rng.integers(len(_JACKETS))]
    trousers = _TROUSERS[rng.integers(len(_TROUSERS))]
    skin = _SKINS[rng.integers(len(_SKINS))]
    hair: Colour = ((0.10, 0.07, 0.05), (0.35, 0.22, 0.11), (0.6, 0.5, 0.3), (0.5, 0.5, 0.5))[
        rng.integers(4)
    ]
    build = float(rng.uniform(0.85, 1.2))
    swing = float(rng.choice([5.0, 22.0])) * np.sin(stride)
    boot: Colour = (0.13, 0.10, 0.08)

    def leg(degrees: float, colour: Colour, layer: int) -> list[Part]:
        points = turned([(0.0, 0.90), (0.02, 0.50), (0.0, 0.10)], degrees, (0, 0.9))
        if degrees < 0:
            points[2] = turned([points[2]], degrees * 0.9, points[1])[0]
        foot = points[2]
        shoe = limb([np.add(foot, (-0.02, -0.02)), np.add(foot, (0.14, -0.06))], (0.06, 0.045))
        return [
            Part(shoe, boot, "shoe", 0.6, layer),
            Part(limb(points, (0.115 * build, 0.085 * build, 0.062)), colour, "leg", 0.6, layer),
        ]

    def arm(degrees: float, colour: Colour, layer: int) -> list[Part]:
        points = turned([(-0.01, 1.40), (-0.03, 1.13), (0.05, 0.90)], degrees, (0, 1.4))
        return [
            Part(
                ellipse(points[2, 0] + 0.01, points[2, 1] - 0.04, 0.045, 0.06),
                skin,
                "hand",
                0.6,
                layer,
            ),
            Part(limb(points, (0.075 * build, 0.06, 0.045)), colour, "arm", 0.6, layer),
        ]

    wide = 0.165 * build
    parts = [
        *arm(swing, _dark(jacket, 0.3), -2),
        *leg(-swing, _dark(trousers, 0.3), -1),
        *leg(swing, trousers, 0),
        Part(limb([(0.0, 1.45), (0.02, 1.60)], (0.065, 0.06)), skin, "neck", 0.6, 0),
        Part(
            smooth([(-wide, 0.86), (-wide * 1.08, 1.15), (-wide * 1.12, 1.40), (-0.06, 1.50),
                (0.07, 1.49),
                    (wide, 1.38), (wide * 1.05, 1.12), (wide, 0.86), (0, 0.83)]),
            jacket, "jacket", 0.5, 1,
        ),
        *arm(-swing, jacket, 3),
        Part(ellipse(0.03, 1.66, 0.095, 0.125), skin, "head", 0.6, 4),
        Part(ellipse(0.122, 1.645, 0.022, 0.022), skin, "nose", 0.6, 4),
        Part(smooth([(0.10, 1.73), (0.04, 1.80), (-0.06, 1.78), (-0.10, 1.68), (-0.08, 1.57),
            (-0.03, 1.62),
                     (-0.005, 1.71)]), hair, "hair", 0.4, 5),
    ]  # fmt: skip
    hat = rng.random()
    if hat < 0.5:
        colour = _JACKETS[rng.integers(len(_JACKETS))]
        parts.append(Part(smooth([(-0.085, 1.70), (-0.07, 1.80), (0.03, 1.825), (0.11, 1.78),
            (0.125, 1.70)]),
                          colour, "hat", 0.5, 6))  # fmt: skip
        brim = [(-0.16, 1.70), (0.2, 1.695)] if hat < 0.2 else [(0.05, 1.70), (0.20, 1.69)]
        parts.append(Part(limb(brim, (0.016, 0.014)), _dark(colour, 0.15), "brim", 0.4, 6))
    if rng.random() < 0.45:
        pack = _JACKETS[rng.integers(len(_JACKETS))]
        parts.append(Part(smooth([(-0.12, 1.0), (-0.13, 1.44), (-0.27, 1.46), (-0.36, 1.28),
            (-0.34, 1.0)]),
                          pack, "pack", 0.5, 2))  # fmt: skip
    if rng.random() < 0.3:
        parts.append(
            Part(
                limb([(0.16, 1.0), (0.22, 0.02)], (0.012, 0.012)),
                (0.35, 0.25, 0.15),
                "stick",
                0.4,
                4,
            )
        )
    vest = rng.random() < 0.2

    def paint(albedo: Array, c: Canvas) -> None:
        if vest:
            body = c.where("jacket")
            albedo[body] = (0.88, 0.80, 0.10)
            albedo[body & (np.abs(c.y - 1.08) < 0.028)] = (0.92, 0.92, 0.92)
        folds = noise(rng, c.x.shape, max(0.12 * c.pixels_per_metre, 3), 2)
        albedo *= 1 + 0.13 * folds[..., None]

    return render(
        parts, pixels * float(rng.uniform(0.9, 1.06)), rng, light, paint, fur=0.025, fuzz=0.0,
            squeeze=squeeze,
        tilt=float(rng.normal(0, 1.5)),
    )  # fmt: skip


def draw_vehicle(pixels: float, seed: int, light: Light, squeeze: float) -> Sprite:
    """A car, pickup, van or off-roader from the side, facing right; arguments as for draw_person."""
    rng = np.random.default_rng(seed)
    body_colour = _PAINTS[rng.integers(len(_PAINTS))]
    glass: Colour = (0.13, 0.16, 0.19)
    trim: Colour = (0.07, 0.07, 0.075)
    kind = int(rng.integers(4))
    floor = 0.36 if kind != 0 else 0.26
    if kind == 0:  # saloon
        body = [(-2.2, floor), (-2.25, 0.85), (-1.6, 0.98), (-1.0, 1.42), (0.2, 1.45), (0.95, 1.0),
            (1.95, 0.88),
                (2.2, 0.66), (2.2, floor)]  # fmt: skip
        windows = [[(-1.42, 0.98), (-0.92, 1.35), (-0.35, 1.38), (-0.35, 0.98)],
                   [(-0.27, 0.98), (-0.27, 1.38), (0.17, 1.38), (0.75, 0.98)]]  # fmt: skip
        wheel, axles = 0.32, (-1.35, 1.38)
    elif kind == 1:  # pickup
        body = [(-2.55, floor + 0.1), (-2.55, 1.08), (-0.62, 1.08), (-0.48, 1.72), (0.62, 1.74),
            (1.12, 1.16),
                (2.3, 1.08), (2.45, 0.85), (2.42, floor)]  # fmt: skip
        windows = [[(-0.45, 1.14), (-0.36, 1.63), (0.05, 1.64), (0.05, 1.14)],
                   [(0.13, 1.14), (0.13, 1.64), (0.57, 1.64), (0.95, 1.16)]]  # fmt: skip
        wheel, axles = 0.40, (-1.6, 1.55)
    elif kind == 2:  # van
        body = [(-2.4, floor), (-2.42, 1.98), (-2.2, 2.06), (0.95, 2.06), (1.65, 1.35),
            (2.25, 1.12), (2.35, 0.8),
                (2.35, floor)]  # fmt: skip
        windows = [[(-0.0, 1.32), (-0.0, 1.88), (0.5, 1.88), (0.5, 1.32)],
                   [(0.6, 1.32), (0.6, 1.88), (0.92, 1.88), (1.42, 1.32)]]  # fmt: skip
        wheel, axles = 0.36, (-1.5, 1.5)
    else:  # off-roader
        body = [(-2.15, floor + 0.1), (-2.2, 1.15), (-2.08, 1.82), (-1.95, 1.9), (0.45, 1.88),
            (0.85, 1.22),
                (2.05, 1.15), (2.2, 0.9), (2.18, floor + 0.05)]  # fmt: skip
        windows = [[(-1.95, 1.22), (-1.9, 1.76), (-1.25, 1.77), (-1.25, 1.22)],
                   [(-1.15, 1.22), (-1.15, 1.77), (-0.4, 1.77), (-0.4, 1.22)],
                   [(-0.3, 1.22), (-0.3, 1.77), (0.38, 1.75), (0.68, 1.24)]]  # fmt: skip
        wheel, axles = 0.42, (-1.35, 1.35)
    front = body[-1][0]

    def block(points: list[tuple[float, float]]) -> Array:
        """The outline with slightly rounded corners."""
        p = np.asarray(points, np.float32)
        cut = np.stack([p * 0.88 + np.roll(p, 1, 0) * 0.12, p * 0.88 + np.roll(p, -1, 0) * 0.12], 1)
        return cut.reshape(-1, 2)

    parts = [
        Part(
            block([(-2.1, 0.22), (-2.1, 0.5), (2.1, 0.5), (2.1, 0.22)]),
            (0.03, 0.03, 0.03),
            "under",
            0.1,
            -2,
        )
    ]
    for x in axles:
        parts.append(
            Part(
                ellipse(x + 0.12, wheel + 0.03, wheel, wheel),
                (0.02, 0.02, 0.02),
                "tyre_far",
                0.1,
                -1,
            )
        )
    parts.append(Part(block(body), body_colour, "body", 0.10, 0))
    for window in windows:
        parts.append(Part(block(window), glass, "glass", 0.05, 1))
    for x in axles:
        parts.append(
            Part(ellipse(x, wheel + 0.02, wheel * 1.22, wheel * 1.22), trim, "arch", 0.05, 1)
        )
        parts.append(Part(ellipse(x, wheel, wheel, wheel), (0.06, 0.06, 0.06), "tyre", 0.25, 2))
        parts.append(
            Part(ellipse(x, wheel, wheel * 0.62, wheel * 0.62), (0.50, 0.51, 0.52), "rim", 0.2, 3)
        )
        parts.append(
            Part(ellipse(x, wheel, wheel * 0.2, wheel * 0.2), (0.2, 0.2, 0.2), "hub", 0.2, 4)
        )
    lamp = 0.78 if kind == 0 else 0.98
    parts += [
        Part(ellipse(front - 0.16, lamp, 0.12, 0.075), (0.92, 0.90, 0.80), "lamp", 0.3, 2),
        Part(ellipse(body[0][0] + 0.07, lamp, 0.055, 0.12),
            (0.62, 0.05, 0.05), "tail_lamp", 0.3, 2),
        Part(block([(front - 0.35, floor), (front - 0.35, floor + 0.16),
            (front + 0.05, floor + 0.16),
                    (front + 0.05, floor)]), trim, "bumper", 0.2, 2),
        Part(block([(body[0][0] - 0.04, floor + 0.08), (body[0][0] - 0.04, floor + 0.22),
                    (body[0][0] + 0.3, floor + 0.22), (body[0][0] + 0.3, floor + 0.08)]), trim,
                        "bumper", 0.2, 2),
    ]  # fmt: skip
    doors = [windows[-1][0][0] - 0.04, windows[-1][-1][0] - 0.1]

    def paint(albedo: Array, c: Canvas) -> None:
        shell = c.where("body")
        sheen = np.clip((c.y - 0.5) / 1.2, 0, 1)
        albedo *= np.where(shell, 0.72 + 0.42 * sheen, 1)[..., None].astype(np.float32)
        for x in doors:
            albedo[shell & (np.abs(c.x - x) < 0.016)] *= 0.35
        albedo[shell & (np.abs(c.x - doors[0] - 0.16) < 0.07) & (np.abs(c.y - 1.02) < 0.018)] = trim
        glassy = c.where("glass")
        shine = np.sin((c.x + 0.8 * c.y) * 2.2) > 0.55
        albedo[glassy & shine] += 0.12
        mud = noise(rng, c.x.shape, max(0.25 * c.pixels_per_metre, 3), 3)
        dirty = np.clip((0.8 - c.y) * 1.2 + 0.5 * mud, 0, 0.75) * (shell | c.where("tyre"))
        albedo += (np.array([0.36, 0.29, 0.21], np.float32) - albedo) * dirty[..., None].astype(
            np.float32
        )

    return render(
        parts,
        pixels,
        rng,
        light,
        paint,
        fur=0.012,
        fuzz=0.0,
        squeeze=squeeze,
        tilt=float(rng.normal(0, 0.8)),
    )


# --- landscape ------------------------------------------------------------------------------


def draw_trunk(
    pixels: float, rng: Rng, light: Light, radius: float, bark: Colour, height: float
) -> Sprite:
    """A tree trunk that leaves the picture at the top; radius and height in meters."""
    lean = float(rng.normal(0, 0.04))
    top = [(0.35 * lean * height, 0.35 * height), (lean * height, height)]
    parts = [
        Part(
            limb([(0, -0.02 * height), (0.02 * radius, 0.04 * height), *top],
                 (1.25 * radius, 1.03 * radius, 0.95 * radius, 0.7 * radius)),
            bark, "trunk", 1.0, 1,
        )
    ]  # fmt: skip
    for _ in range(int(rng.integers(0, 3))):
        y = float(rng.uniform(0.3, 0.8)) * height
        side = float(rng.choice([-1, 1]))
        reach = float(rng.uniform(0.3, 1.2))
        line = [
            (lean * y, y),
            (lean * y + side * reach * 0.5, y + 0.2 * reach),
            (side * reach, y + 0.5 * reach),
        ]
        parts.append(
            Part(limb(line, (0.25 * radius, 0.16 * radius, 0.04 * radius)), bark, "branch", 0.9, 1)
        )

    def paint(albedo: Array, c: Canvas) -> None:
        rows, columns = c.x.shape
        cell = max(0.35 * radius * c.pixels_per_metre, 2.0)
        streaks = noise(rng, (max(rows // 5, 2), columns), cell, 3)
        streaks = cv2.resize(streaks, (columns, rows), interpolation=cv2.INTER_LINEAR)
        moss = noise(rng, (rows, columns), max(2.0 * radius * c.pixels_per_metre, 4), 3)
        albedo *= np.clip(1 + 0.75 * streaks, 0.3, 1.9)[..., None]
        green = np.clip(moss - 0.2, 0, 0.6)[..., None]
        albedo += (np.array([0.22, 0.30, 0.13], np.float32) - albedo) * green

    return render(parts, pixels, rng, light, paint, fur=0.10, fuzz=0.001)


def draw_rock(pixels: float, rng: Rng, light: Light, size: float) -> Sprite:
    """A boulder ``size`` meters wide."""
    angles = np.sort(rng.uniform(0, np.pi, 6))
    upper = [(0.5 * size * np.cos(a), size * rng.uniform(0.38, 0.55) * np.sin(a)) for a in angles]
    grey = float(rng.uniform(0.28, 0.5))
    colour: Colour = (grey * 1.04, grey, grey * 0.93)
    outline = smooth([(0.52 * size, -0.02 * size), *upper, (-0.52 * size, -0.02 * size)])

    def paint(albedo: Array, c: Canvas) -> None:
        stains = noise(rng, c.x.shape, max(0.3 * size * c.pixels_per_metre, 3), 4)
        albedo *= np.clip(1 + 0.4 * stains, 0.4, 1.6)[..., None]

    return render(
        [Part(outline, colour, "rock", 0.7)], pixels, rng, light, paint, fur=0.10, fuzz=0.006
    )


def draw_log(pixels: float, rng: Rng, light: Light, length: float) -> Sprite:
    """A fallen log; length in meters."""
    radius = length * float(rng.uniform(0.05, 0.09))
    rise = float(rng.normal(0, 0.05)) * length
    line = [(-0.5 * length, radius), (0, radius + 0.4 * rise), (0.5 * length, radius + abs(rise))]
    bark: Colour = tuple(float(v) for v in np.array([0.30, 0.23, 0.17]) * rng.uniform(0.6, 1.3))  # type: ignore[assignment]
    parts = [
        Part(limb(line, (radius, 0.95 * radius, 0.8 * radius)), bark, "log", 0.9),
        Part(
            ellipse(-0.5 * length - 0.3 * radius, radius, 0.55 * radius, radius),
            (0.58, 0.46, 0.32),
            "end",
            0.1,
            2,
        ),
    ]

    def paint(albedo: Array, c: Canvas) -> None:
        rows, columns = c.x.shape
        streaks = noise(
            rng, (rows, max(columns // 6, 2)), max(0.3 * radius * c.pixels_per_metre, 2), 3
        )
        albedo *= np.clip(1 + 0.6 * cv2.resize(streaks, (columns, rows)), 0.3, 1.7)[..., None]

    return render(parts, pixels, rng, light, paint, fur=0.10, fuzz=0.002)


def draw_bush(
    pixels: float, rng: Rng, leaf: Colour, width: float, height: float, leaf_size: float
) -> Sprite:
    """A shrub (or the crown of a tree) out of many leaves; sizes in meters."""
    w, h = int(width * pixels * 1.25) + 8, int(height * pixels * 1.2) + 8
    image = np.zeros((h, w, 4), np.float32)
    lobes = [
        (
            float(rng.uniform(0.25, 0.75)) * w,
            float(rng.uniform(0.3, 0.75)) * h,
            float(rng.uniform(0.2, 0.32)),
        )
        for _ in range(6)
    ]
    count = int(np.clip(2.2 * width * height / leaf_size**2, 80, 900))
    size = max(leaf_size * pixels, 1.2)
    for k in range(count):
        cx, cy, r = lobes[int(rng.integers(len(lobes)))]
        angle, distance = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        x = cx + np.cos(angle) * distance * r * w
        y = min(cy + np.sin(angle) * distance * r * h * 1.15, h - 2)
        height_share = 1 - y / h
        glow = (
            (0.45 + 0.75 * height_share) * float(rng.uniform(0.65, 1.25)) * (0.6 + 0.4 * k / count)
        )
        tint = np.clip(np.array(leaf) * glow, 0, 1)
        cv2.ellipse(
            image, (int(x * 8), int(y * 8)), (int(size * rng.uniform(3.2, 6.4)),
                int(size * rng.uniform(1.7, 3.4))),
            float(rng.uniform(0, 180)), 0, 360, (*(float(v) for v in tint), 1.0), -1, cv2.LINE_AA,
                3,
        )  # fmt: skip
    image[..., :3] /= np.maximum(image[..., 3:], 1e-3)
    return Sprite(np.clip(image, 0, 1), w / 2, h - 3.0)


def draw_tuft(pixels: float, rng: Rng, blade: Colour, height: float, count: int) -> Sprite:
    """A tuft of grass; height in meters."""
    over = 2
    h = int(height * pixels * 1.15) * over + 6
    w = int(height * pixels * 1.1) * over + 6
    image = np.zeros((h, w, 4), np.float32)
    for _ in range(count):
        root = np.array([w / 2 + rng.normal(0, 0.10 * w), h - 2])
        lean = rng.normal(0, 0.24)
        tall = h * rng.uniform(0.45, 0.95)
        tip = np.add(root, (lean * tall, -tall * np.cos(lean)))
        bend = np.add(root, (0.15 * lean * tall, -0.6 * tall))
        t = np.linspace(0, 1, 7)[:, None]
        spine = (1 - t) ** 2 * root + 2 * t * (1 - t) * bend + t**2 * tip
        half = np.linspace(max(0.012 * h, 0.9), 0.3, 7)[:, None] * [1, 0]
        outline = np.concatenate([spine - half, (spine + half)[::-1]])
        tint = np.clip(np.array(blade) * rng.uniform(0.55, 1.3), 0, 1)
        cv2.fillPoly(
            image,
            [np.round(outline * 8).astype(np.int32)],
            (*(float(v) for v in tint), 1.0),
            cv2.LINE_AA,
            3,
        )
    shade = np.linspace(1.1, 0.45, h, dtype=np.float32)[:, None, None]
    small = cv2.resize(image, (max(w // over, 2), max(h // over, 2)), interpolation=cv2.INTER_AREA)
    shade = cv2.resize(np.repeat(shade, w, 1)[..., 0], (small.shape[1], small.shape[0]))
    small[..., :3] = np.clip(
        small[..., :3] / np.maximum(small[..., 3:], 1e-3) * shade[..., None], 0, 1
    )
    return Sprite(small, small.shape[1] / 2, small.shape[0] - 1.0)

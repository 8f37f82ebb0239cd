"""Bodies and coats of the demo's ten kinds of animal, seen from the side, facing right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from demo.sprites import (
    Array,
    Canvas,
    Colour,
    Light,
    Part,
    Points,
    Rng,
    Sprite,
    ellipse,
    limb,
    mapped,
    noise,
    render,
    smooth,
    turned,
)


@dataclass(frozen=True)
class Pose:
    """How an animal stands.

    Attributes:
        stride: Phase of the walk in radians.
        gait: Swing of the legs in degrees (0: standing).
        head: Degrees by which the head is raised (positive) or lowered.
        squeeze: Foreshortening of the length in (0, 1]; negative faces left.
        tilt: Degrees by which the body leans, as on a slope.
        variant: Number that picks the individual: sex, shade, tail.
    """

    stride: float = 0.0
    gait: float = 15.0
    head: float = 0.0
    squeeze: float = 1.0
    tilt: float = 0.0
    variant: int = 0


@dataclass(frozen=True)
class Kind:
    """One kind of animal.

    Attributes:
        name: Common name, as in its label.
        biome: The kind of place that it lives in.
        height: Meters from the ground to the shoulder (limits).
        head_range: Limits of ``Pose.head`` in degrees.
        build: Makes the body of an individual whose shoulder is 1 high: pieces and eyes.
        paint: Markings.
        fur: Contrast of the coat.
        nocturnal: Share of its pictures taken at night.
    """

    name: str
    biome: str
    height: tuple[float, float]
    head_range: tuple[float, float]
    build: Callable[[Pose, Rng], tuple[list[Part], list[tuple[float, float]]]]
    paint: Callable[[Array, Canvas], None] | None
    fur: float
    nocturnal: float


def _mix(a: Colour, b: Colour, t: float) -> Colour:
    return tuple(x + (y - x) * t for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def _step(x: Array, edge: float, width: float) -> Array:
    """0 below the edge, 1 above it, smooth over the width."""
    t = np.clip((x - edge) / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _blend(albedo: Array, where: np.ndarray, colour: Colour, weight: Array | float = 1.0) -> None:
    share = where * weight
    albedo += (np.array(colour, np.float32) - albedo) * np.asarray(share, np.float32)[..., None]


def _leg(
    name: str,
    joints: Points,
    radii: tuple[float, ...],
    colour: Colour,
    pose: Pose,
    phase: float,
    far: bool,
) -> Part:
    """A leg that swings about its first joint; the foot is lifted as it moves forward."""
    swing = pose.gait * np.sin(pose.stride + phase)
    lift = pose.gait * 1.1 * max(0.0, float(np.cos(pose.stride + phase)))
    points = turned(joints, swing, joints[0])
    knee = len(joints) // 2
    points[knee:] = turned(points[knee:], -lift, points[knee])
    points[:, 1] += max(0.0, 0.015 - float(points[-1, 1]))
    if far:
        points[:, 0] += 0.05
        points[:, 1] += 0.02
        colour = _mix(colour, (0, 0, 0), 0.35)
    return Part(limb(points, radii), colour, name, 0.6, -1 if far else 1, points[[0, -1]])


def _legs(
    front: Points,
    front_radii: tuple[float, ...],
    hind: Points,
    hind_radii: tuple[float, ...],
    colour: Colour,
    pose: Pose,
) -> list[Part]:
    return [
        _leg("leg_hind_far", hind, hind_radii, colour, pose, 0.4, True),
        _leg("leg_front_far", front, front_radii, colour, pose, 3.6, True),
        _leg("leg_hind", hind, hind_radii, colour, pose, 3.5, False),
        _leg("leg_front", front, front_radii, colour, pose, 0.3, False),
    ]


def _place_head(parts: list[Part], at: Points | Array, degrees: float) -> list[Part]:
    """Head pieces drawn around the origin and looking along x, brought to the neck's end."""
    target = np.asarray(at, np.float32)
    return [mapped(p, lambda q: turned(q, degrees) + target) for p in parts]


def _at_head(point: tuple[float, float], at: Array, degrees: float) -> tuple[float, float]:
    x, y = turned([point], degrees)[0] + np.asarray(at, np.float32)
    return float(x), float(y)


def _neck(
    base: tuple[float, float],
    tip: tuple[float, float],
    raised: float,
    radii: tuple[float, float],
    colour: Colour,
    name: str = "neck",
) -> tuple[Part, Array]:
    """The neck turned about its base; also where it ends."""
    line = turned([base, tip], raised, base)
    middle = (line[0] * 0.5 + line[1] * 0.5) + [0.0, -0.02]
    outline = limb([line[0], middle, line[1]], (radii[0], sum(radii) * 0.47, radii[1]))
    return Part(outline, colour, name, 0.6, 1, line), line[1]


# --- hoofed animals -------------------------------------------------------------------------


def _deer(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    winter = (pose.variant // 2) % 2 == 0
    coat: Colour = (0.42, 0.33, 0.25) if winter else (0.56, 0.36, 0.20)
    white: Colour = (0.86, 0.83, 0.78)
    male = pose.variant % 3 == 0
    torso = [
        (-0.58, 0.90), (-0.32, 0.98), (0.0, 0.95), (0.28, 1.0), (0.46, 0.93), (0.54, 0.76),
        (0.45, 0.57), (0.18, 0.52), (-0.15, 0.54), (-0.36, 0.62), (-0.56, 0.62), (-0.65, 0.77),
    ]  # fmt: skip
    neck, tip = _neck((0.40, 0.80), (0.72, 1.26), pose.head, (0.185, 0.105), coat)
    look = -18 + 0.55 * pose.head
    head = [
        Part(ellipse(-0.07, 0.15, 0.055, 0.125, 28), _mix(coat, (0, 0, 0), 0.3), "ear_far", 0.3, 0),
        Part(
            smooth([(-0.12, 0.04), (-0.02, 0.11), (0.12, 0.09), (0.25, 0.045), (0.34, 0.03),
                    (0.37, -0.015), (0.33, -0.055), (0.2, -0.075), (0.05, -0.12), (-0.09, -0.1)]),
            coat, "head", 0.6, 3,
        ),
        Part(ellipse(0.355, 0.0, 0.024, 0.032), (0.04, 0.035, 0.03), "nose", 0.3, 4),
        Part(ellipse(0.28, -0.05, 0.075, 0.026, 8), white, "chin", 0.2, 4),
        Part(ellipse(0.08, 0.04, 0.022, 0.020), (0.03, 0.02, 0.02), "eye", 0.3, 4),
        Part(ellipse(-0.11, 0.14, 0.052, 0.135, 42), coat, "ear", 0.4, 4),
        Part(ellipse(-0.105, 0.135, 0.026, 0.095, 42), (0.75, 0.66, 0.58), "ear_in", 0.2, 5),
    ]  # fmt: skip
    if male:
        bone: Colour = (0.62, 0.50, 0.36)
        beam = [(-0.01, 0.09), (-0.09, 0.26), (0.0, 0.44), (0.17, 0.52)]
        for dx, layer in ((0.05, 0), (0.0, 5)):
            shifted = [(x + dx, y) for x, y in beam]
            head.append(
                Part(limb(shifted, (0.026, 0.022, 0.018, 0.008)), bone, "antler", 0.5, layer)
            )
            for k, (x, y) in enumerate([(-0.08, 0.28), (-0.03, 0.40), (0.06, 0.47)]):
                tine = [(x + dx, y), (x + dx + 0.03, y + 0.1), (x + dx + 0.06, y + 0.17 - 0.02 * k)]
                head.append(Part(limb(tine, (0.017, 0.013, 0.006)), bone, "antler", 0.5, layer))
    raised_tail = pose.variant % 5 == 0
    tail_line = [(-0.60, 0.86), (-0.74, 0.98), (-0.78, 1.12)] if raised_tail else [
        (-0.60, 0.87), (-0.70, 0.76), (-0.70, 0.60)]  # fmt: skip
    parts = [
        *_legs(
            [(0.36, 0.72), (0.40, 0.52), (0.385, 0.30), (0.38, 0.05), (0.42, 0.02)],
            (0.12, 0.065, 0.036, 0.026, 0.034),
            [(-0.42, 0.76), (-0.38, 0.56), (-0.53, 0.34), (-0.49, 0.05), (-0.45, 0.02)],
            (0.18, 0.11, 0.042, 0.028, 0.034),
            _mix(coat, (0.1, 0.07, 0.05), 0.15), pose,
        ),
        Part(limb(tail_line, (0.05, 0.07, 0.03)), white if raised_tail else coat, "tail", 0.5, 0),
        Part(smooth(torso), coat, "torso", 0.55, 1),
        neck,
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.08, 0.04), tip, look)]


def _paint_deer(albedo: Array, c: Canvas) -> None:
    white: Colour = (0.88, 0.85, 0.80)
    belly = _step(-c.y, -0.60, 0.07) * (c.x < 0.35) * (c.x > -0.7)
    _blend(albedo, c.where("torso"), white, belly)
    _blend(albedo, c.where("tail"), white, _step(-c.x, 0.70, 0.06))
    _blend(albedo, c.where("leg_hind"), white, 0.7 * _step(-c.x, 0.50, 0.1) * _step(c.y, 0.5, 0.1))
    neck = c.where("neck")
    _blend(albedo, neck, white, 0.8 * _step(c.x - 0.55 * c.y, 0.17, 0.08) * (c.y > 1.0))
    _blend(albedo, c.where("torso"), (0.2, 0.15, 0.1), 0.35 * _step(c.y, 0.92, 0.12))


def _boar(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    coat = ((0.20, 0.17, 0.145), (0.27, 0.215, 0.165), (0.15, 0.135, 0.125))[pose.variant % 3]
    torso = [
        (-0.78, 0.62), (-0.72, 0.82), (-0.45, 0.93), (-0.1, 0.99), (0.22, 1.04), (0.48, 0.98),
        (0.66, 0.80), (0.66, 0.52), (0.48, 0.34), (0.1, 0.29), (-0.3, 0.31), (-0.6, 0.38),
            (-0.76, 0.48),
    ]  # fmt: skip
    raised = 0.7 * pose.head
    base = np.array([0.50, 0.70], np.float32)
    head = [
        Part(ellipse(-0.0, 0.24, 0.06, 0.13, -12), _mix(coat, (0, 0, 0), 0.4), "ear_far", 0.3, 0),
        Part(
            smooth([(-0.25, 0.20), (-0.02, 0.24), (0.18, 0.15), (0.36, 0.07), (0.53, 0.035),
                    (0.56, -0.03), (0.53, -0.08), (0.36, -0.11), (0.16, -0.22), (-0.2, -0.28)]),
            coat, "head", 0.55, 3,
        ),
        Part(ellipse(0.545, -0.022, 0.03, 0.062, 6), (0.42, 0.31, 0.28), "snout", 0.3, 4),
        Part(limb([(0.38, -0.09), (0.43, -0.05), (0.43, 0.02)], (0.022, 0.016, 0.006)),
             (0.88, 0.84, 0.72), "tusk", 0.6, 5),
        Part(ellipse(0.17, 0.075, 0.017, 0.014), (0.02, 0.02, 0.02), "eye", 0.3, 4),
        Part(ellipse(-0.08, 0.25, 0.062, 0.135, 12), _mix(coat,
            (0.4, 0.32, 0.25), 0.25), "ear", 0.4, 4),
    ]  # fmt: skip
    mane = [(-0.5, 0.9), (-0.3, 1.0), (-0.1, 1.03), (0.1, 1.1), (0.22, 1.12), (0.36, 1.12),
        (0.5, 1.04),
            (0.45, 0.9), (0.0, 0.9)]  # fmt: skip
    parts = [
        *_legs(
            [(0.40, 0.55), (0.41, 0.38), (0.39, 0.20), (0.39, 0.05), (0.43, 0.02)],
            (0.15, 0.095, 0.055, 0.042, 0.05),
            [(-0.52, 0.60), (-0.48, 0.40), (-0.58, 0.24), (-0.55, 0.05), (-0.51, 0.02)],
            (0.20, 0.13, 0.06, 0.045, 0.05),
            _mix(coat, (0.03, 0.03, 0.03), 0.5), pose,
        ),
        Part(limb([(-0.74, 0.74), (-0.84, 0.64), (-0.85, 0.46), (-0.84, 0.38)],
                  (0.03, 0.02, 0.018, 0.03)), coat, "tail", 0.5, 0),
        Part(smooth(mane), _mix(coat, (0, 0, 0), 0.45), "mane", 0.3, 0),
        Part(smooth(torso), coat, "torso", 0.6, 1),
        *_place_head(head, np.add(base, (0.12, 0.0)), -14 + raised),
    ]  # fmt: skip
    return parts, [_at_head((0.17, 0.075), np.add(base, (0.12, 0.0)), -14 + raised)]


def _paint_boar(albedo: Array, c: Canvas) -> None:
    grizzle = noise(c.rng, c.x.shape, max(0.05 * c.pixels_per_metre, 2), 2)
    _blend(albedo, c.where("torso", "head"), (0.45, 0.38, 0.30), np.clip(0.25 * grizzle, 0, 0.4))
    _blend(albedo, c.where("torso"), (0.05, 0.045, 0.04), 0.5 * _step(c.y, 0.92, 0.1))
    _blend(albedo, c.where("head"), (0.40, 0.35, 0.29), 0.45 * _step(c.x, 0.95, 0.25))


def _zebra(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    white: Colour = (0.86, 0.84, 0.79)
    torso = [
        (-0.60, 0.95), (-0.36, 1.0), (-0.05, 0.93), (0.25, 0.99), (0.46, 0.96), (0.56, 0.78),
        (0.46, 0.54), (0.15, 0.47), (-0.2, 0.47), (-0.45, 0.55), (-0.62, 0.66), (-0.67, 0.82),
    ]  # fmt: skip
    neck, tip = _neck((0.38, 0.82), (0.78, 1.26), pose.head, (0.22, 0.13), white)
    line = neck.axis
    assert line is not None
    offset = turned([(0.0, 1.0)], float(np.degrees(np.arctan2(*(line[1] - line[0])[::-1]))))[0]
    crest = [line[0] + offset * 0.20, line[0] * 0.4 + line[1] * 0.6 + offset * 0.20,
             line[1] + offset * 0.17]  # fmt: skip
    look = -40 + 0.45 * pose.head
    head = [
        Part(ellipse(-0.05, 0.15, 0.04, 0.095, 12), white, "ear_far", 0.3, 0),
        Part(
            smooth([(-0.12, 0.05), (-0.02, 0.125), (0.12, 0.11), (0.30, 0.06), (0.43, 0.04),
                    (0.47, -0.03), (0.42, -0.09), (0.28, -0.09), (0.1, -0.15), (-0.08, -0.13)]),
            white, "head", 0.55, 3, np.array([[0, 0], [1, 0]], np.float32),
        ),
        Part(ellipse(0.42, -0.022, 0.065, 0.062), (0.10, 0.09, 0.085), "muzzle", 0.4, 4),
        Part(ellipse(0.11, 0.05, 0.022, 0.018), (0.02, 0.02, 0.02), "eye", 0.3, 4),
        Part(ellipse(-0.09, 0.15, 0.045, 0.10, 24), white, "ear", 0.4, 4),
        Part(ellipse(-0.09, 0.15, 0.022, 0.065, 24), (0.25, 0.22, 0.2), "ear_in", 0.2, 5),
    ]  # fmt: skip
    parts = [
        *_legs(
            [(0.36, 0.70), (0.40, 0.48), (0.385, 0.28), (0.38, 0.06), (0.41, 0.02)],
            (0.14, 0.075, 0.042, 0.032, 0.045),
            [(-0.44, 0.76), (-0.40, 0.54), (-0.53, 0.33), (-0.49, 0.06), (-0.46, 0.02)],
            (0.20, 0.12, 0.05, 0.034, 0.045),
            white, pose,
        ),
        Part(limb([(-0.64, 0.90), (-0.73, 0.78), (-0.74, 0.55), (-0.73, 0.38)],
                  (0.03, 0.022, 0.02, 0.045)), white, "tail", 0.5, 0),
        Part(smooth(torso), white, "torso", 0.55, 1),
        neck,
        Part(limb(crest, (0.05, 0.07, 0.06)), (0.12, 0.11, 0.1), "mane", 0.3, 0,
             line),
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.11, 0.05), tip, look)]


def _paint_zebra(albedo: Array, c: Canvas) -> None:
    black: Colour = (0.055, 0.05, 0.05)
    wobble = 0.035 * noise(c.rng, c.x.shape, max(0.3 * c.pixels_per_metre, 4), 2)
    along = c.along()
    bend = np.where(c.x < -0.15, (c.x + 0.15) * (c.y - 0.75) * 2.2, 0)
    body = np.sin(2 * np.pi * (c.x + bend + wobble) / 0.145)
    _blend(albedo, c.where("torso"), black, _step(body, 0.05, 0.5) * _step(c.y, 0.48, 0.04))
    cross = np.sin(2 * np.pi * (along + wobble) / 0.105)
    _blend(albedo, c.where("neck"), black, _step(cross, 0.05, 0.5))
    fine = np.sin(2 * np.pi * (along + wobble) / 0.085)
    _blend(albedo, c.where("leg"), black, _step(fine, 0.1, 0.6) * _step(c.y, 0.05, 0.02))
    _blend(albedo, c.where("leg"), black, 1.0 - _step(c.y, 0.045, 0.02))
    stripes = np.sin(2 * np.pi * (along + wobble) / 0.062)
    _blend(albedo, c.where("head"), black, 0.9 * _step(stripes, 0.15, 0.6))
    _blend(albedo, c.where("mane"), (0.85, 0.83, 0.78), _step(-cross, 0.2, 0.6))
    _blend(albedo, c.where("tail"), black, 1.0 - _step(c.y, 0.52, 0.06))


def _elephant(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    grey = ((0.40, 0.37, 0.345), (0.46, 0.39, 0.33), (0.345, 0.335, 0.33))[pose.variant % 3]
    dark = _mix(grey, (0, 0, 0), 0.22)
    torso = [
        (-0.62, 0.62), (-0.64, 0.80), (-0.50, 0.96), (-0.25, 0.95), (0.0, 0.94), (0.22, 1.0),
        (0.42, 0.98), (0.54, 0.80), (0.50, 0.50), (0.25, 0.40), (-0.1, 0.36), (-0.42, 0.42),
    ]  # fmt: skip
    sway = np.sin(pose.stride) * 0.06
    curl = 0.16 if pose.variant % 4 == 1 else 0.0
    trunk = [(0.80, 0.86), (0.93, 0.62), (0.94 + sway * 0.5, 0.36),
        (0.92 + sway + curl, 0.14 + curl * 0.6),
             (0.98 + sway + 1.7 * curl, 0.08 + curl * 1.6)]  # fmt: skip
    head = [(0.46, 0.98), (0.60, 1.10), (0.76, 1.10), (0.88, 0.98), (0.93, 0.80), (0.86, 0.66),
            (0.70, 0.60), (0.54, 0.66)]  # fmt: skip
    ear = [(0.60, 1.0), (0.46, 1.06), (0.27, 1.0), (0.19, 0.84), (0.24, 0.66), (0.36, 0.52),
        (0.47, 0.56),
           (0.60, 0.74)]  # fmt: skip
    tusk = [(0.83, 0.68), (0.93, 0.52), (1.06, 0.47)]
    ivory: Colour = (0.85, 0.80, 0.68)

    def nod(points: Points | Array) -> Array:
        return turned(points, 0.6 * pose.head, (0.5, 0.8))

    eye = nod([(0.79, 0.88)])[0]
    parts = [
        *_legs(
            [(0.34, 0.60), (0.35, 0.40), (0.34, 0.22), (0.34, 0.06), (0.355, 0.05)],
            (0.15, 0.115, 0.095, 0.095, 0.098),
            [(-0.44, 0.62), (-0.42, 0.42), (-0.46, 0.22), (-0.45, 0.06), (-0.435, 0.05)],
            (0.19, 0.135, 0.10, 0.095, 0.098),
            grey, Pose(pose.stride, pose.gait * 0.6),
        ),
        Part(limb([(-0.61, 0.84), (-0.68, 0.66), (-0.67, 0.44), (-0.66, 0.36)],
                  (0.03, 0.02, 0.015, 0.025)), dark, "tail", 0.5, 0),
        Part(smooth(torso), grey, "torso", 0.55, 1),
        Part(limb(nod([(x + 0.03, y) for x, y in tusk]), (0.03, 0.026, 0.012)), ivory, "tusk", 0.6,
            2),
        Part(limb(nod(trunk), (0.15, 0.105, 0.08, 0.06, 0.045)), grey, "trunk", 0.6, 3, nod([(0.8,
            0.9), (0.94, 0.1)])),
        Part(smooth(nod(head)), grey, "head", 0.5, 3),
        Part(limb(nod(tusk), (0.034, 0.028, 0.012)), ivory, "tusk", 0.6, 4),
        Part(smooth(nod(ear)), _mix(grey, (0.2, 0.16, 0.14), 0.25), "ear", 0.16, 5),
        Part(ellipse(eye[0], eye[1], 0.016, 0.013), (0.03, 0.02, 0.02), "eye", 0.3, 5),
    ]  # fmt: skip
    return parts, [(float(eye[0]), float(eye[1]))]


def _paint_elephant(albedo: Array, c: Canvas) -> None:
    wrinkles = noise(c.rng, c.x.shape, max(0.06 * c.pixels_per_metre, 2), 3)
    _blend(
        albedo,
        c.where("torso", "leg", "head"),
        (0.2, 0.18, 0.165),
        np.clip(0.35 * wrinkles, 0, 0.4),
    )
    rings = np.sin(2 * np.pi * c.along() / 0.045)
    _blend(albedo, c.where("trunk"), (0.2, 0.18, 0.165), 0.4 * _step(rings, 0.4, 0.8))
    nails = c.where("leg") & (c.y < 0.045) & (np.sin(2 * np.pi * c.x / 0.06) > 0)
    _blend(albedo, nails, (0.6, 0.54, 0.47), 0.6)
    rim = c.where("ear") & (c.x < 0.27)
    _blend(albedo, rim, (0.25, 0.21, 0.19), 0.5)


def _giraffe(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    cream: Colour = (0.83, 0.73, 0.54)
    torso = [
        (-0.36, 0.74), (-0.2, 0.84), (0.0, 0.92), (0.17, 1.0), (0.28, 0.98), (0.34, 0.84),
        (0.28, 0.68), (0.1, 0.61), (-0.14, 0.61), (-0.32, 0.60), (-0.40, 0.66),
    ]  # fmt: skip
    neck, tip = _neck((0.22, 0.86), (0.56, 1.66), pose.head, (0.135, 0.062), cream)
    look = -22 + 0.4 * pose.head
    mane_line = neck.axis
    assert mane_line is not None
    mane = [
        mane_line[0] + [-0.10, 0.08],
        np.add(mane_line.mean(0), (-0.075, 0.02)),
        mane_line[1] + [-0.05, 0.02],
    ]
    brown: Colour = (0.32, 0.17, 0.08)
    head = [
        Part(limb([(-0.02, 0.05), (-0.035, 0.13)], (0.016, 0.018)), brown, "horn", 0.5, 2),
        Part(limb([(-0.05, 0.04), (-0.075, 0.12)], (0.016, 0.019)), brown, "horn", 0.5, 4),
        Part(
            smooth([(-0.08, 0.02), (-0.01, 0.07), (0.08, 0.05), (0.18, 0.02), (0.235, 0.0),
                (0.23, -0.04),
                    (0.15, -0.05), (0.02, -0.075), (-0.06, -0.07)]),
            cream, "head", 0.55, 3,
        ),
        Part(ellipse(0.035, 0.02, 0.013, 0.012), (0.02, 0.02, 0.02), "eye", 0.3, 4),
        Part(ellipse(-0.115, 0.035, 0.065, 0.024, 160), cream, "ear", 0.4, 4),
    ]  # fmt: skip
    parts = [
        *_legs(
            [(0.22, 0.76), (0.25, 0.56), (0.24, 0.33), (0.235, 0.05), (0.25, 0.02)],
            (0.12, 0.062, 0.036, 0.026, 0.036),
            [(-0.27, 0.72), (-0.25, 0.52), (-0.31, 0.33), (-0.29, 0.05), (-0.275, 0.02)],
            (0.12, 0.075, 0.036, 0.026, 0.036),
            cream, Pose(pose.stride, pose.gait * 0.75),
        ),
        Part(limb([(-0.37, 0.72), (-0.42, 0.6), (-0.42, 0.46), (-0.41, 0.36)],
                  (0.018, 0.012, 0.012, 0.026)), brown, "tail", 0.5, 0),
        Part(limb(mane, (0.05, 0.045, 0.03)), brown, "mane", 0.3, 0),
        Part(smooth(torso), cream, "torso", 0.55, 1),
        neck,
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.035, 0.02), tip, look)]


def _paint_giraffe(albedo: Array, c: Canvas) -> None:
    shape = c.x.shape
    step = max(1, int(0.012 * c.pixels_per_metre))
    x, y = c.x[::step, ::step], c.y[::step, ::step]
    grid = 0.115
    cells_x, cells_y = (np.floor(v / grid).astype(int) for v in (x, y))
    offset = c.rng.uniform(0.1, 0.9, (64, 64, 2))
    nearest = np.full(x.shape, 9.0, np.float32)
    second = nearest.copy()
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            seed = offset[(cells_x + i) % 64, (cells_y + j) % 64]
            d = np.hypot(
                x - (cells_x + i + seed[..., 0]) * grid, y - (cells_y + j + seed[..., 1]) * grid
            )
            second = np.minimum(second, np.maximum(nearest, d))
            nearest = np.minimum(nearest, d)
    inner = np.kron(_step(second - nearest, 0.024, 0.014), np.ones((step, step), np.float32))
    patch = inner[: shape[0], : shape[1]]
    strength = 0.35 + 0.65 * _step(c.y, 0.36, 0.16)
    _blend(albedo, c.where("torso", "neck", "leg"), (0.40, 0.20, 0.085), patch * strength)


# --- carnivores -----------------------------------------------------------------------------


def _bear(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    coat = ((0.055, 0.05, 0.05), (0.075, 0.065, 0.06), (0.10, 0.075, 0.055))[pose.variant % 3]
    torso = [
        (-0.82, 0.62), (-0.78, 0.86), (-0.55, 1.02), (-0.2, 1.0), (0.15, 1.02), (0.42, 1.02),
        (0.60, 0.86), (0.58, 0.58), (0.42, 0.40), (0.0, 0.35), (-0.4, 0.36), (-0.7, 0.44),
    ]  # fmt: skip
    neck, tip = _neck((0.42, 0.76), (0.80, 0.86), pose.head, (0.27, 0.19), coat)
    look = -12 + 0.7 * pose.head
    head = [
        Part(ellipse(-0.02, 0.19, 0.065, 0.07), coat, "ear_far", 0.3, 0),
        Part(
            smooth([(-0.18, 0.12), (-0.02, 0.19), (0.13, 0.15), (0.2, 0.07), (0.36, 0.045),
                (0.40, -0.01),
                    (0.37, -0.07), (0.22, -0.10), (0.05, -0.17), (-0.14, -0.15)]),
            coat, "head", 0.55, 3,
        ),
        Part(smooth([(0.17, 0.065), (0.35, 0.045), (0.395, -0.01), (0.36, -0.065), (0.2, -0.075)]),
             (0.46, 0.33, 0.21), "muzzle", 0.5, 4),
        Part(ellipse(0.385, 0.012, 0.026, 0.03), (0.02, 0.02, 0.02), "nose", 0.3, 5),
        Part(ellipse(0.13, 0.075, 0.017, 0.016), (0.30, 0.20, 0.12), "eye", 0.3, 4),
        Part(ellipse(-0.08, 0.185, 0.072, 0.078), _mix(coat,
            (0.3, 0.25, 0.2), 0.18), "ear", 0.4, 4),
    ]  # fmt: skip
    parts = [
        *_legs(
            [(0.38, 0.62), (0.40, 0.42), (0.38, 0.22), (0.39, 0.07), (0.48, 0.045)],
            (0.20, 0.15, 0.11, 0.085, 0.055),
            [(-0.56, 0.64), (-0.50, 0.42), (-0.60, 0.22), (-0.58, 0.07), (-0.48, 0.045)],
            (0.26, 0.18, 0.115, 0.085, 0.055),
            coat, pose,
        ),
        Part(ellipse(-0.83, 0.74, 0.05, 0.07), coat, "tail", 0.5, 0),
        Part(smooth(torso), coat, "torso", 0.6, 1),
        neck,
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.13, 0.075), tip, look)]


def _fox(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    coat = ((0.70, 0.34, 0.12), (0.62, 0.31, 0.13), (0.74, 0.40, 0.17))[pose.variant % 3]
    white: Colour = (0.90, 0.87, 0.82)
    torso = [
        (-0.72, 0.80), (-0.5, 0.98), (-0.1, 0.96), (0.3, 1.0), (0.52, 0.98), (0.62, 0.80),
        (0.52, 0.60), (0.2, 0.54), (-0.2, 0.58), (-0.5, 0.62), (-0.72, 0.64),
    ]  # fmt: skip
    neck, tip = _neck((0.46, 0.82), (0.82, 1.10), pose.head, (0.22, 0.16), coat)
    look = -10 + 0.6 * pose.head
    head = [
        Part(smooth([(-0.02, 0.12), (0.02, 0.38), (0.13, 0.13)]), _mix(coat,
            (0, 0, 0), 0.5), "ear_far", 0.3, 0),
        Part(
            smooth([(-0.16, 0.06), (-0.04, 0.16), (0.12, 0.16), (0.22, 0.07), (0.40, 0.02),
                (0.47, -0.02),
                    (0.42, -0.06), (0.22, -0.10), (0.02, -0.18), (-0.14, -0.14)]),
            coat, "head", 0.5, 3,
        ),
        Part(smooth([(0.42, -0.05), (0.2, -0.045), (0.05, -0.06), (-0.06, -0.15), (0.1, -0.165),
            (0.26, -0.10)]),
             white, "cheek", 0.2, 4),
        Part(ellipse(0.455, -0.015, 0.026, 0.024), (0.02, 0.02, 0.02), "nose", 0.3, 5),
        Part(ellipse(0.15, 0.055, 0.022, 0.018), (0.05, 0.03, 0.02), "eye", 0.3, 5),
        Part(smooth([(-0.11, 0.10), (-0.10, 0.39), (0.06, 0.14)]), coat, "ear", 0.3, 4),
        Part(smooth([(-0.11, 0.25), (-0.10, 0.40), (-0.03, 0.25)]),
            (0.05, 0.04, 0.035), "ear_tip", 0.2, 5),
    ]  # fmt: skip
    swish = 0.08 * np.sin(pose.stride)
    tail = [(-0.66, 0.84), (-0.95, 0.72 + swish), (-1.28, 0.55 + swish), (-1.58, 0.50 + 2 * swish)]
    parts = [
        *_legs(
            [(0.42, 0.72), (0.46, 0.50), (0.44, 0.27), (0.44, 0.05), (0.50, 0.03)],
            (0.15, 0.085, 0.05, 0.04, 0.042),
            [(-0.52, 0.76), (-0.46, 0.52), (-0.60, 0.31), (-0.56, 0.05), (-0.50, 0.03)],
            (0.20, 0.13, 0.055, 0.042, 0.042),
            coat, pose,
        ),
        Part(limb(tail, (0.09, 0.17, 0.17, 0.05)), coat, "tail", 0.6, 0, np.array([tail[0],
            tail[-1]], np.float32)),
        Part(smooth(torso), coat, "torso", 0.55, 1),
        neck,
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.15, 0.055), tip, look)]


def _paint_fox(albedo: Array, c: Canvas) -> None:
    white: Colour = (0.92, 0.89, 0.85)
    _blend(albedo, c.where("leg"), (0.06, 0.05, 0.045), 1 - _step(c.y, 0.36, 0.18))
    _blend(albedo, c.where("tail"), white, _step(c.along(), 0.74, 0.08))
    _blend(albedo, c.where("tail"), (0.2, 0.12, 0.07), 0.4 * _step(c.along(), 0.45, 0.3))
    _blend(albedo, c.where("torso"), white, 0.85 * (1 - _step(c.y, 0.63, 0.08)) * (c.x > -0.5))
    _blend(albedo, c.where("neck"), white, _step(c.x - 0.9 * c.y, -0.18, 0.1))


def _raccoon(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    coat = ((0.40, 0.37, 0.335), (0.335, 0.31, 0.285), (0.46, 0.41, 0.35))[pose.variant % 3]
    pale: Colour = (0.80, 0.78, 0.74)
    black: Colour = (0.05, 0.045, 0.045)
    torso = [
        (-0.85, 0.62), (-0.75, 0.96), (-0.45, 1.12), (-0.1, 1.10), (0.25, 1.0), (0.5, 0.92),
        (0.62, 0.70), (0.5, 0.46), (0.1, 0.34), (-0.35, 0.34), (-0.75, 0.42),
    ]  # fmt: skip
    neck, tip = _neck((0.42, 0.72), (0.76, 0.76), pose.head, (0.26, 0.22), coat)
    look = -8 + 0.6 * pose.head
    head = [
        Part(ellipse(0.04, 0.25, 0.07, 0.10, -10), pale, "ear_far", 0.3, 0),
        Part(
            smooth([(-0.2, 0.1), (-0.06, 0.25), (0.12, 0.23), (0.24, 0.10), (0.42, 0.02),
                (0.46, -0.03),
                    (0.40, -0.08), (0.22, -0.11), (0.0, -0.22), (-0.2, -0.18)]),
            coat, "head", 0.5, 3,
        ),
        Part(smooth([(0.25, 0.12), (0.36, 0.06), (0.44, 0.0), (0.40, -0.08), (0.26, -0.10),
            (0.22, 0.0)]),
             pale, "snout", 0.3, 4),
        Part(smooth([(0.0, 0.165), (0.12, 0.19), (0.24, 0.13), (0.20, 0.135),
            (0.05, 0.125)]), pale, "brow", 0.2, 5),
        Part(smooth([(0.27, 0.09), (0.20, 0.125), (0.08, 0.10), (-0.04, 0.02), (-0.10, -0.08),
            (0.06, -0.07),
                     (0.2, 0.0)]), black, "mask", 0.2, 5),
        Part(smooth([(-0.12, -0.08), (0.05, -0.09), (0.2, -0.04), (0.18, -0.11), (0.0, -0.2),
            (-0.13, -0.17)]),
             pale, "cheek", 0.2, 5),
        Part(ellipse(0.45, -0.02, 0.034, 0.032), black, "nose", 0.3, 6),
        Part(ellipse(0.17, 0.065, 0.024, 0.022), (0.25, 0.2, 0.15), "eye", 0.3, 6),
        Part(ellipse(-0.09, 0.25, 0.085, 0.115, 14), pale, "ear", 0.3, 4),
        Part(ellipse(-0.085, 0.24, 0.052, 0.08, 14), (0.16, 0.14, 0.13), "ear_in", 0.2, 5),
    ]  # fmt: skip
    swish = 0.07 * np.sin(pose.stride)
    tail = [(-0.78, 0.70), (-1.08, 0.56 + swish), (-1.40, 0.46 + swish), (-1.66, 0.48 + 2 * swish)]
    parts = [
        *_legs(
            [(0.40, 0.56), (0.43, 0.38), (0.41, 0.2), (0.41, 0.06), (0.49, 0.04)],
            (0.16, 0.115, 0.075, 0.06, 0.045),
            [(-0.56, 0.64), (-0.50, 0.40), (-0.62, 0.22), (-0.58, 0.06), (-0.48, 0.04)],
            (0.26, 0.17, 0.085, 0.065, 0.045),
            _mix(coat, black, 0.6), pose,
        ),
        Part(limb(tail, (0.13, 0.16, 0.15, 0.06)), coat, "tail", 0.6, 0, np.array([tail[0],
            tail[-1]], np.float32)),
        Part(smooth(torso), coat, "torso", 0.6, 1),
        neck,
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.17, 0.065), tip, look)]


def _paint_raccoon(albedo: Array, c: Canvas) -> None:
    rings = np.sin(2 * np.pi * (c.along() + 0.02) / 0.19)
    _blend(albedo, c.where("tail"), (0.05, 0.045, 0.045), _step(rings, 0.05, 0.5))
    _blend(albedo, c.where("tail"), (0.72, 0.68, 0.60), 0.7 * _step(-rings, 0.05, 0.5))
    grizzle = noise(c.rng, c.x.shape, max(0.06 * c.pixels_per_metre, 2), 2)
    _blend(albedo, c.where("torso"), (0.1, 0.09, 0.085), np.clip(0.4 * grizzle, 0, 0.5))
    _blend(albedo, c.where("torso"), (0.08, 0.07, 0.07), 0.4 * _step(c.y, 0.95, 0.2))


def _skunk(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    black: Colour = (0.045, 0.042, 0.045)
    white: Colour = (0.90, 0.89, 0.86)
    torso = [
        (-0.95, 0.62), (-0.85, 0.92), (-0.5, 1.10), (-0.1, 1.06), (0.3, 0.92), (0.56, 0.78),
        (0.66, 0.58), (0.5, 0.36), (0.1, 0.26), (-0.4, 0.25), (-0.85, 0.36),
    ]  # fmt: skip
    neck, tip = _neck((0.46, 0.58), (0.82, 0.54), pose.head, (0.23, 0.17), black)
    look = -10 + 0.6 * pose.head
    head = [
        Part(
            smooth([(-0.18, 0.12), (-0.02, 0.18), (0.14, 0.12), (0.28, 0.05), (0.40, 0.0),
                (0.38, -0.06),
                    (0.2, -0.10), (0.0, -0.15), (-0.18, -0.14)]),
            black, "head", 0.5, 3,
        ),
        Part(limb([(-0.04, 0.155), (0.12, 0.11), (0.28, 0.045)],
            (0.026, 0.022, 0.012)), white, "blaze", 0.2, 4),
        Part(ellipse(-0.06, 0.10, 0.045, 0.05), (0.10, 0.09, 0.09), "ear", 0.4, 4),
        Part(ellipse(0.12, 0.045, 0.018, 0.016), (0.2, 0.15, 0.1), "eye", 0.3, 4),
        Part(ellipse(0.39, -0.02, 0.028, 0.028), (0.14, 0.1, 0.1), "nose", 0.3, 4),
    ]  # fmt: skip
    up = pose.variant % 2 == 0
    swish = 0.1 * np.sin(pose.stride)
    tail = (
        [(-0.82, 0.76), (-1.12, 1.05), (-1.28 + swish, 1.45), (-1.42 + 2 * swish, 1.85)]
        if up
        else [(-0.84, 0.72), (-1.2, 0.72 + swish), (-1.6, 0.56 + swish), (-1.95, 0.42)]
    )
    stripe = [(0.62, 0.70), (0.3, 0.86), (-0.1, 0.98), (-0.5, 1.0), (-0.88, 0.78)]
    parts = [
        *_legs(
            [(0.42, 0.42), (0.44, 0.30), (0.43, 0.16), (0.43, 0.06), (0.52, 0.045)],
            (0.15, 0.115, 0.08, 0.065, 0.045),
            [(-0.62, 0.50), (-0.58, 0.32), (-0.66, 0.18), (-0.64, 0.06), (-0.54, 0.045)],
            (0.24, 0.16, 0.09, 0.07, 0.045),
            black, pose,
        ),
        Part(limb(tail, (0.14, 0.27, 0.30, 0.10)), black, "tail", 0.6, 0, np.array([tail[0],
            tail[-1]], np.float32)),
        Part(limb(tail, (0.05, 0.10, 0.13, 0.08)), white, "tail_stripe", 0.3, 1),
        Part(smooth(torso), black, "torso", 0.6, 1),
        neck,
        Part(limb(stripe, (0.07, 0.075, 0.09, 0.09, 0.06)), white, "stripe", 0.25, 2),
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.12, 0.045), tip, look)]


# --- birds ----------------------------------------------------------------------------------


def _turkey(pose: Pose, rng: Rng) -> tuple[list[Part], list[tuple[float, float]]]:
    dark = ((0.16, 0.115, 0.08), (0.20, 0.15, 0.11), (0.13, 0.10, 0.085))[pose.variant % 3]
    strutting = pose.variant % 3 == 0
    skin: Colour = (0.66, 0.20, 0.18) if pose.variant % 2 == 0 else (0.48, 0.36, 0.40)
    torso = [
        (-0.62, 0.62), (-0.40, 0.86), (-0.05, 1.0), (0.28, 0.98), (0.47, 0.80), (0.45, 0.58),
        (0.22, 0.42), (-0.15, 0.40), (-0.45, 0.48),
    ]  # fmt: skip
    wing = [
        (0.26, 0.86),
        (0.0, 0.88),
        (-0.35, 0.74),
        (-0.68, 0.54),
        (-0.3, 0.52),
        (0.1, 0.56),
        (0.28, 0.70),
    ]
    neck_line = turned([(0.34, 0.86), (0.46, 1.12), (0.44, 1.32)], pose.head, (0.34, 0.86))
    tip = neck_line[-1]
    look = 0.3 * pose.head
    head = [
        Part(ellipse(0.02, 0.02, 0.075, 0.062), skin, "head", 0.6, 4),
        Part(limb([(0.07, 0.02), (0.15, -0.012)], (0.026, 0.008)),
            (0.75, 0.66, 0.45), "beak", 0.5, 5),
        Part(limb([(0.05, -0.03), (0.06, -0.12)], (0.03, 0.022)),
            (0.72, 0.12, 0.12), "wattle", 0.5, 5),
        Part(ellipse(0.03, 0.035, 0.014, 0.014), (0.02, 0.02, 0.02), "eye", 0.3, 5),
    ]  # fmt: skip
    if strutting:
        fan = np.array([(-0.30 + 0.85 * np.cos(a), 0.62 + 0.80 * np.sin(a))
                        for a in np.deg2rad(np.linspace(72, 218, 24))])  # fmt: skip
        tail = Part(np.concatenate([fan, [(-0.2, 0.55)]]).astype(np.float32), dark, "fan", 0.06, 0)
    else:
        tail = Part(
            smooth([(-0.45, 0.80), (-0.9, 0.62), (-1.18, 0.44), (-1.12, 0.32), (-0.8, 0.40),
                (-0.45, 0.50)]),
            dark, "tail", 0.25, 0, np.array([(-0.45, 0.65), (-1.15, 0.38)], np.float32),
        )  # fmt: skip

    def leg(phase: float, far: bool) -> Part:
        line = [(0.04, 0.50), (0.02, 0.30), (0.06, 0.04), (0.17, 0.02)]
        return _leg("leg", line, (0.10, 0.034, 0.022, 0.018), (0.55, 0.36, 0.32), pose, phase, far)

    parts = [
        tail,
        leg(0.0, True),
        leg(3.14, False),
        Part(smooth(torso), dark, "torso", 0.6, 3),
        Part(smooth(wing), _mix(dark, (0.40, 0.32, 0.24), 0.35), "wing", 0.3, 4,
             np.array([(0.26, 0.8), (-0.68, 0.54)], np.float32)),
        Part(limb(neck_line, (0.13, 0.062, 0.042)), _mix(dark, skin, 0.35), "neck", 0.6, 3),
        *_place_head(head, tip, look),
    ]  # fmt: skip
    return parts, [_at_head((0.03, 0.035), tip, look)]


def _paint_turkey(albedo: Array, c: Canvas) -> None:
    scales = np.sin(2 * np.pi * c.x / 0.085) * np.sin(2 * np.pi * (c.y + 0.5 * c.x) / 0.085)
    bronze = _step(scales, 0.25, 0.5)
    _blend(albedo, c.where("torso"), (0.42, 0.27, 0.13), 0.6 * bronze)
    _blend(albedo, c.where("torso"), (0.10, 0.17, 0.13), 0.35 * (1 - bronze))
    barring = np.sin(2 * np.pi * c.along() / 0.07)
    _blend(
        albedo, c.where("wing"), (0.72, 0.68, 0.60), 0.75 * _step(barring, 0.1, 0.5) * (c.x < -0.05)
    )
    _blend(albedo, c.where("tail"), (0.62, 0.40, 0.20), 0.8 * _step(c.along(), 0.62, 0.04))
    _blend(
        albedo,
        c.where("tail"),
        (0.05, 0.04, 0.035),
        _step(c.along(), 0.53, 0.03) * (c.along() < 0.62),
    )
    radius = np.hypot((c.x + 0.30) / 0.85, (c.y - 0.62) / 0.80)
    angle = np.arctan2(c.y - 0.62, c.x + 0.30)
    fan = c.where("fan")
    _blend(albedo, fan, (0.34, 0.20, 0.11), 0.8 * _step(np.sin(angle * 46), 0.2, 0.8))
    _blend(albedo, fan, (0.05, 0.04, 0.035), _step(radius, 0.80, 0.04))
    _blend(albedo, fan, (0.70, 0.48, 0.28), _step(radius, 0.90, 0.03))


def _paint_bear(albedo: Array, c: Canvas) -> None:
    _blend(albedo, c.where("torso", "neck"), (0.16, 0.13, 0.12), 0.35 * _step(c.y, 0.88, 0.3))


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("white-tailed deer", "woodland", (0.85, 1.05),
            (-105, 12), _deer, _paint_deer, 0.10, 0.45),
        Kind("wild boar", "woodland", (0.65, 0.9), (-18, 8), _boar, _paint_boar, 0.26, 0.6),
        Kind("american black bear", "woodland", (0.75, 1.0),
            (-38, 14), _bear, _paint_bear, 0.22, 0.4),
        Kind("red fox", "woodland", (0.36, 0.42), (-42, 10), _fox, _paint_fox, 0.16, 0.55),
        Kind("northern raccoon", "woodland", (0.26, 0.32),
            (-28, 12), _raccoon, _paint_raccoon, 0.24, 0.75),
        Kind("striped skunk", "woodland", (0.18, 0.23), (-16, 10), _skunk, None, 0.22, 0.75),
        Kind("wild turkey", "woodland", (0.55, 0.75), (-95, 8), _turkey, _paint_turkey, 0.14, 0.08),
        Kind("plains zebra", "savanna", (1.2, 1.4), (-100, 8), _zebra, _paint_zebra, 0.06, 0.35),
        Kind("african elephant", "savanna", (2.4, 3.2), (-8, 8), _elephant, _paint_elephant, 0.10,
            0.35),
        Kind("giraffe", "savanna", (2.6, 3.0), (-48, 6), _giraffe, _paint_giraffe, 0.07, 0.3),
    )
}  # fmt: skip


def random_pose(kind: Kind, rng: Rng) -> Pose:
    """A pose that this kind of animal can take, mirrored half of the time."""
    low, high = kind.head_range
    head = float(rng.uniform(low, high) if rng.random() < 0.45 else rng.uniform(0.25 * low, high))
    return Pose(
        stride=float(rng.uniform(0, 2 * np.pi)),
        gait=float(rng.choice([4.0, 12.0, 20.0])),
        head=head,
        squeeze=float(rng.uniform(0.68, 1.0) * rng.choice([-1, 1])),
        tilt=float(rng.normal(0, 2.0)),
        variant=int(rng.integers(60)),
    )


def draw_animal(
    kind: Kind, height: float, pose: Pose, pixels: float, seed: int, light: Light
) -> Sprite:
    """The cut-out of one animal.

    Args:
        kind: What it is.
        height: Meters to the shoulder.
        pose: How it stands.
        pixels: Pixels per meter.
        seed: The seed of the individual: the same seed gives the same coat.
        light: Where the light comes from.
    """
    rng = np.random.default_rng(seed)
    parts, eyes = kind.build(pose, rng)
    return render(
        parts, pixels * height, rng, light, kind.paint, fur=kind.fur,
            fuzz=0.007 if kind.fur > 0.09 else 0.004,
        squeeze=pose.squeeze, tilt=pose.tilt, eyes=eyes,
    )  # fmt: skip

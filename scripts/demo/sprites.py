"""Drawing kit: outlines in meters become shaded, furry cut-outs (sprites) with soft edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Rng = np.random.Generator
Colour = tuple[float, float, float]
Points = Sequence[tuple[float, float]] | Sequence[NDArray[Any]]

_SHIFT = 4  # fractional bits of OpenCV's polygon coordinates


@dataclass(frozen=True)
class Part:
    """One piece of a body.

    Attributes:
        outline: Shape (points, 2): x to the right and y up, in meters.
        colour: RGB in [0, 1].
        name: What a painter calls it.
        bulge: Roundness of the piece (1: as deep as it is wide, 0: flat).
        layer: Pieces of one layer melt together; higher layers are drawn in front.
        axis: The line along which stripes and rings are counted.
    """

    outline: Array
    colour: Colour
    name: str
    bulge: float = 0.7
    layer: int = 1
    axis: Array | None = None


@dataclass(frozen=True)
class Light:
    """Where the light comes from: ``side`` in [-1, 1] is left to right, ``flash`` is frontal."""

    side: float = -0.4
    flash: bool = False
    ambient: float = 0.55


@dataclass
class Sprite:
    """A cut-out.

    Attributes:
        rgba: Shape (height, width, 4), float32 in [0, 1], colors not multiplied by alpha.
        x: Column of the cut-out at the object's position.
        y: Row of the cut-out that touches the ground.
        eyes: Pixel positions (x, y) of eyes, for their glow in a flash.
    """

    rgba: Array
    x: float
    y: float
    eyes: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Canvas:
    """What a painter gets: coordinates in meters and the index of the piece at each pixel."""

    x: Array
    y: Array
    piece: NDArray[Any]
    parts: Sequence[Part]
    pixels_per_metre: float
    rng: Rng

    def where(self, *names: str) -> NDArray[Any]:
        """Pixels of the pieces with one of these names (a prefix is enough)."""
        wanted = [i for i, part in enumerate(self.parts) if part.name.startswith(names)]
        return np.isin(self.piece, wanted)

    def along(self) -> Array:
        """Distance in meters along the axis of the piece at each pixel (0 where it has none)."""
        result = np.zeros_like(self.x)
        for i, part in enumerate(self.parts):
            if part.axis is not None:
                start, direction = part.axis[0], part.axis[1] - part.axis[0]
                direction = direction / max(float(np.hypot(*direction)), 1e-6)
                here = self.piece == i
                result[here] = (self.x[here] - start[0]) * direction[0]
                result[here] += (self.y[here] - start[1]) * direction[1]
        return result


Painter = Callable[[Array, Canvas], None]


def noise(rng: Rng, shape: tuple[int, ...], cell: float, octaves: int = 3) -> Array:
    """A smooth random field, roughly normal with a standard deviation of 0.5.

    Args:
        rng: Source of randomness.
        shape: Rows and columns.
        cell: Size in pixels of the largest features.
        octaves: Each one halves the size and the strength.
    """
    height, width = shape
    total = np.zeros((height, width), np.float32)
    weight = 0.5
    for _ in range(octaves):
        rows, columns = int(height / cell) + 3, int(width / cell) + 3
        grid = rng.standard_normal((rows, columns), np.float32)
        size = (int(columns * cell) + 1, int(rows * cell) + 1)
        total += weight * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)[:height, :width]
        weight, cell = weight / 2, max(cell / 2, 1.0)
    return total


def smooth(points: Points | Array, samples: int = 8) -> Array:
    """Closed Catmull-Rom curve through the points, shape (points * samples, 2)."""
    p1 = np.asarray(points, np.float32)
    p0, p2, p3 = np.roll(p1, 1, 0), np.roll(p1, -1, 0), np.roll(p1, -2, 0)
    t = np.linspace(0, 1, samples, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (p[:, None, :] for p in (p0, p1, p2, p3))
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return curve.reshape(-1, 2)


def turned(
    points: Points | Array, degrees: float, pivot: Sequence[float] | Array = (0, 0)
) -> Array:
    """The points turned counterclockwise about the pivot."""
    a = np.deg2rad(degrees)
    matrix = np.array([[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]], np.float32)
    centre = np.asarray(pivot, np.float32)
    return (np.asarray(points, np.float32) - centre) @ matrix + centre


def limb(joints: Points | Array, radii: Sequence[float]) -> Array:
    """Outline of a tapering limb around a smooth line through the joints."""
    line = np.asarray(joints, np.float32)
    steps = np.linspace(0, len(line) - 1, 6 * (len(line) - 1) + 1)
    first = np.clip(steps.astype(int), 0, len(line) - 2)
    t = (steps - first).astype(np.float32)[:, None]
    padded = np.concatenate([2 * line[:1] - line[1:2], line, 2 * line[-1:] - line[-2:-1]])
    a, b, c, d = (padded[first + k] for k in range(4))
    spine = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    r = np.interp(steps, np.arange(len(line)), radii).astype(np.float32)
    tangent = np.gradient(spine, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-6)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    arc = np.linspace(np.pi / 2, -np.pi / 2, 7, dtype=np.float32)[1:-1, None]
    cap = spine[-1] + r[-1] * (np.cos(arc) * tangent[-1] + np.sin(arc) * normal[-1])
    root = spine[0] + r[0] * (-np.cos(arc) * tangent[0] - np.sin(arc) * normal[0])
    return np.concatenate(
        [spine + r[:, None] * normal, cap, (spine - r[:, None] * normal)[::-1], root]
    ).astype(np.float32)


def ellipse(x: float, y: float, rx: float, ry: float, degrees: float = 0) -> Array:
    """Outline of an ellipse turned about its center."""
    t = np.linspace(0, 2 * np.pi, 28, endpoint=False)
    return turned(np.stack([x + rx * np.cos(t), y + ry * np.sin(t)], 1), degrees, (x, y))


def mapped(part: Part, change: Callable[[Array], Array]) -> Part:
    """The piece with its outline and axis in transformed coordinates."""
    axis = None if part.axis is None else change(part.axis)
    return Part(change(part.outline), part.colour, part.name, part.bulge, part.layer, axis)


def render(
    parts: Sequence[Part],
    pixels_per_metre: float,
    rng: Rng,
    light: Light,
    painter: Painter | None = None,
    *,
    fur: float = 0.12,
    fuzz: float = 0.012,
    squeeze: float = 1.0,
    tilt: float = 0.0,
    eyes: Sequence[tuple[float, float]] = (),
) -> Sprite:
    """Draws the pieces, back to front.

    Args:
        parts: The pieces, in meters; the ground is y = 0.
        pixels_per_metre: Scale of the result.
        rng: Source of randomness.
        light: Direction of the light.
        painter: Changes the colors (markings) before the shading.
        fur: Contrast of the fine texture.
        fuzz: Unevenness of the outline in meters, for a body one meter high.
        squeeze: Horizontal foreshortening; negative mirrors.
        tilt: Degrees by which the whole body leans.
        eyes: Positions of eyes in meters.
    """
    oversample = float(np.clip(900 / max(pixels_per_metre, 1), 1.0, 2.0))
    scale = pixels_per_metre * oversample

    def place(points: Array) -> Array:
        return turned(points * np.array([squeeze, 1.0], np.float32), tilt)

    parts = [mapped(part, place) for part in parts]
    everything = np.concatenate([part.outline for part in parts])
    tall = max(float(np.ptp(everything[:, 1])), 1e-3)
    margin = 4 / scale + 0.03 * tall
    low, high = everything.min(0) - margin, everything.max(0) + margin
    width, height = (int(v) + 2 for v in (high - low) * scale)
    albedo = np.zeros((height, width, 3), np.float32)
    relief = np.zeros((height, width), np.float32)
    piece = np.full((height, width), -1, np.int16)
    layer = np.full((height, width), -99, np.int16)

    for i, part in enumerate(parts):
        pixels = (part.outline - [low[0], high[1]]) * [scale, -scale]
        x0, y0 = np.maximum(pixels.min(0).astype(int) - 2, 0)
        x1, y1 = np.minimum(pixels.max(0).astype(int) + 3, [width, height])
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = np.round((pixels - [x0, y0]) * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 1, cv2.LINE_8, _SHIFT)
        inside = cv2.distanceTransform(np.pad(mask, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
        reach = max(float(inside.max()), 1.0)
        bump = part.bulge * np.sqrt(np.maximum(inside * (2 * reach - inside), 0))
        here = (slice(y0, y1), slice(x0, x1))
        drawn = mask > 0
        merging = drawn & (layer[here] == part.layer)
        fresh = drawn & (layer[here] < part.layer)
        front = bump >= relief[here]
        relief[here] = np.where(merging, np.maximum(relief[here], bump), relief[here])
        relief[here] = np.where(fresh, bump, relief[here])
        shown = fresh | (merging & front)
        albedo[here][shown] = part.colour
        piece[here][shown] = i
        layer[here][shown] = part.layer

    alpha = (piece >= 0).astype(np.float32)
    if painter is not None:
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        x = (columns / scale + low[0]) / squeeze
        y = high[1] - rows / scale
        painter(
            albedo,
            Canvas(x.astype(np.float32), y.astype(np.float32), piece, parts, scale, rng),
        )

    # Colors bleed outwards a little, so that no background shows in a softened edge.
    grown = cv2.dilate(albedo, np.ones((5, 5), np.uint8))
    albedo = np.where(alpha[..., None] > 0, albedo, grown)
    soft = max(0.006 * tall * scale, 0.6)
    albedo = cv2.GaussianBlur(albedo, (0, 0), soft)
    relief = cv2.GaussianBlur(relief, (0, 0), max(0.012 * tall * scale, 0.8))
    texture = noise(rng, (height, width), max(0.02 * tall * scale, 2.0), 2)
    if fur > 0:
        texture = cv2.GaussianBlur(
            texture, (0, 0), sigmaX=max(0.012 * tall * scale, 0.5), sigmaY=0.5
        )
    dx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8)
    dy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
    length = np.sqrt(dx * dx + dy * dy + 1)
    if light.flash:
        shade = 0.35 + 0.7 / length
    else:
        facing = (-0.8 * -dy - light.side * dx * -1 + 0.45) / length
        shade = light.ambient + (1.05 - light.ambient) * np.clip(0.25 + facing, 0, 1.25)
    shade = shade * (
        1 + fur * 2.0 * texture + 0.35 * fur * rng.standard_normal(shade.shape, np.float32)
    )
    colour = np.clip(albedo * shade[..., None].astype(np.float32), 0, 1)

    rgba = np.dstack([colour, alpha]).astype(np.float32)
    if fuzz > 0:
        rgba = _fuzzy(rgba, rng, fuzz * tall * scale)
    out = (max(round(width / oversample), 2), max(round(height / oversample), 2))
    rgba = cv2.resize(rgba, out, interpolation=cv2.INTER_AREA)
    fx, fy = out[0] / width * scale, out[1] / height * scale
    seen = [place(np.array([eye], np.float32))[0] for eye in eyes]
    return Sprite(
        rgba,
        -float(low[0]) * fx,
        float(high[1]) * fy,
        [((e[0] - float(low[0])) * fx, (float(high[1]) - e[1]) * fy) for e in seen],
    )


def _fuzzy(rgba: Array, rng: Rng, pixels: float) -> Array:
    """Moves every pixel by a small random distance, which frays the outline like fur."""
    height, width = rgba.shape[:2]
    cell = max(1.2 * pixels, 2.0)
    columns, rows = np.meshgrid(
        np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    )
    dx = pixels * 0.8 * noise(rng, (height, width), cell, 2)
    dy = pixels * 0.8 * noise(rng, (height, width), cell, 2)
    return cv2.remap(rgba, columns + dx, rows + dy, cv2.INTER_LINEAR)


def paste(image: Array, sprite: Sprite, x: float, y: float) -> tuple[slice, slice, Array] | None:
    """Draws a sprite over the image with its foot at (x, y).

    Returns:
        The rows and columns of the image that it covers and its alpha there, or None outside.
    """
    left, top = round(x - sprite.x), round(y - sprite.y)
    height, width = sprite.rgba.shape[:2]
    y0, y1 = max(top, 0), min(top + height, image.shape[0])
    x0, x1 = max(left, 0), min(left + width, image.shape[1])
    if y0 >= y1 or x0 >= x1:
        return None
    patch = sprite.rgba[y0 - top : y1 - top, x0 - left : x1 - left]
    alpha = patch[..., 3]
    here = image[y0:y1, x0:x1]
    here += (patch[..., :3] - here) * alpha[..., None]
    return slice(y0, y1), slice(x0, x1), alpha

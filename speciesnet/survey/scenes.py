"""Changes in the scene in front of a camera: covered lenses, moved cameras, dead flashes.

A camera looks at one scene. Light, weather and seasons change it gradually, animals only for a moment.
The median of several small pictures shows the scene without animals. Two medians are compared by the
structure that remains after brightness and contrast are removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Floats = NDArray[np.float32]

SIZE = 64  # pixels of the longer side of a picture before it is reduced
COLUMNS, ROWS = 40, 24
# Cameras write date, time and temperature into a strip at the top or at the bottom.
TOP, BOTTOM = 0.08, 0.10
NIGHT_COLOUR = 2.5  # out of 255: infrared pictures have no color, but may have a tint
BLACK = 14.0  # out of 255: the mean brightness of a picture without light
FLAT = 3.0  # out of 255: the mean step between neighbors in a picture without detail
FLAT_SHARE = 0.4  # of the earlier detail
WINDOW = 12  # pictures on each side of a change that are compared
LEAST = 5  # pictures on each side
LASTING = timedelta(days=1)  # the minimum on each side
VIEW_LASTING = timedelta(days=3)  # the minimum after a change in the view: snow may melt again
SHARE = 0.9  # of the pictures after a change that must show it
CANDIDATE = 0.45  # a lower correlation of the pictures before and after may mean a change
DIFFERENT = 0.35  # a lower correlation of two medians means two scenes
STEADY = 0.5  # the minimum correlation within the pictures before, and within those after
RECOGNIZED = 0.5  # of the usual correlation of a picture with the median of its scene
SHIFT = 2  # cells by which a camera may sag before its scene counts as changed
LIGHT = range(9, 16)  # hours in which it is light

Change = Literal["covered", "view", "flash"]


class Look(NamedTuple):
    """A photograph, reduced to what the rules need.

    Attributes:
        moment: Its date.
        filepath: Its path in the predictions.
        pixels: Its brightness, shape (``ROWS``, ``COLUMNS``), uint8.
        colour: How much color it has, from 0 to 255, regardless of its tint.
    """

    moment: datetime
    filepath: str
    pixels: NDArray[np.uint8]
    colour: float

    @property
    def is_grey(self) -> bool:
        """Whether it has no color, like an infrared or a black picture."""
        return self.colour < NIGHT_COLOUR

    @property
    def is_black(self) -> bool:
        """Whether it is too dark to show anything."""
        return float(self.pixels.mean()) < BLACK

    @property
    def detail(self) -> float:
        """The mean step between neighboring cells, from 0 to 255."""
        values = self.pixels.astype(np.float32)
        across, down = np.abs(np.diff(values, axis=1)), np.abs(np.diff(values, axis=0))
        return float((across.mean() + down.mean()) / 2)


@dataclass(frozen=True)
class SceneChange:
    """A change that lasts until the end of the pictures, or until the next one.

    Attributes:
        kind: "covered": nothing can be seen. "view": the scene is different, or partly hidden. "flash":
            the pictures at night are black.
        last: The last picture before it; None if there is none.
        first: The first picture after it.
        before: A typical picture before it, or None.
        after: A typical picture after it.
        pictures: The number of pictures after it that show it.
        end: The date of the last of these.
    """

    kind: Change
    last: Look | None
    first: Look
    before: Look | None
    after: Look
    pictures: int
    end: datetime


def look(moment: datetime, filepath: str, picture: Image.Image) -> Look:
    """Reduces a small RGB picture of any size."""
    from PIL import Image

    top, bottom = round(TOP * picture.height), round(BOTTOM * picture.height)
    inside = picture.crop((0, top, picture.width, max(picture.height - bottom, top + 1)))
    small = np.asarray(inside.resize((COLUMNS, ROWS), Image.Resampling.BOX), np.float32)
    red, green, blue = np.moveaxis(small, -1, 0)
    colour = max(_rest(red, green), _rest(blue, green))
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    return Look(moment, filepath, np.rint(grey).astype(np.uint8), colour)


def _rest(channel: Floats, green: Floats) -> float:
    """The standard deviation of a channel that green does not explain: 0 for a tinted gray."""
    spread = green - green.mean()
    slope = float((spread * channel).mean() / max(float((spread**2).mean()), 1.0))
    return float((channel - channel.mean() - slope * spread).std())


def scene_changes(looks: Sequence[Look]) -> list[SceneChange]:
    """The changes in a camera's scene, in chronological order.

    - The lens is covered from the picture after which ``SHARE`` of all pictures have less detail than
      ``FLAT``, if most earlier pictures have more, and some later ones are bright or from the middle of
      the day.
    - The flash is dead from the picture after which ``SHARE`` of the night pictures are black, if most
      earlier ones are not; or from the start, if all night pictures are black but the day pictures are
      not.
    - The view has changed if, by day or by night, the medians before and after differ, each scene is
      steady, neither appears on the other side, and the pictures in the other light do not contradict
      this.

    Args:
        looks: The pictures of one deployment, in chronological order.
    """
    covered = _covered(looks)
    if covered is not None:
        looks = [one for one in looks if one.moment < covered.first.moment]
    flash = _no_flash(looks)
    dark = {one.filepath for one in looks if one.is_black or one.detail < FLAT}
    clear = [one for one in looks if one.filepath not in dark]
    found = [*_views(clear), *filter(None, (covered, flash))]
    return sorted(found, key=lambda change: change.first.moment)


def _separation(flags: Sequence[bool]) -> int:
    """The position that best separates false flags, before it, from true ones."""
    values = np.asarray(flags, np.int64)
    true_before = np.concatenate([[0], np.cumsum(values)])
    false_before = np.arange(len(values) + 1) - true_before
    return int(np.argmin(true_before + false_before[-1] - false_before))


def _split(flags: Sequence[bool]) -> int | None:
    """The position that best separates false from true flags, if ``SHARE`` of the later ones are true.

    None if there is no such position, or if half of the flags before it are also true.
    """
    place = _separation(flags)
    before, after = sum(flags[:place]), flags[place:]
    if not after or sum(after) < SHARE * len(after):
        return None
    return None if 2 * before > place else place


def _covered(looks: Sequence[Look]) -> SceneChange | None:
    if len(looks) < 2 * LEAST:
        return None
    flags = [False] * len(looks)
    for in_light in (True, False):  # pictures at night may have little detail
        places = [i for i, one in enumerate(looks) if (one.moment.hour in LIGHT) == in_light]
        detail = [looks[i].detail for i in places]
        limit = min(FLAT, FLAT_SHARE * float(np.percentile(detail, 95))) if detail else 0.0
        for i, value in zip(places, detail, strict=True):
            flags[i] = value < limit
    place = _split(flags)
    if place is None or place < LEAST or not _lasts(looks[place:]):
        return None
    lit = [
        is_flat
        for one, is_flat in zip(looks[place:], flags[place:], strict=True)
        if one.moment.hour in LIGHT or not one.is_black
    ]
    if len(lit) < 2 or sum(lit) < SHARE * len(lit):
        return None  # only pictures at night are black: this is a dead flash
    return _change("covered", looks[:place], looks[place:])


def _no_flash(looks: Sequence[Look]) -> SceneChange | None:
    night = [one for one in looks if one.is_grey]
    flags = [one.is_black for one in night]
    place = _split(flags)
    if place is None or not _lasts(night[place:]) or night[place:] == looks:
        return None
    if 0 < place < LEAST:
        return None
    return _change("flash", night[:place], night[place:])


def _lasts(looks: Sequence[Look], least: timedelta = LASTING) -> bool:
    return len(looks) >= LEAST and looks[-1].moment - looks[0].moment >= least


def _change(kind: Change, before: Sequence[Look], after: Sequence[Look]) -> SceneChange:
    return SceneChange(
        kind,
        before[-1] if before else None,
        after[0],
        typical(before[-WINDOW:]) if before else None,
        typical(after[:WINDOW]),
        len(after),
        after[-1].moment,
    )


def typical(looks: Sequence[Look]) -> Look:
    """The picture that is closest to the median of all; one with color, if there is any."""
    some = [one for one in looks if not one.is_grey] or list(looks)
    middle = _median(some)
    return max(some, key=lambda one: float((_normal(one.pixels) * middle).mean()))


def _views(looks: Sequence[Look]) -> Iterator[SceneChange]:
    """Changes in the view by day or by night, unless the pictures in the other light contradict them."""
    day = [one for one in looks if not one.is_grey]
    night = [one for one in looks if one.is_grey]
    found = [
        change
        for some, others in ((day, night), (night, day))
        for change in _views_in(some)
        if not _contradict(others, change)
    ]
    found.sort(key=lambda change: (change.first.moment, change.pictures))
    last: SceneChange | None = None
    for change in found:
        # The same change by day and by night: the pictures of one are later than those of the other.
        is_same = last and change.last and change.last.moment <= last.first.moment + LASTING
        if not is_same:
            yield change
            last = change


def _views_in(looks: Sequence[Look]) -> Iterator[SceneChange]:
    """Changes in the view in pictures of one kind of light."""
    stack = _stack(looks)
    start = 0
    places = [_refined(stack, place) for place in _candidates(stack)]
    for number, place in enumerate(places):
        end = places[number + 1] if number + 1 < len(places) else len(looks)
        is_long = _lasts(looks[start:place]) and _lasts(looks[place:], VIEW_LASTING)
        before, after = stack[start:place], stack[place:end]
        if not is_long or not _differ(before, after) or not _stays(before, stack[place:]):
            continue
        yield _change("view", looks[start:place], looks[place:])
        start = place


def _contradict(looks: Sequence[Look], change: SceneChange) -> bool:
    """Whether pictures of the other kind of light show the same scene before and after a change."""
    before = [one for one in looks if one.moment < change.first.moment][-WINDOW:]
    after = [one for one in looks if one.moment >= change.first.moment][:WINDOW]
    if min(len(before), len(after)) < LEAST:
        return False
    return likeness(_median(before), _median(after)) >= DIFFERENT


def _stack(looks: Sequence[Look]) -> Floats:
    cells = [_normal(one.pixels) for one in looks]
    return np.asarray(cells, np.float32).reshape(len(looks), ROWS, COLUMNS)


def _normal(pixels: NDArray[np.uint8]) -> Floats:
    """The structure of a picture, without the brightness and contrast of each neighborhood."""
    import cv2

    values = pixels.astype(np.float32)
    mean = cv2.blur(values, (9, 9))
    spread = cv2.blur((values - mean) ** 2, (9, 9)) ** 0.5
    return ((values - mean) / (spread + 4.0)).astype(np.float32)


def _median(looks: Sequence[Look]) -> Floats:
    return _middle(_stack(looks))


def _middle(stack: Floats) -> Floats:
    return np.asarray(np.median(stack, axis=0), np.float32)


def likeness(one: Floats, other: Floats) -> float:
    """The highest correlation of two scenes that are shifted by up to ``SHIFT`` cells."""
    inside = one[SHIFT:-SHIFT, SHIFT:-SHIFT]
    best = -1.0
    for down in range(2 * SHIFT + 1):
        for across in range(2 * SHIFT + 1):
            rows, columns = inside.shape
            part = other[down : down + rows, across : across + columns]
            best = max(best, _correlation(inside, part))
    return best


def _correlation(one: Floats, other: Floats) -> float:
    one, other = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / scale if scale > 0 else 0.0


def _candidates(stack: Floats) -> list[int]:
    """Positions at which the medians of the pictures before and after differ most."""
    scores = np.ones(len(stack))
    for place in range(LEAST, len(stack) - LEAST + 1):
        before = stack[max(place - WINDOW, 0) : place]
        after = stack[place : place + WINDOW]
        scores[place] = _correlation(_middle(before), _middle(after))
    found: list[int] = []
    for place in np.argsort(scores, kind="stable"):
        if scores[place] >= CANDIDATE:
            break
        if all(abs(int(place) - other) >= WINDOW for other in found):
            found.append(int(place))
    return sorted(found)


def _refined(stack: Floats, place: int) -> int:
    """The position near a candidate from which the pictures resemble the later ones more."""
    start, end = max(place - WINDOW, 0), place + WINDOW
    old, new = _middle(stack[start:place]), _middle(stack[place:end])
    near = stack[start:end]
    return start + _separation([_correlation(one, new) > _correlation(one, old) for one in near])


def _differ(before: Floats, after: Floats) -> bool:
    """Whether two groups of pictures show two different, steady scenes."""
    near, far = before[-2 * WINDOW :], after[: 2 * WINDOW]
    for group in (near, far):
        if likeness(_middle(group[::2]), _middle(group[1::2])) < STEADY:
            return False
    return likeness(_middle(near), _middle(far)) < DIFFERENT


def _stays(before: Floats, later: Floats) -> bool:
    """Whether the scene before a change never appears after it, and the new scene never before it."""
    old, new = _middle(before[-2 * WINDOW :]), _middle(later[: 2 * WINDOW])
    for scene, own, others in (
        (old, before[-2 * WINDOW :], later),
        (new, later[: 2 * WINDOW], before),
    ):
        usual = float(np.median([_correlation(one, scene) for one in own]))
        seen = sum(_correlation(one, scene) >= RECOGNIZED * usual for one in others)
        if seen > (1 - SHARE) * len(others):
            return False
    return likeness(old, _middle(later[-2 * WINDOW :])) < DIFFERENT

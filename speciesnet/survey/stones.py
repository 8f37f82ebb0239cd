"""Boxes that never move: branches, stones and shadows that the detector mistakes for animals.

A detector that mistakes a branch for an animal does so in hundreds of images, always in the same
place. An animal that sleeps in front of the camera also has many boxes in the same place, but in one
night. So boxes of one camera form a stone if

1. at least ``boxes`` boxes of one category have an overlap (IoU) of ``SAME_PLACE`` or more with a
   central box,
2. they are spread over ``days`` or more, where a day with few of them counts less than one with many, and
3. they show a single object: animals that pass every day leave many boxes nearby that overlap only by
   half, so at least the share ``tight`` of the boxes at this place must be in the group.

An animal can also stay for days, for example on a nest. Boxes with high confidence that nearly all have
the same species with a high score, at a place that looks empty in most images in between, count as
animals.

Without dates, only the number of boxes can be used; MegaDetector's tools require 20 boxes.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from speciesnet.constants import Detection
from speciesnet.ensemble.taxonomy import UNKNOWN, category_of, split_label
from speciesnet.files.paths import with_slashes
from speciesnet.records import Record, answer_of, record_errors
from speciesnet.survey.sequences import camera_folder, clock_time
from speciesnet.survey.stone_verdicts import (
    SAME_PLACE,
    PlacedBox,
    Sides,
    StoneVerdict,
    Verdict,
)
from speciesnet.survey.survey import Picture

BINS = 60  # in a timeline
_NEARBY = 0.5  # the overlap of boxes at about the same place
_BLOCK = 64  # boxes whose overlaps are computed together
_EPOCH = datetime(1970, 1, 1)
_DAY = 86_400.0
_KINDS = {kind.value: number for number, kind in enumerate(Detection)}

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class StoneRule:
    """The thresholds of the rule above; docs/stones.md has measurements.

    Attributes:
        boxes: The minimum number of boxes.
        undated: The minimum number of boxes without dates.
        days: The minimum effective number of days: 1 / the sum of the squared shares of the days.
        tight: The minimum share of the boxes at the place, in [0, 1].
        confidence: Boxes with a lower confidence are left out, in [0, 1].
        area: Larger boxes are left out; a share of the image, in [0, 1].
        sure: The minimum mean confidence, score and share of one species for an animal that stays.
    """

    boxes: int = 8
    undated: int = 20
    days: float = 3.0
    tight: float = 0.25
    confidence: float = 0.1
    area: float = 0.2
    sure: float = 0.8


RULE = StoneRule()


class SeenBox(NamedTuple):
    """A box of an image with its answer; the most confident box has the answer of the image."""

    kind: str
    conf: float
    bbox: Sequence[float]
    label: str | None = None
    score: float = 0.0


class Bin(NamedTuple):
    """A part of a timeline: how many images the camera took, and how many of them have the box."""

    images: int
    boxes: int


@dataclass(frozen=True)
class Stone:
    """A group of boxes that never move.

    Attributes:
        name: Its name: eight hexadecimal digits.
        camera: The folder of the camera.
        kind: ``animal``, ``human`` or ``vehicle``.
        boxes: The boxes: the central one first, the others in chronological order.
        first: The date of the first one, ISO 8601, or None.
        last: The date of the last one.
        days: The number of different days.
        empty: The share of the camera's images between the first and the last box without a box of the
            group, in [0, 1]; 0 if there are no dates.
        conf: The mean confidence.
        answers: The answers of the boxes, with their numbers.
        time_line: ``BINS`` parts of the time in which the camera took images; empty if there are no
            dates.
        verdict: A person's verdict, or None.
    """

    name: str
    camera: str
    kind: str
    boxes: tuple[PlacedBox, ...]
    first: str | None
    last: str | None
    days: int
    empty: float
    conf: float
    answers: Mapping[str, int]
    time_line: tuple[Bin, ...] = ()
    verdict: Verdict | None = None

    def decided(self, verdict: Verdict | None, at: str, reviewer: str) -> StoneVerdict:
        """A new verdict on it."""
        return StoneVerdict(self.name, verdict, self.boxes, at, reviewer)


@dataclass
class Sightings:
    """All boxes of a survey in columns, with a few numbers for each box.

    Args:
        rule: The rule that determines which boxes matter.
    """

    rule: StoneRule = RULE
    _paths: list[str] = field(default_factory=list)
    _names: dict[str, int] = field(default_factory=dict)  # cameras and labels, and their numbers
    _folders: dict[str, int] = field(default_factory=dict)  # folders, and the numbers of cameras
    _cameras: array[int] = field(default_factory=lambda: array("i"))  # for each image
    _times: array[float] = field(default_factory=lambda: array("d"))  # in seconds; NaN: unknown
    _rows: array[int] = field(default_factory=lambda: array("i"))  # image, kind, label of each box
    _values: array[float] = field(default_factory=lambda: array("f"))  # sides, conf, score

    def add(self, filepath: str, taken: str | None, boxes: Iterable[SeenBox]) -> None:
        """Adds an image; ``taken`` is its date, ISO 8601, or None."""
        image = len(self._paths)
        self._paths.append(filepath)
        folder = with_slashes(filepath).rpartition("/")[0]
        if (camera := self._folders.get(folder)) is None:
            camera = self._folders[folder] = self._number_of("/".join(camera_folder(filepath)))
        self._cameras.append(camera)
        seconds = (clock_time(taken) - _EPOCH).total_seconds() if taken else np.nan
        self._times.append(seconds)
        for kind, conf, bbox, label, score in boxes:
            if conf >= self.rule.confidence and 0 < bbox[2] * bbox[3] <= self.rule.area:
                self._rows.extend((image, _KINDS[kind], self._number_of(label or "")))
                self._values.extend((*bbox, conf, score))

    def _number_of(self, name: str) -> int:
        return self._names.setdefault(name, len(self._names))

    def find(self) -> list[Stone]:
        """The stones, those with the most boxes first."""
        rows = np.array(self._rows, np.int64).reshape(-1, 3)
        values = np.array(self._values, np.float32).reshape(-1, 6)
        cameras, times = np.array(self._cameras, np.int64), np.array(self._times)
        names, kinds = list(self._names), list(_KINDS)
        keys = cameras[rows[:, 0]] * len(_KINDS) + rows[:, 1]
        found = []
        for own in _split(keys):
            camera, kind = divmod(int(keys[own[0]]), len(_KINDS))
            sides = values[own, :4]
            groups = same_place(sides, self.rule.boxes)
            if not groups:
                continue
            taken = np.sort(times[cameras == camera])
            for group in groups:
                if not is_tight(sides, group, self.rule.tight):
                    continue
                members = own[group]
                seen = _Seen(rows[members], values[members], times[rows[members, 0]], taken)
                if seen.is_stone(self.rule, names):
                    found.append(self._stone(seen, names[camera], kinds[kind], names))
        return sorted(found, key=lambda stone: -len(stone.boxes))

    def _stone(self, seen: _Seen, camera: str, kind: str, names: list[str]) -> Stone:
        order = [0, *(1 + np.argsort(seen.times[1:], kind="stable"))]
        boxes = tuple(
            PlacedBox(self._paths[seen.rows[i, 0]], cast("Sides", tuple(_sides(seen.values[i]))))
            for i in order
        )
        digest = hashlib.sha256(repr((camera, kind, boxes[0])).encode("utf-8", "replace"))
        answers = Counter(names[number] for number in seen.rows[:, 2].tolist())
        dated = seen.dated
        return Stone(
            name=digest.hexdigest()[:8],
            camera=camera,
            kind=kind,
            boxes=boxes,
            first=_iso(dated.min()) if dated.size else None,
            last=_iso(dated.max()) if dated.size else None,
            days=len(np.unique(dated // _DAY)),
            empty=seen.empty,
            conf=float(seen.values[:, 4].mean()),
            answers={label: count for label, count in answers.most_common() if label},
            time_line=seen.time_line,
        )


@dataclass(frozen=True)
class _Seen:
    """The boxes of a group, and when its camera took images."""

    rows: Numbers  # image, kind and label of each box
    values: Floats  # sides, confidence and score of each box
    times: NDArray[np.float64]  # of each box
    taken: NDArray[np.float64]  # of all images of the camera, sorted; NaN comes last

    @property
    def dated(self) -> NDArray[np.float64]:
        return self.times[~np.isnan(self.times)]

    @property
    def empty(self) -> float:
        """The share of images without a box among those from the first to the last box."""
        if not self.dated.size:
            return 0.0
        ends = self.dated.min(), self.dated.max()
        start, end = (
            np.searchsorted(self.taken, ends[0]),
            np.searchsorted(self.taken, ends[1], "right"),
        )
        with_box = len(np.unique(self.rows[~np.isnan(self.times), 0]))
        return 1 - with_box / int(end - start)

    @property
    def time_line(self) -> tuple[Bin, ...]:
        taken = self.taken[~np.isnan(self.taken)]
        if not self.dated.size:
            return ()
        ends = (taken[0], max(taken[-1], taken[0] + _DAY))
        images, _ = np.histogram(taken, BINS, ends)
        _, first = np.unique(self.rows[:, 0], return_index=True)
        times = self.times[first]
        boxes, _ = np.histogram(times[~np.isnan(times)], BINS, ends)
        return tuple(map(Bin, images.tolist(), boxes.tolist()))

    def is_stone(self, rule: StoneRule, names: list[str]) -> bool:
        """Whether the times and answers are typical of a stone."""
        dated = self.dated
        if 2 * dated.size < len(self.times):
            return len(self.times) >= rule.undated
        return effective_days(dated) >= rule.days and not self._is_resident(rule, names)

    def _is_resident(self, rule: StoneRule, names: list[str]) -> bool:
        numbers, counts = np.unique(self.rows[:, 2], return_counts=True)
        label = names[int(numbers[counts.argmax()])]
        if category_of(label) == UNKNOWN or not split_label(label).species:
            return False
        conf, score = self.values[:, 4].mean(), self.values[:, 5].mean()
        share = counts.max() / counts.sum()
        return self.empty >= 0.5 and min(conf, score, share) >= rule.sure


def effective_days(times: NDArray[np.float64]) -> float:
    """The number of days over which times are spread: 1 / the sum of the squared shares of the days.

    Args:
        times: Seconds by the camera's clock, at least one.

    Examples:
        >>> hours = np.array([0.0] * 50 + [24.0] * 50)
        >>> effective_days(hours * 3600)
        2.0
    """
    _, counts = np.unique(times // _DAY, return_counts=True)
    shares = counts / counts.sum()
    return float(1 / (shares**2).sum())


def same_place(sides: Floats, at_least: int) -> list[Numbers]:
    """Groups boxes that overlap a central box by ``SAME_PLACE`` or more.

    The box that overlaps the most others is the center of the first group; the rest are grouped
    in the same way.

    Args:
        sides: Left, top, width and height; shape (boxes, 4).
        at_least: The minimum number of boxes in a group.

    Returns:
        The positions of the boxes in each group, the central one first; no box is in two groups.
    """
    if len(sides) < at_least:
        return []
    counts = _neighbors(sides)
    free = np.ones(len(sides), bool)
    groups = []
    for middle in np.argsort(-counts, kind="stable"):
        if counts[middle] < at_least:
            break
        if not free[middle]:
            continue
        near = free & (overlaps(sides[middle][None], sides)[0] >= SAME_PLACE)
        free[middle] = near[middle] = False
        others = np.flatnonzero(near)
        if len(others) + 1 >= at_least:
            free[others] = False
            groups.append(np.array([middle, *others]))
    return groups


def is_tight(sides: Floats, group: Numbers, share: float) -> bool:
    """Whether a group has at least a given share of all boxes that overlap its center by half or more."""
    nearby = overlaps(sides[group[0]][None], sides)[0] >= _NEARBY
    return len(group) >= share * int(np.count_nonzero(nearby))


def _neighbors(sides: Floats) -> Numbers:
    """How many boxes, including itself, overlap each box by ``SAME_PLACE`` or more."""
    order = np.argsort(sides[:, 0], kind="stable")
    ranked = sides[order]
    # Areas of such boxes differ by less than one step, and left sides by less than ``reach``.
    steps = np.floor(np.log(ranked[:, 2] * ranked[:, 3]) / np.log(1 / SAME_PLACE))
    counts = np.empty(len(sides), np.int64)
    for step in np.unique(steps):
        own, others = np.flatnonzero(steps == step), np.flatnonzero(abs(steps - step) <= 1)
        candidates = ranked[others]
        for start in range(0, len(own), _BLOCK):
            rows = own[start : start + _BLOCK]
            block = ranked[rows]
            reach = (1 - SAME_PLACE) / SAME_PLACE * float(block[:, 2].max())
            first = np.searchsorted(candidates[:, 0], block[0, 0] - reach)
            end = np.searchsorted(candidates[:, 0], block[-1, 0] + reach, "right")
            near = overlaps(block, candidates[first:end]) >= SAME_PLACE
            counts[order[rows]] = near.sum(axis=1)
    return counts


def overlaps(some: Floats, others: Floats) -> Floats:
    """The intersection over union of all pairs; shape (some, others)."""
    lengths = []
    for side in (0, 1):
        low, size = some[:, side, None], some[:, side + 2, None]
        end = np.minimum(low + size, others[:, side] + others[:, side + 2])
        lengths.append(np.maximum(end - np.maximum(low, others[:, side]), 0))
    common = lengths[0] * lengths[1]
    areas = (some[:, 2] * some[:, 3])[:, None] + others[:, 2] * others[:, 3]
    return common / (areas - common)


def _split(keys: Numbers) -> Iterator[Numbers]:
    """The positions of each key, in order."""
    if keys.size:
        order = np.argsort(keys, kind="stable")
        yield from np.split(order, np.flatnonzero(np.diff(keys[order])) + 1)


def _sides(values: Floats) -> list[float]:
    return [round(float(side), 5) for side in values[:4]]


def _iso(seconds: float) -> str:
    return (_EPOCH + timedelta(seconds=float(seconds))).isoformat(timespec="seconds")


def boxes_in_record(record: Record) -> list[SeenBox]:
    """The boxes of a record with their answers."""
    if not record.get("detections"):
        return []
    with record_errors(record):
        boxes = record.get("detections") or ()
        best = max(boxes, key=lambda box: box["conf"], default=None)
        label, score, _ = answer_of(record)
        return [
            SeenBox(box["label"], box["conf"], box["bbox"], label, score)
            if box is best and "prediction" not in box
            else SeenBox(
                box["label"], box["conf"], box["bbox"],
                box.get("prediction"), box.get("prediction_score", 0.0),
            )
            for box in boxes
        ]  # fmt: skip


def stones_in_pictures(pictures: Iterable[Picture]) -> list[Stone]:
    """The stones of a survey, including those that were removed from its pictures."""
    sightings = Sightings()
    for picture in pictures:
        boxes = [
            SeenBox(box.kind, box.conf, box[2:6], box.label, box.score)
            for box in (*picture.stones, *(picture.boxes or ()))
        ]
        best = max(range(len(boxes)), key=lambda i: boxes[i].conf, default=None)
        if best is not None and boxes[best].label is None:
            boxes[best] = boxes[best]._replace(label=picture.label, score=picture.score)
        sightings.add(picture.filepath, picture.taken, boxes)
    return sightings.find()


def with_verdicts(stones: Iterable[Stone], verdicts: Mapping[str, StoneVerdict]) -> list[Stone]:
    """The stones with their verdicts and the names in the verdicts.

    A verdict belongs to the stone with most of the verdict's boxes, because images may have been
    added.
    """
    names = {box: name for name, verdict in verdicts.items() for box in verdict.boxes}
    found = []
    for stone in stones:
        decided = Counter(names[box] for box in stone.boxes if box in names)
        name, count = next(iter(decided.most_common(1)), ("", 0))
        if name and 2 * count > len(verdicts[name].boxes):
            found.append(replace(stone, name=name, verdict=verdicts[name].verdict))
        else:
            found.append(replace(stone, verdict=None))
    return found

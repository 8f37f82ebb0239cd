"""Events: independent occasions on which a camera photographed a taxon.

By convention, two events of a species at a camera are at least half an hour apart. Their number is a
measure of activity, and the largest number of individuals in one photograph (MaxN) is a measure of group
size. The rule is that of camtrapR's ``recordTable``, by default with ``deltaTimeComparedTo =
"lastRecord"``: each photograph of the label restarts the interval, so a herd that stays for hours is one
event. With "lastIndependentRecord", there is an event every half-hour.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from sys import intern
from typing import Literal, NamedTuple

from speciesnet.constants import DEFAULT_EVENT_GAP
from speciesnet.ensemble.taxonomy import is_ancestor
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.records import Record, record_errors
from speciesnet.survey.counts import counts_of, largest_counts, may_be_counted_below
from speciesnet.survey.sequences import camera_folder, clock_time

ComparedTo = Literal["last_record", "last_independent_record"]


class Sighting(NamedTuple):
    """A photograph of a label.

    Attributes:
        taken: The date by the camera's clock, ISO 8601, or None.
        filepath: The path in the predictions.
        individuals: The number of individuals.
        is_reviewed: Whether a person has reviewed the photograph.
    """

    taken: str | None
    filepath: str
    individuals: int
    is_reviewed: bool = False


@dataclass(slots=True)
class Event:
    """An event of one label at one camera.

    Attributes:
        camera: The folder of the camera.
        label: The label.
        sightings: The photographs of this label, in chronological order.
        count: The largest number of individuals in one photograph.
    """

    camera: str
    label: str
    sightings: list[Sighting]
    count: int = 0

    def __post_init__(self) -> None:
        self.count = max(sighting.individuals for sighting in self.sightings)

    @property
    def start(self) -> str | None:
        """The date of the first photograph, or None."""
        return self.sightings[0].taken

    @property
    def end(self) -> str | None:
        """The date of the last photograph, or None."""
        return self.sightings[-1].taken


def sightings_of(record: Record, metadata: PhotoMetadata) -> Iterator[tuple[str, str, Sighting]]:
    """The camera, the label and the photograph of each label that was counted in it.

    Raises:
        InputError: The record is malformed.
    """
    with record_errors(record):
        path, taken = record["filepath"], metadata.datetime
        counts = counts_of(record)
        # Without a date, higher taxa can only be found in the photograph itself.
        counts = counts if taken else largest_counts([counts])
        camera = intern("/".join(camera_folder(path)))
        is_reviewed = "review" in record or "box_review" in record
    for label, count in counts.items():
        yield camera, intern(label), Sighting(taken, path, count, is_reviewed)


def find_events(
    sightings: Iterable[tuple[str, str, Sighting]],
    gap: float = DEFAULT_EVENT_GAP,
    compared_to: ComparedTo = "last_record",
) -> Iterator[Event]:
    """The events of each camera, in chronological order.

    1. A photograph of a label starts an event if it was taken ``gap`` minutes or more after the previous
       photograph of this label by this camera, or after the first one of the previous event. Each
       photograph without a date is a separate event; these come last.
    2. An event of a higher taxon is left out if one of a taxon below it is less than ``gap`` minutes
       away: it may be the same individuals, identified less precisely. If there is only one such
       event, and the taxon is a family or lower, that event gets the higher taxon's count in
       photographs that do not show the lower one, if it is larger; see ``largest_counts``.

    Args:
        sightings: The camera, the label, and the photograph; in any order.
        gap: Minutes, at least 0.
        compared_to: Whether the gap is the time since the previous photograph or since the start of the
            previous event.

    Raises:
        ValueError: A date is invalid.

    Examples:
        >>> fox = "0;mammalia;carnivora;canidae;vulpes;vulpes;red fox"
        >>> taken = ["2024-05-01T06:30:00", "2024-05-01T06:50:00", "2024-05-01T07:20:00"]
        >>> found = find_events(("cam1", fox, Sighting(date, "a.jpg", 1)) for date in taken)
        >>> [(event.start, len(event.sightings)) for event in found]
        [('2024-05-01T06:30:00', 2), ('2024-05-01T07:20:00', 1)]
    """
    pause = timedelta(minutes=gap)
    cameras: dict[str, dict[str, list[Sighting]]] = {}
    for camera, label, sighting in sightings:
        cameras.setdefault(camera, {}).setdefault(label, []).append(sighting)
    for camera in sorted(cameras):
        by_label = {
            label: list(_split(camera, label, found, pause, compared_to))
            for label, found in cameras.pop(camera).items()
        }
        events = _without_higher_taxa(by_label, pause)
        # The sort is stable, so events at the same time keep the order of their labels.
        yield from sorted(events, key=lambda event: (event.start is None, event.start or ""))


def _split(
    camera: str,
    label: str,
    sightings: Iterable[Sighting],
    pause: timedelta,
    compared_to: ComparedTo,
) -> Iterator[Event]:
    """The events of one label at one camera."""
    undated, dated = [], []
    for sighting in sightings:
        if sighting.taken is None:
            undated.append(sighting)
        else:
            dated.append((clock_time(sighting.taken), sighting))
    dated.sort(key=lambda pair: pair[0])
    current: list[Sighting] = []
    last = datetime.min
    for moment, sighting in dated:
        if current and moment - last >= pause:
            yield Event(camera, label, current)
            current = []
        if not current or compared_to == "last_record":
            last = moment
        current.append(sighting)
    if current:
        yield Event(camera, label, current)
    yield from (Event(camera, label, [sighting]) for sighting in undated)


class _Times:
    """The dated events of one label, in chronological order; none overlap."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = [event for event in events if event.start is not None]
        self.spans = [_span(event) for event in self.events]
        self.starts = [start for start, _ in self.spans]
        self.ends = [end for _, end in self.spans]

    def near(self, span: tuple[datetime, datetime], pause: timedelta) -> list[Event]:
        """The events that are less than a pause away from a period, or within it."""
        start, end = span
        return self.events[
            bisect_right(self.ends, start - pause) : bisect_left(self.starts, end + pause)
        ]


def _span(event: Event) -> tuple[datetime, datetime]:
    return clock_time(event.start or ""), clock_time(event.end or "")


def _without_higher_taxa(by_label: Mapping[str, Sequence[Event]], pause: timedelta) -> list[Event]:
    """The events of a camera without those of higher taxa, see ``find_events``."""
    times = {label: _Times(events) for label, events in by_label.items()}
    near_ones: list[tuple[Event, list[Event]]] = []
    for label in by_label:
        below = [times[other] for other in by_label if is_ancestor(label, other)]
        for event, span in zip(times[label].events, times[label].spans, strict=True):
            near = [other for lower in below for other in lower.near(span, pause)]
            if near:
                near_ones.append((event, near))
    left_out = {id(event) for event, _ in near_ones}
    for event, near in near_ones:
        kept = [other for other in near if id(other) not in left_out]
        if len(kept) == 1 and may_be_counted_below(event.label):
            shown = {sighting.filepath for sighting in kept[0].sightings}
            others = (s.individuals for s in event.sightings if s.filepath not in shown)
            kept[0].count = max(kept[0].count, *others, 0)
    return [e for events in by_label.values() for e in events if id(e) not in left_out]

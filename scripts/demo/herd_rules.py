"""Rules for the boxes of a sequence, which ``demo.herds`` compares with the program's rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from speciesnet.ensemble import combine_predictions_for_single_item
from speciesnet.geofence import Rules
from speciesnet.records import Box, Record
from speciesnet.survey.sequences import mean_classes
from speciesnet.survey.smoothing import smoothed
from speciesnet.taxonomy import is_ancestor, split_label

Group = list[Box]
Smoother = Callable[[Sequence[Record]], list[Record]]
_OTHERS = ("other", "unknown", "no cv result", "animal", "blank", "mammal")


def with_boxes(records: Sequence[Record], changed: dict[int, Box]) -> list[Record]:
    """The records with some of their boxes replaced, by ``id``."""
    return [
        {
            **record,
            "detections": [changed.get(id(box), box) for box in record.get("detections", ())],
        }
        for record in records
    ]


def megadetector_rules(records: Sequence[Record]) -> list[Record]:
    """The smoothing of MegaDetector 10.0.28 with its defaults: each image, then the sequence."""
    records = with_boxes(records, {})  # copies
    groups: list[Group] = [
        [box.copy() for box in record.get("detections", ())] for record in records
    ]
    for group in groups:
        _megadetector_group(group)
    _megadetector_group([box for group in groups for box in group])
    return [{**r, "detections": group} for r, group in zip(records, groups, strict=True)]


def _megadetector_group(boxes: Iterable[Box]) -> None:
    """The three rules that are on by default, on boxes of at least 0.15 and scores of at least 0.5."""
    used = [
        box
        for box in boxes
        if box["label"] == "animal"
        and box["conf"] >= 0.15
        and "prediction" in box
        and box.get("prediction_score", 0.0) >= 0.5
    ]
    for step in (_others, _rare, _groups):
        counts = Counter(box.get("prediction", "") for box in used)
        if not counts:
            return
        change = step(counts)
        for box in used:
            box["prediction"] = change(box.get("prediction", ""))


def _is_other(label: str) -> bool:
    return split_label(label).common_name in _OTHERS


def _most_frequent(counts: Counter[str]) -> tuple[str, int]:
    return max(counts.items(), key=lambda item: (item[1], not _is_other(item[0])))


def _others(counts: Counter[str]) -> Callable[[str], str]:
    top, count = _most_frequent(counts)
    applies = not _is_other(top) and count >= 2
    return lambda label: top if applies and _is_other(label) else label


def _rare(counts: Counter[str]) -> Callable[[str], str]:
    top, count = _most_frequent(counts)
    return lambda label: (
        top if count >= 4 and counts[label] <= 1 and not is_ancestor(top, label) else label
    )


def _groups(counts: Counter[str]) -> Callable[[str], str]:
    ranks = ("class", "order", "family", "genus", "species", "subspecies")

    def change(label: str) -> str:
        below = [other for other in counts if is_ancestor(label, other)]
        if not below or split_label(label).rank in ("species", "subspecies"):
            return label
        return max(below, key=lambda o: ranks.index(split_label(o).rank) + 0.01 * counts[o])

    return change


def tracks_of(records: Sequence[Record]) -> list[Group]:
    """The boxes of animals, linked from image to image by overlap, otherwise by distance and size."""
    tracks: list[Group] = []
    open_tracks: list[Group] = []
    for record in records:
        boxes = [
            b for b in record.get("detections", ()) if "prediction" in b and b["label"] == "animal"
        ]
        pairs = sorted(
            ((closeness(track[-1], box), i, j) for i, track in enumerate(open_tracks)
             for j, box in enumerate(boxes)), reverse=True,
        )  # fmt: skip
        linked: dict[int, Group] = {}
        used: set[int] = set()
        for score, i, j in pairs:
            if score > 0 and i not in used and j not in linked:
                used.add(i)
                linked[j] = open_tracks[i]
        open_tracks = []
        for j, box in enumerate(boxes):
            track = linked.get(j)
            if track is None:
                track = []
                tracks.append(track)
            track.append(box)
            open_tracks.append(track)
    return tracks


def closeness(one: Box, other: Box) -> float:
    """1 for the same box, 0 for boxes that are too far apart or too different in size."""
    x, y, w, h = one["bbox"]
    u, v, s, t = other["bbox"]
    if not (w and h and s and t):
        return 0.0
    size = max(w, s), max(h, t)
    ratio = min(h, t) / max(h, t)
    distance = max(
        abs(x + w / 2 - u - s / 2) / (1.2 * size[0]), abs(y + h - v - t) / (0.4 * size[1])
    )
    return max(0.0, 1 - distance) * (ratio > 0.6)


def track_means(records: Sequence[Record], rules: Rules) -> list[Record]:
    """Averages the classes over each track, as ``sequence_answer`` does over a sequence."""
    changed: dict[int, Box] = {}
    for track in tracks_of(records):
        if len(track) < 2:
            continue
        classes, scores = mean_classes(
            [box["classifications"] for box in track if "classifications" in box]
        )
        label, score, source = combine_predictions_for_single_item(
            classifications={"classes": classes, "scores": scores},
            detections=[max(track, key=lambda box: box["conf"])],
            taxonomy_map=rules.taxonomy_map, geofence_map=rules.geofence_map, enable_geofence=False,
        )  # fmt: skip
        for box in track:
            changed[id(box)] = {
                **box, "prediction": label, "prediction_score": score, "prediction_source": source,
            }  # fmt: skip
    return with_boxes(records, changed)


def all_rules(rules: Rules) -> dict[str, Smoother]:
    """The rules to compare, by name."""

    def by_track(records: Sequence[Record]) -> list[Record]:
        return track_means(records, rules)

    return {
        "no smoothing": list,
        "(a) MegaDetector": megadetector_rules,
        "(b) kinds": smoothed,
        "(c) mean of a track": by_track,
        "(c), then (b)": lambda records: smoothed(by_track(records)),
    }

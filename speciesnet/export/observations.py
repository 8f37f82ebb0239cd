"""The rows of ``observations.csv``: what each photograph shows, and what each event shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from speciesnet.constants import Classification, Detection
from speciesnet.ensemble.taxonomy import BLANK, UNKNOWN, Label, category_of, split_label
from speciesnet.export.media_index import Medium
from speciesnet.records import Box, Record, Review, answer_of, record_errors
from speciesnet.survey.corrections import SOURCE
from speciesnet.survey.counts import has_box_answers, individual_boxes, largest_counts
from speciesnet.survey.individuals import individuals_of

# Columns of observations-table-schema.json: all are required, in this order, but may be empty.
OBSERVATION_COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd",
    "observationLevel", "observationType", "cameraSetupType", "scientificName", "count", "lifeStage",
    "sex", "behavior", "individualID", "individualPositionRadius", "individualPositionAngle",
    "individualSpeed", "bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationMethod",
    "classifiedBy", "classificationTimestamp", "classificationProbability", "observationTags",
    "observationComments",
)  # fmt: skip
UNCLASSIFIED = "unclassified"
_ANIMAL, _HUMAN, _VEHICLE = Detection.ANIMAL.value, Detection.HUMAN.value, Detection.VEHICLE.value
_INDIVIDUALS = (_ANIMAL, _HUMAN)  # what is counted, and has a scientific name
# What an image may show besides its answer, with its label: these animals were not classified.
_ALSO_SEEN = {_HUMAN: split_label(Classification.HUMAN.value), _ANIMAL: Label()}
# If nothing was seen in an event, it has the first of these types found in its photographs.
_NOTHING_SEEN = (UNKNOWN, BLANK, UNCLASSIFIED)
_SMALLEST_SIDE = 1e-15  # of a box, according to the schema
_Cells = dict[str, str]


@dataclass(frozen=True)
class Observation:
    """What a photograph or an event shows.

    Attributes:
        kind: The type of the observation, such as ``animal``.
        label: The label; its parts are empty if there is none.
        count: The number of individuals, or None if it is unknown.
        probability: The score in [0, 1], or None if a person decided or nothing was classified.
        origin: The columns that say who classified it, and when.
        more: Other columns, for photographs only.
    """

    kind: str
    label: Label
    count: int | None = None
    probability: float | None = None
    origin: _Cells = field(default_factory=dict)
    more: _Cells = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The scientific name; only for an animal or a human."""
        return self.label.scientific_name if self.kind in _INDIVIDUALS else ""

    @property
    def is_human_work(self) -> bool:
        """Whether a person classified it."""
        return self.origin.get("classificationMethod") == "human"

    def cells(self) -> _Cells:
        """Its columns, except those of its photograph or event."""
        return {
            "observationType": self.kind,
            "scientificName": self.name,
            "count": "" if self.count is None else str(self.count),
            **self.origin,
            "classificationProbability": "" if self.probability is None else str(self.probability),
            **self.more,
        }


def observations_of(record: Record) -> list[Observation]:
    """The observations of a photograph: its answer, and any other people or animals in it.

    People in a photograph with a different answer, and animals next to people or a vehicle, have their
    own observation if they are individuals (see ``individual_boxes``), unless a reviewer has replaced
    an answer that named them. Blank photographs have none. Animals also require a box around the people
    or the vehicle.

    If boxes have their own answers, there is an observation for each label instead (see
    ``individuals_of``), unless there are no individuals.

    Raises:
        MalformedRecordError: The record is malformed.
    """
    with record_errors(record):
        if has_box_answers(record) and (found := _of_each_label(record)):
            return found
        text, score, source = answer_of(record)
        kind = UNCLASSIFIED if text is None else category_of(text)
        machine = _by_machine(record)
        review = record.get("review")
        origin = {} if text is None else machine
        if review:
            origin = _by_person(review)
        individuals = [box for _, box in individual_boxes(record)]
        boxes_of_kind = _boxes(record, kind)
        first = Observation(
            kind,
            Label() if text is None else split_label(text),
            _count(boxes_of_kind, individuals) if kind in _INDIVIDUALS else None,
            None if review or text is None else score,
            origin,
            {"observationComments": source or "", **_box_cells(boxes_of_kind)},
        )
        was = category_of(review["predicted"]) if review and review["predicted"] else kind
        found = [first]
        for other, label in _ALSO_SEEN.items():
            # Without a box of people or vehicles, the answer is about the animal in the box.
            if kind == BLANK or (other == _ANIMAL and not _count(boxes_of_kind, individuals)):
                continue
            boxes = _boxes(record, other)
            if other not in (kind, was) and (count := _count(boxes, individuals)):
                comments = {"observationComments": "detector", **_box_cells(boxes)}
                score = float(boxes[0]["conf"])
                found.append(Observation(other, label, count, score, machine, comments))
        return found


def _of_each_label(record: Record) -> list[Observation]:
    found: dict[tuple[str, str], Observation] = {}
    review = record.get("review") or record.get("box_review")
    for one in individuals_of(record):
        kind, is_reviewed = category_of(one.label), one.source == SOURCE
        observation = Observation(
            kind,
            split_label(one.label),
            one.count if kind in _INDIVIDUALS else None,
            None if is_reviewed else one.score,
            _by_person(review) if is_reviewed else _by_machine(record),
            {"observationComments": one.source or "", **_box_cells([one.box] if one.box else [])},
        )
        key = kind, observation.name
        if key in found:  # a label with another identifier, or of another kind of vehicle
            count = (found[key].count or 0) + (observation.count or 0) or None
            observation = replace(found[key], count=count)
        found[key] = observation
    return list(found.values())


def _by_machine(record: Record) -> _Cells:
    version = record.get("model_version")
    return {
        "classificationMethod": "machine",
        "classifiedBy": f"SpeciesNet {version}" if version else "SpeciesNet",
    }


def _by_person(review: Review | None) -> _Cells:
    if review is None:
        return {"classificationMethod": "human"}
    return {
        "classificationMethod": "human",
        "classifiedBy": review["reviewer"],
        "classificationTimestamp": review["at"],
    }


def _boxes(record: Record, kind: str) -> list[Box]:
    """The boxes of one category, best first."""
    return [box for box in record.get("detections") or [] if box["label"] == kind]


def _count(boxes: Iterable[Box], individuals: Sequence[Box]) -> int | None:
    """How many boxes are individuals (see ``individual_boxes``), or None if there are none."""
    return sum(any(box is one for one in individuals) for box in boxes) or None


def _box_cells(boxes: Sequence[Box]) -> _Cells:
    """The columns of the best box, if there is one."""
    if not boxes:
        return {}
    xmin, ymin, width, height = (min(max(float(side), 0.0), 1.0) for side in boxes[0]["bbox"])
    return {
        "bboxX": str(xmin),
        "bboxY": str(ymin),
        "bboxWidth": str(max(width, _SMALLEST_SIDE)),
        "bboxHeight": str(max(height, _SMALLEST_SIDE)),
    }


def media_rows(medium: Medium, observations: Iterable[Observation]) -> Iterator[_Cells]:
    """The rows for a photograph."""
    for number, one in enumerate(observations, start=1):
        yield {
            **_event_cells(medium),
            "observationID": f"{medium.path}#{number}",
            "mediaID": medium.path,
            "observationLevel": "media",
            **one.cells(),
        }


def _event_cells(medium: Medium) -> _Cells:
    return {
        "deploymentID": medium.deployment,
        "eventID": medium.event,
        "eventStart": medium.event_start,
        "eventEnd": medium.event_end,
    }


@dataclass
class _Event:
    """An event, with the photographs added so far.

    Attributes:
        observations: One for each type and name.
        counts: The number of individuals in each photograph, by label.
        size: The number of photographs.
    """

    observations: list[Observation] = field(default_factory=list)
    counts: list[dict[str, int]] = field(default_factory=list)
    size: int = 0

    def add(self, observations: Iterable[Observation]) -> None:
        """Adds the observations of a photograph."""
        counts = {}
        for one in observations:
            merged = _merge(self.observations, one)
            if one.kind not in _NOTHING_SEEN:
                counts[_text_of(merged)] = one.count or 0
        self.counts.append(counts)
        self.size += 1


class Events:
    """Collects the observations of photographs and returns the rows of each complete event.

    Only incomplete events are kept in memory; a camera's records are usually consecutive.
    """

    def __init__(self) -> None:
        self._open: dict[str, _Event] = {}

    def add(self, medium: Medium, observations: Iterable[Observation]) -> list[_Cells]:
        """Adds a photograph; returns the rows of its event if it was the last one.

        Args:
            medium: The photograph.
            observations: Its observations; empty if it is not in the package.
        """
        key = medium.event
        event = self._open.setdefault(key, _Event())
        event.add(observations)
        if event.size < medium.event_size:
            return []
        del self._open[key]
        return [
            {
                **_event_cells(medium),
                "observationID": f"{key}#e{number}",  # those of photographs end with a number
                "observationLevel": "event",
                **one.cells(),
            }
            for number, one in enumerate(_exclusive(event), start=1)
        ]


def _text_of(one: Observation) -> str:
    return ";".join(one.label)


def _merge(found: list[Observation], one: Observation) -> Observation:
    """Merges an observation into those of an event, which has one per type and name; returns that one."""
    for position, other in enumerate(found):
        if (other.kind, other.name) == (one.kind, one.name):
            found[position] = _better(other, one)
            return found[position]
    found.append(_better(one, one))
    return found[-1]


def _better(one: Observation, other: Observation) -> Observation:
    """Merges two observations, keeping the better classification; a person's is always better."""
    best = max(
        (one, other),
        key=lambda seen: (
            seen.is_human_work,
            seen.origin.get("classificationTimestamp", ""),
            seen.probability or 0.0,
        ),
    )
    return Observation(one.kind, one.label, None, best.probability, best.origin)


def _exclusive(event: _Event) -> list[Observation]:
    """The observations of an event, without less specific ones of the same individuals.

    ``largest_counts`` determines what is left out, such as ``Canidae`` next to ``Vulpes vulpes``, and
    the counts.
    """
    seen = {_text_of(one): one for one in event.observations if one.kind not in _NOTHING_SEEN}
    if not seen:
        order = {kind: rank for rank, kind in enumerate(_NOTHING_SEEN)}
        return sorted(event.observations, key=lambda one: order[one.kind])[:1]
    counts = largest_counts(event.counts)
    return [
        replace(one, count=counts[label] or None) for label, one in seen.items() if label in counts
    ]

"""The record of one image in a predictions file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict, TypeGuard, cast

from typing_extensions import NotRequired, Required

from speciesnet.constants import BELOW_THRESHOLD, EDGE_TOLERANCE, Failure
from speciesnet.errors import MalformedRecordError
from speciesnet.records.failures import in_published_order, is_failed


class Classifications(TypedDict):
    """The classifier's best classes for one image or one box, best first.

    Attributes:
        classes: Labels.
        scores: Their scores in [0, 1].
        target_classes: Labels requested with ``--target_species_txt``.
        target_logits: Their raw scores.
    """

    classes: list[str]
    scores: list[float]
    target_classes: NotRequired[list[str]]
    target_logits: NotRequired[list[float]]


class Box(TypedDict):
    """One detection of a record.

    Attributes:
        category: "1" (animal), "2" (human) or "3" (vehicle).
        label: The name of the category.
        conf: Confidence in [0, 1].
        bbox: Left, top, width and height relative to the image, in [0, 1].
        classifications: The classifier's result for this box, with ``--classify all``.
        prediction: The label of the answer for this box, with ``--classify all``.
        prediction_score: Its score in [0, 1].
        prediction_source: Where it comes from; see ``Record``.
        frame_number: In the record of a film, the number of its frame, from 0.
        timestamp: In the record of a film, the time of this frame, in seconds after the first one.
    """

    category: str
    label: str
    conf: float
    bbox: Sequence[float]
    classifications: NotRequired[Classifications]
    prediction: NotRequired[str]
    prediction_score: NotRequired[float]
    prediction_source: NotRequired[str]
    frame_number: NotRequired[int]
    timestamp: NotRequired[float]


class FrameOfFilm(TypedDict):
    """A frame of a film.

    Attributes:
        frame_number: Its number, from 0, in the order in which a player shows the frames.
        timestamp: Its time, in seconds after the first frame.
    """

    frame_number: int
    timestamp: float


Processed = TypedDict("Processed", {"class": str, "score": float, "source": str})


class FrameClasses(FrameOfFilm):
    """The classifier's result for one frame of a film.

    Attributes:
        classifications: Its best classes.
    """

    classifications: Classifications


class Box5(TypedDict):
    """One detection in format 5, which the published program has written since version 5.0.6.

    Attributes:
        category: "1" (animal), "2" (human), "3" (vehicle), or ``WHOLE_IMAGE``.
        label: The name of the category.
        conf: Confidence in [0, 1].
        bbox: Left, top, width and height relative to the image, in [0, 1].
        raw_classifications: The classifier's best classes.
        processed_classification: The ensemble's answer.
        frame_number: In the record of a film, the number of its frame, from 0.
        timestamp: In the record of a film, the time of this frame in seconds.
    """

    category: str
    label: str
    conf: float
    bbox: Sequence[float]
    raw_classifications: NotRequired[Classifications]
    processed_classification: NotRequired[Processed]
    frame_number: NotRequired[int]
    timestamp: NotRequired[float]


class Location(TypedDict, total=False):
    """Where an image was taken, as in a record.

    Attributes:
        country: ISO 3166-1 alpha-3 code.
        admin1_region: State or province code.
        latitude: Degrees in [-90, 90]; only together with a longitude.
        longitude: Degrees in [-180, 180].
    """

    country: str
    admin1_region: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Instance:
    """One image to predict.

    Attributes:
        filepath: Path or URL.
        country: ISO 3166-1 alpha-3 code.
        admin1_region: State or province code.
        latitude: Degrees in [-90, 90].
        longitude: Degrees in [-180, 180].
    """

    filepath: str
    country: str | None = None
    admin1_region: str | None = None
    latitude: float | None = None
    longitude: float | None = None

    @property
    def location(self) -> Location:
        """The location for a record; coordinates only as a pair."""
        location: Location = {}
        if self.country is not None:
            location["country"] = self.country
        if self.admin1_region is not None:
            location["admin1_region"] = self.admin1_region
        if self.latitude is not None and self.longitude is not None:
            location["latitude"], location["longitude"] = self.latitude, self.longitude
        return location


class Review(TypedDict):
    """Who corrected the answer of a record.

    Attributes:
        predicted: The label in the predictions, or None.
        at: The time, ISO 8601 in UTC.
        reviewer: The person's name, or "".
    """

    predicted: str | None
    at: str
    reviewer: str


class FilmFacts(TypedDict, total=False):
    """What the record of a film has in addition to that of a photograph, in both formats.

    Attributes:
        frame_rate: The average number of frames per second of the film.
        frames_processed: The numbers of the examined frames, from 0.
        frames_failed: How many frames could not be decoded; absent if all could.
        duration: The length of the film in seconds.
        frame: The frame that represents the film in counts and pictures.
        frame_classifications: In a run with only the classifier, its result for each frame, from
            which the ensemble determines the answer for the film.
    """

    frame_rate: float
    frames_processed: list[int]
    frames_failed: int
    duration: float
    frame: FrameOfFilm
    frame_classifications: list[FrameClasses]


class Record(Location, FilmFacts, total=False):
    """One image in a predictions file, with keys in the order of ``_KEYS``; see docs/output_format.md.

    Attributes:
        filepath: The image.
        failures: Names of the components that failed; absent if none did.
        classifications: The classifier's result.
        detections: Boxes in decreasing order of confidence.
        prediction: The label of the answer.
        prediction_score: Its score in [0, 1].
        prediction_source: Where it comes from, such as "classifier" or "detector".
        model_version: The model that produced it.
        metadata: Date, position and camera from EXIF, with ``--metadata``.
        orientation: The EXIF orientation of a mirrored photograph that was classified in
            MegaDetector's boxes; the ensemble converts the boxes as the classifier did.
        boxes_as_stored: Whether the boxes are relative to the photograph as stored, where it is
            mirrored; only in memory.
        review: Who corrected the answer; only in memory, see ``speciesnet.survey.corrections``.
        counts: The number of individuals of each label, counted by a reviewer; only in memory.
        box_review: Who corrected individual boxes or counts, like ``review``; only in memory.
        stones: Boxes that were removed because they never move; only in memory.
    """

    filepath: Required[str]
    failures: list[str]
    classifications: Classifications
    detections: Sequence[Box]
    prediction: str
    prediction_score: float
    prediction_source: str
    model_version: str
    metadata: dict[str, str | float]
    orientation: int
    boxes_as_stored: bool
    review: Review
    counts: dict[str, int]
    box_review: Review
    stones: Sequence[Box]


class Record5(Location, FilmFacts, total=False):
    """One image in a file of format 5; it has the keys of ``Record``, except the image's answers."""

    filepath: Required[str]
    failures: list[str]
    detections: list[Box5]
    model_version: str
    metadata: dict[str, str | float]
    orientation: int


MalformedRecord = MalformedRecordError  # its earlier name

WHOLE_IMAGE = "0"  # the category of the box around an image that was classified as a whole
ANSWER_OF_A_BOX = ("classifications", "prediction", "prediction_score", "prediction_source")
BOX_TOLERANCE = 1e-4  # within which numbers of two steps are the same: some files are rounded

PLACE = ("country", "admin1_region", "latitude", "longitude")  # the keys of a ``Location``
_KEYS = (
    *PLACE,
    "classifications",
    "detections",
    "prediction",
    "prediction_score",
    "prediction_source",
    "model_version",
)


def make_record(filepath: str, failures: Sequence[Failure] = (), **values: object) -> Record:
    """Makes a record with its keys in the published order.

    Args:
        filepath: The image.
        failures: Components that failed; an empty list leaves the key out.
        **values: Other keys of a record; None leaves a key out.

    Raises:
        TypeError: A key does not belong to a record.

    Examples:
        >>> make_record("a.jpg", prediction_score=0.9, prediction="x;fox")
        {'filepath': 'a.jpg', 'prediction': 'x;fox', 'prediction_score': 0.9}
    """
    if unknown := values.keys() - set(_KEYS):
        raise TypeError(f"A record has no {', '.join(sorted(unknown))}.")
    record: Record = {"filepath": filepath}
    if failures:
        record["failures"] = in_published_order(failures)
    known = {key: values[key] for key in _KEYS if values.get(key) is not None}
    record.update(cast("Record", known))  # the callers' own values, by their keys
    return record


def components_of(record: Record) -> str | None:
    """The kind of run that wrote a record: "all" (an ensemble), "detector", "classifier", or None."""
    has_classes, has_boxes = "classifications" in record, "detections" in record
    if "model_version" in record or "prediction" in record:
        return "all"
    if has_classes and has_boxes:  # the classifier alone repeats the boxes that it has classified
        return "classifier" if any(map(is_classified, record.get("detections") or ())) else "all"
    if has_classes != has_boxes:
        return "classifier" if has_classes else "detector"
    failures = record.get("failures", [])
    if failures == [Failure.DETECTOR.value]:
        return "detector"
    if failures == [Failure.CLASSIFIER.value]:
        return "classifier"
    return None


def top_classes(classifications: Classifications, count: int | None) -> Classifications:
    """The best classes of a classifier's result; None means all."""
    return {
        **classifications,
        "classes": classifications["classes"][:count],
        "scores": classifications["scores"][:count],
    }


def bare_box(box: Box) -> Box:
    """A box without its classes and answer."""
    found = {key: value for key, value in box.items() if key not in ANSWER_OF_A_BOX}
    return cast("Box", found)


def is_film(record: Record) -> bool:
    """Whether a record belongs to a film with frames."""
    return "frames_processed" in record


def still_of(record: Record) -> Record:
    """Reduces the record of a film to the frame that represents it; other records stay unchanged.

    Only the boxes in this frame remain; the answer is still that of the film.

    Examples:
        >>> boxes = [{"conf": 0.9, "frame_number": 0}, {"conf": 0.8, "frame_number": 30}]
        >>> film = {"filepath": "a.mp4", "detections": boxes, "frames_processed": [0, 30],
        ...         "frame": {"frame_number": 30, "timestamp": 1.0}}
        >>> still_of(film)["detections"]
        [{'conf': 0.8, 'frame_number': 30}]
    """
    if "frames_processed" not in record or "frame" not in record:
        return record
    number, boxes = record["frame"]["frame_number"], record.get("detections")
    if boxes is None:
        return record
    return {**record, "detections": [box for box in boxes if box.get("frame_number") == number]}


def is_same_box(one: Box | Box5, other: Box | Box5) -> bool:
    """Whether two boxes differ at most by rounding, because format 5 has four decimal places."""
    return one["category"] == other["category"] and is_same_bbox(one["bbox"], other["bbox"])


def is_same_bbox(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether the sides of two boxes are equal to within ``BOX_TOLERANCE``."""
    return all(abs(a - b) <= BOX_TOLERANCE for a, b in zip(one, other, strict=True))


def is_classified(box: Box) -> bool:
    """Whether a box has its own classes."""
    return isinstance(box, Mapping) and "classifications" in box


def answer_of(record: Record) -> tuple[str | None, float, str | None]:
    """The final answer of a record, or the best class in a run without the ensemble.

    Returns:
        Its label, or None if there is none or the record ``is_failed``; its score in [0, 1], or 0
        if there is no label; and its source, or None.

    Raises:
        KeyError, TypeError, ValueError, IndexError: The record is malformed.
    """
    if "prediction" in record:
        score = cast("dict[str, float]", record)["prediction_score"]  # or it is malformed
        return record["prediction"], float(score), record.get("prediction_source")
    classifications = record.get("classifications")
    if is_failed(record) or not classifications or not classifications["classes"]:
        return None, 0.0, None
    return classifications["classes"][0], float(classifications["scores"][0]), None


def is_below_threshold(record: Record) -> bool:
    """Whether the answer of a record was replaced, because it is below a threshold of its species."""
    return (record.get("prediction_source") or "").endswith(BELOW_THRESHOLD)


@contextmanager
def record_errors(record: Record) -> Iterator[None]:
    """Turns errors caused by a malformed record in the block into one that names the field.

    Raises:
        MalformedRecordError: The record is malformed.
    """
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        reason = _wrong_field(record) or f"{type(error).__name__}: {error}"
        raise MalformedRecordError(
            f"The record of {record.get('filepath')} is malformed ({reason})"
        ) from error


@contextmanager
def in_file(predictions: str | os.PathLike[str]) -> Iterator[None]:
    """Adds the name of a predictions file to errors that ``record_errors`` raises for its records.

    Raises:
        MalformedRecordError: A record is malformed.
    """
    try:
        yield
    except MalformedRecordError as error:
        raise MalformedRecordError(error.what, predictions) from error


def _wrong_field(record: Mapping[str, object]) -> str | None:
    """The first invalid field of a record, and what it must be."""
    if "prediction" in record:
        if not isinstance(record["prediction"], str):
            return "prediction must be a label"
        if not _is_number(record.get("prediction_score")):
            return "prediction_score must be a number"
    failures = record.get("failures") or []
    if not isinstance(failures, list) or not all(isinstance(name, str) for name in failures):
        return "failures must be a list of names"
    if problem := wrong_classes(record.get("classifications")):
        return problem
    boxes = record.get("detections") or []
    if not isinstance(boxes, list):
        return "detections must be a list"
    for number, box in enumerate(boxes, start=1):
        if problem := _wrong_field_of_box(box):
            return f"detection {number}: {problem}"
    return None


def wrong_classes(found: object) -> str | None:
    """What is wrong with the classes and scores of an image or a box; None if they are valid or missing.

    Their order does not matter, and neither does the form of the labels: other programs have their own.
    """
    if found is None:
        return None
    classes, scores = map(found.get, ("classes", "scores")) if _is_object(found) else (0, 0)
    if not isinstance(classes, list | tuple) or not isinstance(scores, list | tuple):
        return "classifications must contain the lists classes and scores"
    if len(classes) != len(scores) or not all(map(_is_number, scores)):
        return "classifications.scores must contain a number for each class"
    if not all(isinstance(label, str) for label in classes):
        return "classifications.classes must contain labels"
    if len(set(classes)) < len(classes):
        repeated = next(label for label in classes if classes.count(label) > 1)
        return f"classifications.classes has {repeated!r} twice"
    for score in scores:
        if not -EDGE_TOLERANCE <= score <= 1 + EDGE_TOLERANCE:
            return f"classifications.scores has {score!r}; each must be from 0 to 1"
    return None


def _wrong_field_of_box(box: object) -> str | None:
    if not _is_object(box):
        return "it must be an object"
    for name in ("category", "label"):
        if name in box and not isinstance(box[name], str):
            return f"{name} must be text"
    if not _is_number(box.get("conf")):
        return "conf must be a number"
    sides = box.get("bbox")
    if not isinstance(sides, list) or len(sides) != 4 or not all(map(_is_number, sides)):
        return "bbox must be four numbers"
    if problem := wrong_classes(box.get("classifications")):
        return problem
    return next((f"{name} is missing" for name in ("category", "label") if name not in box), None)


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""A survey as people look at it: its pictures, their sequences, and what was said about them.

The report and the review read predictions and corrections here, and nowhere else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from absl import logging

from speciesnet.constants import DETECTION_THRESHOLD, TOP_CLASSES, Classification, Detection
from speciesnet.errors import InputError, ModelError
from speciesnet.geofence import Answer, Rules, load_geofence
from speciesnet.packages.info import ModelInfo
from speciesnet.predictions.reading import read_records
from speciesnet.predictions.settings import is_geofenced, model_of_run
from speciesnet.records import Record, answer_of, is_failed, make_record, named, read_from
from speciesnet.survey.consensus import consensus
from speciesnet.survey.corrections import Correction, corrected
from speciesnet.survey.photographs import Photographs, with_metadata
from speciesnet.survey.sequences import DEFAULT_GAP, camera_folder, sequence_numbers
from speciesnet.taxonomy import build_taxonomy_map, load_taxonomy

COUNTS = (
    DETECTION_THRESHOLD  # the decision table's own bound: it takes no box below it into account
)
MIN_CONFIDENCE = 0.05  # boxes below it are noise: they are neither shown nor blurred


class Box(NamedTuple):
    """A detection: what it is of, its confidence in [0, 1], and its place relative to the image."""

    kind: str
    conf: float
    xmin: float
    ymin: float
    width: float
    height: float


@dataclass(slots=True)
class Picture:
    """One record of the predictions, with what its camera wrote.

    Attributes:
        filepath: As in the predictions.
        camera: Its folder.
        label: The predicted answer, or the best class of a run without ensemble; or None.
        score: Of the predicted answer, in [0, 1].
        source: The rule that gave it, or None.
        failures: Components that failed, so that there is no answer.
        boxes: Detections of at least ``MIN_CONFIDENCE``, best first; None where there was no detector.
        classes: The best classes and their scores, best first.
        taken: By the camera's clock, ISO 8601, or None.
        position: Latitude and longitude in degrees, or None.
        place: Country and region as the run took them, or None each.
        sequence: The number of its sequence in ``Survey.sequences``.
        correction: What a person said, or None.
    """

    filepath: str
    camera: str
    label: str | None
    score: float
    source: str | None
    failures: tuple[str, ...]
    boxes: tuple[Box, ...] | None
    classes: tuple[tuple[str, float], ...]
    taken: str | None
    position: tuple[float, float] | None
    place: tuple[str | None, str | None]
    sequence: int = 0
    correction: Correction | None = None

    @property
    def answer(self) -> str | None:
        """What a person said it is, or else what was predicted; None for a failure."""
        if self.correction is not None:
            return self.correction.label
        return None if self.failures else self.label

    @property
    def shown_path(self) -> str:
        """Its path as pages show it: with slashes, below its camera."""
        file = self.filepath.replace("\\", "/").rpartition("/")[2]
        return f"{self.camera}/{file}" if self.camera else file

    def as_record(self) -> Record:
        """What a sequence's consensus needs of it, with its correction."""
        country, region = self.place
        record = make_record(
            self.filepath,
            country=country,
            admin1_region=region,
            classifications={
                "classes": [label for label, _ in self.classes],
                "scores": [score for _, score in self.classes],
            },
            detections=[{"label": box.kind, "conf": box.conf} for box in self.boxes or ()],
            prediction=None if self.failures or self.source is None else self.label,
        )
        said = {} if self.correction is None else {self.filepath: self.correction}
        return next(corrected([record], said))


@dataclass(slots=True)
class PictureSequence:
    """Pictures that one passing animal set off.

    Attributes:
        camera: Its folder.
        number: Its number within that folder, from 1, in the order of time.
        pictures: Positions in ``Survey.pictures``, in the order of time.
        answer: Its consensus (label, score, source), or None.
    """

    camera: str
    number: int
    pictures: list[int]
    answer: Answer | None = None


@dataclass
class Survey:
    """All pictures of a predictions file.

    Attributes:
        name: Of the predictions file.
        pictures: One for each record, in order.
        sequences: All of them; a picture without a date is a sequence of its own.
        rules: What decides on a sequence.
        labels: What a person may answer: labels of the model, or those in the file without it.
        model_version: As the records state it, or None.
    """

    name: str
    pictures: list[Picture]
    sequences: list[PictureSequence] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    labels: list[str] = field(default_factory=list)
    model_version: str | None = None

    def correct(self, corrections: Mapping[str, Correction]) -> None:
        """Takes in what people say now, by filepath; sequences that it touches decide anew."""
        touched: set[int] = set()
        for picture in self.pictures:
            said = corrections.get(picture.filepath)
            if said != picture.correction:
                picture.correction = said
                touched.add(picture.sequence)
        for number in touched:
            self._decide(self.sequences[number])

    def _decide(self, sequence: PictureSequence) -> None:
        records = [self.pictures[position].as_record() for position in sequence.pictures]
        try:
            sequence.answer = consensus(records, self.rules)
        except ValueError:  # labels that are not of seven parts, of another program
            sequence.answer = None

    def find_sequences(self, gap: float) -> None:
        """Groups the pictures of each camera by time; ``gap`` is in seconds."""
        folders = {picture.camera for picture in self.pictures}
        cameras = {folder: "/".join(camera_folder(f"{folder}/")) for folder in folders}
        numbers = sequence_numbers(((cameras[p.camera], p.taken) for p in self.pictures), gap)
        found: dict[tuple[str, int], PictureSequence] = {}
        for position, (picture, number) in enumerate(zip(self.pictures, numbers, strict=True)):
            key = cameras[picture.camera], number
            found.setdefault(key, PictureSequence(*key, [])).pictures.append(position)
        self.sequences = [found[key] for key in sorted(found)]
        for index, sequence in enumerate(self.sequences):
            sequence.pictures.sort(key=lambda position: self.pictures[position].taken or "")
            for position in sequence.pictures:
                self.pictures[position].sequence = index
            self._decide(sequence)


def load_survey(
    predictions: str | os.PathLike[str],
    *,
    photographs: Photographs | None,
    corrections: Mapping[str, Correction],
    model: str | None = None,
    gap: float = DEFAULT_GAP,
    geofence: bool | None = None,
) -> Survey:
    """Reads a predictions file, of any run, also one that is being written.

    Args:
        predictions: The file.
        photographs: Where to read the dates and positions that records do not keep; None leaves them
            out.
        corrections: What people said, by filepath.
        model: The model package that made it; None takes the one that the run noted beside the file.
        gap: Seconds between two sequences, at least 0.
        geofence: Whether sequences are decided with the geofence; None as the run's images were.

    Raises:
        InputError: A record is malformed, or there is none.
        ModelError: The model that was named cannot be read.
        OutputError: The file cannot be read.
    """
    version = None
    pictures = []
    interned: dict[str, str] = {}  # labels and folders are in memory once
    with read_from(predictions):
        for record, metadata in with_metadata(read_records(predictions), photographs):
            picture = _picture(record, metadata.as_dict(), interned)
            picture.correction = corrections.get(picture.filepath)
            pictures.append(picture)
            version = version or record.get("model_version")
    if not pictures:
        raise InputError(f"{predictions} holds no record yet; give a file with predictions in it.")
    labels = {label for picture in pictures for label, _ in picture.classes}
    labels |= {picture.label for picture in pictures if picture.label}
    if geofence is None:
        geofence = is_geofenced(predictions)
    rules, known = _rules(predictions, model, geofence, labels)
    survey = Survey(
        os.path.basename(predictions),  # noqa: PTH119
        pictures,
        rules=rules,
        labels=known,
        model_version=version,
    )
    survey.find_sequences(gap)
    return survey


def _picture(record: Record, metadata: Mapping[str, Any], interned: dict[str, str]) -> Picture:
    def once(text: str) -> str:
        return interned.setdefault(text, text)

    with named(record):
        label, score, source = answer_of(record)
        if label is not None and not isinstance(label, str):
            raise TypeError("the answer is no text")
        classes = record.get("classifications") or {"classes": [], "scores": []}
        boxes = record.get("detections")
        place = record if "latitude" in record else metadata
        has_place = "latitude" in place and "longitude" in place
        return Picture(
            filepath=record["filepath"],
            camera=once(record["filepath"].replace("\\", "/").rpartition("/")[0]),
            label=None if label is None else once(label),
            score=score,
            source=None if source is None else once(source),
            failures=tuple(map(once, record["failures"])) if is_failed(record) else (),
            boxes=None if boxes is None else tuple(_boxes(boxes)),
            classes=tuple(
                (once(label), float(score))
                for label, score in zip(
                    classes["classes"][:TOP_CLASSES], classes["scores"][:TOP_CLASSES], strict=True
                )
            ),
            taken=metadata.get("datetime"),
            position=(float(place["latitude"]), float(place["longitude"])) if has_place else None,
            place=(record.get("country"), record.get("admin1_region")),
        )


def _boxes(detections: Sequence[Mapping[str, Any]]) -> list[Box]:
    return [
        Box(Detection(box["label"]).value, float(box["conf"]), *map(float, box["bbox"]))
        for box in detections
        if box["conf"] >= MIN_CONFIDENCE
    ]


def _rules(
    predictions: str | os.PathLike[str], model: str | None, geofence: bool, labels: set[str]
) -> tuple[Rules, list[str]]:
    """The rules of the model that made the predictions, and its labels."""
    noted = model_of_run(predictions)
    if name := model or noted:
        try:
            package = ModelInfo(name)
            rules = Rules(load_taxonomy(package), load_geofence(package), geofence)
            known = package.read_lines("classifier_labels") + list(rules.taxonomy_map.values())
            return rules, list(dict.fromkeys([*known, *Classification]))
        except ModelError as error:
            if model:
                raise
            logging.warning("%s", error)
    logging.warning(
        "The model that made the predictions is not known here: sequences are decided, and species "
        "found, by the labels in the file alone. Name the model with --model."
    )
    taxa = sorted(label for label in labels if label.count(";") == 6)
    return Rules(build_taxonomy_map(taxa), {}, False), list(dict.fromkeys([*taxa, *Classification]))

"""A survey: the pictures of a predictions file, their sequences and their corrections."""

from __future__ import annotations

import itertools
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from sys import intern
from typing import NamedTuple, cast

from absl import logging

from speciesnet.constants import DEFAULT_SEQUENCE_GAP, TOP_CLASSES, Classification, Detection
from speciesnet.ensemble.geofence import Answer, Rules, load_geofence
from speciesnet.ensemble.taxonomy import (
    BLANK,
    LABEL_PARTS,
    build_taxonomy_map,
    category_of,
    load_taxonomy,
)
from speciesnet.ensemble.thresholds import Thresholds
from speciesnet.errors import InputError, ModelError
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.packages.info import ModelInfo
from speciesnet.files.paths import file_name, with_slashes
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.predictions.reading import read_records
from speciesnet.predictions.settings import (
    is_geofenced,
    model_of_run,
    species_list_of_run,
    thresholds_of_run,
)
from speciesnet.records import (
    Box,
    Record,
    answer_of,
    in_file,
    is_same_bbox,
    make_record,
    record_errors,
    still_of,
)
from speciesnet.records.failures import is_failed
from speciesnet.survey.cards import note_on
from speciesnet.survey.corrections import (
    Correction,
    corrected,
    noting_unmatched,
    stones_taken_out,
)
from speciesnet.survey.counts import Following, counts_of, label_of_box, largest_counts
from speciesnet.survey.dates import DateRules
from speciesnet.survey.people import people_in, unmentioned, vehicles_in
from speciesnet.survey.photographs import position_of, with_metadata
from speciesnet.survey.sequences import camera_folder, sequence_answer, sequence_numbers
from speciesnet.survey.smoothed_records import log_followers
from speciesnet.survey.smoothing import (
    MIN_CONFIDENCE,
    may_follow,
    smoothed_answers,
    with_answers,
)


class PictureBox(NamedTuple):
    """A detection.

    Attributes:
        kind: ``animal``, ``human`` or ``vehicle``.
        conf: Its confidence in [0, 1].
        xmin: Its left side; this and the next three are relative to the image.
        ymin: Its upper side.
        width: Its width.
        height: Its height.
        label: The answer for this box, or None if it has none of its own.
        score: The score of this answer in [0, 1].
        source: The rule that produced this answer, or None.
        classes: The best classes and their scores, if smoothing may change the box; or None.
    """

    kind: str
    conf: float
    xmin: float
    ymin: float
    width: float
    height: float
    label: str | None = None
    score: float = 0.0
    source: str | None = None
    classes: tuple[tuple[str, float], ...] | None = None

    def as_detection(self) -> dict[str, object]:
        """The detection as in a record."""
        found: dict[str, object] = {"label": self.kind, "conf": self.conf, "bbox": self[2:6]}
        if self.label is not None:
            pairs = [(self.label, self.score)] if self.classes is None else self.classes
            found["classifications"] = {
                "classes": [label for label, _ in pairs],
                "scores": [score for _, score in pairs],
            }
            found["prediction"], found["prediction_score"] = self.label, self.score
            found["prediction_source"] = self.source or ""
        return found


@dataclass(slots=True)
class Picture:
    """A photograph of a survey: its record, and the date and position from its camera.

    Attributes:
        filepath: The path in the predictions.
        camera: Its folder.
        label: The predicted answer, or the best class of a run without the ensemble; or None.
        score: The score of the predicted answer, in [0, 1].
        source: The rule that produced the predicted answer, or None.
        failures: The components that failed, so that there is no answer.
        boxes: Detections of at least ``MIN_CONFIDENCE``, best first; None if there was no detector.
        classes: The best classes and their scores, best first.
        taken: The date by the camera's clock, ISO 8601, or None.
        position: Latitude and longitude in degrees, or None.
        place: The country and the region that the run used, or None each.
        sequence: The position of its sequence in ``Survey.sequences``.
        correction: The correction of its answer, or None.
        people: The number of people, see ``people_in``.
        vehicles: The number of vehicles.
        unmentioned: People or vehicles next to a different predicted answer, see ``unmentioned``.
        frame: The number and time (in seconds) of the frame that represents a film; or None.
        smoothed: The answers for boxes that follow others of the sequence, by their positions among the
            boxes after a review.
        stones: The boxes that were removed because they never move.
    """

    filepath: str
    camera: str
    label: str | None
    score: float
    source: str | None
    failures: tuple[str, ...]
    boxes: tuple[PictureBox, ...] | None
    classes: tuple[tuple[str, float], ...]
    taken: str | None
    position: tuple[float, float] | None
    place: tuple[str | None, str | None]
    sequence: int = 0
    correction: Correction | None = None
    people: int = 0
    vehicles: int = 0
    unmentioned: tuple[Detection, ...] = ()
    frame: tuple[int, float] | None = None
    smoothed: Mapping[int, Answer] = field(default_factory=dict)
    stones: tuple[PictureBox, ...] = ()

    @property
    def answer(self) -> str | None:
        """The corrected answer, otherwise the predicted one; None for a failure."""
        if self.correction is not None and self.correction.label is not None:
            return self.correction.label
        return None if self.failures else self.label

    @property
    def shown_boxes(self) -> tuple[PictureBox, ...]:
        """The boxes after a review and smoothing; boxes added by a reviewer come first."""
        if self.correction is None and not self.smoothed:
            return self.boxes or ()
        return tuple(_boxes(self.as_record().get("detections") or ()))

    @property
    def numbered_boxes(self) -> list[tuple[int, PictureBox]]:
        """The boxes after a review, numbered from 1; added boxes follow the detector's."""
        before = {number: box[2:6] for number, box in enumerate(self.boxes or (), 1)}
        found, added = [], itertools.count(len(before) + 1)
        for box in self.shown_boxes:
            same = (number for number, sides in before.items() if is_same_bbox(sides, box[2:6]))
            if (number := next(same, None)) is not None:
                del before[number]  # another one may have the same sides
            found.append((next(added) if number is None else number, box))
        return sorted(found, key=lambda numbered: numbered[0])

    def labels_of(self, boxes: Iterable[PictureBox]) -> list[str]:
        """The label that each of the boxes counts for: its own, that of the image, or its kind."""
        rule = Following.of(self.as_record())
        return [label_of_box(cast("Box", box.as_detection()), rule) for box in boxes]

    @property
    def counts(self) -> dict[str, int]:
        """The number of individuals of each label after a review, see ``counts_of``."""
        record = self.as_record()
        if self.failures:
            record.setdefault("failures", [*self.failures])
        return counts_of(record)

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer for the image, and those for its boxes if they have their own."""
        found = () if self.answer is None else (self.answer,)
        given = self.correction is not None and self.correction.counts is not None
        if not given and all(box.label is None for box in self.shown_boxes):
            return found
        return tuple(dict.fromkeys([*found, *self.counts]))

    @property
    def shown_path(self) -> str:
        """Its path as shown on pages: with slashes, below its camera."""
        file = file_name(self.filepath)
        return f"{self.camera}/{file}" if self.camera else file

    def as_record(self) -> Record:
        """The fields that ``sequence_answer`` and ``counts_of`` need, corrected and smoothed."""
        country, region = self.place
        prediction = None if self.failures or self.source is None else self.label
        record = make_record(
            self.filepath,
            country=country,
            admin1_region=region,
            classifications={
                "classes": [label for label, _ in self.classes],
                "scores": [score for _, score in self.classes],
            },
            detections=[box.as_detection() for box in self.boxes or ()],
            prediction=prediction,
            prediction_score=None if prediction is None else self.score,
        )
        corrections = {} if self.correction is None else {self.filepath: self.correction}
        return with_answers(next(corrected([record], corrections)), self.smoothed)


@dataclass(slots=True)
class PictureSequence:
    """Pictures of one passing animal.

    Attributes:
        camera: Its folder.
        number: Its number within that folder, from 1, in chronological order.
        pictures: Positions in ``Survey.pictures``, in chronological order.
        answer: Its answer (label, score, source), or None.
    """

    camera: str
    number: int
    pictures: list[int]
    answer: Answer | None = None


@dataclass
class Survey:
    """All pictures of a predictions file.

    Attributes:
        name: The name of the predictions file.
        pictures: One for each record, in order.
        sequences: All sequences; a picture without a date is a separate sequence.
        rules: The rules that determine the answer for a sequence.
        labels: The answers to choose from: the model's labels, or those in the file without a model.
        model_version: The version in the records, or None.
        smooth_boxes: Whether doubtful boxes follow the reliable ones, see ``smoothed_answers``.
        notes: Sentences on dates and cameras that a person should check.
    """

    name: str
    pictures: list[Picture]
    sequences: list[PictureSequence] = field(default_factory=list)
    rules: Rules = field(default_factory=Rules)
    labels: list[str] = field(default_factory=list)
    model_version: str | None = None
    smooth_boxes: bool = True
    notes: Sequence[str] = ()

    def apply_corrections(self, corrections: Mapping[str, Correction]) -> None:
        """Replaces all corrections, and determines the answers again for sequences with changes.

        Args:
            corrections: The current corrections, by filepath.
        """
        changed: set[int] = set()
        for picture in self.pictures:
            correction = corrections.get(picture.filepath)
            if correction != picture.correction:
                picture.correction = correction
                changed.add(picture.sequence)
        for number in changed:
            self._decide(self.sequences[number])

    @property
    def followers(self) -> int:
        """The number of boxes that follow others, or would if ``smooth_boxes`` were true."""
        members = ([self.pictures[i].as_record() for i in s.pictures] for s in self.sequences)
        return sum(len(answers) for records in members for answers in smoothed_answers(records))

    def _decide(self, sequence: PictureSequence) -> None:
        pictures = [self.pictures[position] for position in sequence.pictures]
        for picture in pictures:
            picture.smoothed = {}
        records = [picture.as_record() for picture in pictures]
        if self.smooth_boxes:
            for picture, changes in zip(pictures, smoothed_answers(records), strict=True):
                picture.smoothed = changes
        try:
            sequence.answer = sequence_answer(records, self.rules)
        except ValueError:  # labels of another program, without seven parts
            sequence.answer = None

    def counts_of(self, sequence: PictureSequence) -> dict[str, int]:
        """The number of individuals of each label in a sequence, see ``largest_counts``."""
        return largest_counts(self.pictures[position].counts for position in sequence.pictures)

    def find_sequences(self, gap: float) -> None:
        """Groups the pictures of each camera by time; ``gap`` is in seconds.

        Only the predictions determine what is blank, so that corrections do not change the groups.
        """
        folders = {picture.camera for picture in self.pictures}
        cameras = {folder: "/".join(camera_folder(f"{folder}/")) for folder in folders}
        blanks = [p.label is not None and category_of(p.label) == BLANK for p in self.pictures]
        numbers = sequence_numbers(
            ((cameras[p.camera], p.taken) for p in self.pictures), gap, blanks
        )
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
    gap: float = DEFAULT_SEQUENCE_GAP,
    geofence: bool | None = None,
    dates: DateRules | None = None,
    smooth_boxes: bool = True,
    only: Collection[str] | None = None,
) -> Survey:
    """Reads a predictions file from any run, even one that is still being written.

    Args:
        predictions: The predictions file.
        photographs: Finds the photographs, to read dates and positions that are not in the records;
            None leaves them out.
        corrections: The corrections to apply, by filepath.
        model: The model package that made the predictions; None uses the one in the run's settings.
        gap: The longest time between two photographs of a sequence, in seconds, at least 0.
        geofence: Whether the geofence applies to sequences; None means as in the run.
        dates: Dates from file names, and corrections of the cameras' clocks.
        smooth_boxes: Whether doubtful boxes follow the reliable ones, see ``smoothed_answers``.
        only: The photographs to read; None reads all.

    Raises:
        InputError: A record is malformed, there are no records, or the clock corrections do not fit them.
        ModelError: The named model cannot be read.
        OutputError: The file cannot be read.
    """
    version, dates = None, dates or DateRules()
    pictures = list[Picture]()
    records: Iterable[Record] = read_records(predictions, only=only)
    if only is None:
        records = noting_unmatched(records, corrections, dates.add_note)
    with in_file(predictions):
        for record, metadata in with_metadata(records, photographs, dates):
            pictures.append(_picture(record, metadata, corrections))
            version = version or record.get("model_version")
    if not pictures:
        raise InputError(f"{predictions} contains no records yet; pass a file with predictions.")
    labels = {label for picture in pictures for label, _ in picture.classes}
    labels |= {picture.label for picture in pictures if picture.label}
    labels |= {box.label for p in pictures for box in p.boxes or () if box.label}
    if geofence is None:
        geofence = is_geofenced(predictions)
    rules, known = _rules(predictions, model, geofence, labels)
    name = os.path.basename(predictions)  # noqa: PTH119
    survey = Survey(name, pictures, [], rules, known, version, smooth_boxes)
    survey.find_sequences(gap)
    log_followers(sum(len(picture.smoothed) for picture in pictures))
    dates.add_note(note_on({tuple(p.camera.split("/")) for p in pictures}))
    survey.notes = dates.notes
    return survey


def pictures_in(
    predictions: str | os.PathLike[str], corrections: Mapping[str, Correction]
) -> Iterator[Picture]:
    """The pictures in a predictions file, one at a time, without dates, positions and sequences.

    Raises:
        InputError: A record is malformed.
        OutputError: The file cannot be read.
    """
    with in_file(predictions):
        for record in read_records(predictions):
            yield _picture(record, PhotoMetadata(), corrections)


def _picture(
    record: Record, metadata: PhotoMetadata, corrections: Mapping[str, Correction]
) -> Picture:
    with record_errors(record):
        (record,) = stones_taken_out([still_of(record)], corrections)
    with record_errors(record):  # sys.intern keeps each label and folder in memory once
        label, score, source = answer_of(record)
        classes = record.get("classifications") or {"classes": [], "scores": []}
        boxes = record.get("detections")
        latitude, longitude = position_of(record, metadata)
        position = None
        if latitude is not None and longitude is not None:
            position = float(latitude), float(longitude)
        return Picture(
            filepath=record["filepath"],
            camera=intern(with_slashes(record["filepath"]).rpartition("/")[0]),
            label=None if label is None else intern(label),
            score=score,
            source=None if source is None else intern(source),
            failures=tuple(map(intern, record.get("failures", []))) if is_failed(record) else (),
            boxes=None if boxes is None else tuple(_boxes(boxes)),
            classes=tuple(
                (intern(label), float(score))
                for label, score in zip(
                    classes["classes"][:TOP_CLASSES], classes["scores"][:TOP_CLASSES], strict=True
                )
            ),
            taken=metadata.datetime,
            position=position,
            place=(record.get("country"), record.get("admin1_region")),
            people=people_in(record),
            vehicles=vehicles_in(record),
            unmentioned=unmentioned(record),
            correction=_by_person(corrections.get(record["filepath"])),
            frame=_frame_of(record),
            stones=tuple(_boxes(record.get("stones") or ())),
        )


def _by_person(correction: Correction | None) -> Correction | None:
    """A correction without its stones, which have been removed from the picture."""
    if correction is None or correction.is_empty:
        return None
    return replace(correction, stones=None)


def _frame_of(record: Record) -> tuple[int, float] | None:
    shown = record.get("frame")
    return None if shown is None else (int(shown["frame_number"]), float(shown["timestamp"]))


def _boxes(detections: Sequence[Box]) -> list[PictureBox]:
    return [_picture_box(box) for box in detections if box["conf"] >= MIN_CONFIDENCE]


def _picture_box(box: Box) -> PictureBox:
    xmin, ymin, width, height = map(float, box["bbox"])
    sides = (xmin, ymin, width, height)
    kind, conf = Detection(box["label"]).value, float(box["conf"])
    if (label := box.get("prediction")) is None:
        return PictureBox(kind, conf, *sides)
    source = box.get("prediction_source")
    classes = None
    if may_follow(box):
        found = box.get("classifications", {"classes": [], "scores": []})
        best = list(zip(found["classes"], found["scores"], strict=True))[:TOP_CLASSES]
        classes = tuple((intern(name), float(score)) for name, score in best)
    score = float(box.get("prediction_score", 0.0))
    return PictureBox(kind, conf, *sides, intern(label), score, source and intern(source), classes)


def _rules(
    predictions: str | os.PathLike[str], model: str | None, geofence: bool, labels: set[str]
) -> tuple[Rules, list[str]]:
    """The rules of the run, with its species list and thresholds, and the labels of its model."""
    recorded, limits = species_list_of_run(predictions), thresholds_of_run(predictions)
    enforce = Thresholds("", limits).enforce if limits else None
    if name := model or model_of_run(predictions):
        try:
            package = ModelInfo(name)
            taxonomy = load_taxonomy(package)
            classes, groups = package.read_lines("classifier_labels"), list(taxonomy.values())
            species = recorded and replace(recorded, labels=(*groups, *classes))
            rules = Rules(taxonomy, load_geofence(package), geofence, species, enforce)
            return rules, list(dict.fromkeys([*classes, *groups, *Classification]))
        except ModelError as error:
            if model:
                raise
            logging.warning("%s", error)
    logging.warning(
        "The model that made the predictions is unknown: answers for sequences and suggested "
        "species are based only on the labels in the file. Name the model with --model."
    )
    taxa = sorted(label for label in labels if label.count(";") == LABEL_PARTS - 1)
    species = recorded and replace(recorded, labels=tuple(taxa))
    rules = Rules(build_taxonomy_map(taxa), {}, False, species, enforce)
    return rules, list(dict.fromkeys([*taxa, *Classification]))

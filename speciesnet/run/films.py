"""Makes the record of a film from the records of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from speciesnet.constants import DETECTION_THRESHOLD, Classification
from speciesnet.ensemble import SpeciesNetEnsemble
from speciesnet.ensemble.sequences import mean_classes, sequence_answer
from speciesnet.pipeline import Photo
from speciesnet.records import Box, Classifications, FrameClasses, Record
from speciesnet.records.failures import is_failed


def film_record(
    photos: Sequence[Photo], records: Sequence[Record], ensemble: SpeciesNetEnsemble | None
) -> Record:
    """Makes the record of a film.

    Its answer is that of its frames, treated as a sequence. Its boxes are those of all frames, each
    with its frame's number and time.

    Args:
        photos: The examined frames, in order.
        records: Their records.
        ensemble: The rules; None in a run with only the detector or the classifier.
    """
    last = photos[-1].frame
    assert last is not None
    if last.number < 0:  # it cannot be read
        return records[-1]
    film = last.film
    best = _best_frame(records)
    record: Record = {**records[best]}
    if ensemble is not None and not is_failed(record):
        counted = _counted(records)
        rules = ensemble.rules_at(record.get("country"))
        answer = sequence_answer(records, rules, ensemble.prediction_combiner)
        if answer is not None:
            classes, scores = mean_classes(counted)
            found = {**record.get("classifications", {}), "classes": classes, "scores": scores}
            record["classifications"] = cast("Classifications", found)
            label, score, source = answer
            best = _best_frame(records, label)
            record["prediction"], record["prediction_score"] = label, score
            record["prediction_source"] = source
    elif "classifications" in record and ensemble is None:
        frames = record["frame_classifications"] = _classes_of_frames(photos)
        classes, scores = mean_classes([frame["classifications"] for frame in frames])
        found = {**record["classifications"], "classes": classes, "scores": scores}
        record["classifications"] = cast("Classifications", found)
    if "detections" in record:
        record["detections"] = _boxes(photos, records)
    record["frame_rate"] = film.frame_rate
    record["frames_processed"] = [photo.frame.number for photo in photos if photo.frame]
    if film.failed:
        record["frames_failed"] = film.failed
    record["duration"] = film.duration
    shown = photos[best].frame
    assert shown is not None
    record["frame"] = {"frame_number": shown.number, "timestamp": shown.seconds}
    return record


def _counted(records: Sequence[Record]) -> list[Classifications]:
    """The classes that determine the answer for the film; see ``sequence_answer``."""
    answered = [r for r in records if r.get("classifications", {}).get("classes")]
    counted = [r for r in answered if r.get("prediction") != Classification.BLANK] or answered
    return [one["classifications"] for one in counted if "classifications" in one]


def _best_frame(records: Sequence[Record], label: str | None = None) -> int:
    """The position of the frame that represents the film.

    Frames with the film's answer take precedence. Among them, the frame is chosen whose reliable boxes
    have the largest sum of confidences, which is usually the one with the most animals; if the sums
    are equal, the frame with the most confident box, and then the first one.
    """

    def rank(position: int) -> tuple[bool, float, float, int]:
        record = records[position]
        confidences = [box["conf"] for box in record.get("detections") or ()]
        certain = sum(conf for conf in confidences if conf >= DETECTION_THRESHOLD)
        has_answer = label is not None and record.get("prediction") == label
        return has_answer, round(certain, 6), max(confidences, default=0.0), -position

    return max(range(len(records)), key=rank)


def _classes_of_frames(photos: Sequence[Photo]) -> list[FrameClasses]:
    return [
        {
            "frame_number": photo.frame.number,
            "timestamp": photo.frame.seconds,
            "classifications": photo.classifications,
        }
        for photo in photos
        if photo.frame and photo.classifications
    ]


def _boxes(photos: Sequence[Photo], records: Sequence[Record]) -> list[Box]:
    found: list[Box] = []
    for photo, record in zip(photos, records, strict=True):
        if photo.frame is not None:
            place = {"frame_number": photo.frame.number, "timestamp": photo.frame.seconds}
            boxes = [{**box, **place} for box in record.get("detections") or ()]
            found += cast("list[Box]", boxes)
    return sorted(found, key=lambda box: -box["conf"])

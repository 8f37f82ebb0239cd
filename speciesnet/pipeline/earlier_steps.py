"""The results of earlier steps, as the input of a run with only the classifier or the ensemble."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from speciesnet.constants import Failure
from speciesnet.errors import InputError
from speciesnet.images.films import Film
from speciesnet.images.metadata import PhotoMetadata
from speciesnet.pipeline.photo import UNREADABLE, FilmFrame, Photo
from speciesnet.records import (
    BOX_TOLERANCE,
    Box,
    Classifications,
    Record,
    bare_box,
    is_classified,
    is_film,
    is_same_box,
)
from speciesnet.records.boxes import MIRRORED, BoxSelection, upright_box
from speciesnet.records.failures import is_failed
from speciesnet.records.numbers import with_checked_numbers


@dataclass(frozen=True)
class PastResults:
    """Records of earlier steps, by filepath.

    Attributes:
        detections: The detector's records, for a run with only the classifier or the ensemble.
        classifications: The classifier's records, for a run with only the ensemble.
    """

    detections: Mapping[str, Record] = field(default_factory=dict)
    classifications: Mapping[str, Record] = field(default_factory=dict)


def past_photos(
    filepaths: Iterable[str], past: PastResults, boxes: BoxSelection | None = None
) -> Generator[Photo, None, None]:
    """The first stage of a run without networks: yields the results of earlier steps; reads no images.

    Raises:
        InputError: Required classes of boxes are missing, or belong to different boxes.
    """
    for path in filepaths:
        detected, classified = past.detections.get(path), past.classifications.get(path)
        with past_errors(path):
            frames = _frames_of(detected, classified)
            photos = [_past_photo(path, *frame, boxes) for frame in frames]
        yield from photos


def _past_photo(
    path: str,
    frame: FilmFrame | None,
    detected: Record | None,
    classified: Record | None,
    boxes: BoxSelection | None,
) -> Photo:
    metadata = (detected or {}).get("metadata", (classified or {}).get("metadata"))
    orientation = classified.get("orientation") if classified else None
    photo = Photo(
        path,
        detections=_upright_detections(detected, orientation) if detected else None,
        classifications=_classes_of(classified) if classified else None,
        metadata=PhotoMetadata.from_dict(metadata) if isinstance(metadata, Mapping) else None,
        frame=frame,
    )
    if boxes is not None and classified and photo.detections and not is_failed(classified):
        photo.box_classifications = _past_classes(photo, classified, boxes)
    return photo


def _classes_of(found: Record | Box) -> Classifications | None:
    """The classes of an image or a box; None also for empty lists, which no classifier finds."""
    classifications = found.get("classifications")
    if classifications is None or not classifications["classes"]:
        return None
    return classifications


def _frames_of(
    detected: Record | None, classified: Record | None
) -> list[tuple[FilmFrame | None, Record | None, Record | None]]:
    """What earlier steps found in each frame of a film; for a photograph, its records unchanged."""
    if not any(record and is_film(record) for record in (detected, classified)):
        return [(None, detected, classified)]
    if not (
        detected and is_film(detected) and classified and "frame_classifications" in classified
    ):
        return [(UNREADABLE, detected, None)]
    classes = classified["frame_classifications"]
    if detected.get("frames_processed") != [one["frame_number"] for one in classes]:
        raise InputError(
            f"The classifications of {detected['filepath']} belong to different frames than its "
            "detections. Run the classifier again with these detections."
        )
    film = Film(
        classified.get("frame_rate", 0.0),
        classified.get("duration", 0.0),
        failed=detected.get("frames_failed", 0),
    )
    return [
        (
            FilmFrame(one["frame_number"], one["timestamp"], film, is_last=one is classes[-1]),
            _of_frame(detected, one["frame_number"]),
            {
                **_of_frame(classified, one["frame_number"]),
                "classifications": one["classifications"],
            },
        )
        for one in classes
    ]


def _of_frame(record: Record, number: int) -> Record:
    """A record like that of a photograph, with only the boxes of one frame of a film."""
    if (boxes := record.get("detections")) is None:
        return record
    found = [
        {key: value for key, value in box.items() if key not in ("frame_number", "timestamp")}
        for box in boxes
        if box.get("frame_number") == number
    ]
    return {**record, "detections": cast("list[Box]", found)}


@contextmanager
def past_errors(filepath: str) -> Iterator[None]:
    """Turns the errors that malformed results of earlier steps cause in the block into one sentence.

    Raises:
        InputError: The detections or classifications are malformed.
    """
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(
            f"The detections or classifications of {filepath} are malformed "
            f"({type(error).__name__}: {error}). Run the earlier steps again."
        ) from error


def _past_classes(
    photo: Photo, classified: Record, selection: BoxSelection
) -> dict[int, Classifications]:
    """The classes that an earlier run found for individual boxes, by the positions of the boxes."""
    boxes, theirs = photo.detections or (), classified.get("detections") or ()
    found = {i: classes for i, box in enumerate(theirs) if (classes := _classes_of(box))}

    def is_at_threshold(position: int) -> bool:  # rounding has raised its confidence
        return boxes[position]["conf"] < selection.threshold + BOX_TOLERANCE

    positions = selection.positions([box["conf"] for box in boxes])
    positions = [i for i in positions if i in found or not is_at_threshold(i)]
    if not found:
        if positions:
            raise InputError(
                f"The classifications of {photo.filepath} have no classes for its boxes. Run the "
                "classifier again with --classify all, or leave that out here."
            )
        return {}
    if len(boxes) != len(theirs) or not all(map(is_same_box, boxes, theirs)):
        raise InputError(
            f"The classifications of {photo.filepath} belong to different boxes than its detections. Run "
            "the classifier again with these detections."
        )
    if missing := [position for position in positions if position not in found]:
        raise InputError(
            f"Detection {missing[0] + 1} of {photo.filepath} has not been classified. Run the classifier "
            "again, with the same --detection_threshold_for_classification and "
            "--max_classifications_per_image."
        )
    return {position: found[position] for position in positions}


def lacks_classes(photo: Photo, past: PastResults) -> bool:
    """Whether an image has no classes because none of its boxes was classified, as in format 5."""
    if photo.classifications is not None or photo.filepath not in past.classifications:
        return False
    classified = past.classifications[photo.filepath]
    is_whole = "classifications" in classified
    return "detections" in classified and not is_whole and not is_failed(classified)


def without_detections(filepaths: Iterable[str], detections: Mapping[str, Record]) -> list[str]:
    """The images that a classifier of crops must not classify, because a file has no record of them."""
    return [
        path for path in filepaths
        if not has_failed_detections(path, detections)
        and detections.get(path, {}).get("detections") is None
    ]  # fmt: skip


def has_failed_detections(filepath: str, detections: Mapping[str, Record]) -> bool:
    """Whether the detector failed on an image, which is then classified whole, as in SpeciesNet 4.0."""
    return Failure.DETECTOR.value in (detections.get(filepath, {}).get("failures") or ())


def with_past_detections(
    photos: Generator[Photo, None, None], detections: Mapping[str, Record]
) -> Generator[Photo, None, None]:
    """Adds the detections of an earlier step to images that were read for the classifier."""
    for photo in photos:
        if (record := detections.get(photo.filepath)) is not None:
            orientation = photo.metadata.orientation if photo.metadata else None
            with past_errors(photo.filepath):
                record = record if photo.frame is None else _of_frame(record, photo.frame.number)
                photo.detections = _upright_detections(record, orientation)
            if orientation in MIRRORED and record.get("boxes_as_stored"):
                photo.mirrored = orientation
        yield photo


def _upright_detections(record: Record, orientation: int | None) -> Sequence[Box] | None:
    """The detections of a record, relative to the upright picture."""
    boxes = with_checked_numbers(record).get("detections")
    if boxes and any(map(is_classified, boxes)):  # classified in an earlier run
        boxes = [bare_box(box) for box in boxes]
    if not boxes or orientation not in MIRRORED or not record.get("boxes_as_stored"):
        return boxes
    moved: list[Box] = [{**box, "bbox": upright_box(box["bbox"], orientation)} for box in boxes]
    return moved

"""The data of the gallery: a survey as JavaScript files that its pages load one after another.

A page opened from disk can load scripts and images but not JSON, so the data are scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from speciesnet.constants import DETECTION_THRESHOLD
from speciesnet.ensemble.taxonomy import Label, category_of, split_label
from speciesnet.files.paths import file_name
from speciesnet.survey.corrections import Correction
from speciesnet.survey.report.checks import CHECKS, failed_checks
from speciesnet.survey.report.thumbnails import Preview
from speciesnet.survey.smoothing import SUFFIX
from speciesnet.survey.survey import Picture, PictureBox, Survey

Mode = Literal["report", "review"]


class Labelled(NamedTuple):
    """The label of a picture, next to its answer.

    Attributes:
        truth: The name of the label.
        outcome: How well the answer matches its label.
        cell: The cell of the confusion matrix: the numbers of its row and its column.
    """

    truth: str
    outcome: str
    cell: str


CHUNK = 5000  # images per script; a page is usable once the first script is loaded


def category_of_picture(picture: Picture) -> str:
    """Returns ``animal``, ``human``, ``vehicle``, ``blank``, ``unknown`` or ``failed``.

    An image without a classifier's result has the category of its best box.
    """
    return predicted_category(picture) if picture.answer is None else category_of(picture.answer)


def categories_of_picture(picture: Picture) -> tuple[str, ...]:
    """Returns the category of an image, and those of its boxes if they have their own answers."""
    others = [category_of(label) for label in picture.answers if label != picture.answer]
    return tuple(dict.fromkeys([category_of_picture(picture), *others]))


def predicted_category(picture: Picture) -> str:
    """Returns the category of the prediction, ignoring any correction; see category_of_picture."""
    if picture.failures:
        return "failed"
    if picture.label is not None:
        return category_of(picture.label)
    if picture.boxes is None:
        return "unknown"
    best = picture.boxes[0] if picture.boxes else None
    return best.kind if best is not None and best.conf >= DETECTION_THRESHOLD else "blank"


class Payload:
    """Converts a survey to scripts.

    Labels and folders are numbered, because a survey repeats them thousands of times.

    Args:
        survey: The survey.
        mode: Whether the pages are a report or a review. A review offers all labels of the model.
        camera_urls: The URL of each camera's folder, by camera, where a page can open it.
        labelled: The label of a person for each picture, for the pages of an evaluation.
    """

    def __init__(
        self,
        survey: Survey,
        mode: Mode,
        camera_urls: Mapping[str, str] | None = None,
        labelled: Sequence[Labelled] = (),
    ) -> None:
        self._labelled = labelled
        self._survey = survey
        self._mode: Mode = mode
        self._camera_urls = camera_urls or {}
        self._cameras = _numbered(picture.camera for picture in survey.pictures)
        self._labels = _numbered(
            chain(
                chain.from_iterable(map(_labels_of, survey.pictures)),
                (sequence.answer[0] for sequence in survey.sequences if sequence.answer),
                survey.labels if mode == "review" else (),
            )
        )

    @property
    def chunks(self) -> int:
        """The number of scripts that contain the images."""
        return -(-len(self._survey.pictures) // CHUNK)

    def header(self, cursor: Mapping[str, object] | None = None) -> str:
        """Returns the script that all others need; for the cursor, see ``Review.cursor``."""
        return "const SURVEY = " + _json(
            {
                "mode": self._mode,
                "cursor": cursor,
                "name": self._survey.name,
                "total": len(self._survey.pictures),
                "chunks": self.chunks,
                "chunkSize": CHUNK,
                "checks": CHECKS,
                "cameras": [
                    {"name": name, "url": self._camera_urls.get(name)} for name in self._cameras
                ],
                "labels": [_describe_label(label) for label in self._labels],
            }
        )

    def chunk(self, number: int, preview_of: Callable[[int], Preview]) -> str:
        """Returns a script with up to ``CHUNK`` images.

        Args:
            number: The number of the script, from 0.
            preview_of: Returns the preview of the image at a position in the survey.
        """
        start = number * CHUNK
        pictures = self._survey.pictures[start : start + CHUNK]
        rows = [self._row(p, preview_of(i)) for i, p in enumerate(pictures, start)]
        corrected = [self._corrected(picture.correction) for picture in pictures]
        if any(
            picture.frame for picture in pictures
        ):  # the time of the frame that represents a film
            for row, picture in zip(rows, pictures, strict=True):
                row["film"] = None if picture.frame is None else picture.frame[1]
        for row, one in zip(rows, self._labelled[start:], strict=False):
            row |= one._asdict()
        if any(corrected):
            for row, values in zip(rows, corrected, strict=True):
                row["corrected"] = values
        columns = _json(list(rows[0]))
        lines = ",\n".join(_json(list(row.values())) for row in rows)
        return f"addPictures({number}, {columns}, [\n{lines}\n])"

    def _row(self, picture: Picture, preview: Preview) -> dict[str, object]:
        """Returns the properties of a picture in ``static/survey.js``."""
        sequence = self._survey.sequences[picture.sequence]
        sequence_label, sequence_score, _ = sequence.answer or (None, 0.0, None)
        return {
            "file": file_name(picture.filepath),
            "camera": self._cameras[picture.camera],
            "category": predicted_category(picture),
            "label": self._number_of(picture.label),
            "score": round(picture.score, 4),
            "source": picture.source,
            "taken": picture.taken,
            "sequence": picture.sequence if len(sequence.pictures) > 1 else -1,
            "sequenceLabel": self._number_of(sequence_label),
            "sequenceScore": round(sequence_score, 4),
            "checks": failed_checks(picture, self._survey),
            "boxes": self._boxes(picture),
            "classes": [
                [self._number_of(label), round(score, 4)] for label, score in picture.classes
            ],
            "thumbnail": preview.thumbnail,
            "aspect": round(preview.aspect, 4),
            "problem": preview.problem,
            "correction": self._number_of(picture.correction.label if picture.correction else None),
            "isPrivate": preview.is_private,
        }

    def _boxes(self, picture: Picture) -> list[list[str | float]]:
        """Returns the detector's boxes; boxes that follow other boxes end with 1."""
        boxes = picture.boxes or ()
        if not picture.smoothed:
            return [self._box(box) for box in boxes]
        now = dict(picture.numbered_boxes)
        values = []
        for number, box in enumerate(boxes, 1):
            after = now.get(number, box)
            is_smoothed = (after.source or "").endswith(SUFFIX)
            values.append([*self._box(after), 1] if is_smoothed else self._box(box))
        return values

    def _box(self, box: PictureBox) -> list[str | float]:
        values = [box.kind, *(round(value, 4) for value in box[1:6])]
        if box.label is not None:
            values += [self._number_of(box.label), round(box.score, 4)]
        return values

    def _corrected(self, correction: Correction | None) -> dict[str, object] | None:
        """Returns the corrections of an image's boxes and counts, or None if there are none."""
        if correction is None or (not correction.boxes and correction.counts is None):
            return None
        counts = correction.counts
        return {
            "boxes": [[*box.bbox, self._number_of(box.label)] for box in correction.boxes],
            "counts": None
            if counts is None
            else [[self._number_of(label), count] for label, count in counts.items()],
        }

    def _number_of(self, label: str | None) -> int:
        return -1 if label is None else self._labels.get(label, -1)


def label_key(label: str) -> str:
    """Returns what identifies a label in the address of a page: its UUID, if it has one."""
    return label.partition(";")[0] or label


def scientific_name_of(parts: Label) -> str:
    """Returns the scientific name of a label, or "" if it is the same as the name."""
    scientific = parts.scientific_name
    return "" if scientific.lower() == parts.name.lower() else scientific


def capitalized(*taxa: str) -> str:
    """Returns the known taxa, capitalized and joined, such as ``Carnivora, Canidae``."""
    return ", ".join(taxon.capitalize() for taxon in taxa if taxon)


def _describe_label(label: str) -> dict[str, str]:
    parts = split_label(label)
    return {
        "text": label,
        "key": label_key(label),
        "name": parts.name,
        "scientific": scientific_name_of(parts),
        "taxa": capitalized(parts.class_, parts.order, parts.family),
        "category": category_of(label),
    }


def _labels_of(picture: Picture) -> Iterator[str | None]:
    """Yields all labels of an image that its page needs, in numerical order."""
    yield picture.answer
    yield picture.label
    yield from (label for label, _ in picture.classes)
    yield from (box.label for box in picture.boxes or ())
    yield from (label for label, _, _ in picture.smoothed.values())
    yield from picture.answers
    if picture.correction is not None:
        yield from (box.label for box in picture.correction.boxes)
        yield from picture.correction.counts or ()


def _numbered(texts: Iterable[str | None]) -> dict[str, int]:
    """Numbers strings in the order of their first appearance."""
    unique = dict.fromkeys(text for text in texts if text is not None)
    return {text: number for number, text in enumerate(unique)}


def _json(value: object) -> str:
    """Returns ASCII JSON that is valid JavaScript anywhere, even inside HTML."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

"""What the gallery's scripts read: the survey as JavaScript, in pieces that load one after another.

A page that is opened from disk may load scripts and pictures, but no JSON; so the data are scripts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from speciesnet.report.checks import CHECKS, checks_of_prediction
from speciesnet.report.plots import COLOURS
from speciesnet.survey.survey import COUNTS, Picture, Survey
from speciesnet.taxonomy import category_of, split_label

Mode = Literal["report", "review"]

CHUNK = 5000  # pictures in one script; the first one is all that a page waits for
CATEGORIES = tuple(COLOURS)
_KINDS = {kind: number for number, kind in enumerate(CATEGORIES)}
# The columns of a picture's row, as ``static/survey.js`` names them.
FIELDS = (
    "file", "camera", "category", "label", "score", "source", "taken", "sequence", "together",
    "togetherScore", "checks", "boxes", "classes", "thumb", "aspect", "why", "said", "isPrivate",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """How a picture is shown.

    Attributes:
        thumb: Its thumbnail below the page, or "".
        aspect: Width divided by height.
        why: Why there is none, or why the image failed; or "".
        is_private: Whether the photograph itself must not be shown.
    """

    thumb: str = ""
    aspect: float = 4 / 3
    why: str = ""
    is_private: bool = False


@dataclass
class Index:
    """Numbers for texts, in the order in which they turn up."""

    texts: list[str] = field(default_factory=list)
    _numbers: dict[str, int] = field(default_factory=dict)

    def of(self, text: str | None) -> int:
        """The number of a text; -1 for None."""
        if text is None:
            return -1
        if text not in self._numbers:
            self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return self._numbers[text]


def category_of_picture(picture: Picture) -> str:
    """``animal``, ``human``, ``vehicle``, ``blank``, ``unknown`` or ``failed``.

    A picture of the detector alone goes by its best box.
    """
    return predicted_category(picture) if picture.answer is None else category_of(picture.answer)


def predicted_category(picture: Picture) -> str:
    """The same, whatever a person has said."""
    if picture.failures:
        return "failed"
    if picture.label is not None:
        return category_of(picture.label)
    if picture.boxes is None:
        return "unknown"
    best = picture.boxes[0] if picture.boxes else None
    return best.kind if best is not None and best.conf >= COUNTS else "blank"


class Payload:
    """Turns a survey into scripts.

    Args:
        survey: It.
        mode: Whether its pages are a report or a review; a review offers all labels of the model.
        camera_urls: Of the folder of each camera, by its name, where a page can open it.
    """

    def __init__(
        self, survey: Survey, mode: Mode, camera_urls: Mapping[str, str] | None = None
    ) -> None:
        self._survey = survey
        self._mode: Mode = mode
        self._camera_urls = camera_urls or {}
        self.labels = Index()
        self._sources = Index()
        self._cameras = Index()
        for picture in survey.pictures:
            self._cameras.of(picture.camera)
            self._sources.of(picture.source)
            for label in (picture.answer, picture.label, *(name for name, _ in picture.classes)):
                self.labels.of(label)
        for sequence in survey.sequences:
            self.labels.of(sequence.answer[0] if sequence.answer else None)
        if mode == "review":
            for label in survey.labels:
                self.labels.of(label)

    @property
    def chunks(self) -> int:
        """How many scripts the pictures take."""
        return -(-len(self._survey.pictures) // CHUNK)

    def header(self, news: Mapping[str, Any] | None = None) -> str:
        """The script that all others need.

        Args:
            news: From where on a review must ask for what people say; see ``Review.news``.
        """
        return "const SURVEY = " + _json(
            {
                "mode": self._mode,
                "news": news,
                "name": self._survey.name,
                "total": len(self._survey.pictures),
                "chunks": self.chunks,
                "chunkSize": CHUNK,
                "fields": FIELDS,
                "categories": CATEGORIES,
                "checks": CHECKS,
                "sources": self._sources.texts,
                "cameras": [
                    {"name": name, "url": self._camera_urls.get(name)}
                    for name in self._cameras.texts
                ],
                "labels": [_label(label) for label in self.labels.texts],
            }
        )

    def chunk(self, number: int, show: Callable[[int], Shown]) -> str:
        """The script of some of the pictures.

        Args:
            number: Which, from 0.
            show: How the picture at a position is shown.
        """
        start = number * CHUNK
        pictures = self._survey.pictures[start : start + CHUNK]
        rows = (self._row(p, show(start + i)) for i, p in enumerate(pictures))
        return f"addPictures({number}, [\n{','.join(_lines(rows))}])"

    def _row(self, picture: Picture, shown: Shown) -> list[Any]:
        sequence = self._survey.sequences[picture.sequence]
        together, together_score, _ = sequence.answer or (None, 0.0, None)
        return [
            picture.filepath.replace("\\", "/").rpartition("/")[2],
            self._cameras.of(picture.camera),
            _KINDS[predicted_category(picture)],
            self.labels.of(picture.label),
            round(picture.score, 4),
            self._sources.of(picture.source),
            picture.taken,
            picture.sequence if len(sequence.pictures) > 1 else -1,
            self.labels.of(together),
            round(together_score, 4),
            sum(
                1 << list(CHECKS).index(name)
                for name in checks_of_prediction(picture, self._survey)
            ),
            [
                [_KINDS[box.kind], *(round(value, 4) for value in box[1:])]
                for box in picture.boxes or ()
            ],
            [[self.labels.of(label), round(score, 4)] for label, score in picture.classes],
            shown.thumb,
            round(shown.aspect, 4),
            shown.why,
            self.labels.of(picture.correction.label if picture.correction else None),
            int(shown.is_private),
        ]


def label_key(label: str) -> str:
    """What stands for a label in the address of a page: its identifier, if it has one."""
    return label.partition(";")[0] or label


def _label(label: str) -> dict[str, str]:
    parts = split_label(label)
    scientific = parts.scientific_name
    taxa = [part for part in (parts.class_, parts.order, parts.family) if part]
    return {
        "text": label,
        "key": label_key(label),
        "name": parts.name,
        "scientific": scientific if scientific != parts.name.capitalize() else "",
        "taxa": ", ".join(part.capitalize() for part in taxa),
        "category": category_of(label),
    }


def _lines(rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    for row in rows:
        yield _json(row) + "\n"


def _json(value: Any) -> str:
    """JSON in ASCII, which is JavaScript wherever it stands, also in HTML."""
    text = json.dumps(value, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")

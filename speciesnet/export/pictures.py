"""Pictures made from photographs: a picture of each box, or photographs with their boxes drawn."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from PIL import Image

from speciesnet.constants import (
    CROPS_LIST,
    DETECTION_THRESHOLD,
    DRAWN_LIST,
    Classification,
    Detection,
)
from speciesnet.display import draw_bboxes
from speciesnet.ensemble.taxonomy import category_of, species_name, split_label
from speciesnet.errors import ImageError, InputError, OutputError, SkippedFileError, file_errors
from speciesnet.export.files import Results
from speciesnet.export.picture_folder import MadePicture, PictureFolder, joined
from speciesnet.files.input_notes import plural
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.paths import Parts, common_folder, path_below, safe_name
from speciesnet.pipeline.progress import ProgressBars
from speciesnet.predictions.reading import read_records
from speciesnet.records.boxes import BBox
from speciesnet.survey.corrections import Correction, noting_unmatched
from speciesnet.survey.report.thumbnails import Area, people_of, state_of, thumbnail
from speciesnet.survey.survey import Picture, PictureBox, pictures_in

People = Literal["leave_out", "include"]

MIN_CONFIDENCE = DETECTION_THRESHOLD
_QUALITY = 92  # of the JPEG files
_WHOLE = 100_000  # pixels: more than the longer side of any photograph
_EVERYTHING: Area = (0.0, 0.0, 1.0, 1.0)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass
class PictureResults(Results):
    """How many pictures were made; ``done``, ``unchanged`` and ``removed`` count pictures.

    Attributes:
        photographs: Photographs in the predictions.
        without_boxes: Photographs without a box to show.
        people: Boxes and photographs that were left out because they show people.
        removed: Pictures from an earlier call that no longer match the predictions.
        notes: Sentences on corrections that do not match the predictions.
    """

    photographs: int = 0
    without_boxes: int = 0
    people: int = 0
    removed: int = 0
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Plan:
    """A picture to make: its line in the list, without a key yet, and how to make it."""

    made: MadePicture
    draw: Callable[[Image.Image], Image.Image]


def write_pictures(
    predictions: str | os.PathLike[str],
    corrections: Mapping[str, Correction],
    photographs: Photographs,
    out: str | os.PathLike[str],
    kind: Crops | Drawn,
    *,
    threads: int = 2,
    progress_bars: bool = False,
) -> PictureResults:
    """Writes pictures of one kind as JPEG files, and a list of them.

    Args:
        predictions: The predictions file.
        corrections: The corrections to apply, by filepath.
        photographs: Finds the photographs.
        out: The folder; an earlier output is continued and updated.
        kind: The kind of pictures.
        threads: The number of photographs to read in parallel.
        progress_bars: Whether to show progress bars.

    Raises:
        InputError: A record is malformed, or none of the photographs is found.
        OutputError: The predictions cannot be read, or the folder cannot be written.
        CredentialsError: The credentials for the bucket of a photograph have expired or are refused.
    """
    out, results = Path(out), PictureResults()
    count = itertools.count()
    records = noting_unmatched(read_records(predictions), corrections, results.notes.append)
    common = common_folder(r["filepath"] for r, _ in zip(records, count, strict=False))
    with (
        file_errors(OutputError, f"The folder {out}", "written", "Fix the cause and run it again."),
        PictureFolder(out, kind.list_name) as folder,
        ProgressBars(["Photographs"], next(count), progress_bars) as bars,
    ):
        make = partial(_make, kind, photographs, folder, common)
        for one in _in_parallel(make, pictures_in(predictions, corrections), threads):
            results.photographs += 1
            _add(results, one)
            bars.update("Photographs")
        if results.missing and not photographs.found:
            none = plural(
                results.missing,
                "The only photograph with boxes is not",
                f"None of the {results.missing} photographs with boxes is",
            )
            raise InputError(
                f"{none} where the predictions say. Pass the right folder with --image_root."
            )
        folder.finish()
        results.removed = folder.removed
    return results


@dataclass(frozen=True)
class Crops:
    """A picture of each box, in folders by answer.

    Attributes:
        min_confidence: The lowest confidence of a box, in [0, 1].
        people: ``leave_out`` leaves out boxes around people, and blurs people in all other boxes.
    """

    min_confidence: float = MIN_CONFIDENCE
    people: People = "leave_out"
    list_name: ClassVar[str] = CROPS_LIST

    def blurred(self, picture: Picture) -> tuple[Area, ...]:
        """The areas of people, which are blurred in the boxes of other subjects."""
        if self.people == "include":
            return ()
        if people_of(picture) == (_EVERYTHING,):
            return (_EVERYTHING,)
        boxes = [box for box in picture.shown_boxes if box.conf >= DETECTION_THRESHOLD]
        found = [
            box
            for box, label in zip(boxes, picture.labels_of(boxes), strict=True)
            if label == Classification.HUMAN
            or (box.label is None and box.kind == Detection.HUMAN)  # even if the answer is blank
        ]
        return tuple((b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in found)

    def plans(self, picture: Picture, below: Parts, results: PictureResults) -> list[_Plan]:
        """The pictures to make from a photograph."""
        boxes = [(i, box) for i, box in picture.numbered_boxes if box.conf >= self.min_confidence]
        if self.people == "leave_out":
            hides_all = people_of(picture) == (_EVERYTHING,)
            shown = [one for one in boxes if not (hides_all or _is_person(one[1]))]
            results.people += len(boxes) - len(shown)
            boxes = shown
        labels = picture.labels_of([box for _, box in boxes])
        return [
            self._plan(picture.filepath, below, number, box, label)
            for (number, box), label in zip(boxes, labels, strict=True)
        ]

    def _plan(self, filepath: str, below: Parts, number: int, box: PictureBox, label: str) -> _Plan:
        *folders, name = below
        file = joined((safe_name(species_name(label)), *folders, f"{name}-box{number}.jpg"))
        about = {"box": number, "bbox": list(box[2:6]), "conf": box.conf, "label": label}
        if box.label is not None:
            about["score"] = box.score

        def draw(photograph: Image.Image) -> Image.Image:
            left, top, width, height = BBox(*box[2:6]).crop(*photograph.size)
            return photograph.crop((left, top, left + width, top + height))

        return _Plan(MadePicture(file, filepath, "", about), draw)


@dataclass(frozen=True)
class Drawn:
    """A picture of each photograph that has boxes, with its boxes and their names.

    Attributes:
        min_confidence: The lowest confidence of a box, in [0, 1].
        blur_humans: Whether to blur people.
    """

    min_confidence: float = MIN_CONFIDENCE
    blur_humans: bool = False
    list_name: ClassVar[str] = DRAWN_LIST

    def blurred(self, picture: Picture) -> tuple[Area, ...]:
        """The areas of people."""
        return people_of(picture) if self.blur_humans else ()

    def plans(self, picture: Picture, below: Parts, results: PictureResults) -> list[_Plan]:
        """The picture to make from a photograph, if any."""
        boxes = [box for box in picture.shown_boxes if box.conf >= self.min_confidence]
        if not boxes:
            results.without_boxes += 1
            return []
        names = [_text_of(box) for box in boxes]
        name = below[-1] if below[-1].lower().endswith((".jpg", ".jpeg")) else f"{below[-1]}.jpg"
        file = joined((*below[:-1], name))
        about = {"names": names, "boxes": [list(box[2:6]) for box in boxes]}

        def draw(photograph: Image.Image) -> Image.Image:
            return draw_bboxes(photograph, [box.as_detection() for box in boxes], names)

        return [_Plan(MadePicture(file, picture.filepath, "", about), draw)]


def _is_person(box: PictureBox) -> bool:
    return Detection.HUMAN in (box.kind, None if box.label is None else category_of(box.label))


def _text_of(box: PictureBox) -> str:
    """The text drawn at a box: its answer and score, or its category and confidence."""
    if box.label is None:
        return f"{box.kind} {box.conf:.2f}"
    name = split_label(box.label).name or box.label
    return name if box.score == 1 else f"{name} {box.score:.2f}"


def _add(results: PictureResults, one: PictureResults) -> None:
    for name in ("done", "unchanged", "missing", "without_boxes", "people"):
        setattr(results, name, getattr(results, name) + getattr(one, name))
    results.skipped += one.skipped


def _in_parallel(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> Iterator[_Result]:
    """Results in order; only a few are computed ahead."""
    with ThreadPoolExecutor(threads, thread_name_prefix="pictures") as executor:
        started = (executor.submit(function, item) for item in items)
        waiting = deque(itertools.islice(started, 4 * threads))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(itertools.islice(started, 1))
        finally:
            executor.shutdown(cancel_futures=True)


def _make(
    kind: Crops | Drawn,
    photographs: Photographs,
    folder: PictureFolder,
    common: Parts,
    picture: Picture,
) -> PictureResults:
    """Makes the pictures of one photograph that do not exist yet."""
    results = PictureResults()
    below = path_below(picture.filepath, common, windows=True)  # names for every system
    plans = kind.plans(picture, below, results)
    source = photographs.source(picture.filepath) if plans else None
    if not plans:
        return results
    try:
        if source is None:
            raise FileNotFoundError
        state = state_of(source, picture.frame)
    except FileNotFoundError:
        if source is not None:
            photographs.not_there(picture.filepath)
        results.missing += 1
        folder.keep(picture.filepath)
        return results
    except OSError as error:
        results.skipped.append((str(source), error.strerror or str(error)))
        folder.keep(picture.filepath)
        return results
    blurred = kind.blurred(picture)
    photograph: Image.Image | None = None
    for plan in plans:
        try:
            made = _keyed(plan, state, blurred)
            if folder.is_current(made):
                results.unchanged += 1
                continue
            if photograph is None:
                number = None if picture.frame is None else picture.frame[0]
                photograph = thumbnail(source, _WHOLE, blurred, number)
            folder.save(made, plan.draw(photograph), _QUALITY)
            results.done += 1
        except SkippedFileError as error:
            results.skipped.append((str(source), str(error)))
        except ImageError as error:
            results.skipped.append((str(source), str(error)))
            folder.keep(picture.filepath)
            break
    return results


def _keyed(plan: _Plan, state: str, blurred: tuple[Area, ...]) -> MadePicture:
    """The picture of a plan, with a digest of everything that it is made from."""
    text = f"{state}\0{blurred}\0{plan.made.about}\0{_QUALITY}"
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10)
    return replace(plan.made, key=digest.hexdigest())

"""Thumbnails, made once and reused until their photographs change."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter

from speciesnet.constants import DETECTION_THRESHOLD, Classification, Detection
from speciesnet.ensemble.taxonomy import category_of
from speciesnet.errors import ImageError
from speciesnet.files.atomic import write_atomically
from speciesnet.files.extensions import is_film_name
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.storage import version_of
from speciesnet.images.decoding import read_small
from speciesnet.images.films import read_frame
from speciesnet.survey.survey import Picture, PictureBox

SIZE = 480  # pixels of the longer side
QUALITY = 72
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{18}\.jpg")
_COARSE = 12  # pixels that remain of the longer side of a blurred person
_MARGIN = 0.08  # blurred around a person's box, as a fraction of its sides

Area = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax, relative to the image


@dataclass(frozen=True, slots=True)
class Preview:
    """How the pages show an image.

    Attributes:
        thumbnail: The path of its thumbnail relative to the folder of thumbnails, or "".
        aspect: Width divided by height.
        problem: Why there is no thumbnail, or "".
        is_private: Whether the pages must not link to the photograph.
    """

    thumbnail: str = ""
    aspect: float = 4 / 3
    problem: str = ""
    is_private: bool = False


def people_of(picture: Picture) -> tuple[Area, ...]:
    """Returns the areas to blur: the boxes around people, including faint ones, after any review.

    The whole image is blurred if the answer or the classifier's best class is a person but no box
    around a person is reliable, because a faint box may not be where the person is. If a reviewer has
    corrected the boxes, only the answer matters, because the reviewer has seen where people are.
    """
    people = [box for box in picture.shown_boxes if Detection.HUMAN in _kinds_of(box)]
    is_sure = any(box.conf >= DETECTION_THRESHOLD for box in people)
    labels = {picture.answer}
    if picture.correction is None or not picture.correction.boxes:
        labels |= {picture.label, *(label for label, _ in picture.classes[:1])}
    if not is_sure and Classification.HUMAN in labels:
        return ((0.0, 0.0, 1.0, 1.0),)
    return tuple((b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in people)


def _kinds_of(box: PictureBox) -> tuple[str, ...]:
    """Returns what a box shows according to the detector and to its own answer, if it has one."""
    return (box.kind,) if box.label is None else (box.kind, category_of(box.label))


def thumbnail(
    path: str | os.PathLike[str],
    size: int = SIZE,
    blurred: Sequence[Area] = (),
    frame: int | None = None,
) -> Image.Image:
    """Reads a photograph as an upright RGB image of limited size.

    Args:
        path: The photograph, or its URL in a bucket.
        size: The maximum length of the longer side, in pixels.
        blurred: The areas to make unrecognizable.
        frame: The number of the frame of a film to show; None for a photograph.

    Raises:
        ImageError: The photograph cannot be read.
    """
    if frame is not None:
        small = Image.fromarray(read_frame(str(path), frame))
        small.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    else:
        small = read_small(str(path), size)
    for area in blurred:
        _blur(small, area)
    return small


def _blur(image: Image.Image, area: Area) -> None:
    xmin, ymin, xmax, ymax = (min(max(side, 0.0), 1.0) for side in area)
    dx, dy = _MARGIN * (xmax - xmin), _MARGIN * (ymax - ymin)
    pixels = (
        max(0, int((xmin - dx) * image.width)),
        max(0, int((ymin - dy) * image.height)),
        min(image.width, int((xmax + dx) * image.width) + 1),
        min(image.height, int((ymax + dy) * image.height) + 1),
    )
    part = image.crop(pixels)
    if not part.width or not part.height:
        return
    scale = _COARSE / max(part.size)
    coarse = part.resize([max(1, round(side * scale)) for side in part.size], Image.Resampling.BOX)
    smooth = coarse.resize(part.size, Image.Resampling.BILINEAR)
    image.paste(smooth.filter(ImageFilter.GaussianBlur(max(part.size) / _COARSE / 2)), pixels)


class Thumbnails:
    """A folder of thumbnails, each named after its photograph's path, size and date.

    Args:
        folder: The folder; it is created with the first thumbnail.
        photographs: Finds the photographs.
        blur_humans: Whether to blur people.
        size: The maximum length of the longer side, in pixels.

    Attributes:
        sources: The folders of the photographs that have a thumbnail, by camera, except those in
            a bucket.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        photographs: Photographs,
        *,
        blur_humans: bool = False,
        size: int = SIZE,
    ) -> None:
        self.folder = Path(folder)
        self._photographs = photographs
        self._blur_humans = blur_humans
        self._size = size
        self.sources: dict[str, Path] = {}

    def make(self, picture: Picture) -> tuple[str, float]:
        """Makes the thumbnail of an image, unless it exists.

        Returns:
            Its path relative to the folder, with slashes, and its width divided by its height.

        Raises:
            ImageError: The photograph cannot be read; the message is the reason.
            CredentialsError: The credentials for its bucket have expired or are refused.
        """
        source = self._source_of(picture)
        people = self._people_of(picture)
        try:
            key = f"{state_of(source, picture.frame)}\0{self._size}\0{people}"
        except OSError as error:
            if isinstance(source, str):
                self._photographs.not_there(picture.filepath)
            raise ImageError(error.strerror or str(error)) from error
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
        name = f"{digest[:2]}/{digest[2:]}.jpg"
        target = self.folder / name
        try:
            with Image.open(target) as existing:
                width, height = existing.size
        except OSError:
            small = thumbnail(source, self._size, people, _number(picture))
            width, height = small.size
            target.parent.mkdir(parents=True, exist_ok=True)
            # Two threads may make the same one in parallel, because two records may share a photograph.
            with write_atomically(target, fsync=False) as part:
                small.save(part, "JPEG", quality=QUALITY)
        if isinstance(source, Path):
            self.sources.setdefault(picture.camera, source.parent)
        return name, width / height

    def draw(self, picture: Picture, size: int) -> Image.Image:
        """Returns an image in a different size without storing it; raises the same errors as ``make``."""
        people = self._people_of(picture)
        return thumbnail(self._source_of(picture), size, people, _number(picture))

    def film(self, picture: Picture) -> Path:
        """Returns the file of a film for a player; raises ``ImageError`` if none may be shown."""
        source = self._source_of(picture)
        if picture.frame is None or not isinstance(source, Path) or self._blur_humans:
            raise ImageError("it is not a film that can be played")
        return source

    def _source_of(self, picture: Picture) -> Path | str:
        source = self._photographs.source(picture.filepath)
        if source is None:
            raise ImageError("there is no file at the path in the predictions")
        return source

    def _is_unblurred(self, picture: Picture) -> bool:
        """Whether a film may show people in frames that were not examined."""
        return self._blur_humans and picture.frame is not None

    def _people_of(self, picture: Picture) -> tuple[Area, ...]:
        return people_of(picture) if self._blur_humans else ()

    def previews(
        self, pictures: Sequence[Picture], threads: int, on_made: Callable[[], None] = lambda: None
    ) -> list[Preview]:
        """Makes the thumbnails of several images in parallel.

        Args:
            pictures: The images.
            threads: The number of threads.
            on_made: Called after each image.

        Raises:
            CredentialsError: The credentials for a bucket have expired or are refused.
        """

        def preview(picture: Picture) -> Preview:
            try:
                is_private = bool(self._people_of(picture)) or self._is_unblurred(picture)
                return Preview(*self.make(picture), is_private=is_private)
            except ImageError as error:
                return Preview(problem=str(error), is_private=True)

        with ThreadPoolExecutor(threads, thread_name_prefix="thumbnails") as executor:
            made = []
            for one in executor.map(preview, pictures):
                made.append(one)
                on_made()
            return made

    def keep_only(self, names: set[str]) -> None:
        """Removes all thumbnails except those with these names."""
        for path in self.folder.glob("*/*.jpg"):
            name = path.relative_to(self.folder).as_posix()
            if _NAME.fullmatch(name) and name not in names:
                path.unlink()


def _number(picture: Picture) -> int | None:
    """The number of the frame to show, for a film; raises ``ImageError`` if none could be read."""
    if picture.frame is None and is_film_name(picture.filepath):
        raise ImageError("no frame of this film could be read")
    return None if picture.frame is None else picture.frame[0]


def state_of(source: Path | str, frame: tuple[int, float] | None = None) -> str:
    """Returns text that changes whenever the photograph changes; raises ``OSError``.

    Args:
        source: The photograph or the film.
        frame: The number and the time of the frame of a film.
    """
    of_frame = "" if frame is None else f"\0{frame[0]}"
    if isinstance(source, Path):
        facts = source.stat()
        return f"{source.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}{of_frame}"
    version = version_of(source)
    if version is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    return f"{source}\0{version.tag}{of_frame}"

"""Small pictures for pages, made once and found again by what they were made from."""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image, ImageFilter

from speciesnet.constants import Classification, Detection
from speciesnet.errors import ImageError
from speciesnet.files.atomic import write_atomically
from speciesnet.files.storage import version_of
from speciesnet.images import opened, upright
from speciesnet.survey.photographs import Photographs
from speciesnet.survey.survey import COUNTS, Picture

SIZE = 480  # pixels of the longer side
QUALITY = 72
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{18}\.jpg")
_COARSE = 12  # pixels that are left of the longer side of a blurred person
_AROUND = 0.08  # of the sides of a person's box that are blurred with it


def people_of(picture: Picture) -> tuple[tuple[float, float, float, float], ...]:
    """Where to blur: boxes of people, or the whole image where a person is on it without a sure one.

    That a person is on it may be the answer, or the classifier's best class.

    Returns:
        (xmin, ymin, xmax, ymax) each, relative to the image.
    """
    people = [box for box in picture.boxes or () if box.kind == Detection.HUMAN]
    is_sure = any(box.conf >= COUNTS for box in people)
    # A fainter box need not be where the person is.
    named = {picture.label, picture.answer, *(label for label, _ in picture.classes[:1])}
    if not is_sure and Classification.HUMAN in named:
        return ((0.0, 0.0, 1.0, 1.0),)
    return tuple((b.xmin, b.ymin, b.xmin + b.width, b.ymin + b.height) for b in people)


def thumbnail(
    path: str | os.PathLike[str],
    size: int = SIZE,
    blurred: Sequence[tuple[float, float, float, float]] = (),
) -> Image.Image:
    """An upright RGB picture whose longer side has at most ``size`` pixels.

    Args:
        path: The photograph, or its URL in a bucket.
        size: Pixels.
        blurred: Boxes of which nothing may be recognized, relative to the image.

    Raises:
        ImageError: It cannot be read.
    """
    with opened(str(path)) as image:
        image.draft("RGB", (size, size))  # JPEG is decoded at a half, a quarter or an eighth
        image.load()
        small = upright(image).convert("RGB")
    small.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    for box in blurred:
        _blur(small, box)
    return small


def _blur(image: Image.Image, box: tuple[float, float, float, float]) -> None:
    xmin, ymin, xmax, ymax = (min(max(side, 0.0), 1.0) for side in box)
    dx, dy = _AROUND * (xmax - xmin), _AROUND * (ymax - ymin)
    area = (
        max(0, int((xmin - dx) * image.width)),
        max(0, int((ymin - dy) * image.height)),
        min(image.width, int((xmax + dx) * image.width) + 1),
        min(image.height, int((ymax + dy) * image.height) + 1),
    )
    part = image.crop(area)
    if not part.width or not part.height:
        return
    scale = _COARSE / max(part.size)
    coarse = part.resize([max(1, round(side * scale)) for side in part.size], Image.Resampling.BOX)
    smooth = coarse.resize(part.size, Image.Resampling.BILINEAR)
    image.paste(smooth.filter(ImageFilter.GaussianBlur(max(part.size) / _COARSE / 2)), area)


class Thumbnails:
    """A folder of thumbnails, each named after its photograph's path, size and date.

    Args:
        folder: Made if need be.
        photographs: Where the photographs are.
        blur_humans: Whether people are blurred.
        size: Pixels of the longer side.

    Attributes:
        sources: Where the photographs of each camera are that have a thumbnail, by its name; but
            for those in a bucket.
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
        """Makes the thumbnail of a picture, unless it is there.

        Returns:
            Its path below the folder, with slashes; and its width divided by its height.

        Raises:
            ImageError: The photograph cannot be read; the message says why.
            CredentialsError: Those for its bucket have expired or are refused.
        """
        source = self._photographs.source(picture.filepath)
        if source is None:
            raise ImageError("it is not where the predictions say")
        people = people_of(picture) if self._blur_humans else ()
        try:
            key = f"{_state_of(source)}\0{self._size}\0{people}"
        except OSError as error:
            if isinstance(source, str):
                self._photographs.not_there()
            raise ImageError(error.strerror or str(error)) from error
        digest = hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()
        name = f"{digest[:2]}/{digest[2:]}.jpg"
        target = self.folder / name
        try:
            with Image.open(target) as made:
                self._note(picture, source)
                return name, made.width / made.height
        except OSError:
            pass
        small = thumbnail(source, self._size, people)
        self._note(picture, source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(target, fsync=False) as part:
            small.save(part, "JPEG", quality=QUALITY)
        return name, small.width / small.height

    def _note(self, picture: Picture, source: Path | str) -> None:
        if isinstance(source, Path):
            self.sources.setdefault(picture.camera, source.parent)

    def make_all(
        self,
        pictures: Sequence[Picture],
        threads: int,
        made: Callable[[], None] = lambda: None,
    ) -> list[tuple[str, float] | ImageError]:
        """Thumbnails of all pictures, or why there is none, in order; ``made`` is called after each."""

        def one(picture: Picture) -> tuple[str, float] | ImageError:
            try:
                return self.make(picture)
            except ImageError as error:
                return error

        with ThreadPoolExecutor(threads, thread_name_prefix="thumbnails") as executor:
            found = []
            for thumb in executor.map(one, pictures):
                found.append(thumb)
                made()
            return found

    def keep_only(self, names: set[str]) -> None:
        """Removes thumbnails that no picture has any more."""
        for path in self.folder.glob("*/*.jpg"):
            name = path.relative_to(self.folder).as_posix()
            if _NAME.fullmatch(name) and name not in names:
                path.unlink()


def _state_of(source: Path | str) -> str:
    """What changes when a photograph does; raises ``OSError``."""
    if isinstance(source, Path):
        facts = source.stat()
        return f"{source.resolve()}\0{facts.st_size}\0{facts.st_mtime_ns}"
    version = version_of(source)
    if version is None:
        raise FileNotFoundError(errno.ENOENT, "there is no such file")
    return f"{source}\0{version.tag}"

"""Reads images from paths and URLs as RGB."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from absl import logging
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from speciesnet.constants import available_cpus
from speciesnet.errors import CredentialsError, DamagedImageError, ImageError
from speciesnet.files.storage import is_cloud, is_object, open_image, scheme_of
from speciesnet.images.metadata import PhotoMetadata, metadata_of

# Cameras write truncated files; the part that exists is worth decoding.
ImageFile.LOAD_TRUNCATED_IMAGES = True

# Formats that Pillow decodes itself; it would pass others to programs such as Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")

FLAW = "speciesnet: flaw"  # the key of a ``Flaw`` in the ``info`` of an image

SEQUENTIAL_FORMATS = frozenset({"BMP", "JPEG", "PNG"})  # read to the end only if they are cut off

WIDE_MODES = frozenset({"I;16", "I;16L", "I;16B", "I", "F"})  # gray, more than 8 bits

NO_MEMORY = "there is not enough memory for it"

_decoding = threading.BoundedSemaphore(available_cpus())


@dataclass(frozen=True)
class PreprocessedImage:
    """An image prepared as a network's input.

    Attributes:
        arr: Shape (H, W, 3), uint8.
        orig_width: Width of the original image, in pixels.
        orig_height: Height of the original image, in pixels.
    """

    arr: NDArray[np.uint8]
    orig_width: int
    orig_height: int


def to_array(img: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Converts an RGB image to an array of shape (H, W, 3)."""
    return np.asarray(img)


def file_exists(filepath: str) -> bool:
    """Whether a local path or URL names a file that can be opened."""
    if scheme_of(filepath) is None:
        return Path(filepath).is_file()
    try:
        if is_cloud(filepath):
            return is_object(filepath)
        with open_image(filepath):
            return True
    except (OSError, CredentialsError):
        return False


def read_image(filepath: str) -> Image.Image:
    """Decodes an image as RGB and turns it upright.

    Alpha is dropped, 16-bit values are clipped at 255, only the first frame of an animation is read,
    and a truncated file is decoded up to its end.

    Raises:
        ImageError: The image cannot be opened or decoded; the message is the reason without the path.
        CredentialsError: The credentials for its bucket have expired or are refused.
    """
    return read_photograph(filepath)[0]


def read_photograph(filepath: str) -> tuple[Image.Image, PhotoMetadata]:
    """Decodes an image as ``read_image`` does, and reads its metadata.

    If the image has a ``Flaw``, its ``info`` contains it as ``FLAW``.
    """
    with opened(filepath) as image:
        is_cut_off = _load(image)
        picture = upright(image)
        if picture.mode != "RGB":
            # Otherwise it would be copied; for huge images there is not enough memory.
            original, picture = picture, picture.convert("RGB")
            if _is_clipped(original, picture):
                picture.info[FLAW] = "clipped"
        if is_cut_off:
            picture.info[FLAW] = "cut off"
        return picture, metadata_of(image)


def read_small(filepath: str, size: int) -> Image.Image:
    """Decodes an image as RGB, turned upright, with a longer side of at most ``size`` pixels.

    JPEG is decoded at a half, a quarter or an eighth of its size, which takes a fraction of the time.

    Raises:
        ImageError, CredentialsError: As for ``read_image``.
    """
    with opened(filepath) as image:
        image.draft("RGB", (size, size))
        image.load()
        small = upright(image).convert("RGB")
    small.thumbnail((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return small


class _WatchedFile:
    """An open file that notes whether a decoder reads past its end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.has_ended = False

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self.has_ended |= not data and size != 0
        return data

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _load(image: Image.Image) -> bool:
    """Decodes as much of an image as its file contains; returns whether the file ends too early."""
    if not isinstance(image, ImageFile.ImageFile) or image.format not in SEQUENTIAL_FORMATS:
        image.load()
        return False
    image.fp = watched = cast("Any", _WatchedFile(cast("IO[bytes]", image.fp)))
    image.load()
    return watched.has_ended


def _is_clipped(original: Image.Image, converted: Image.Image) -> bool:
    """Whether an image with more than 8 bits per channel loses its contrast when it is converted.

    That is the case if more than half of its pixels are outside 0 to 255, or if all become almost
    equal.
    """
    if original.mode not in WIDE_MODES:
        return False
    values = np.asarray(original)
    if not values.size or values.min() == values.max():
        return False
    outside = np.count_nonzero(~((values >= 0) & (values < 256)))
    shown = np.asarray(converted)[..., 0]
    return int(np.ptp(shown)) <= 1 or 2 * outside > values.size


def read_metadata(filepath: str) -> PhotoMetadata:
    """Reads the metadata without decoding the image; raises ``ImageError``."""
    with opened(filepath) as image:
        return metadata_of(image)


@contextmanager
def opened(filepath: str) -> Iterator[Image.Image]:
    """Opens an image without decoding it; errors inside the context become ``ImageError``.

    Refused credentials still raise ``CredentialsError``, because every other image in the bucket
    would fail as well.
    """
    try:
        # Many threads wait for the network, but only one per core decodes.
        turn = nullcontext() if scheme_of(filepath) is None else _decoding
        with open_image(filepath) as file, turn, Image.open(file, formats=FORMATS) as image:
            yield image
    except (ImageError, CredentialsError):
        raise
    except Image.DecompressionBombError as error:
        raise DamagedImageError("it has too many pixels (more than 179 million)") from error
    except FileNotFoundError as error:
        raise ImageError("there is no such file") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        # Errors of the system have a number, those of decoders do not.
        is_lasting = not isinstance(error, MemoryError) and getattr(error, "errno", None) is None
        kind = DamagedImageError if is_lasting else ImageError
        raise kind(_reason(error)) from error


def load_rgb_image(filepath: str) -> Image.Image | None:
    """Decodes an image as ``read_image`` does; logs a file that cannot be read and returns None."""
    try:
        return read_image(filepath)
    except (ImageError, CredentialsError) as error:
        logging.warning("Cannot read image %s: %s.", filepath, str(error).rstrip("."))
        return None


def upright(image: Image.Image) -> Image.Image:
    """Rotates an image according to its EXIF orientation."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # damaged EXIF must not lose the image
        logging.debug("Orientation ignored: %s.", error)
        return image


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return NO_MEMORY
    # Once imported, ultralytics makes Pillow import a HEIF reader, which may be missing.
    if isinstance(error, (Image.UnidentifiedImageError, ModuleNotFoundError)):
        return "it is empty, damaged or not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which the caller adds
    return str(error).strip().rstrip(".") or type(error).__name__

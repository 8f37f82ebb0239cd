"""From a path or URL to an RGB image."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from absl import logging
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from speciesnet.errors import ImageError
from speciesnet.files.clouds import CredentialsError
from speciesnet.files.storage import is_cloud, is_object, open_image, scheme_of
from speciesnet.machine import available_cpus
from speciesnet.metadata import PhotoMetadata, metadata_of

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})

# Cameras write truncated files; the part that exists is worth decoding.
ImageFile.LOAD_TRUNCATED_IMAGES = True

# Formats that Pillow decodes itself: others would be handed to programs such as Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")

NO_MEMORY = "there is not enough memory for it"

_decoding = threading.BoundedSemaphore(available_cpus())


@dataclass(frozen=True)
class PreprocessedImage:
    """An image in the form that a network takes.

    Attributes:
        arr: Shape (H, W, 3), uint8.
        orig_width: Pixels of the image that it was made from.
        orig_height: Pixels of the image that it was made from.
    """

    arr: NDArray[np.uint8]
    orig_width: int
    orig_height: int


def is_image_name(path: str) -> bool:
    """Whether a path or URL has the extension of an image, in upper or lower case."""
    return PurePosixPath(path).suffix.lower() in IMAGE_EXTENSIONS


def to_array(img: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shape (H, W, 3) of an RGB image."""
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
    """Decodes an image, whole and upright, as RGB.

    Alpha is dropped, 16-bit values are clipped at 255, animations give their first frame; a
    truncated file gives what there is of it.

    Raises:
        ImageError: It cannot be opened or decoded; the message says why, without the path.
        CredentialsError: Those for its bucket have expired or are refused.
    """
    return read_photograph(filepath)[0]


def read_photograph(filepath: str) -> tuple[Image.Image, PhotoMetadata]:
    """As ``read_image``, with what the camera wrote beside the picture."""
    with opened(filepath) as image:
        image.load()
        picture = upright(image)
        if picture.mode != "RGB":  # else it would be copied, which costs huge ones their memory
            picture = picture.convert("RGB")
        return picture, metadata_of(image)


def read_metadata(filepath: str) -> PhotoMetadata:
    """What the camera wrote, without decoding the picture; raises ``ImageError``."""
    with opened(filepath) as image:
        return metadata_of(image)


@contextmanager
def opened(filepath: str) -> Iterator[Image.Image]:
    """An image that is not decoded yet; what goes wrong, now or then, becomes ``ImageError``.

    But for credentials that are refused: all other images of the bucket would fail for them too.
    """
    try:
        # Many threads wait for a network; no more than there are cores decode what has come.
        turn = nullcontext() if scheme_of(filepath) is None else _decoding
        with open_image(filepath) as file, turn, Image.open(file, formats=FORMATS) as image:
            yield image
    except (ImageError, CredentialsError):
        raise
    except Image.DecompressionBombError as error:
        raise ImageError("it has too many pixels (more than 179 million)") from error
    except FileNotFoundError as error:
        raise ImageError("there is no such file") from error
    except Exception as error:  # decoders raise nearly anything on damaged files
        raise ImageError(_reason(error)) from error


def load_rgb_image(filepath: str) -> Image.Image | None:
    """As ``read_image``, but a file that cannot be read is logged and gives None."""
    try:
        return read_image(filepath)
    except (ImageError, CredentialsError) as error:
        logging.warning("Cannot read image %s: %s.", filepath, str(error).rstrip("."))
        return None


def upright(image: Image.Image) -> Image.Image:
    """An image as its camera was held."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # damaged EXIF is no reason to lose the picture
        logging.debug("Orientation ignored: %s.", error)
        return image


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return NO_MEMORY
    # ultralytics, once imported, makes Pillow look for a reader of HEIF instead of saying no.
    if isinstance(error, (Image.UnidentifiedImageError, ModuleNotFoundError)):
        return "it is empty, damaged or not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which the caller knows
    return str(error).strip().rstrip(".") or type(error).__name__

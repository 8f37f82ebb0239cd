"""From a path or URL to an RGB image."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import numpy as np
from absl import logging
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from speciesnet.errors import ImageError
from speciesnet.metadata import PhotoMetadata, metadata_of

# Cameras leave cut-off files behind; what there is of them is worth looking at.
ImageFile.LOAD_TRUNCATED_IMAGES = True

# Formats that Pillow decodes itself: others would be handed to programs such as Ghostscript.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "TIFF", "WEBP")
CLOUD_EXTRAS = {"az": "azure", "gs": "gs", "s3": "s3"}  # of cloudpathlib, by the scheme
WEB_SCHEMES = ("http", "https")
WEB_TIMEOUT = 30  # seconds to connect, and between two bytes
MAX_WEB_BYTES = 256 * 2**20


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


def to_array(img: Image.Image | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Shape (H, W, 3) of an RGB image."""
    return np.asarray(img)


def scheme_of(filepath: str) -> str | None:
    """``s3`` for ``s3://...`` and so on for clouds and the web; None for a local path."""
    scheme = urlsplit(filepath).scheme.lower() if "://" in filepath else ""
    return scheme if scheme in CLOUD_EXTRAS or scheme in WEB_SCHEMES else None


def file_exists(filepath: str) -> bool:
    """Whether a local path or URL names a file that can be opened."""
    if scheme_of(filepath) is None:
        return Path(filepath).is_file()
    try:
        with _open(filepath):
            return True
    except (OSError, ImageError):
        return False


def read_image(filepath: str) -> Image.Image:
    """Decodes an image, whole and upright, as RGB.

    Alpha is dropped, 16-bit values are clipped at 255, animations give their first frame; a
    truncated file gives what there is of it.

    Raises:
        ImageError: It cannot be opened or decoded; the message says why, without the path.
    """
    return read_photograph(filepath)[0]


def read_photograph(filepath: str) -> tuple[Image.Image, PhotoMetadata]:
    """As ``read_image``, with what the camera wrote beside the picture."""
    with opened(filepath) as image:
        image.load()
        return upright(image).convert("RGB"), metadata_of(image)


def read_metadata(filepath: str) -> PhotoMetadata:
    """What the camera wrote, without decoding the picture; raises ``ImageError``."""
    with opened(filepath) as image:
        return metadata_of(image)


@contextmanager
def opened(filepath: str) -> Iterator[Image.Image]:
    """An image that is not decoded yet; what goes wrong, now or then, becomes ``ImageError``."""
    try:
        with _open(filepath) as file, Image.open(file, formats=FORMATS) as image:
            yield image
    except ImageError:
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
    except ImageError as error:
        logging.warning("Cannot read image %s: %s.", filepath, error)
        return None


def upright(image: Image.Image) -> Image.Image:
    """An image as its camera was held."""
    try:
        return ImageOps.exif_transpose(image)
    except Exception as error:  # damaged EXIF is no reason to lose the picture
        logging.debug("Orientation ignored: %s.", error)
        return image


def _reason(error: Exception) -> str:
    # ultralytics, once imported, makes Pillow look for a reader of HEIF instead of saying no.
    if isinstance(error, (Image.UnidentifiedImageError, ModuleNotFoundError)):
        return "it is empty, damaged or not an image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # without the path, which the caller knows
    return str(error).strip().rstrip(".") or type(error).__name__


def _open(filepath: str) -> IO[bytes]:
    scheme = scheme_of(filepath)
    if scheme in WEB_SCHEMES:
        return io.BytesIO(_download(filepath))
    if scheme in CLOUD_EXTRAS:
        return _open_in_cloud(filepath, scheme)
    path = Path(filepath)
    if path.exists() and not path.is_file():  # opening a named pipe would wait for ever
        raise ImageError("it is no file")
    return path.open("rb")


def _download(url: str) -> bytes:
    import requests

    try:
        with requests.get(url, timeout=WEB_TIMEOUT, stream=True) as response:
            response.raise_for_status()
            content = bytearray()
            for chunk in response.iter_content(2**16):
                content += chunk
                if len(content) > MAX_WEB_BYTES:
                    raise ImageError(f"it is larger than {MAX_WEB_BYTES // 2**20} MiB")
    except requests.RequestException as error:
        raise ImageError(f"download failed: {error}") from error
    return bytes(content)


def _open_in_cloud(url: str, extra: str) -> IO[bytes]:
    try:
        from cloudpathlib import AnyPath
        from cloudpathlib.enums import FileCacheMode
        from cloudpathlib.exceptions import MissingDependenciesError
    except ImportError as error:
        raise ImageError(
            f"reading {extra}:// needs: pip install 'cloudpathlib[{CLOUD_EXTRAS[extra]}]'"
        ) from error
    try:
        path: Any = AnyPath(url)
        path.client.file_cache_mode = FileCacheMode.close_file  # or a survey fills the disk
    except MissingDependenciesError as error:
        raise ImageError(
            f"reading {extra}:// needs: pip install 'cloudpathlib[{CLOUD_EXTRAS[extra]}]'"
        ) from error
    return path.open("rb")

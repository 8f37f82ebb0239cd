"""Which files are images and films, by the extensions of their names."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import urlsplit

from speciesnet.files import storage

IMAGE_EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
FILM_EXTENSIONS = frozenset({
    ".3gp", ".asf", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".wmv",
})  # fmt: skip


def is_image_name(path: str) -> bool:
    """Whether a path or URL has the extension of an image, in upper or lower case."""
    return PurePosixPath(path).suffix.lower() in IMAGE_EXTENSIONS


def is_film_name(path: str) -> bool:
    """Whether a path or URL has the extension of a film, in upper or lower case."""
    if storage.scheme_of(path) in storage.WEB_SCHEMES:
        path = urlsplit(path).path  # a query may follow the name
    return PurePosixPath(path).suffix.lower() in FILM_EXTENSIONS

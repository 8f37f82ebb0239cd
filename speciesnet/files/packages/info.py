"""Finds a model package by its name, and the files in it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from urllib.parse import urlsplit

from absl import logging

from speciesnet.errors import ModelError, first_line
from speciesnet.files.packages import DEMO

DEFAULT_MODEL = "kaggle:google/speciesnet/keras/v4.0.0a"
SUPPORTED_MODELS = [
    "kaggle:google/speciesnet/keras/v4.0.0a",
    "kaggle:google/speciesnet/keras/v4.0.0b",
]
SAMPLES, SAMPLE_BYTES = 64, 2**16  # of a file for its fingerprint; smaller files are read whole
MODEL_TYPES = ("always_crop", "full_image")
_VARIATION = re.compile(r"/v([\d.]+[ab])(?:/\d+)?$")  # in the name of a published package

_INFO = "info.json"
_FILES = ("classifier", "classifier_labels", "detector", "taxonomy", "geofence")
_KAGGLE_NAME = re.compile(r"[\w.-]+/[\w.-]+/[\w.-]+/[\w.-]+(/\d+)?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_HF_NAME = re.compile(r"[\w.-]+/[\w.-]+")


class ModelInfo:
    """A model package on this machine.

    Args:
        model_name: ``kaggle:OWNER/MODEL/FRAMEWORK/VARIATION[/N]``, ``hf:OWNER/REPO``, a folder, or
            ``demo``. Kaggle's and Hugging Face's packages are downloaded once, into their own caches.
        force_download: Downloads the package again.

    Attributes:
        folder: The package.
        version: Version of the package, which every record contains.
        type_: ``always_crop`` or ``full_image``.
        classifier: The Keras file, or the PyTorch file of onnx2torch.
        classifier_labels: The file with the labels of its classes, one per line.
        taxonomy: The file with the labels of all taxa that a roll-up may return, one per line.
        geofence: The JSON file of geofence rules.
        detector_source: The detector's file, or its URL.

    Raises:
        ModelError: The name is unknown, the download failed, or the package is broken.
    """

    def __init__(self, model_name: str, *, force_download: bool = False) -> None:
        self.model_name = model_name
        self.folder = find_model_folder(model_name, force_download=force_download)
        info = _read_info(self.folder)
        self.version: str = info["version"]
        self.type_: str = info["type"]
        self.classifier = self._file(info, "classifier")
        self.classifier_labels = self._file(info, "classifier_labels")
        self.taxonomy = self._file(info, "taxonomy")
        self.geofence = self._file(info, "geofence")
        self.detector_source: Path | str = (
            info["detector"] if _is_url(info["detector"]) else self._file(info, "detector")
        )

    @classmethod
    def of(cls, model: str | ModelInfo, *, force_download: bool = False) -> ModelInfo:
        """Finds a package by its name; returns a package unchanged."""
        return model if isinstance(model, ModelInfo) else cls(model, force_download=force_download)

    def _file(self, info: dict[str, str], key: str) -> Path:
        name = info[key]
        parts = PurePosixPath(name).parts + PureWindowsPath(name).parts
        if ".." in parts or PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor:
            raise ModelError(
                f'"{key}" in {self.folder / _INFO} is {name!r}; it must be a path inside the folder.'
            )
        path = self.folder / name
        if not os.path.isfile(path):  # noqa: PTH113 (pathlib's raises for names that are too long)
            raise ModelError(
                f"The model package {self.folder} lacks {name}, its {key}; get the package again, or "
                f'correct "{key}" in its {_INFO}.'
            )
        return path

    @property
    def detector(self) -> Path:
        """The detector's file, downloaded once if the package names a URL.

        Raises:
            ModelError: The download failed.
        """
        if isinstance(self.detector_source, Path):
            return self.detector_source
        from speciesnet.files.packages.downloads import download_detector

        return download_detector(self.detector_source, self.folder)

    @property
    def local_detector(self) -> Path | None:
        """The detector's file if it is on this machine; raises ``ModelError`` if it is damaged."""
        if isinstance(self.detector_source, Path):
            return self.detector_source
        from speciesnet.files.packages.downloads import find_detector

        return find_detector(self.detector_source, self.folder)

    @property
    def detector_name(self) -> str:
        """The name of the detector's file, by which other programs recognize it."""
        if isinstance(self.detector_source, Path):
            return self.detector_source.name
        return PurePosixPath(urlsplit(self.detector_source).path).name

    def read_lines(self, key: str) -> list[str]:
        """Reads the lines of one of the package's text files, without empty lines at the end.

        Args:
            key: ``classifier_labels`` or ``taxonomy``.

        Raises:
            ModelError: The file is not UTF-8 text, or empty.
        """
        path: Path = getattr(self, key)
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"The {key} file {path} cannot be read: {error}.") from error
        while lines and not lines[-1].strip():
            lines.pop()
        if not lines:
            raise ModelError(f"The {key} file {path} is empty; get the package again.")
        return [line.strip() for line in lines]

    @property
    def always_crops(self) -> bool:
        """Whether the classifier needs a crop to the best detection instead of the whole image."""
        return self.type_ == "always_crop"

    @property
    def lasting_name(self) -> str:
        """A name that works from any working directory: a hub's name or an absolute path."""
        is_local = self.model_name != "demo" and Path(self.model_name) == self.folder
        return str(self.folder.resolve()) if is_local else self.model_name

    @cached_property
    def fingerprint(self) -> dict[str, Any]:
        """Identifies the package in a run's settings."""
        parts = {
            key: getattr(self, "detector_source" if key == "detector" else key) for key in _FILES
        }
        files = {
            key: _digest_of_parts(part) if isinstance(part, Path) else part
            for key, part in parts.items()
        }
        return {"version": self.version, "type": self.type_, "files": files}


def _digest_of_parts(path: Path) -> str:
    """A hash of samples of a file; the weights of a different training run differ everywhere."""
    size = path.stat().st_size
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        for start in range(0, size, max(size // SAMPLES, SAMPLE_BYTES)):
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))
    return f"{size}-{digest.hexdigest()}"


def find_model_folder(model_name: str, *, force_download: bool = False) -> Path:
    """The folder of a model package, downloaded if necessary; raises ``ModelError``."""
    if model_name == "demo":
        return DEMO / "model"
    kind, _, handle = model_name.partition(":")
    if kind == "kaggle":
        return _find_on_kaggle(handle, force_download)
    if kind == "hf":
        return _find_on_hugging_face(handle, force_download)
    folder = Path(model_name)
    if not os.path.isdir(folder):  # noqa: PTH112 (as above)
        raise ModelError(
            f"There is no model {model_name!r}: use {DEFAULT_MODEL} (the default), another "
            "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION, hf:OWNER/REPO, the folder of a model package, "
            "or demo."
        )
    return folder


def _find_on_kaggle(handle: str, force_download: bool) -> Path:
    if not _KAGGLE_NAME.fullmatch(handle):
        raise ModelError(
            f"The model name 'kaggle:{handle}' is malformed; it must be "
            f"kaggle:OWNER/MODEL/FRAMEWORK/VARIATION or .../VARIATION/N, such as {DEFAULT_MODEL}."
        )
    os.environ.setdefault("KAGGLEHUB_VERBOSITY", "warning")
    import kagglehub

    try:  # kagglehub verifies the MD5 that the server sends, and tests the archive
        return Path(kagglehub.model_download(handle, force_download=force_download))
    except Exception as error:  # the hub, its network layer and its cache raise different errors
        if not force_download and (cached := kaggles_cache(handle)):
            logging.warning("Kaggle cannot be reached: the downloaded copy of %s is used.", cached)
            return cached
        raise _no_download(
            f"kaggle:{handle}", f"https://www.kaggle.com/models/{handle}", error
        ) from error


def published_variation(model_name: str) -> tuple[str, str] | None:
    """The version and the type (see ``MODEL_TYPES``) in the name of a published package.

    Examples:
        >>> published_variation("kaggle:google/speciesnet/keras/v4.0.0b")
        ('4.0.0b', 'full_image')
    """
    match = _VARIATION.search(model_name)
    return (match[1], MODEL_TYPES["ab".index(match[1][-1])]) if match else None


def kaggles_folder() -> Path:
    """The folder of kagglehub's downloads, found without the second that importing kagglehub takes."""
    folder = os.environ.get("KAGGLEHUB_CACHE")
    return Path.home() / ".cache" / "kagglehub" if folder is None else Path(folder)


def kaggles_cache(handle: str) -> Path | None:
    """The newest complete download of a model; the hub's own lookup needs a version number.

    Args:
        handle: ``OWNER/MODEL/FRAMEWORK/VARIATION``.
    """
    folder = kaggles_folder() / "models" / handle
    versions = [int(marker.stem) for marker in folder.glob("*.complete") if marker.stem.isdigit()]
    newest = folder / str(max(versions, default=0))
    return newest if newest.is_dir() else None


def _find_on_hugging_face(handle: str, force_download: bool) -> Path:
    if not _HF_NAME.fullmatch(handle):
        raise ModelError(f"The model name 'hf:{handle}' is malformed; it must be hf:OWNER/REPO.")
    import huggingface_hub

    try:
        folder = Path(huggingface_hub.snapshot_download(handle, force_download=force_download))
    except Exception as error:  # as above
        raise _no_download(f"hf:{handle}", f"https://huggingface.co/{handle}", error) from error
    _check_large_files(folder)
    return folder


def _check_large_files(snapshot: Path) -> None:
    """Verifies the large files of a package from Hugging Face, once.

    The hub itself compares only their sizes. Its cache names each file after the SHA-256 that the
    site publishes, and links to it; on a system without links there is nothing to compare with.

    Raises:
        ModelError: A file is damaged.
    """
    from speciesnet.files.packages.downloads import Digest

    for path in sorted(snapshot.rglob("*")):
        if not path.is_symlink():
            continue
        blob = path.parent / path.readlink()
        if _SHA256.fullmatch(blob.name) and blob.is_file():
            Digest("sha256", blob.name, "Hugging Face").check(Path(os.path.normpath(blob)))


def _no_download(model_name: str, page: str, error: Exception) -> ModelError:
    if type(error).__name__ == "DataCorruptionError":  # kagglehub's, whose message is a paragraph
        reason = "the download is damaged: its MD5 is not the one that the server named"
    else:
        reason = first_line(error).rstrip(".")
    return ModelError(
        f"The model {model_name} cannot be downloaded ({reason}); check the network, or download the "
        f"package manually from {page} and pass its folder as --model."
    )


def _read_info(folder: Path) -> dict[str, str]:
    path = folder / _INFO
    if not path.is_file():
        raise ModelError(
            f"The folder {folder} is not a model package: it has no {_INFO}; pass the folder that "
            f"contains {_INFO}."
        )
    try:
        info = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}); get the package again.") from error
    if not isinstance(info, dict):
        raise ModelError(f"{path} must contain a JSON object; get the package again.")
    for key in ("version", "type", *_FILES):
        if not isinstance(info.get(key), str) or not info[key]:
            raise ModelError(f'{path} lacks "{key}", or it is not text; get the package again.')
    if info["type"] not in MODEL_TYPES:
        raise ModelError(
            f'"type" in {path} is {info["type"]!r}; it must be {" or ".join(MODEL_TYPES)}.'
        )
    return info


def _is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))

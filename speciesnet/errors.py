"""Every exception of the package.

Errors that the user can fix. Command lines print their sentence and exit with code 1:

    SpeciesNetError
    ├── InputError                  images, instances, flags
    │   ├── CredentialsError        for a bucket
    │   └── MalformedRecordError    in a predictions file
    ├── ModelError                  a model package
    ├── OutputError                 the predictions file
    ├── ClusterError                a cluster that lost images or processes
    └── ImageError                  one image; the run continues without it
        └── DamagedImageError       reading it again does not help

Errors that callers inside the package handle:

    OSError
    └── RemoteError                 a response from a cloud or the web
        ├── BrokenConnectionError
        │   └── BrokenBodyError
        └── ObjectChangedError
    NoListError, TooDeepError                  a JSON list that cannot be read
    RepeatedKeyError                           a JSON object with two values of a key
    DamagedError
    └── CutOffError
    UnsupportedNetworkError                    a network that an engine cannot run
    SkippedFileError                           a file that an export leaves unchanged
    WorkerError                                a worker process of the server

Rejected HTTP requests have their own class, next to their status codes, in ``server/errors.py``.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class SpeciesNetError(Exception):
    """One sentence that says what is wrong, where, and how to fix it."""


@contextmanager
def file_errors(
    kind: type[SpeciesNetError],
    name: object,
    verb: str = "read",
    fix: str = "Fix the cause or pass a different file.",
) -> Iterator[None]:
    """Turns an ``OSError`` in the block into a sentence about a file.

    Args:
        kind: The class of the error to raise.
        name: The file, as the message names it.
        verb: What the block does with the file: "read", "written".
        fix: A sentence on what the user can do.
    """
    try:
        yield
    except OSError as error:
        raise kind(f"{name} cannot be {verb} ({error.strerror or error}). {fix}") from error


def first_line(error: Exception) -> str:
    """The first line of an error's message, or the name of its class if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class InputError(SpeciesNetError):
    """The images, instances or flags of a run are missing or wrong."""


class ModelError(SpeciesNetError):
    """A model package, or one of its files, is missing or broken."""


class OutputError(SpeciesNetError):
    """A predictions file cannot be written, or belongs to another run."""


class ClusterError(SpeciesNetError):
    """A cluster lost images or processes; running the same command again continues the run."""


class ImageError(SpeciesNetError):
    """One image cannot be read; the run continues without it."""


class DamagedImageError(ImageError):
    """The content of one image cannot be decoded, so reading it again does not help."""


class CredentialsError(InputError):
    """Credentials have expired or are refused, so no other image in the bucket can be read."""


class MalformedRecordError(InputError):
    """A malformed record.

    Args:
        what: The record and what is wrong with it.
        predictions: The file that contains it, if known.
    """

    def __init__(self, what: str, predictions: str | os.PathLike[str] | None = None) -> None:
        where = "" if predictions is None else f"{os.fspath(predictions)}: "
        super().__init__(f"{where}{what}; correct it, or make the predictions again.")
        self.what = what


class RemoteError(OSError):
    """A cloud or a web server answered with an error; ``strerror`` describes it."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)
        self.reason = reason

    def __reduce__(self) -> tuple[type[RemoteError], tuple[str]]:
        return type(self), (self.reason,)


class BrokenConnectionError(RemoteError):
    """The connection broke, or the server was busy: the same request may succeed later."""


class BrokenBodyError(BrokenConnectionError):
    """The connection broke in the middle of a file, where the cloud libraries do not retry."""


class ObjectChangedError(RemoteError):
    """An object in a bucket is no longer the version to be replaced."""


class NoListError(Exception):
    """A JSON file does not contain the list."""


class TooDeepError(Exception):
    """The lists and objects of a JSON file are nested too deeply."""


class RepeatedKeyError(ValueError):
    """A JSON object has a key twice: which of its values counts would depend on the parser."""


class DamagedError(Exception):
    """A file stops being valid UTF-8 JSON after some item; the message gives the reason."""


class CutOffError(DamagedError):
    """A JSON file ends in the middle."""


class UnsupportedNetworkError(Exception):
    """An engine does not support a part of a network; the message names the part."""


class SkippedFileError(ValueError):
    """An export leaves one file unchanged; the message gives the reason."""


class WorkerError(Exception):
    """A worker process can no longer be used; the message gives the reason."""

"""Output files of exports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciesnet.errors import InputError, OutputError
from speciesnet.files.atomic import write_atomically
from speciesnet.files.storage import scheme_of


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As ``write_atomically``, with errors for the user of an export.

    Raises:
        OutputError: The file cannot be written; it stays as it was.
        BrokenPipeError: The reader of a pipe has closed it.
    """
    try:
        with write_atomically(path) as part:
            yield part
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}). Fix the cause or pass another file."
        ) from error


def check_not_same(
    source: str | os.PathLike[str], target: str | os.PathLike[str], what: str = "predictions"
) -> None:
    """Raises ``InputError`` if an output would overwrite its own input.

    Args:
        source: The input.
        target: The output.
        what: The name of the input in the message.
    """
    same_url = scheme_of(target) is not None and os.fspath(target) == os.fspath(source)
    both_exist = Path(target).exists() and Path(source).exists()
    if same_url or (both_exist and Path(target).samefile(source)):
        raise InputError(f"{target} would overwrite the {what}. Pass another name.")

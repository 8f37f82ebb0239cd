"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciesnet.errors import InputError, OutputError


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives the name of a file to write, which then takes the place of ``path``.

    Raises:
        OutputError: It cannot be written; what was there before is still there.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); mend that, or give another file."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_not_same(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Raises ``InputError`` where an output would overwrite its own input."""
    if Path(target).exists() and Path(source).exists() and Path(target).samefile(source):
        raise InputError(f"{target} would overwrite the predictions; give another file.")

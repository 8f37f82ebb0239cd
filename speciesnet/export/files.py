"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from speciesnet.errors import InputError, OutputError


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives the name of a file to write, which then takes the place of ``path``.

    A link stays a link: what it leads to is replaced. A device or a pipe is written as it is.

    Raises:
        OutputError: It cannot be written; what was there before is still there.
        BrokenPipeError: Nobody reads the pipe any more.
    """
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        part = target = path
    else:
        target = Path(os.path.realpath(path))
        part = target.with_name(f".speciesnet-{uuid.uuid4().hex}.part")
    try:
        yield part
        if part != target:
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}); mend that, or give another file."
        ) from error
    finally:
        if part != target:
            part.unlink(missing_ok=True)


def check_not_same(
    source: str | os.PathLike[str], target: str | os.PathLike[str], what: str = "predictions"
) -> None:
    """Raises ``InputError`` where an output would overwrite its own input.

    Args:
        source: The input.
        target: The output.
        what: The input's name in the sentence.
    """
    same_url = "://" in os.fspath(target) and os.fspath(target) == os.fspath(source)
    both_exist = Path(target).exists() and Path(source).exists()
    if same_url or (both_exist and Path(target).samefile(source)):
        raise InputError(f"{target} would overwrite the {what}; give another name.")

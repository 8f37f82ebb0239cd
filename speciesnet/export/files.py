"""Output files of exports, and the results of exports that handle photographs one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from speciesnet.errors import InputError, OutputError
from speciesnet.files.atomic import write_atomically
from speciesnet.files.storage import scheme_of


@dataclass
class Results:
    """How many photographs an export handled; with ``dry_run``, how many it would handle.

    Attributes:
        done: Photographs sorted or taken back, or files whose keywords were written.
        unchanged: Photographs or files that are already as they should be.
        without_answer: Photographs without an answer.
        missing: Photographs that were not found.
        skipped: Files that were left as they are, and the reasons.
    """

    done: int = 0
    unchanged: int = 0
    without_answer: int = 0
    missing: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def raise_if_skipped(self, what: str, advice: str = "Fix the cause") -> None:
        """Raises ``OutputError`` if files were skipped; ``what`` names them: "of 20 photographs"."""
        if self.skipped:
            name, reason = self.skipped[0]
            raise OutputError(
                f"{len(self.skipped)} {what} were skipped, such as {name} ({reason}). {advice} and run "
                "the same command again."
            )


@contextmanager
def output_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that replaces ``path`` once the block ends, see ``write_atomically``.

    Raises:
        OutputError: The file cannot be written; an earlier file is still there.
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
        what: The input's name in the message.
    """
    same_url = scheme_of(target) is not None and os.fspath(target) == os.fspath(source)
    both_exist = Path(target).exists() and Path(source).exists()
    if same_url or (both_exist and Path(target).samefile(source)):
        raise InputError(f"{target} would overwrite the {what}. Pass another name.")

"""Output files of exports, and the results of exports that handle photographs one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from speciesnet.errors import InputError, OutputError
from speciesnet.files.atomic import write_atomically
from speciesnet.files.input_notes import counted, plural
from speciesnet.files.moved_photographs import Photographs
from speciesnet.files.storage import scheme_of


class _HasPath(Protocol):
    @property
    def filepath(self) -> str: ...


_Task = TypeVar("_Task", bound=_HasPath)


@dataclass
class Results:
    """How many photographs an export handled; with ``dry_run``, how many it would handle.

    Attributes:
        done: Photographs that were sorted or unsorted, or files whose keywords were written.
        unchanged: Photographs or files that needed no change.
        without_answer: Photographs without an answer.
        missing: Photographs that were not found.
        skipped: Files that were left unchanged, and the reasons.
    """

    done: int = 0
    unchanged: int = 0
    without_answer: int = 0
    missing: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def located(
        self, tasks: Sequence[_Task], photographs: Photographs
    ) -> Iterator[tuple[_Task, Path]]:
        """Yields tasks and their photographs; raises ``InputError`` if none of these is found."""
        photographs.check(task.filepath for task in tasks)
        for task in tasks:
            photograph = photographs.find(task.filepath)
            if photograph is None:
                self.missing += 1
            else:
                yield task, photograph
        if not self.missing or self.missing < len(tasks):
            return
        first = tasks[0].filepath
        if scheme_of(first) is not None:
            raise InputError(
                f"The photographs, such as {first}, are not on this computer. Download them, and pass "
                "their folder with --image_root."
            )
        where = "where the predictions say"
        none = plural(
            len(tasks),
            f"The only photograph, {first}, is not {where}",
            f"None of the {len(tasks)} photographs is {where} (first: {first})",
        )
        raise InputError(
            f"{none}; pass {plural(len(tasks), 'its', 'their')} folder with --image_root."
        )

    def raise_if_skipped(
        self, one: str, many: str | None = None, advice: str = "Fix the cause"
    ) -> None:
        """Raises ``OutputError`` if files were skipped.

        Args:
            one: The name of one of them, such as "photograph", or "of 20 photographs".
            many: The name of several; by default, ``one`` with an s.
            advice: What to do before the command is run again.
        """
        if self.skipped:
            name, reason = self.skipped[0]
            raise OutputError(
                f"{counted(len(self.skipped), one, many)} "
                f"{plural(len(self.skipped), 'was', 'were')} skipped, such as {name} ({reason}). "
                f"{advice} and run the same command again."
            )


@contextmanager
def output_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path that replaces ``path`` once the block ends, see ``write_atomically``.

    Raises:
        OutputError: The file cannot be written; an earlier file is kept.
        BrokenPipeError: The reader of a pipe has closed it.
    """
    try:
        with write_atomically(path) as part:
            yield part
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}). Fix the cause or pass a different "
            "file."
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
        raise InputError(f"{target} would overwrite the {what}. Pass a different name.")

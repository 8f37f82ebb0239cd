"""A folder that a run writes into: on the disk of its driver, or in a bucket."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from speciesnet.errors import BrokenConnectionError, InputError, ObjectChangedError, OutputError
from speciesnet.files import storage
from speciesnet.files.atomic import write_atomically

PATIENCE_SECONDS = 300.0  # how long a bucket that does not answer is asked again
PAUSE_SECONDS = 2.0  # between these attempts

_T = TypeVar("_T")


@dataclass(frozen=True)
class Folder:
    """A folder whose files appear whole or not at all.

    Attributes:
        path: Path or URL, without a slash at its end.
    """

    path: str

    @classmethod
    def of(cls, path: str) -> Folder:
        """Checks a path; raises ``OutputError`` for one that cannot become a folder."""
        if not storage.goes_to_bucket(path, "--output "):
            path = os.path.realpath(path)  # the machines may start in other folders
            if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
                raise OutputError(f"--output {path} is a file; give a folder, which is made anew.")
        return cls(path.rstrip("/"))

    def at(self, name: str) -> str:
        """Path or URL of a file."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """Names of the files directly in it, in order; none where it does not exist.

        Raises:
            InputError: It cannot be listed.
        """
        try:
            return sorted(_patiently(self.path, self._names))
        except OSError as error:
            raise InputError(
                f"The folder {self.path} cannot be listed ({error.strerror or error}); mend that, or "
                "give another one."
            ) from error

    def _names(self) -> list[str]:
        if storage.is_cloud(self.path):
            start = len(self.path) + 1
            names = (url[start:] for url in storage.list_folder(self.path))
            return [name for name in names if "/" not in name]
        if not Path(self.path).is_dir():
            return []
        with os.scandir(self.path) as entries:
            return [entry.name for entry in entries if entry.is_file()]

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """A file of it on this machine; see ``storage.local_file``.

        Raises:
            InputError: It cannot be read.
        """
        url = self.at(name)
        try:
            with ExitStack() as stack:
                yield _patiently(url, lambda: stack.enter_context(storage.local_file(url)))
        except OSError as error:
            raise InputError(
                f"{url} cannot be read ({error.strerror or error}); mend that, and give the same "
                "command again: what is in the folder is kept."
            ) from error

    def read(self, name: str) -> bytes | None:
        """What a file holds, or None where there is none; raises ``InputError``."""
        try:
            with self.local(name) as path:
                return path.read_bytes()
        except InputError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def write(self, name: str, content: bytes) -> None:
        """Makes or replaces a file, at once or not at all.

        Raises:
            OutputError: It cannot be written.
        """
        try:
            if storage.is_cloud(self.path):
                self._upload(name, content)
            else:
                self._write(Path(self.at(name)), content)
        except OSError as error:
            raise OutputError(
                f"{self.at(name)} cannot be written ({error.strerror or error}); mend that and give the "
                "same command again: what is in the folder is kept."
            ) from error

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_atomically(path) as part:
            part.write_bytes(content)

    def _upload(self, name: str, content: bytes) -> None:
        url = self.at(name)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "file"
            source.write_bytes(content)

            def upload() -> None:
                try:
                    storage.replace(source, url)
                except ObjectChangedError as error:  # by an attempt that was given up
                    if self.read(name) != content:
                        raise BrokenConnectionError(error.reason) from error

            _patiently(url, upload)


def _patiently(url: str, action: Callable[[], _T]) -> _T:
    """Calls a function again and again for a while if a bucket is too busy for it."""
    return storage.retry(action, storage.pauses_for(PATIENCE_SECONDS, PAUSE_SECONDS), name=url)

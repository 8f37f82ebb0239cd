"""The output folder of a cluster run: on the disk of its driver, or in a bucket."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from speciesnet.errors import (
    BrokenConnectionError,
    InputError,
    ObjectChangedError,
    OutputError,
    file_errors,
)
from speciesnet.files import storage
from speciesnet.files.atomic import write_atomically

PATIENCE_SECONDS = 300.0  # during which requests to a bucket that does not respond are repeated
PAUSE_SECONDS = 2.0  # between two attempts
_REPEAT = "Fix the cause and run the same command again: finished records are kept."

_T = TypeVar("_T")


@dataclass(frozen=True)
class Folder:
    """A folder whose files are written atomically.

    Attributes:
        path: Path or URL, without a trailing slash.
    """

    path: str

    @classmethod
    def of(cls, path: str) -> Folder:
        """Makes a path absolute; raises ``OutputError`` if it cannot be an output folder."""
        if not storage.goes_to_bucket(path, "--output "):
            path = os.path.realpath(path)  # processes may start in other folders
            if os.path.exists(path) and not os.path.isdir(path):  # noqa: PTH110, PTH112
                raise OutputError(f"--output {path} is a file. Pass a folder; it may be new.")
        return cls(path.rstrip("/"))

    def at(self, name: str) -> str:
        """Returns the path or URL of a file."""
        return f"{self.path}/{name}"

    def names(self) -> list[str]:
        """Lists the files directly in the folder, sorted, if it exists; raises ``InputError``."""
        fix = "Fix the cause or pass a different folder."
        with file_errors(InputError, f"The folder {self.path}", "listed", fix):
            return sorted(_retrying(self.path, self._names))

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
        """Yields the path of a file, or of its copy on this machine; raises ``InputError``."""
        with file_errors(InputError, self.at(name), fix=_REPEAT), self._open(name) as path:
            yield path

    def read(self, name: str) -> bytes | None:
        """Returns the content of a file, or None if it does not exist; raises ``InputError``."""
        with (
            file_errors(InputError, self.at(name), fix=_REPEAT),
            suppress(FileNotFoundError),
            self._open(name) as path,
        ):
            return path.read_bytes()
        return None

    @contextmanager
    def _open(self, name: str) -> Iterator[Path]:
        url = self.at(name)
        with ExitStack() as stack:
            yield _retrying(url, lambda: stack.enter_context(storage.local_file(url)))

    def write(self, name: str, content: bytes) -> None:
        """Creates or replaces a file; raises ``OutputError`` if it cannot be written."""
        with file_errors(OutputError, self.at(name), "written", _REPEAT):
            if storage.is_cloud(self.path):
                self._upload(name, content)
            else:
                Path(self.path).mkdir(parents=True, exist_ok=True)
                with write_atomically(self.at(name)) as part:
                    part.write_bytes(content)

    def _upload(self, name: str, content: bytes) -> None:
        url = self.at(name)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            source = Path(folder) / "file"
            source.write_bytes(content)

            def upload() -> None:
                try:
                    storage.replace(source, url)
                except ObjectChangedError as error:  # perhaps by an attempt whose answer was lost
                    if self.read(name) != content:
                        raise BrokenConnectionError(error.reason) from error

            _retrying(url, upload)


def _retrying(url: str, action: Callable[[], _T]) -> _T:
    """Retries an action for a while if the connection breaks or the bucket is too busy."""
    return storage.retry(action, storage.pauses_for(PATIENCE_SECONDS, PAUSE_SECONDS), name=url)

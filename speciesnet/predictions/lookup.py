"""Looks up the records of a predictions file by image, without keeping them in memory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from speciesnet.errors import OutputError
from speciesnet.files import storage
from speciesnet.predictions import layout, reading
from speciesnet.records import Record


class RecordsByFile(Mapping[str, Record]):
    """The records of a predictions file by file path. Only their offsets are in memory.

    Args:
        path: Path or URL of a predictions file of any layout, or of detections in MegaDetector's format.
        filepaths: The images that the file may name.

    Raises:
        OutputError: The file cannot be read, or names other images.

    Examples:
        >>> path = Path("detections.json")
        >>> _ = path.write_text('{"predictions": [{"filepath": "fox.jpg", "detections": []}]}')
        >>> RecordsByFile(path, ["fox.jpg", "owl.jpg"])["fox.jpg"]
        {'filepath': 'fox.jpg', 'detections': []}
    """

    def __init__(self, path: str | os.PathLike[str], filepaths: Iterable[str]) -> None:
        path = os.fspath(path)
        known = dict.fromkeys(filepaths)
        try:
            with storage.local_file(path) as local:
                if not local.is_file():
                    raise OutputError(
                        f"There is no file {path}. Pass a file that an earlier step wrote."
                    )
                self._file = _open(local, known, is_copy=storage.scheme_of(path) is not None)
        except OSError as error:
            raise OutputError(
                f"{path} cannot be read ({error.strerror or error}). Fix the cause or pass another file."
            ) from error
        self._offsets: dict[str, int] = {}
        for offset, line in layout.record_lines(self._file):
            filepath = layout.filepath_of(line)
            if filepath is None:
                continue
            if filepath not in known:
                raise reading.names_other_images(path, filepath)
            self._offsets[filepath] = offset

    def __getitem__(self, filepath: str) -> Record:
        self._file.seek(self._offsets[filepath])
        record = layout.decode_line(self._file.readline())
        if record is None:
            raise KeyError(filepath)
        return record

    def __iter__(self) -> Iterator[str]:
        return iter(self._offsets)

    def __len__(self) -> int:
        return len(self._offsets)


def _open(path: Path, known: Collection[str], *, is_copy: bool) -> BinaryIO:
    """Opens a file in our own layout: the file itself, or a temporary one with its records."""
    if layout.has_own_layout(path) and not is_copy:
        return path.open("rb")
    file: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 (it is open as long as the mapping)
    if layout.has_own_layout(path):  # of a copy that will be deleted
        with path.open("rb") as source:
            shutil.copyfileobj(source, file)
    else:  # the layouts of other programs have no lines to seek to
        is_foreign = reading.is_megadetector_file(path)
        records = reading.read_detections(path, known) if is_foreign else reading.read_records(path)
        layout.write_lines(file, map(layout.encode_record, records))
    file.seek(0)
    return file

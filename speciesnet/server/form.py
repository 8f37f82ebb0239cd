"""A form with photographs, as browsers and curl send it."""

from __future__ import annotations

from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser

from speciesnet.server.errors import RefusedError
from speciesnet.server.limits import Limits
from speciesnet.server.spool import RequestFiles

MAX_FIELDS = 32
LONGEST_VALUE = 2**12  # characters of a field; more are cut off, and too long for all of them
_IN_MEMORY = 2**16  # bytes of a file


class Form:
    """A multipart form that arrives in pieces; its files go to the disk.

    Args:
        boundary: What separates its parts.
        limits: What it may hold.
        files: Where its files are put.

    Attributes:
        fields: Texts by name.
        uploads: The name of each file, as it was sent, and where it is.

    Raises:
        RefusedError: There can be no such boundary.
    """

    def __init__(self, boundary: str, limits: Limits, files: RequestFiles) -> None:
        self.fields: dict[str, str] = {}
        self.uploads: list[tuple[str, Path]] = []
        self._limits = limits
        self._has_ended = False
        try:
            self._parser = FormParser(
                "multipart/form-data",
                self._on_field,
                self._on_file,
                self._on_end,
                boundary=boundary.encode("latin-1", "replace"),
                config={
                    "UPLOAD_DIR": str(files.folder),
                    "UPLOAD_DELETE_TMP": False,  # they go with the folder
                    "MAX_MEMORY_FILE_SIZE": _IN_MEMORY,
                },
            )
        except FormParserError as error:
            raise _malformed() from error

    def write(self, data: bytes) -> None:
        """Takes the next piece in; raises ``RefusedError``."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed() from error

    def finish(self) -> None:
        """Raises ``RefusedError`` where the end is missing."""
        if not self._has_ended:
            raise _malformed()

    def _on_field(self, field: Field) -> None:
        if len(self.fields) == MAX_FIELDS:
            raise RefusedError(400, f"The form has more than {MAX_FIELDS} fields.")
        self.fields[_text(field.field_name)] = _text(field.value)

    def _on_file(self, file: File) -> None:
        if file.in_memory:
            file.flush_to_disk()
        file.close()
        self._limits.check_images(len(self.uploads) + 1)
        self._limits.check_image(file.size, f"File {len(self.uploads) + 1}")
        assert file.actual_file_name is not None  # as it is on the disk
        name = _text(file.file_name) or f"file {len(self.uploads) + 1}"
        self.uploads.append((name, Path(file.actual_file_name.decode())))

    def _on_end(self) -> None:
        self._has_ended = True


def _text(value: bytes | None) -> str:
    return (value or b"")[: 4 * LONGEST_VALUE].decode("utf-8", "replace")[:LONGEST_VALUE]


def _malformed() -> RefusedError:
    return RefusedError(400, "The request is no valid multipart/form-data.")

"""Parses the body of a request (JSON or a form) into images."""

from __future__ import annotations

import asyncio
import base64
import binascii
import math
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser
from starlette.requests import Request

from speciesnet.errors import DamagedError, InputError, TooDeepError
from speciesnet.files import json_lists
from speciesnet.images.instances import Instance, parse_instances
from speciesnet.server.errors import RejectedError
from speciesnet.server.spool import RequestFiles

MAX_DEPTH = 16  # levels of nested JSON
MAX_VALUES = 100_000  # values in JSON
MAX_TEXT = 2048  # characters of a filepath, country or region
MAX_FIELDS = 32  # fields of a form
MAX_FIELD = 2**12  # characters of a field; longer values are truncated
BODY_SECONDS = 15  # time limit for a body, plus one second ...
MIN_BODY_RATE = 2**13  # ... for each of this many bytes
_JSON_IN_MEMORY = 2**20  # bytes of a body
_FILE_IN_MEMORY = 2**16  # bytes of a file in a form
_LOCATION = ("country", "admin1_region", "latitude", "longitude")


@dataclass(frozen=True)
class Limits:
    """Size limits of a request. Every check raises ``RejectedError``.

    Attributes:
        body_bytes: The size of a request.
        image_bytes: The size of an image.
        images: The number of images in a request.
    """

    body_bytes: int
    image_bytes: int
    images: int

    def check_body(self, size: int) -> None:
        """Checks the size of a request in bytes."""
        if size > self.body_bytes:
            limit = self.body_bytes / 2**20
            raise RejectedError(
                413, f"The request is larger than {limit:g} MiB. Send fewer images per request."
            )

    def check_image(self, size: int, name: str) -> None:
        """Checks the size of an image in bytes; the message starts with ``name``."""
        if size > self.image_bytes:
            raise RejectedError(413, f"{name} is larger than {self.image_bytes / 2**20:g} MiB.")

    def check_images(self, count: int) -> None:
        """Checks the number of images."""
        if count > self.images:
            raise RejectedError(
                413, f"The request has more than {self.images} images. Send fewer per request."
            )
        if not count:
            raise RejectedError(400, "The request has no images.")


@dataclass(frozen=True)
class ParsedImage:
    """One image of a request.

    Attributes:
        instance: The path, URL or name of the image, and its location.
        extras: Fields that are copied into its record.
        upload: The file that came with the request, or None if ``instance`` has a path or a URL.
    """

    instance: Instance
    extras: dict[str, object]
    upload: Path | None = None


class MultipartForm:
    """A parser for ``multipart/form-data`` that arrives in pieces; it writes files to the disk.

    Args:
        boundary: The boundary between parts, from the request's ``Content-Type``.
        limits: Size limits.
        files: Where uploaded files are stored.

    Attributes:
        fields: Text values by field name.
        uploads: The name of each file, as sent, and its path.

    Raises:
        RejectedError: The boundary is invalid.
    """

    def __init__(self, boundary: str, limits: Limits, files: RequestFiles) -> None:
        self.fields: dict[str, str] = {}
        self.uploads: list[tuple[str, Path]] = []
        self._limits = limits
        self._is_complete = False
        try:
            self._parser = FormParser(
                "multipart/form-data",
                self._on_field,
                self._on_file,
                self._on_end,
                boundary=boundary.encode("latin-1", "replace"),
                config={
                    "UPLOAD_DIR": str(files.folder),
                    "UPLOAD_DELETE_TMP": False,  # they are deleted with the folder
                    "MAX_MEMORY_FILE_SIZE": _FILE_IN_MEMORY,
                },
            )
        except FormParserError as error:
            raise _malformed_form() from error

    def write(self, data: bytes) -> None:
        """Parses the next piece; raises ``RejectedError``."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise _malformed_form() from error

    def finish(self) -> None:
        """Raises ``RejectedError`` if the end of the form is missing."""
        if not self._is_complete:
            raise _malformed_form()

    def _on_field(self, field: Field) -> None:
        if len(self.fields) == MAX_FIELDS:
            raise RejectedError(400, f"The form has more than {MAX_FIELDS} fields.")
        self.fields[_field_text(field.field_name)] = _field_text(field.value)

    def _on_file(self, file: File) -> None:
        if file.in_memory:
            file.flush_to_disk()
        file.close()
        number = len(self.uploads) + 1
        self._limits.check_images(number)
        self._limits.check_image(file.size, f"File {number}")
        assert file.actual_file_name is not None  # set by flush_to_disk
        path = Path(file.actual_file_name.decode())
        self.uploads.append((_field_text(file.file_name) or f"file {number}", path))

    def _on_end(self) -> None:
        self._is_complete = True


def _field_text(value: bytes | None) -> str:
    return (value or b"")[: 4 * MAX_FIELD].decode("utf-8", "replace")[:MAX_FIELD]


def _malformed_form() -> RejectedError:
    return RejectedError(400, "The request is not valid multipart/form-data.")


class RequestParser:
    """Parses prediction requests.

    Args:
        limits: Size limits.
        extra_fields: Names of fields that are copied from an instance into its record.
    """

    def __init__(self, limits: Limits, extra_fields: Sequence[str] = ()) -> None:
        self.limits = limits
        self.extra_fields = extra_fields
        self._parsing = asyncio.Semaphore(2)  # a large document takes a lot of memory

    async def parse(self, request: Request, files: RequestFiles) -> list[ParsedImage]:
        """The images in a request.

        Args:
            request: The request; its body is received no faster than it is parsed.
            files: Where images in the body are stored.

        Raises:
            RejectedError: The request is malformed, too large or too slow.
        """
        length = request.headers.get("content-length", "")
        self.limits.check_body(int(length) if length.isdecimal() else 0)
        header = Message()
        header["content-type"] = request.headers.get("content-type", "")
        if header.get_content_type() == "application/json":
            with tempfile.SpooledTemporaryFile(_JSON_IN_MEMORY, dir=str(files.folder)) as body:
                async for chunk in self._chunks(request, files):
                    body.write(chunk)
                body.seek(0)
                async with self._parsing:
                    return await asyncio.to_thread(lambda: self.parse_json(body.read(), files))
        if header.get_content_type() == "multipart/form-data":
            form = MultipartForm(str(header.get_param("boundary", "")), self.limits, files)
            async for chunk in self._chunks(request, files):
                form.write(chunk)
            return await asyncio.to_thread(self.parse_form, form)
        raise RejectedError(
            415, "Send application/json with instances or multipart/form-data with files."
        )

    async def _chunks(self, request: Request, files: RequestFiles) -> AsyncIterator[bytes]:
        """The pieces of the body, within the limits on time and size."""
        started = time.monotonic()
        received = 0
        body = request.stream()
        while True:
            seconds = started + BODY_SECONDS + received / MIN_BODY_RATE - time.monotonic()
            try:
                chunk = await asyncio.wait_for(anext(body, b""), max(seconds, 0.001))
            except asyncio.TimeoutError as error:
                raise RejectedError(408, "The request arrived too slowly.") from error
            if not chunk:
                return
            received += len(chunk)
            self.limits.check_body(received)
            files.reserve(len(chunk))
            yield chunk

    def parse_json(self, body: bytes, files: RequestFiles) -> list[ParsedImage]:
        """The images in a JSON document.

        Args:
            body: The document.
            files: Where images in the document are stored.

        Raises:
            RejectedError: The document is malformed, too large or too deep.
        """
        # Counted before parsing: a value of two bytes takes fifty in memory.
        if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise RejectedError(413, f"The request has more than {MAX_VALUES} values.")
        try:
            document = json_lists.parse(body)
        except TooDeepError as error:
            raise _too_deep() from error
        except DamagedError as error:
            raise RejectedError(400, f"The request is not valid JSON: {error}.") from error
        if json_lists.depth_of(document) > MAX_DEPTH:
            raise _too_deep()
        raws = document.get("instances") if isinstance(document, dict) else None
        if isinstance(raws, list):
            self.limits.check_images(len(raws))
        instances = _instances(document)
        return [
            self._image(instance, raw, self._decode(raw.get("image"), number, files))
            for number, (instance, raw) in enumerate(zip(instances, raws or [], strict=True), 1)
        ]

    def parse_form(self, form: MultipartForm) -> list[ParsedImage]:
        """The images in a form; raises ``RejectedError``."""
        form.finish()
        self.limits.check_images(len(form.uploads))
        location: dict[str, str | float] = {
            name: form.fields[name] for name in _LOCATION if form.fields.get(name)
        }
        for name in ("latitude", "longitude"):
            if name in location:
                location[name] = _degrees(form.fields[name], name)
        document = {"instances": [{"filepath": name, **location} for name, _ in form.uploads]}
        return [
            self._image(instance, form.fields, path)
            for instance, (_, path) in zip(_instances(document), form.uploads, strict=True)
        ]

    def _image(
        self, instance: Instance, raw: Mapping[str, object], upload: Path | None
    ) -> ParsedImage:
        extras = {name: raw[name] for name in self.extra_fields if name in raw}
        return ParsedImage(instance, extras, upload)

    def _decode(self, text: object, number: int, files: RequestFiles) -> Path | None:
        """Stores an image that was sent as base64."""
        if text is None:
            return None
        name = f'The "image" of instance {number}'
        if not isinstance(text, str):
            raise RejectedError(400, f"{name} must be a string: the file in base64.")
        if text.startswith("data:") and "," in text:
            text = text.partition(",")[2]
        self.limits.check_image(len(text) * 3 // 4 - 2, name)
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RejectedError(400, f"{name} is not valid base64.") from error
        files.reserve(len(content))
        path = files.new_path()
        path.write_bytes(content)
        return path


def _instances(document: object) -> list[Instance]:
    raws = document.get("instances") if isinstance(document, dict) else None
    for raw in raws if isinstance(raws, list) else ():
        # Looking such a text up in the list of countries would be slow.
        for name in ("filepath", *_LOCATION) if isinstance(raw, dict) else ():
            if isinstance(raw.get(name), str) and len(raw[name]) > MAX_TEXT:
                raise RejectedError(400, f'A "{name}" has more than {MAX_TEXT} characters.')
    try:
        return parse_instances(document, "the request")
    except InputError as error:
        raise RejectedError(400, str(error)) from error


def _degrees(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RejectedError(400, f'The field "{name}" must be a number in degrees.')
    return number


def _too_deep() -> RejectedError:
    return RejectedError(400, f"The request is nested deeper than {MAX_DEPTH} levels.")

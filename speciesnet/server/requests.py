"""From the body of a request to the images that it asks about."""

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
from typing import Any

import orjson
from starlette.requests import Request

from speciesnet.errors import InputError
from speciesnet.instances import Instance, parse_instances
from speciesnet.server.errors import RefusedError
from speciesnet.server.form import Form
from speciesnet.server.limits import Limits
from speciesnet.server.spool import RequestFiles

MAX_DEPTH = 16  # of JSON
MAX_VALUES = 100_000  # in JSON
MAX_TEXT = 2048  # characters of a file's or a place's name
BODY_SECONDS = 15  # for a body to arrive ...
SLOWEST_BODY = 2**13  # ... and how many bytes of it a second are worth waiting longer for
_IN_MEMORY = 2**20  # bytes of a body
_PLACE = ("country", "admin1_region", "latitude", "longitude")


@dataclass(frozen=True)
class Asked:
    """One image of a request.

    Attributes:
        instance: Its name, and where it was taken.
        extras: What is carried over into its record.
        upload: The file that came with the request, or None for a path or an address.
    """

    instance: Instance
    extras: dict[str, Any]
    upload: Path | None = None


class Intake:
    """Reads requests.

    Args:
        limits: What they may hold.
        extra_fields: Fields of an instance that are carried over into its record.
    """

    def __init__(self, limits: Limits, extra_fields: Sequence[str] = ()) -> None:
        self._limits = limits
        self._extra_fields = extra_fields
        self._parsing = asyncio.Semaphore(2)  # documents at once: they may be large

    async def read(self, request: Request, files: RequestFiles) -> list[Asked]:
        """What a request asks for.

        Args:
            request: Its body is read, not faster than it is dealt with.
            files: Where images that it brings are put.

        Raises:
            RefusedError: It is malformed, too large or too slow.
        """
        length = request.headers.get("content-length", "")
        self._limits.check_body(int(length) if length.isdecimal() else 0)
        kind = Message()
        kind["content-type"] = request.headers.get("content-type", "")
        if kind.get_content_type() == "application/json":
            with tempfile.SpooledTemporaryFile(_IN_MEMORY, dir=str(files.folder)) as body:
                async for chunk in self._chunks(request, files):
                    body.write(chunk)
                body.seek(0)
                async with self._parsing:
                    return await asyncio.to_thread(lambda: self.parse_json(body.read(), files))
        if kind.get_content_type() == "multipart/form-data":
            form = Form(str(kind.get_param("boundary", "")), self._limits, files)
            async for chunk in self._chunks(request, files):
                form.write(chunk)
            return await asyncio.to_thread(self.take_form, form)
        raise RefusedError(
            415, "Send application/json with instances, or multipart/form-data with files."
        )

    async def _chunks(self, request: Request, files: RequestFiles) -> AsyncIterator[bytes]:
        """The body, as long as it comes fast enough and is not too large."""
        started = time.monotonic()
        received = 0
        body = request.stream()
        while True:
            seconds = started + BODY_SECONDS + received / SLOWEST_BODY - time.monotonic()
            try:
                chunk = await asyncio.wait_for(anext(body, b""), max(seconds, 0.001))
            except asyncio.TimeoutError as error:
                raise RefusedError(408, "The request arrives too slowly.") from error
            if not chunk:
                return
            received += len(chunk)
            self._limits.check_body(received)
            files.take(len(chunk))
            yield chunk

    def parse_json(self, body: bytes, files: RequestFiles) -> list[Asked]:
        """What a JSON document asks for.

        Args:
            body: It.
            files: Where images that it brings are put.

        Raises:
            RefusedError: It is malformed, too large or too deep.
        """
        # Counted before anything is made of them: a value of two bytes takes fifty in memory.
        if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
            raise RefusedError(413, f"The request has more than {MAX_VALUES} values.")
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise RefusedError(400, f"The request is no valid JSON: {error}.") from error
        if not _is_flat(document, MAX_DEPTH):
            raise RefusedError(400, f"The request is nested deeper than {MAX_DEPTH} levels.")
        raws = document.get("instances") if isinstance(document, dict) else None
        if isinstance(raws, list):
            self._limits.check_images(len(raws))
        instances = _instances(document)
        return [
            self._asked(instance, raw, self._decode(raw.get("image"), number, files))
            for number, (instance, raw) in enumerate(zip(instances, raws or [], strict=True), 1)
        ]

    def take_form(self, form: Form) -> list[Asked]:
        """What a form asks for; raises ``RefusedError``."""
        form.finish()
        self._limits.check_images(len(form.uploads))
        place: dict[str, Any] = {
            name: form.fields[name] for name in _PLACE if form.fields.get(name)
        }
        for name in _PLACE[2:]:
            if name in place:
                place[name] = _number(place[name], name)
        raws = [{"filepath": name, **place} for name, _ in form.uploads]
        return [
            self._asked(instance, form.fields, path)
            for instance, (_, path) in zip(
                _instances({"instances": raws}), form.uploads, strict=True
            )
        ]

    def _asked(self, instance: Instance, raw: Mapping[str, Any], upload: Path | None) -> Asked:
        extras = {name: raw[name] for name in self._extra_fields if name in raw}
        return Asked(instance, extras, upload)

    def _decode(self, text: Any, number: int, files: RequestFiles) -> Path | None:
        """The file of an image that came as text."""
        if text is None:
            return None
        where = f'The "image" of instance {number}'
        if not isinstance(text, str):
            raise RefusedError(400, f"{where} is no text; it must be the file in base64.")
        if text.startswith("data:") and "," in text:
            text = text.partition(",")[2]
        self._limits.check_image(len(text) * 3 // 4 - 2, where)
        try:
            content = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise RefusedError(400, f"{where} is no base64.") from error
        files.take(len(content))
        path = files.new()
        path.write_bytes(content)
        return path


def _instances(document: Any) -> list[Instance]:
    raws = document.get("instances") if isinstance(document, dict) else None
    for raw in raws if isinstance(raws, list) else ():
        # Such texts name nothing, and are slow to look for in a list of countries.
        for name in ("filepath", *_PLACE) if isinstance(raw, dict) else ():
            if isinstance(raw.get(name), str) and len(raw[name]) > MAX_TEXT:
                raise RefusedError(400, f'A "{name}" has more than {MAX_TEXT} characters.')
    try:
        return parse_instances(document, "the request")
    except InputError as error:
        raise RefusedError(400, str(error)) from error


def _number(text: str, name: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RefusedError(400, f'The field "{name}" must be a number in degrees.')
    return number


def _is_flat(value: Any, depth: int) -> bool:
    """Whether a value is nested at most so deep."""
    level = [value]
    while level and depth >= 0:
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        depth -= 1
    return not level

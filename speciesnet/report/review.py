"""Serves the gallery to people on this computer, who confirm and correct what it shows."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speciesnet.errors import ImageError, InputError, OutputError
from speciesnet.files.clouds import CredentialsError
from speciesnet.files.storage import scheme_of
from speciesnet.packages.downloads import cache_folder
from speciesnet.report.pages import STATIC, Link, render, static_file
from speciesnet.report.payload import Payload, Shown
from speciesnet.report.thumbnails import QUALITY, Thumbnails, people_of, thumbnail
from speciesnet.survey.corrections import Correction, CorrectionsFile, now
from speciesnet.survey.photographs import Photographs
from speciesnet.survey.survey import Survey

if TYPE_CHECKING:
    from starlette.applications import Starlette

PHOTO_SIZE = 1600  # pixels of the longer side of the picture in the viewer
WHOLE_SIZE = 100_000  # of one that is zoomed into: more than any has
MAX_BODY = 2**20  # bytes of one request
MAX_ITEMS = 1000  # corrections in one request
HOSTS = ["127.0.0.1", "localhost", "[::1]"]
_PAGES = [Link("gallery.html", "Gallery"), Link("check.html", "Please check")]
_CHECK_INTRO = "Where a person should look: unsure answers first."


class RefusedError(ValueError):
    """A request that cannot be carried out, and why."""


class Review:
    """What people say about a survey, on disk before anyone is told that it is saved.

    Args:
        survey: It; what people say is taken into it.
        file: Where that is kept.
        reviewer: Who, or "".
    """

    def __init__(self, survey: Survey, file: CorrectionsFile, reviewer: str = "") -> None:
        self.survey = survey
        self.epoch = secrets.token_hex(8)  # tells this server from the one before
        self._file = file
        self._reviewer = reviewer
        self._lock = threading.Lock()
        self._labels = {label for p in survey.pictures for label, _ in p.classes}
        self._labels |= {p.label for p in survey.pictures if p.label} | set(survey.labels)
        self._said = {p.filepath: p.correction for p in survey.pictures if p.correction is not None}
        self._labels |= {said.label for said in self._said.values() if said.label}
        self._news = [i for i, p in enumerate(survey.pictures) if p.correction is not None]
        self._positions: dict[str, list[int]] = {}  # of each photograph: some are there twice
        for position, picture in enumerate(survey.pictures):
            self._positions.setdefault(picture.filepath, []).append(position)

    def add(self, items: Sequence[Any]) -> None:
        """Saves what a person said.

        Args:
            items: ``{"position", "path", "label"}`` each: which picture, its path as pages show it,
                and a label of the model, or None to take back.

        Raises:
            RefusedError: One of them is malformed; none is saved.
            OutputError: They cannot be written; none is saved.
        """
        found = [self._correction(item) for item in items]
        with self._lock:
            self._file.add(found)
            for correction in found:
                if correction.label is None:
                    self._said.pop(correction.filepath, None)
                else:
                    self._said[correction.filepath] = correction
                self._news += self._positions[correction.filepath]
            self.survey.apply_corrections(self._said)

    def _correction(self, item: Any) -> Correction:
        position = item.get("position") if isinstance(item, dict) else None
        if type(position) is not int or not 0 <= position < len(self.survey.pictures):
            raise RefusedError("there is no such image; load the page again")
        picture = self.survey.pictures[position]
        if picture.shown_path != item.get("path"):
            raise RefusedError("the predictions have changed; load the page again")
        label = item.get("label")
        if label is not None and not (isinstance(label, str) and label in self._labels):
            raise RefusedError("the model knows no such label; load the page again")
        return Correction(picture.filepath, label, picture.label, now(), self._reviewer)

    @property
    def news_so_far(self) -> dict[str, Any]:
        """From where on a page that loads now must ask for news."""
        return {"epoch": self.epoch, "count": len(self._news)}

    def news(self, after: int) -> dict[str, Any]:
        """What has been said since another call, whoever said it.

        Args:
            after: The ``count`` of that call, or 0.
        """
        with self._lock:
            positions = list(dict.fromkeys(self._news[max(after, 0) :]))
            return {
                "epoch": self.epoch,
                "count": len(self._news),
                "items": [self._item(position) for position in positions],
            }

    def _item(self, position: int) -> dict[str, Any]:
        picture = self.survey.pictures[position]
        sequence = self.survey.sequences[picture.sequence]
        together, score, _ = sequence.answer or (None, 0.0, None)
        return {
            "position": position,
            "label": picture.correction.label if picture.correction else None,
            "sequence": picture.sequence if len(sequence.pictures) > 1 else -1,
            "together": together,
            "score": score,
        }


def make_app(
    review: Review,
    photographs: Photographs,
    folder: str | os.PathLike[str],
    *,
    token: str,
    blur_humans: bool = False,
    threads: int = 2,
) -> Starlette:
    """The web application, all of it below ``/TOKEN/``.

    Only pictures of the survey are served, by their number; no request names a path.

    Args:
        review: What it shows and saves.
        photographs: Where the photographs are.
        folder: For thumbnails.
        token: What the addresses begin with: other programs and pages do not know it.
        blur_humans: Whether people are blurred.
        threads: How many pictures are made small at once.
    """
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.requests import Request
    from starlette.responses import JSONResponse, RedirectResponse, Response
    from starlette.routing import Mount, Route

    survey = review.survey
    payload = Payload(survey, "review")  # one for all requests: its numbers stay the same
    thumbnails = Thumbnails(folder, photographs, blur_humans=blur_humans)
    busy = threading.BoundedSemaphore(threads)
    fresh = {"Cache-Control": "no-store"}

    def shown(position: int) -> Shown:
        return Shown(thumb=f"{position}.jpg")

    def text(content: str | bytes, kind: str) -> Response:
        return Response(content, media_type=kind, headers=fresh)

    def page(name: str, heading: str, fixed: str, sort: str, intro: str) -> Response:
        values = {"fixed": fixed, "sort": sort, "intro": intro}
        return text(
            render("gallery.html", heading, survey, mode="review", pages=_PAGES,
                   current=name, values=values),
            "text/html",
        )  # fmt: skip

    def gallery(_: Request) -> Response:
        return page("gallery.html", "Review", "", "file", "")

    def check(_: Request) -> Response:
        return page("check.html", "Please check", "check=any", "unsure", _CHECK_INTRO)

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        return text(static_file(name), "text/css" if name.endswith(".css") else "text/javascript")

    def header(_: Request) -> Response:
        return text(payload.header(review.news_so_far), "text/javascript")

    def chunk(request: Request) -> Response:
        number = request.path_params["number"]
        if number >= payload.chunks:
            raise HTTPException(404)
        return text(payload.chunk(number, shown), "text/javascript")

    def thumb(request: Request) -> Response:
        position = request.path_params["position"]
        if position >= len(survey.pictures):
            raise HTTPException(404)
        try:
            with busy:
                name, _ = thumbnails.make(survey.pictures[position])
        except (ImageError, CredentialsError) as error:
            raise HTTPException(404) from error
        return Response((thumbnails.folder / name).read_bytes(), media_type="image/jpeg")

    def photo(request: Request) -> Response:
        position = request.path_params["position"]
        picture = survey.pictures[position] if position < len(survey.pictures) else None
        source = photographs.source(picture.filepath) if picture else None
        if picture is None or source is None:
            raise HTTPException(404)
        buffer = io.BytesIO()
        try:
            with busy:
                people = people_of(picture) if blur_humans else ()
                size = WHOLE_SIZE if "whole" in request.query_params else PHOTO_SIZE
                thumbnail(source, size, people).save(buffer, "JPEG", quality=QUALITY)
        except (ImageError, CredentialsError) as error:
            raise HTTPException(404) from error
        return Response(buffer.getvalue(), media_type="image/jpeg")

    def news(request: Request) -> Response:
        after = request.query_params.get("after", "0")
        count = int(after) if re.fullmatch("[0-9]{1,18}", after) else 0
        return JSONResponse(review.news(count), headers=fresh)

    async def say(request: Request) -> Response:
        try:
            items = await _said(request)
            await run_in_threadpool(review.add, items)
        except RefusedError as error:
            return JSONResponse({"error": str(error)}, 400)
        except OutputError as error:
            return JSONResponse({"error": str(error)}, 507)
        return JSONResponse({"saved": len(items)})

    pages = [
        Route("/", lambda _: RedirectResponse(f"/{token}/gallery.html")),
        Route("/gallery.html", gallery),
        Route("/check.html", check),
        Route("/static/{name}", static),
        Route("/data/survey.js", header),
        Route("/data/pictures-{number:int}.js", chunk),
        Route("/thumbs/{position:int}.jpg", thumb),
        Route("/photo/{position:int}.jpg", photo),
        Route("/corrections", news, methods=["GET"]),
        Route("/corrections", say, methods=["POST"]),
    ]
    return Starlette(
        routes=[Mount(f"/{token}", routes=pages)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)],
    )


async def _said(request: Any) -> list[Any]:
    """The corrections of a request; raises ``RefusedError``."""
    # Another site's page can send forms, but no JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise RefusedError("it is no JSON")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise RefusedError("it is too long")
    try:
        items = json.loads(body)["items"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RefusedError("it is no list of corrections") from error
    if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
        raise RefusedError("it is no list of corrections")
    return items


def token_of(predictions: str | os.PathLike[str]) -> str:
    """The first part of the addresses of a review: secret, but the same after a crash.

    It is kept in the user's cache, where only the user can read it.
    """
    is_url = scheme_of(os.fspath(predictions)) is not None
    place = predictions if is_url else Path(predictions).resolve()
    name = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    path = cache_folder() / "review" / name
    try:
        if token := path.read_text(encoding="ascii").strip():
            return token
    except (OSError, ValueError):
        pass
    token = secrets.token_urlsafe(12)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(0o600)
        path.write_text(token, encoding="ascii")
    except OSError:  # then a page that is open now does not outlive this server
        pass
    return token


def listen(port: int) -> socket.socket:
    """Takes a port of this computer; requests wait until ``serve`` answers them.

    Raises:
        InputError: The port is taken, or not for this user.
    """
    listener = socket.socket()
    if os.name != "nt":  # where it would let two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise InputError(
            f"Port {port} cannot be used ({error.strerror}); give another one with --port."
        ) from error
    return listener


def serve(app: Starlette, listener: socket.socket) -> None:
    """Serves until it is interrupted, to this computer only."""
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,  # its own set-up of the log would close ours
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
    )
    with suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        uvicorn.Server(config).run(sockets=[listener])

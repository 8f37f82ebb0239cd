"""Serves the gallery on this computer, for people who confirm and correct the answers."""

from __future__ import annotations

import io
import json
import os
import re
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from speciesnet.errors import ImageError, OutputError
from speciesnet.files.clouds import CredentialsError, content_type
from speciesnet.files.moved_photographs import Photographs
from speciesnet.server.auth import LOCAL_NAMES
from speciesnet.server.errors import RejectedError, error_response
from speciesnet.survey.corrections import CorrectionsFile, now
from speciesnet.survey.report.pages import STATIC, Link, Pages, static_file
from speciesnet.survey.report.payload import Payload
from speciesnet.survey.report.review_items import SavedIds, correction_of, verdict_of
from speciesnet.survey.report.stones import STONES_HEADING, STONES_PAGE, stone_cards, stones_link
from speciesnet.survey.report.thumbnails import QUALITY, Preview, Thumbnails
from speciesnet.survey.stones import Stone
from speciesnet.survey.survey import Picture, Survey

PHOTO_SIZE = 1600  # pixels of the longer side of the image in the viewer
WHOLE_SIZE = 100_000  # of a zoomed image: more than any photograph has
MAX_BODY = 2**20  # bytes of one request
MAX_ITEMS = 1000  # corrections in one request
_HEADINGS = {"gallery.html": "Review", "check.html": "Please check"}  # of the pages
_MENU = [Link("gallery.html", "Gallery"), Link("check.html", "Please check")]
_UNCACHED = {"Cache-Control": "no-store"}


class Review:
    """The corrections of a survey: on disk before any page reports them as saved.

    Args:
        survey: The survey; corrections are applied to it.
        file: The corrections file.
        reviewer: The name of the reviewer, or "".
        stones: Boxes that never move.
    """

    def __init__(
        self,
        survey: Survey,
        file: CorrectionsFile,
        reviewer: str = "",
        stones: Sequence[Stone] = (),
    ) -> None:
        self.survey = survey
        self.stones = {stone.name: stone for stone in stones}
        self._epoch = secrets.token_hex(8)
        self._file = file
        self._reviewer = reviewer
        self._lock = threading.Lock()
        self._corrections = {p.filepath: p.correction for p in survey.pictures if p.correction}
        self._labels = {label for p in survey.pictures for label, _ in p.classes}
        self._labels |= {p.label for p in survey.pictures if p.label} | set(survey.labels)
        self._labels |= {box.label for p in survey.pictures for box in p.boxes or () if box.label}
        for one in self._corrections.values():
            found = {one.label, *(box.label for box in one.boxes), *(one.counts or ())}
            self._labels |= {label for label in found if label is not None}
        self._saved = SavedIds()
        # The positions of the images that were corrected, in order.
        self._changed = [i for i, p in enumerate(survey.pictures) if p.correction is not None]
        self._positions: dict[str, list[int]] = {}  # by filepath; a photograph may have two records
        for position, picture in enumerate(survey.pictures):
            self._positions.setdefault(picture.filepath, []).append(position)

    def add(self, items: Sequence[object]) -> None:
        """Saves corrections.

        Args:
            items: One ``{"position", "path", "label"}`` per image: its position, its path as shown on
                pages, and a label of the model, or None to leave the answer as predicted; and, if
                corrected, ``boxes`` and ``counts``, see ``Correction``. An item without a label,
                boxes or counts withdraws the correction. An item whose ``id`` was saved before is
                ignored.

        Raises:
            RejectedError: One of the items is malformed; none is saved.
            OutputError: The file cannot be written; none is saved.
        """
        with self._lock:
            unsaved = self._saved.unsaved(items)
            corrections = [
                correction_of(item, self.survey, self._labels, self._reviewer) for item in unsaved
            ]
            if not corrections:
                return
            self._file.add(corrections)
            self._saved.add(unsaved)
            for correction in corrections:
                if correction.is_empty:
                    self._corrections.pop(correction.filepath, None)
                else:
                    self._corrections[correction.filepath] = correction
                self._changed += self._positions[correction.filepath]
            self.survey.apply_corrections(self._corrections)

    def decide(self, items: Sequence[object]) -> None:
        """Saves verdicts on boxes that never move.

        They change the survey of the next review.

        Args:
            items: One ``{"name", "verdict"}`` for each, see ``StoneVerdict``.

        Raises:
            RejectedError: One of the items is malformed; none is saved.
            OutputError: The file cannot be written; none is saved.
        """
        with self._lock:
            decided = {}
            for item in items:
                name, verdict = verdict_of(item, self.stones)
                decided[name] = replace(self.stones[name], verdict=verdict)
            at, reviewer = now(), self._reviewer
            self._file.add([s.decided(s.verdict, at, reviewer) for s in decided.values()])
            self.stones |= decided

    @property
    def cursor(self) -> dict[str, object]:
        """Where a page that loads now starts asking for changes: their current number.

        The epoch identifies this process, because the next one starts at 0.
        """
        return {"epoch": self._epoch, "count": len(self._changed)}

    def changes(self, after: int) -> dict[str, object]:
        """Returns the images whose corrections have changed, and the next cursor.

        Args:
            after: The ``count`` of an earlier cursor, or 0 for all.
        """
        with self._lock:
            positions = dict.fromkeys(self._changed[max(after, 0) :])
            items = [self._item(position) for position in positions]
            return {**self.cursor, "items": items}

    def _item(self, position: int) -> dict[str, object]:
        picture = self.survey.pictures[position]
        sequence = self.survey.sequences[picture.sequence]
        label, score, _ = sequence.answer or (None, 0.0, None)
        correction = picture.correction
        boxes = correction.boxes if correction else ()
        return {
            "position": position,
            "label": correction.label if correction else None,
            "boxes": [box.as_json() for box in boxes],
            "counts": correction.counts if correction else None,
            "sequence": picture.sequence if len(sequence.pictures) > 1 else -1,
            "sequenceLabel": label,
            "sequenceScore": score,
        }


def make_app(
    review: Review,
    photographs: Photographs,
    folder: str | os.PathLike[str],
    *,
    token: str,
    blur_humans: bool = False,
    threads: int = 2,
    back: Sequence[Link] = (),
) -> Starlette:
    """Returns the web application; all its addresses start with ``/TOKEN/``.

    It serves only images of the survey, by their position; no request can name a path.

    Args:
        review: The survey to show, and where to save corrections.
        photographs: Finds the photographs.
        folder: The folder for thumbnails.
        token: The secret first part of the addresses, which other programs and pages do not know.
        blur_humans: Whether to blur people.
        threads: The number of images to draw in parallel.
        back: Entries of the menu before those of the review.
    """
    thumbnails = Thumbnails(folder, photographs, blur_humans=blur_humans)
    handlers = _Handlers(review, thumbnails, threads, [*back, *_MENU])
    routes = [
        Route("/", lambda _: RedirectResponse(f"/{token}/gallery.html")),
        *(Route(f"/{page}", partial(handlers.page, page)) for page in _HEADINGS),
        Route("/static/{name}", handlers.static),
        Route("/data/survey.js", handlers.header),
        Route("/data/pictures-{number:int}.js", handlers.chunk),
        Route("/thumbs/{position:int}.jpg", handlers.thumbnail),
        Route("/photo/{position:int}.jpg", handlers.photograph),
        Route("/film/{position:int}", handlers.film),
        Route("/corrections", handlers.changes, methods=["GET"]),
        Route("/corrections", handlers.correct, methods=["POST"]),
        Route(f"/{STONES_PAGE}", handlers.stones),
        Route("/stones", handlers.decide, methods=["POST"]),
    ]
    return Starlette(
        routes=[Mount(f"/{token}", routes=routes)],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_NAMES)],
    )


class _Handlers:
    """Answers the requests of the pages; ``make_app`` has the routes."""

    def __init__(
        self, review: Review, thumbnails: Thumbnails, threads: int, menu: Sequence[Link]
    ) -> None:
        self._review = review
        self._thumbnails = thumbnails
        self._menu = menu
        self._payload = Payload(review.survey, "review")  # one, so that its numbers stay the same
        self._slots = threading.BoundedSemaphore(threads)

    @property
    def _pages(self) -> Pages:
        menu = [*self._menu, *stones_link([*self._review.stones.values()])]
        return Pages(self._review.survey, "review", menu)

    def page(self, name: str, _: Request) -> Response:
        return _uncached(self._pages.render(name, _HEADINGS[name], name), "text/html")

    def stones(self, _: Request) -> Response:
        stones, survey = [*self._review.stones.values()], self._review.survey
        cards = stone_cards(survey, stones, lambda position: Preview(f"{position}.jpg"))
        page = self._pages.render(STONES_PAGE, STONES_HEADING, STONES_PAGE, cards=cards)
        return _uncached(page, "text/html")

    def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            raise HTTPException(404)
        return _uncached(static_file(name), content_type(name))

    def header(self, _: Request) -> Response:
        return _uncached(self._payload.header(self._review.cursor), "text/javascript")

    def chunk(self, request: Request) -> Response:
        number = request.path_params["number"]
        if number >= self._payload.chunks:
            raise HTTPException(404)
        script = self._payload.chunk(number, lambda position: Preview(f"{position}.jpg"))
        return _uncached(script, "text/javascript")

    def thumbnail(self, request: Request) -> Response:
        with self._drawing(request) as picture:
            name, _ = self._thumbnails.make(picture)
        return Response((self._thumbnails.folder / name).read_bytes(), media_type="image/jpeg")

    def photograph(self, request: Request) -> Response:
        size = WHOLE_SIZE if "whole" in request.query_params else PHOTO_SIZE
        buffer = io.BytesIO()
        with self._drawing(request) as picture:
            self._thumbnails.draw(picture, size).save(buffer, "JPEG", quality=QUALITY)
        return Response(buffer.getvalue(), media_type="image/jpeg")

    def film(self, request: Request) -> Response:
        """A film on this computer, for the player of the page."""
        with self._drawing(request) as picture:
            path = self._thumbnails.film(picture)
        return FileResponse(path, headers=_UNCACHED)

    @contextmanager
    def _drawing(self, request: Request) -> Iterator[Picture]:
        """Yields the requested image, after waiting if too many others are being drawn."""
        position, pictures = request.path_params["position"], self._review.survey.pictures
        if position >= len(pictures):
            raise HTTPException(404)
        try:
            with self._slots:
                yield pictures[position]
        except (ImageError, CredentialsError) as error:
            raise HTTPException(404) from error

    def changes(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        count = int(after) if re.fullmatch("[0-9]{1,18}", after) else 0
        return JSONResponse(self._review.changes(count), headers=_UNCACHED)

    async def correct(self, request: Request) -> Response:
        return await self._save(request, self._review.add)

    async def decide(self, request: Request) -> Response:
        return await self._save(request, self._review.decide)

    @staticmethod
    async def _save(request: Request, save: Callable[[Sequence[object]], None]) -> Response:
        try:
            items = await _items_of(request)
            await run_in_threadpool(save, items)
        except RejectedError as error:
            return error_response(error)
        except OutputError as error:
            return JSONResponse({"error": str(error)}, 507)
        return JSONResponse({"saved": len(items)})


def _uncached(content: str | bytes, kind: str) -> Response:
    return Response(content, media_type=kind, headers=_UNCACHED)


async def _items_of(request: Request) -> list[object]:
    """Returns the corrections of a request; raises ``RejectedError``."""
    # A page on another site can send forms but not JSON.
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise RejectedError(400, "the request is not JSON")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise RejectedError(400, "the request is too long")
    try:
        items = json.loads(body)["items"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RejectedError(400, "the request is not a list of corrections") from error
    if not isinstance(items, list) or not 0 < len(items) <= MAX_ITEMS:
        raise RejectedError(400, "the request is not a list of corrections")
    return items

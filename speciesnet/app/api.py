"""The window's API: addresses that return JSON and pictures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from speciesnet.app import choices, commands
from speciesnet.app.errors import PageError, bad_request
from speciesnet.app.pictures import picture
from speciesnet.app.surveys import Survey
from speciesnet.app.window import Window
from speciesnet.errors import ImageError
from speciesnet.records import Record

MAX_BODY = 2**16  # bytes
MAX_PATHS = 100  # counted in one request

Body = Mapping[str, object]
Answer = Callable[[Request, Body], object]


class Api:
    """The addresses below ``/api``, and the pictures of a survey.

    Args:
        window: The window that they serve.
    """

    def __init__(self, window: Window) -> None:
        self._window = window

    def routes(self) -> list[BaseRoute]:
        """All routes."""
        one = "/api/surveys/{survey}"
        return [
            _route("/api/folders", "GET", self._folders),
            _route("/api/count", "GET", self._count),
            _route("/api/countries", "GET", self._countries),
            _route("/api/place", "GET", self._place),
            _route("/api/models", "GET", lambda request, body: self._window.models()),
            _route("/api/models/download", "POST", self._download, 201),
            _route("/api/surveys", "GET", lambda request, body: self._window.overview()),
            _route("/api/surveys", "POST", self._add, 201),
            _route(one, "GET", self._describe),
            _route(one, "PATCH", self._edit),
            _route(one, "DELETE", self._forget),
            _route(f"{one}/start", "POST", self._start),
            _route(f"{one}/pause", "POST", self._pause),
            _route(f"{one}/stop", "POST", self._stop),
            _route(f"{one}/progress", "GET", self._progress),
            _route(f"{one}/trial", "GET", self._trial),
            _route(f"{one}/jobs", "GET", self._jobs_of),
            _route(f"{one}/jobs", "POST", self._start_job, 201),
            _route(f"{one}/review", "POST", self._review),
            _route("/api/jobs/{job}", "GET", self._job),
            _route("/api/jobs/{job}/stop", "POST", self._stop_job),
            Route("/surveys/{survey}/thumbs/{number:int}.jpg", self._thumb),
            Route("/surveys/{survey}/trial/{number:int}.jpg", self._trial_picture),
            *(
                Route(f"/surveys/{{survey}}/{folder}/{{path:path}}", partial(self._page, folder))
                for folder in commands.PAGES
            ),
        ]

    def _survey(self, request: Request) -> Survey:
        return self._window.surveys.get(request.path_params["survey"])

    def _folders(self, request: Request, _: Body) -> object:
        path = request.query_params.get("path")
        if path is None:
            recent = [one for survey in self._window.surveys.all() for one in survey.folders]
            return self._window.folders.places(recent[:10])
        endings = request.query_params.get("files", "").lower()
        return self._window.folders.listing(path, tuple(e for e in endings.split(",") if e))

    def _count(self, request: Request, _: Body) -> object:
        paths = request.query_params.getlist("path")
        if not 0 < len(paths) <= MAX_PATHS:
            raise bad_request("Choose a folder.", "choose_folder")
        return self._window.folders.count_for_page(paths)

    def _countries(self, request: Request, _: Body) -> object:
        language = request.query_params.get("language", "en")[:10]
        return choices.countries(language if language.isalnum() else "en")

    def _place(self, request: Request, _: Body) -> object:
        """The country at a point on the map."""
        try:
            latitude, longitude = (
                float(request.query_params[key]) for key in ("latitude", "longitude")
            )
        except (KeyError, ValueError):
            latitude = longitude = math.nan
        if not (abs(latitude) <= 90 and abs(longitude) <= 180):
            raise bad_request("Enter a latitude and a longitude in degrees.")
        return self._window.place(latitude, longitude)

    def _download(self, _: Request, body: Body) -> object:
        return self._window.download(body.get("model")).as_json()

    def _add(self, _: Request, body: Body) -> object:
        survey = self._window.surveys.add(body, self._window.folders)
        return self._window.describe(self._window.counted(survey))

    def _describe(self, request: Request, _: Body) -> object:
        return self._window.describe(self._window.counted(self._survey(request)))

    def _edit(self, request: Request, body: Body) -> object:
        survey = self._survey(request)
        self._window.surveys.edit(survey, body, self._window.folders)
        return self._window.describe(survey)

    def _forget(self, request: Request, _: Body) -> object:
        self._window.forget(self._survey(request))
        return {}

    def _start(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        self._window.runner.enqueue(survey)
        return self._window.describe(survey)

    def _pause(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        self._window.runner.stop(survey, pause=True)
        return self._window.describe(survey)

    def _stop(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        self._window.runner.stop(survey, pause=False)
        return self._window.describe(survey)

    def _progress(self, request: Request, _: Body) -> object:
        return self._window.progress(self._survey(request))

    def _trial(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        address = f"/surveys/{survey.id}/trial"
        return {"pictures": [one.as_json(address) for one in self._window.trial_pictures(survey)]}

    def _jobs_of(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        return [one.as_json() for one in self._window.jobs() if one.survey == survey.id]

    def _start_job(self, request: Request, body: Body) -> object:
        kind, options = body.get("kind"), body.get("options", {})
        if not isinstance(kind, str) or not isinstance(options, dict):
            raise bad_request("A job needs a kind and an object with options.")
        return self._window.start_job(self._survey(request), kind, options).as_json()

    def _job(self, request: Request, _: Body) -> object:
        return self._window.job(request.path_params["job"]).as_json()

    def _stop_job(self, request: Request, _: Body) -> object:
        job = self._window.job(request.path_params["job"])
        job.stop()
        return job.as_json()

    def _review(self, request: Request, _: Body) -> object:
        survey = self._survey(request)
        self._window.reviews.open(survey, reload=True)
        return {"address": f"/surveys/{survey.id}/review/gallery.html"}

    def _thumb(self, request: Request) -> Response:
        follower = self._window.runner.follower(self._survey(request))
        return _jpeg(follower.record(request.path_params["number"]))

    def _trial_picture(self, request: Request) -> Response:
        pictures = self._window.trial_pictures(self._survey(request))
        number = request.path_params["number"]
        return _jpeg(pictures[number].record if number < len(pictures) else None)

    def _page(self, name: str, request: Request) -> Response:
        """Serves a file of the pages that a command has written, but never one outside their folder."""
        folder = Path(self._survey(request).results, name).resolve()
        path = (folder / request.path_params["path"]).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise HTTPException(404)
        return FileResponse(path)


def _jpeg(record: Record | None) -> Response:
    if record is None:
        raise HTTPException(404)
    try:
        return Response(picture(record), media_type="image/jpeg")
    except ImageError as error:
        raise PageError(404, "no_picture", f"There is no picture: {error}.") from error


def _route(path: str, method: str, answer: Answer, status: int = 200) -> Route:
    """A route whose answer is computed in a thread and sent as JSON."""

    async def endpoint(request: Request) -> Response:
        body = {} if method == "GET" else await _body_of(request)
        return JSONResponse(await run_in_threadpool(answer, request, body), status)

    return Route(path, endpoint, methods=[method])


async def _body_of(request: Request) -> Body:
    """The object in the body of a request; an empty body is an empty object."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise PageError(413, "bad_request", "The request is too long.")
    try:
        found = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise PageError(400, "not_json", "The request is not JSON.") from error
    if not isinstance(found, dict):
        raise PageError(400, "bad_request", "The request is not an object.")
    return found

"""The pages of the window: templates, text in the reader's language, and static files."""

from __future__ import annotations

import functools
import json
import signal
from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

import speciesnet
from speciesnet.app.commands import EXPORTS
from speciesnet.files.clouds import content_type

LANGUAGES = {
    "en": "English",
    "es": "Español",
    "fr": "Français",
    "pt": "Português",
    "sw": "Kiswahili",
}
PAGES = {"/": "home.html", "/new": "new.html", "/surveys/{survey}": "survey.html"}
LANGUAGE_COOKIE = "speciesnet_language"  # set by the language menu
_HERE = resources.files("speciesnet.app")

Texts = Mapping[str, str | dict[str, str]]


@functools.cache
def catalogue(language: str) -> Texts:
    """The strings of a language by key; a string with a count is a dict of its plural forms."""
    return json.loads((_HERE / "locale" / f"{language}.json").read_text(encoding="utf-8"))


def language_of(request: Request) -> str:
    """The language that the user chose, otherwise the first available one of the browser's languages.

    The order of browsers is that of RFC 9110, section 12.5.4: by weight, then as listed.
    """
    chosen = request.cookies.get(LANGUAGE_COOKIE)
    if chosen in LANGUAGES:
        return chosen
    weighted: list[tuple[float, str]] = []
    for part in request.headers.get("accept-language", "").split(","):
        tag, _, weight = part.partition(";q=")
        try:
            weighted.append((-float(weight or 1), tag.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    for weight, language in sorted(weighted, key=lambda pair: pair[0]):
        if weight and language in LANGUAGES:
            return language
    return "en"


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("speciesnet.app"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, request: Request, status: int = 200) -> Response:
    """Returns a page in the language of the request."""
    language = language_of(request)
    texts = catalogue(language)
    page = (
        _environment()
        .get_template(template)
        .render(
            language=language,
            languages=LANGUAGES,
            texts=texts,
            t=texts.__getitem__,
            address=request.url.path,
            version=speciesnet.__version__,
            options_of=EXPORTS,
            **request.path_params,
        )
    )
    headers = {"Cache-Control": "no-store"}  # the language may change
    return HTMLResponse(page, status, headers)


def static(request: Request) -> Response:
    """A style sheet, script or picture, of the window or of the report."""
    name = request.path_params["name"]
    for package in ("speciesnet.app", "speciesnet.survey.report"):
        folder = resources.files(package) / "static"
        if name in {entry.name for entry in folder.iterdir()}:
            return Response((folder / name).read_bytes(), media_type=content_type(name))
    raise HTTPException(404)


def end(_: Request) -> Response:
    """Ends the program like Ctrl-C: after responding, it stops the run and closes."""
    stop = BackgroundTask(signal.raise_signal, signal.SIGINT)
    return JSONResponse({}, background=stop)


def routes() -> list[BaseRoute]:
    """The routes of all pages and static files, and of requests that only pages make."""
    pages = [
        Route(path, functools.partial(render, template), name=template)
        for path, template in PAGES.items()
    ]
    return [
        *pages,
        Route("/static/{name}", static),
        Route("/api/quit", end, methods=["POST"]),
    ]

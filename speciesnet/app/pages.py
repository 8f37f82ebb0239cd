"""The pages of the window: which template is at which address, and its static files."""

from __future__ import annotations

import functools
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

import speciesnet
from speciesnet.files.clouds import content_type

PAGES = {"/": "home.html", "/new": "new.html", "/surveys/{survey}": "survey.html"}


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("speciesnet.app"),
        autoescape=True,  # file names may contain HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, request: Request) -> Response:
    """Returns a page."""
    page = _environment().get_template(template)
    return HTMLResponse(page.render(version=speciesnet.__version__, **request.path_params))


def static(request: Request) -> Response:
    """A style sheet or script, of the window or of the report."""
    name = request.path_params["name"]
    for package in ("speciesnet.app", "speciesnet.report"):
        folder = resources.files(package) / "static"
        if name in {entry.name for entry in folder.iterdir()}:
            return Response((folder / name).read_bytes(), media_type=content_type(name))
    raise HTTPException(404)


def routes() -> list[BaseRoute]:
    """The addresses of all pages and static files."""
    pages = [
        Route(path, functools.partial(render, template), name=template)
        for path, template in PAGES.items()
    ]
    return [*pages, Route("/static/{name}", static)]

"""The web application: its routes, and errors as JSON."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources

from fastapi import FastAPI, Request, Response
from fastapi.params import Depends
from fastapi.responses import JSONResponse
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import speciesnet
from speciesnet.files.clouds import content_type
from speciesnet.predictions.layout import encode_record
from speciesnet.server import openapi
from speciesnet.server.errors import RejectedError, error_response
from speciesnet.server.service import Service

PATHS = ("/", "/health", "/ready", "/metrics", "/openapi.json")
STATIC = {  # by package
    "site.css": "speciesnet.survey.report",
    "theme.js": "speciesnet.survey.report",
    "server.css": "speciesnet.server",
    "server.js": "speciesnet.server",
}
_MESSAGES = {
    404: "There is nothing at this path. Send prediction requests to {path}.",
    405: "The path does not support this method. Request predictions with POST.",
}


def make_app(service: Service, api_path: str, *, needs_key: bool = False) -> FastAPI:
    """Creates the application of a server.

    Args:
        service: Answers prediction requests.
        api_path: The path of prediction requests.
        needs_key: Whether the OpenAPI document lists API keys.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="SpeciesNet",
        version=speciesnet.__version__,
        description="Predicts the species in camera-trap images.",
        docs_url=None,  # its scripts come from other hosts
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    keys = openapi.KEYS if needs_key else ()
    _add_errors(app, api_path)
    _add_predictions(app, service, api_path, keys)
    _add_status(app, service, keys)
    _add_pages(app, api_path)
    return app


def _add_errors(app: FastAPI, api_path: str) -> None:
    """Adds the handlers for failed requests."""

    @app.exception_handler(RejectedError)
    async def rejected(_: Request, error: RejectedError) -> Response:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def http_error(_: Request, error: HTTPException) -> Response:
        message = _MESSAGES.get(error.status_code, HTTPStatus(error.status_code).phrase)
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"  # the middleware turns HEAD into GET
        return JSONResponse({"error": message.format(path=api_path)}, error.status_code, headers)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # not sent

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": "Internal server error; see the server log."}, 500)


def _add_predictions(
    app: FastAPI, service: Service, api_path: str, keys: Sequence[Depends]
) -> None:
    """Adds the path of prediction requests."""
    route = openapi.predict(service.parser.extra_fields, service.parser.limits.images)

    @app.post(api_path, **route, dependencies=keys)
    async def predict(request: Request) -> Response:
        records = await service.predict(request)
        return Response(encode_record({"predictions": records}), media_type="application/json")


def _add_status(app: FastAPI, service: Service, keys: Sequence[Depends]) -> None:
    """Adds the paths that describe the state of the server."""

    @app.get("/health", **openapi.HEALTH)
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/ready", **openapi.READY)
    async def ready() -> Response:
        service.check_ready()
        if not service.pool.ready:
            raise RejectedError(503, "A worker is being replaced. Try again later.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", **openapi.METRICS, dependencies=keys)
    async def metrics() -> Response:
        return Response(service.metrics.render(), media_type="text/plain; version=0.0.4")


def _add_pages(app: FastAPI, api_path: str) -> None:
    """Adds the page for browsers and its files."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        template = Environment(autoescape=True).from_string(
            _file("speciesnet.server", "index.html")
        )
        text = template.render(api_path=api_path.lstrip("/"), version=speciesnet.__version__)
        return Response(text, media_type="text/html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in STATIC:
            raise HTTPException(404)
        return Response(_file(STATIC[name], name), media_type=content_type(name))


def _file(package: str, name: str) -> str:
    return (resources.files(package) / "static" / name).read_text(encoding="utf-8")

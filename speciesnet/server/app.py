"""The web application: paths, and errors in one form."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from jinja2 import Environment
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

import speciesnet
from speciesnet.server import openapi
from speciesnet.server.auth import refuse
from speciesnet.server.errors import RefusedError
from speciesnet.server.service import Service

PATHS = ("/", "/health", "/ready", "/metrics", "/openapi.json")
STATIC = {  # from a name to the package that has it, and its type
    "site.css": ("speciesnet.report", "text/css"),
    "theme.js": ("speciesnet.report", "text/javascript"),
    "server.css": ("speciesnet.server", "text/css"),
    "server.js": ("speciesnet.server", "text/javascript"),
}
_SENTENCES = {
    404: "There is nothing at this path; predictions are at {path}.",
    405: "This path takes another method; predictions are asked for with POST.",
}


def make_app(service: Service, api_path: str, *, wants_key: bool = False) -> FastAPI:
    """The application of a server.

    Args:
        service: What it does.
        api_path: Where predictions are asked for.
        wants_key: Whether its document says that requests must bring a key.
    """
    keys = openapi.KEYS if wants_key else ()

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
        description="Camera-trap images in, species out.",
        docs_url=None,  # its scripts would come from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )

    @app.exception_handler(RefusedError)
    async def refused(_: Request, error: RefusedError) -> Response:
        return refuse(error)

    @app.exception_handler(HTTPException)
    async def unknown(_: Request, error: HTTPException) -> Response:
        sentence = _SENTENCES.get(error.status_code, HTTPStatus(error.status_code).phrase)
        content = {"error": sentence.format(path=api_path)}
        headers = dict(error.headers or {})
        if headers.get("Allow") == "GET":
            headers["Allow"] = "GET, HEAD"  # by the gate
        return JSONResponse(content, error.status_code, headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(_: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=400)  # nobody reads it

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return JSONResponse({"error": "Something is wrong in this server; see its log."}, 500)

    @app.post(
        api_path, **openapi.predict(service.extra_fields, service.limits.images), dependencies=keys
    )
    async def predict(request: Request) -> Response:
        records = await service.predict(request)
        return Response(orjson.dumps({"predictions": records}), media_type="application/json")

    @app.get("/health", **openapi.HEALTH)
    async def health() -> Response:
        return JSONResponse({"status": "alive"})

    @app.get("/ready", **openapi.READY)
    async def ready() -> Response:
        service.check_ready()
        if not service.pool.ready:
            raise RefusedError(503, "A worker is being replaced; come back later.")
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", **openapi.METRICS, dependencies=keys)
    async def metrics() -> Response:
        return Response(service.meters.text(), media_type="text/plain; version=0.0.4")

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
        package, kind = STATIC[name]
        return Response(_file(package, name), media_type=kind)

    return app


def _file(package: str, name: str) -> str:
    return (resources.files(package) / "static" / name).read_text(encoding="utf-8")

"""The web application of the window: its routes, and errors as JSON."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from speciesnet.app import pages
from speciesnet.app.api import Api
from speciesnet.app.auth import Gate
from speciesnet.app.errors import PageError, page_error
from speciesnet.app.window import Window
from speciesnet.server.errors import RejectedError


def make_app(window: Window, token: str, port: int) -> Starlette:
    """Returns the web application.

    Args:
        window: The surveys, their queue and their jobs.
        token: The secret in its address.
        port: The port on which it is served.
    """
    reviews = "/surveys/{survey}/review/{rest:path}"
    return Starlette(
        routes=[
            *Api(window).routes(),
            Route(reviews, window.reviews, methods=["GET", "POST"]),
            *pages.routes(),
        ],
        middleware=[Middleware(Gate, token=token, ticket=window.ticket, port=port)],
        exception_handlers={RejectedError: _refused, HTTPException: _not_found, Exception: _failed},
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    return page_error(error)


async def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return page_error(
        PageError(error.status_code, "not_found", "There is nothing at this address.")
    )


async def _failed(_: Request, error: Exception) -> Response:
    sentence = f"Unexpected error ({type(error).__name__}: {error})."
    return page_error(PageError(500, "unexpected", sentence))

"""The web application of the window: its routes, and errors as JSON."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from speciesnet.app import pages
from speciesnet.app.errors import PageError, page_error
from speciesnet.app.guard import Guard
from speciesnet.server.errors import RejectedError


def make_app(token: str, port: int) -> Starlette:
    """Returns the web application.

    Args:
        token: The secret of its address.
        port: The port that it is served on.
    """
    return Starlette(
        routes=pages.routes(),
        middleware=[Middleware(Guard, token=token, port=port)],
        exception_handlers={RejectedError: _refused, HTTPException: _not_found},
    )


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RejectedError)
    return page_error(error)


async def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return page_error(
        PageError(error.status_code, "not_found", "There is nothing at this address.")
    )

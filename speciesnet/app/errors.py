"""Errors that a page can show: one sentence, a word to look it up by, and what fixes it."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from speciesnet.server.errors import RejectedError

Action = Mapping[str, str]  # "name", and "survey" if it is about one


class PageError(RejectedError):
    """A request of a page that is answered with an error.

    Args:
        status: HTTP status, 400 or above.
        code: A fixed word, under which catalogues have the sentence in other languages.
        message: One sentence.
        action: The name of what fixes it, or None.
    """

    def __init__(self, status: int, code: str, message: str, action: str | None = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.action: Action | None = None if action is None else {"name": action}


def page_error(error: RejectedError) -> JSONResponse:
    """The response to a request that is refused."""
    body = {
        "error": str(error),
        "code": getattr(error, "code", None),
        "action": getattr(error, "action", None),
    }
    return JSONResponse(body, error.status, error.headers)

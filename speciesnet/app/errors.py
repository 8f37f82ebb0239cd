"""Errors that a page can show: a sentence, a code for its translations, and a fix."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

from speciesnet.server.errors import RejectedError

Action = Mapping[str, str]  # "name", and "survey" if it is about one


class PageError(RejectedError):
    """An error in a page's request.

    Args:
        status: HTTP status, 400 or above.
        code: A fixed word, the key of the translated sentence in the catalogs.
        message: One sentence.
        action: The name of the action that fixes it, or None.
    """

    def __init__(self, status: int, code: str, message: str, action: str | None = None) -> None:
        super().__init__(status, message)
        self.code = code
        self.action: Action | None = None if action is None else {"name": action}


def bad_request(message: str, action: str | None = None) -> PageError:
    """The error for a request whose values are not valid; see ``PageError``."""
    return PageError(422, "bad_request", message, action)


def not_saved(what: object, error: OSError) -> PageError:
    """The error for a file or folder that cannot be written; the page suggests freeing disk space."""
    message = f"{what} cannot be written ({error.strerror or error})."
    return PageError(507, "not_saved", message, "free_space")


def page_error(error: RejectedError) -> JSONResponse:
    """The response to a rejected request."""
    body = {
        "error": str(error),
        "code": getattr(error, "code", None),
        "action": getattr(error, "action", None),
    }
    return JSONResponse(body, error.status, error.headers)

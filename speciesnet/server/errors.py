"""Rejected requests, and the response that reports them."""

from __future__ import annotations

from starlette.responses import JSONResponse

RETRY_SECONDS = 5  # value of the Retry-After header
MAX_MESSAGE = 500  # characters: some messages quote the request


class RejectedError(Exception):
    """A rejected request, with the response.

    Args:
        status: HTTP status, 400 or above.
        message: One sentence for the client; it must not name local files or settings.
    """

    def __init__(self, status: int, message: str) -> None:
        # Quoted names may contain lone surrogates, which a response cannot.
        super().__init__(message[:MAX_MESSAGE].encode("utf-8", "replace").decode())
        self.status = status

    @property
    def headers(self) -> dict[str, str]:
        """Extra headers of the response."""
        if self.status == 503:
            return {"Retry-After": str(RETRY_SECONDS)}
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {}


def error_response(error: RejectedError) -> JSONResponse:
    """The response ``{"error": message}`` with the status and headers of the error."""
    return JSONResponse({"error": str(error)}, error.status, error.headers)

"""Reviews in the window: each is ``speciesnet review`` in its own process, under a path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from speciesnet.app.errors import PageError
from speciesnet.app.helpers import Helper, Helpers, Work
from speciesnet.app.surveys import Survey, Surveys

MAX_BODY = 2**21  # bytes; the review has a lower limit
BLOCK_BYTES = 2**18
_TO_REVIEW = ("accept", "content-type", "if-modified-since", "if-none-match", "if-range", "range")
_FROM_REVIEW = (
    "accept-ranges", "cache-control", "content-length", "content-range", "content-type", "etag",
    "last-modified", "location",
)  # fmt: skip


class Reviews:
    """Passes requests to the processes of reviews, after the window has checked them.

    Args:
        surveys: The surveys.
        helpers: The processes.
    """

    def __init__(self, surveys: Surveys, helpers: Helpers) -> None:
        self._surveys = surveys
        self._helpers = helpers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request below ``/surveys/ID/review``."""
        request = Request(scope, receive)
        survey = self._surveys.get(request.path_params["survey"])
        helper = await run_in_threadpool(self.open, survey, reload=False)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                raise PageError(413, "bad_request", "The request is too long.")
        query = f"?{request.url.query}" if request.url.query else ""
        headers = {name: request.headers[name] for name in _TO_REVIEW if name in request.headers}
        with ExitStack() as stack:
            asked = helper.ask(
                request.method, quote(request.url.path) + query, headers, bytes(body) or None
            )
            found = await run_in_threadpool(stack.enter_context, asked)
            given = {name: value for name in _FROM_REVIEW if (value := found.getheader(name))}
            await StreamingResponse(_blocks(found), found.status, given)(scope, receive, send)

    def open(self, survey: Survey, *, reload: bool) -> Helper:
        """The process of a review; starts it if it is not running.

        Args:
            survey: The survey.
            reload: Whether to restart it if the predictions have changed since it started.

        Raises:
            PageError: The survey has no predictions, they cannot be read, or another program has them
                open for review.
        """
        survey.check_predictions()
        facts = Path(survey.predictions).stat()
        back = (f"/surveys/{survey.id}", f"← {survey.name}")
        work = Work(survey.predictions, f"surveys/{survey.id}/review", back)
        state = (survey.predictions, facts.st_size, facts.st_mtime_ns)
        return self._helpers.get(survey.id, work, state, renew=reload)


async def _blocks(response: HTTPResponse) -> AsyncIterator[bytes]:
    while block := await run_in_threadpool(response.read, BLOCK_BYTES):
        yield block

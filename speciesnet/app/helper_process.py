"""The process of ``Helper``: serves a review, or looks up places, until the window closes its input."""

from __future__ import annotations

import hmac
import json
import signal
import sys
import tempfile
import threading
from contextlib import ExitStack, suppress

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from speciesnet.app.helpers import SECRET_HEADER, Work
from speciesnet.errors import SpeciesNetError


class Locked:
    """Admits only requests of the window.

    Args:
        app: The application.
        secret: The secret in their headers.
    """

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._secret = secret.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        given = Headers(scope=scope).get(SECRET_HEADER, "").encode()
        is_known = hmac.compare_digest(given, self._secret)
        app = self._app if is_known else PlainTextResponse("Open the window instead.", 403)
        await app(scope, receive, send)


def review_app(work: Work, stack: ExitStack) -> Starlette:
    """The application of ``speciesnet review``, under its path in the window.

    Args:
        work: The predictions and the path.
        stack: Closes the corrections file, and removes the thumbnails.

    Raises:
        SpeciesNetError: The predictions cannot be read, or another program has them open for review.
    """
    from speciesnet.files.moved_photographs import Photographs
    from speciesnet.survey.corrections import (
        CorrectionsFile,
        corrections_path,
        read_corrections,
        read_verdicts,
    )
    from speciesnet.survey.dates import DateRules
    from speciesnet.survey.report.pages import Link
    from speciesnet.survey.report.review import Review, make_app
    from speciesnet.survey.stones import stones_in_pictures, with_verdicts
    from speciesnet.survey.survey import load_survey

    path = corrections_path(work.predictions)
    photographs = Photographs()
    file = stack.enter_context(CorrectionsFile(path))
    folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
    corrections, dates = read_corrections(path), DateRules()
    dates.add_note(corrections.note, is_logged=True)
    loaded = load_survey(
        work.predictions,
        photographs=photographs,
        corrections=corrections,
        dates=dates,
        smooth_boxes=False,  # a reviewer corrects the predicted answers
    )
    stones = with_verdicts(stones_in_pictures(loaded.pictures), read_verdicts(path))
    review = Review(loaded, file, stones=stones)
    back = [Link(*work.back)]
    return make_app(review, photographs, folder, token=work.mount, back=back)


def places_app() -> Starlette:
    """Answers with the country (and, in the USA, the state) of the town nearest to a position."""
    from speciesnet.geolocation import nearest_place

    def place(request: Request) -> Response:
        latitude, longitude = (
            float(request.query_params[key]) for key in ("latitude", "longitude")
        )
        country, region = nearest_place(latitude, longitude)
        return JSONResponse({"country": country or None, "region": region})

    return Starlette(routes=[Route("/place", place)])


def main() -> None:
    """Prints the port, or an error message, as a line of JSON; then serves requests."""
    from speciesnet.server.listening import listen, serve_alone

    given = json.loads(sys.stdin.readline())
    secret, work = given.pop("secret"), Work(**given)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored if started in the background
    threading.Thread(target=_end_with_window, daemon=True).start()
    with suppress(KeyboardInterrupt), ExitStack() as stack:
        try:
            app = review_app(work, stack) if work.predictions else places_app()
            listener = stack.enter_context(listen("127.0.0.1", 0))
        except SpeciesNetError as error:
            _say({"error": str(error)})
            return
        _say({"port": listener.getsockname()[1]})
        serve_alone(Locked(app, secret), listener)


def _say(answer: dict[str, object]) -> None:
    sys.stdout.write(f"{json.dumps(answer)}\n")
    sys.stdout.flush()
    sys.stdout = sys.stderr  # the window reads only this line


def _end_with_window() -> None:
    """Ends this process like Ctrl-C when the other end of its standard input is closed."""
    sys.stdin.read()
    signal.raise_signal(signal.SIGINT)


if __name__ == "__main__":
    main()

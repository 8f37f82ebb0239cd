"""Admits only requests from this window's pages, by their host, origin and cookie."""

from __future__ import annotations

import hmac
import re
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request, cookie_parser
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speciesnet.app.commands import PAGES
from speciesnet.app.errors import PageError, page_error
from speciesnet.app.pages import render
from speciesnet.server.auth import SECURITY_HEADERS, is_local_name
from speciesnet.server.errors import RejectedError

OPEN = "/open/"  # the path before the token
_POLICY = "Content-Security-Policy"
_HEADERS = {
    **SECURITY_HEADERS,
    _POLICY: SECURITY_HEADERS[_POLICY].replace("media-src", "media-src 'self'"),
    "Cross-Origin-Resource-Policy": "same-origin",
}
# Galleries place boxes and previews with style attributes.
_WITH_STYLES = {
    **_HEADERS,
    _POLICY: _HEADERS[_POLICY].replace("style-src 'self'", "style-src 'self' 'unsafe-inline'"),
}
_GALLERIES = re.compile(rf"/surveys/[^/]+/({'|'.join(('review', *PAGES))})/")
# The cookie is strict: a browser sends it only after a page of this window, not after a redirection.
_ENTRANCE = (
    '<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=/">'
    '<link rel="icon" href="data:,">'
    '<title>SpeciesNet</title><a href="/">SpeciesNet</a>'
)


class Gate:
    """Checks every request before the application sees it.

    Args:
        app: The application.
        token: The secret in the address; afterward, a cookie carries it.
        ticket: The file with a secret that opens the window once, because other users of the computer
            can see the addresses with which browsers are started.
        port: The port of the window. Cookies of all ports share one jar, so it is part of the name.
    """

    def __init__(self, app: ASGIApp, token: str, ticket: Path, port: int) -> None:
        self._app = app
        self._token = token.encode()
        self._ticket = ticket
        self._cookie = f"speciesnet-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles an ASGI event."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers = _WITH_STYLES if _GALLERIES.match(scope["path"]) else _HEADERS

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(headers)
            await send(message)

        try:
            response = self._check(scope)
        except RejectedError as error:
            response = self._refusal(scope, error)
        await (response or self._app)(scope, receive, respond)

    def _refusal(self, scope: Scope, error: RejectedError) -> Response:
        """A page that explains how to open the window, or JSON for a script."""
        is_person = "text/html" in Headers(scope=scope).get("accept", "")
        if is_person and getattr(error, "code", None) == "no_cookie":
            return render("denied.html", Request(scope), error.status)
        return page_error(error)

    def _check(self, scope: Scope) -> Response | None:
        """The response to the first visit, or None to let a request pass; raises ``PageError``."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_local_name(host):
            raise PageError(403, "wrong_host", "Open this window at 127.0.0.1 or localhost.")
        is_reading = scope["method"] in ("GET", "HEAD")
        origin = headers.get("origin")
        is_foreign = origin is not None and origin != f"http://{host}"
        if is_foreign or (headers.get("sec-fetch-site", "none") not in _TRUSTED and not is_reading):
            raise PageError(
                403, "wrong_origin", "Other pages may not send requests to this window."
            )
        cookie = cookie_parser(headers.get("cookie", "")).get(self._cookie, "")
        is_known = hmac.compare_digest(cookie.encode(), self._token)
        if scope["path"].startswith(OPEN) and is_reading:
            return self._entrance(scope["path"].removeprefix(OPEN), is_known)
        if not is_known and not (is_reading and scope["path"].startswith("/static/")):
            raise PageError(
                401,
                "no_cookie",
                "This page belongs to a window that has been closed; open the address that SpeciesNet "
                "prints.",
                "open_again",
            )
        if not is_reading and _kind_of(headers) != "application/json":
            raise PageError(415, "not_json", "The request is not JSON.")
        return None

    def _entrance(self, given: str, is_known: bool) -> Response:
        is_token = hmac.compare_digest(given.encode(), self._token)
        if not (is_token or is_known or self._uses_up(given)):
            raise PageError(
                403, "no_cookie", "This is not the address that SpeciesNet printed.", "open_again"
            )
        response = HTMLResponse(_ENTRANCE)
        token = self._token.decode()
        response.set_cookie(self._cookie, token, httponly=True, samesite="strict")
        return response

    def _uses_up(self, given: str) -> bool:
        """Whether this is the ticket; a ticket is valid only once."""
        try:
            ticket = self._ticket.read_bytes()
            is_ticket = bool(ticket) and hmac.compare_digest(given.encode(), ticket)
            if is_ticket:
                self._ticket.unlink()
        except OSError:
            return False
        return is_ticket


_TRUSTED = ("same-origin", "none")  # "none": the user; other ports are only "same-site"


def _kind_of(headers: Headers) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()

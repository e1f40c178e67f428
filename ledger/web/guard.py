"""What holds of every request and every answer, whatever page or question it is.

the host      is ours, else 421: a page of another name cannot have a browser ask us
the body      is at most as large as is set, else 413, also when it says nothing of its length
the headers   of every answer: no inline code, no frame, no other host, no guessed types
an id         of every request, in the answer and in the log
an error      that nobody foresaw is answered as one, and told in the log
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from ledger.web import problems
from ledger.web.problems import Problem
from ledger.web.settings import LOOPBACK, READY, WebSettings, host_of

CONTENT_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
"""No code and no style but from files of ours. A page may ask for less (`request.state.csp`)."""
HSTS_SECONDS = 63_072_000
"""Two years, which is what browsers' lists ask for."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with none, forms would come from nowhere
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_QUIET = ("/static/", READY, "/live", "/moved")
"""Not told in the log: nobody's deed. (Each page that is made for `/live` is.)"""

_log = structlog.get_logger(__name__)


class Guard:
    """An ASGI middleware, the outermost."""

    def __init__(self, app: ASGIApp, settings: WebSettings) -> None:
        self._app = app
        self._most_bytes = settings.web_body_limit_bytes
        self._secure = settings.secure
        self._hosts = {settings.host.lower()}
        if settings.host in LOOPBACK:
            self._hosts |= set(LOOPBACK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = str(uuid7())
        scope.setdefault("state", {})["request_id"] = request_id
        body = _Bounded(receive, self._most_bytes)
        told = _Answer(scope, send, self._headers_of(scope, request_id), body)
        started = time.monotonic()
        try:
            self._check(scope)
            await self._app(scope, body, told.send)
        except Exception as error:
            if told.status is not None:
                raise
            await told.refuse(error)
        if not scope["path"].startswith(_QUIET):
            _log.info(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=told.status,
                milliseconds=round((time.monotonic() - started) * 1_000),
                by=scope["state"].get("person"),
                request_id=request_id,
            )

    def _check(self, scope: Scope) -> None:
        if scope["path"] == READY:
            return  # whoever watches this process knows its address, and not its name
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if host_of(f"x://{host}").lower() not in self._hosts:
            named = ", ".join(sorted(self._hosts))
            raise Problem("WRONG_HOST", f"this server is {named}: LEDGER_WEB_URL says so")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._most_bytes:
            raise Problem("TOO_LARGE", f"a request has at most {self._most_bytes} bytes")

    def _headers_of(self, scope: Scope, request_id: str) -> Callable[[], dict[str, str]]:
        def headers() -> dict[str, str]:
            own = scope["state"].get("csp")
            found = {**_HEADERS, "Content-Security-Policy": own or CONTENT_SECURITY}
            found["X-Request-ID"] = request_id
            if self._secure:
                found["Strict-Transport-Security"] = f"max-age={HSTS_SECONDS}; includeSubDomains"
            if not scope["path"].startswith("/static/"):
                found["Cache-Control"] = "no-store"
            return found

        return headers


class _Answer:
    """Adds the headers to an answer, and sees its status."""

    def __init__(
        self, scope: Scope, send: Send, headers: Callable[[], dict[str, str]], body: "_Bounded"
    ) -> None:
        self._scope, self._send, self._headers, self._body = scope, send, headers, body
        self._is_another = False
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        """A part of the answer; of none but ours, where the request was too large: whoever read it
        answers that it is no JSON."""
        if self._body.refused is not None and self.status is None:
            self._is_another = True
            await self.refuse(self._body.refused)
        if not self._is_another:
            await self._pass_on(message)

    async def refuse(self, error: Exception) -> None:
        """Answers with the error."""
        response = await problems.answer(Request(self._scope), error)
        await response(self._scope, self._body, self._pass_on)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in self._headers().items():
                headers[name] = value
        await self._send(message)


class _Bounded:
    """Takes no more of a body than it may have."""

    def __init__(self, receive: Callable[[], Awaitable[Any]], most: int) -> None:
        self._receive, self._most = receive, most
        self._taken = 0
        self.refused: Problem | None = None

    async def __call__(self) -> Message:
        message: Message = await self._receive()
        if message["type"] == "http.request":
            self._taken += len(message.get("body", b""))
            if self._taken > self._most:
                self.refused = Problem("TOO_LARGE", f"a request has at most {self._most} bytes")
                raise self.refused
        return message

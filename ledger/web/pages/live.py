"""What pages ask that follow the log: that it has moved, and what they show of it then.

    /moved?after=81234               Server-Sent Events: `id:` is how far the log is
    /live?page=/orders?view=all&at=  the parts of that page that follow the log, at that position or
                                     later; `Ledger-Position` says which it is

How far the log is stands on every page, whoever looks at it. The parts are those of the page
itself, asked for as who asks here, and shared by those who have the same role and user and want to
see it in the same way; so nothing of a person's own is in them.
"""

import time
from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Message

from ledger.web.api.parameters import LARGEST_POSITION
from ledger.web.api.stream import MEDIA_TYPE, EventStreamResponse, still_signed_in
from ledger.web.live import LiveParts
from ledger.web.pages.frame import BEHIND, POSITION, follows_the_log, look_of
from ledger.web.problems import Problem, retry_after
from ledger.web.viewer import PageViewer, SignedIn

_LONGEST_PAGE = 2_000
_PASSED_ON = (b"authorization", b"cookie", b"host")
"""Of a request's headers, those that say who asks whom."""

router = APIRouter()


@router.get("/moved")
async def moved(
    request: Request,
    viewer: PageViewer,
    after: Annotated[int, Query(ge=0, le=LARGEST_POSITION)] = 0,
) -> StreamingResponse:
    """Raises Problem."""
    viewer.require("read")
    web = viewer.web
    if web.follower.following >= web.settings.web_streams_limit:
        raise Problem(
            "UNAVAILABLE",
            f"{web.settings.web_streams_limit} streams are open: try again later",
            headers=retry_after(10),
        )
    return EventStreamResponse(
        _positions(request, viewer, after),
        media_type=MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no"},
    )


async def _positions(request: Request, viewer: SignedIn, position: int) -> AsyncIterator[bytes]:
    live = viewer.web.live
    heartbeat = viewer.web.settings.web_stream_heartbeat_seconds
    async with live.watched():
        yield b": begins\n\n"
        checked = time.monotonic()
        while True:
            head = await live.moved(position, heartbeat)
            yield b"id: %d\ndata:\n\n" % head if head > position else b": alive\n\n"
            position = max(head, position)
            if time.monotonic() - checked >= heartbeat:
                if not await still_signed_in(request, viewer):
                    return
                checked = time.monotonic()


@router.get("/live")
async def live(
    request: Request,
    viewer: PageViewer,
    page: Annotated[str, Query(max_length=_LONGEST_PAGE, pattern="^/")],
    at: Annotated[int, Query(ge=0, le=LARGEST_POSITION)] = 0,
) -> Response:
    """Raises Problem."""
    if not follows_the_log(urlsplit(page).path):
        raise Problem("NOT_FOUND", f"{page[:60]!r} is no page that follows the log")
    look = look_of(request)
    person = viewer.person
    seen_by = (person.role, person.user_id, person.scopes)
    key = (page, seen_by, look.theme, look.tones, look.zone_name)
    found = await viewer.web.live.parts(key, at, lambda: _made(request, page))
    headers = {POSITION: str(found.position)}
    if found.is_behind:
        headers[BEHIND] = "1"
    return Response(found.body, found.status, headers, media_type="text/html")


async def _made(request: Request, page: str) -> LiveParts:
    """Asks our own application for the page, as who asks for the parts."""
    path, query = urlsplit(page).path, urlsplit(page).query
    scope = {name: request.scope[name] for name in ("type", "asgi", "http_version", "scheme",
             "server", "client", "root_path") if name in request.scope}  # fmt: skip
    headers = [pair for pair in request.scope["headers"] if pair[0] in _PASSED_ON]
    scope |= {
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [*headers, (b"accept", b"text/html")],
        "state": {"live": True},
    }
    answer = _Answer()
    await request.app(scope, _no_body, answer.send)
    position = answer.headers.get(POSITION.lower().encode(), b"0")
    is_behind = BEHIND.lower().encode() in answer.headers
    return LiveParts(answer.status, answer.body, int(position), is_behind, time.monotonic())


class _Answer:
    """Takes an answer of the application."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


async def _no_body() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}

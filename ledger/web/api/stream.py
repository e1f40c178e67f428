"""Events as they are recorded: `GET /api/v1/stream`, Server-Sent Events.

    id: 81234                  the position: a browser sends it again as Last-Event-ID
    event: order.filled
    data: {"position": …}      as GET /api/v1/events has it

Each position is sent once and in order, whatever breaks in between, to who resumes where the last
one was. Whoever reads too slowly is dropped and resumes; nothing waits for them. A stream ends with
the session or token that began it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Send

from ledger.audit.ask import documents
from ledger.audit.ask.events import EventCriteria
from ledger.eventstore.reader import RecordedEvent
from ledger.nouns import EVENTS
from ledger.web import json_body
from ledger.web.api.parameters import LARGEST_POSITION, OnlyKnown, refusals
from ledger.web.problems import Problem, retry_after
from ledger.web.viewer import SignedIn, Viewer, signed_in

MEDIA_TYPE = "text/event-stream"
PAGE_EVENTS = 500
"""Read from the log at once, for who resumes from long ago."""
SEND_SECONDS = 30.0
"""A reader who takes nothing for so long is dropped: what it has not taken fills its buffer."""

router = APIRouter(tags=["events"], dependencies=[OnlyKnown])


@router.get(
    "/stream",
    response_class=StreamingResponse,
    responses={
        200: {"description": "The events", "content": {MEDIA_TYPE: {}}},
        **refusals(),
    },
)
async def stream(
    request: Request,
    viewer: Viewer,
    after: Annotated[
        int | None,
        Query(ge=0, le=LARGEST_POSITION, description="Behind this position; else from now on."),
    ] = None,
    type: Annotated[list[str] | None, Query(max_length=50)] = None,  # noqa: A002
    account_id: UUID | None = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> StreamingResponse:
    """Events from a position on, and those that come."""
    viewer.require("read")
    web = viewer.web
    if web.follower.following >= web.settings.web_streams_limit:
        raise Problem(
            "UNAVAILABLE",
            f"{web.settings.web_streams_limit} streams are open: try again later",
            headers=retry_after(10),
        )
    for name in type or ():
        if name not in EVENTS:
            raise Problem("INVALID_REQUEST", f"{name[:60]!r} is no event type")
    position = _position(last_event_id) if last_event_id else after
    if position is None:
        position = await run_in_threadpool(_head, viewer)
    wanted = EventCriteria(event_types=tuple(type or ()), account_id=account_id)
    return EventStreamResponse(
        _Stream(request, viewer, wanted).text(position),
        media_type=MEDIA_TYPE,
        headers={"X-Accel-Buffering": "no", "Ledger-Position": str(position)},
    )


class EventStreamResponse(StreamingResponse):
    """Gives up who takes nothing."""

    async def stream_response(self, send: Send) -> None:
        async def timely(message: Message) -> None:
            async with asyncio.timeout(SEND_SECONDS):
                await send(message)

        with contextlib.suppress(TimeoutError):  # the connection is closed: the answer has no end
            await super().stream_response(timely)


class _Stream:
    """One reader."""

    def __init__(self, request: Request, viewer: SignedIn, wanted: EventCriteria) -> None:
        self._request = request
        self._viewer = viewer
        self._wanted = wanted
        self._user_id = viewer.user_id

    async def text(self, position: int) -> AsyncIterator[bytes]:
        """The stream from behind a position."""
        follower = self._viewer.web.follower
        heartbeat = self._viewer.web.settings.web_stream_heartbeat_seconds
        loop = asyncio.get_running_loop()
        checked = loop.time()
        async with follower.followed():
            yield b": begins\n\n"
            behind, at_the_end = True, False
            while True:
                if behind:
                    shown, position, behind = await run_in_threadpool(self._from_log, position)
                else:
                    found = await follower.after(position, heartbeat)
                    if found is None:
                        if at_the_end:
                            return  # too slow: it resumes from its last position
                        behind = True  # more was recorded before the follower began
                        continue
                    at_the_end = True
                    position = found[-1].position if found else position
                    shown = list(filter(self._is_wanted, found))
                if shown:
                    yield b"".join(map(_told, shown))
                elif not behind:
                    yield b": alive\n\n"
                if loop.time() - checked >= heartbeat:
                    if not await still_signed_in(self._request, self._viewer):
                        return
                    checked = loop.time()

    def _from_log(self, position: int) -> tuple[list[RecordedEvent], int, bool]:
        """The next events from the log itself; how far it was read; whether there are more."""
        with self._viewer.reading() as reading:
            found = reading.events(
                self._wanted, newest_first=False, limit=PAGE_EVENTS, behind=position
            )
            head = reading.standing().head
        more = len(found) == PAGE_EVENTS
        return found, found[-1].position if more else max(head, position), more

    def _is_wanted(self, event: RecordedEvent) -> bool:
        """Whether this reader asked for the event and may see it: the same as the log is asked."""
        types, account, user = self._wanted.event_types, self._wanted.account_id, self._user_id
        return (
            (user is None or event.user_id == user)
            and (not types or event.event_type in types)
            and (account is None or documents.account_of(event) == account)
        )


async def still_signed_in(request: Request, viewer: SignedIn) -> bool:
    """Whether the session or token still holds, of the same person."""
    try:
        again = await signed_in(request)
    except Problem:
        return False
    same = (again.name, again.role, again.user_id)
    return same == (viewer.name, viewer.role, viewer.user_id)


def _told(event: RecordedEvent) -> bytes:
    body = json_body.encoded(documents.event(event))
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (event.position, event.event_type.encode(), body)


def _head(viewer: SignedIn) -> int:
    with viewer.reading() as reading:
        return reading.standing().head


def _position(text: str) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > LARGEST_POSITION:
        raise Problem("INVALID_REQUEST", "Last-Event-ID must be the id of an event of a stream")
    return int(text)

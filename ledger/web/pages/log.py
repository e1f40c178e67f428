"""The log: every event in its one order, filtered by the server, a page by position at a time.

Each event that is shown is hashed and held against its seal while the page is made: a row that is
not what was sealed is red, and so is every page from then on (`app.state.altered`).
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlencode
from uuid import UUID

import orjson
from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response

from ledger.audit.ask.events import EventCriteria, find
from ledger.audit.ask.trace import effects, trace
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.command import SPEAKING_FOR_OTHERS
from ledger.kernel.read_side import InvalidQuestion
from ledger.kernel.time import read_time
from ledger.nouns import EVENTS
from ledger.web.answers import Reading
from ledger.web.database import elevated
from ledger.web.pages import seal_check, why
from ledger.web.pages.frame import show
from ledger.web.pages.seal_check import SealCheck
from ledger.web.viewer import PageViewer

PAGE_ROWS = 50
MOST_ROWS = 500
SHOWN_DATA = 220
"""Characters of an event's data in its row; all of it where the row opens."""
_FIELDS = ("stream", "stream_type", "type", "account_id", "correlation_id", "actor", "begin", "end")

router = APIRouter()


class LogFilter(NamedTuple):
    """What the page was asked for, as its form has it."""

    stream: UUID | None = None
    stream_type: str | None = None
    type: str | None = None
    account_id: UUID | None = None
    correlation_id: UUID | None = None
    actor: str | None = None
    begin: str | None = None
    end: str | None = None

    def criteria(self, after: int | None, before: int | None) -> EventCriteria:
        """Raises InvalidQuestion."""
        types = tuple(one.strip() for one in (self.type or "").split(",") if one.strip())
        return EventCriteria(
            stream_id=self.stream,
            stream_type=self.stream_type or None,
            event_types=types,
            account_id=self.account_id,
            correlation_id=self.correlation_id,
            person=self.actor or None,
            recorded_from=_time(self.begin),
            recorded_to=_time(self.end),
            after=after,
            before=before,
        )


class LogRow(NamedTuple):
    """An event of the page, with what its seal says of it."""

    event: RecordedEvent
    seal: SealCheck
    excerpt: str
    actor: str


@router.get("/log")
def log(
    request: Request,
    viewer: PageViewer,
    stream: str | None = None,
    stream_type: str | None = None,
    type: str | None = None,  # noqa: A002
    account_id: str | None = None,
    correlation_id: str | None = None,
    actor: str | None = None,
    begin: str | None = None,
    end: str | None = None,
    after: Annotated[int | None, Query(ge=0)] = None,
    before: Annotated[int | None, Query(ge=0)] = None,
    order: str = "newest",
    rows: Annotated[int, Query(ge=1, le=MOST_ROWS)] = PAGE_ROWS,
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises Problem, InvalidQuestion, InvalidMoment."""
    viewer.require("read_log")
    asked = LogFilter(
        _id(stream, "stream"), stream_type, type, _id(account_id, "account_id"),
        _id(correlation_id, "correlation_id"), actor, begin, end,
    )  # fmt: skip
    with viewer.reading() as reading:
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
        top = standing.position + 1
        upward = order == "oldest"
        criteria = asked.criteria(after, min(before, top) if before is not None else top)
        with elevated(reading.connection):
            events = list(
                find(reading.connection, criteria, newest_first=not upward, limit=rows + 1)
            )
            more, events = len(events) > rows, events[:rows]
            shown = events[::-1] if upward else events
            checks = seal_check.checked(reading.connection, shown)
    seal_check.remember(request.app, checks)
    values = {
        "asked": asked,
        "rows": [_row(event, check) for event, check in zip(shown, checks, strict=True)],
        "older": _older(request, shown, more, upward),
        "newer": _newer(request, shown, upward, more),
        "types": sorted(EVENTS),
        "stream_types": sorted({name.partition(".")[0] for name in EVENTS}),
        "count": rows,
    }
    return show(request, viewer, "log.html", values, standing=standing)


def _row(event: RecordedEvent, check: SealCheck) -> LogRow:
    data = event.data if len(event.data) <= SHOWN_DATA else f"{event.data[:SHOWN_DATA]}…"
    return LogRow(event, check, data, who_did(event))


def who_did(event: RecordedEvent) -> str:
    """The person who did it (as index event_store_person has it), else the service that sent it."""
    metadata, data = orjson.loads(event.metadata), orjson.loads(event.data)
    source, sender = str(metadata.get("source") or ""), metadata.get("sender")
    if source.startswith("web:") and (sender is None or sender in SPEAKING_FOR_OTHERS):
        return source.removeprefix("web:")
    return str(data.get("actor") or data.get("by") or sender or source)


def _older(
    request: Request, shown: Sequence[RecordedEvent], more: bool, upward: bool
) -> str | None:
    if not shown or (not more and not upward) or shown[-1].position <= 1:
        return None
    return _link(request, before=shown[-1].position, after=None, order=None)


def _newer(
    request: Request, shown: Sequence[RecordedEvent], upward: bool, more: bool
) -> str | None:
    paged = {"before", "after"} & set(request.query_params)
    if not shown or not paged or (upward and not more):
        return None
    return _link(request, after=shown[0].position, before=None, order="oldest")


def _link(request: Request, **changes: object) -> str:
    query = {name: value for name, value in request.query_params.items() if value}
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = str(value)
    return f"/log?{urlencode(query)}"


@router.get("/events/{event_id}")
def event(request: Request, viewer: PageViewer, event_id: UUID) -> HTMLResponse:
    """Raises NotVisible."""
    with viewer.reading() as reading:
        found = why.event_of(reading, event_id)
        standing = reading.standing()
        with elevated(reading.connection):
            (check,) = seal_check.checked(reading.connection, [found])
        story = _story(reading, viewer, found)
    seal_check.remember(request.app, [check])
    metadata = orjson.loads(found.metadata)
    values = {
        "event": found,
        "check": check,
        "data": orjson.loads(found.data),
        "metadata": metadata,
        "effects": effects(found),
        "roots": story,
        "neighbours": (found.position - 1, found.position + 1),
    }
    return show(request, viewer, "event.html", values, standing=standing)


def _story(reading: Reading, viewer: Any, found: RecordedEvent) -> list[Any]:
    """What caused it and what it caused; of others' business nothing is told."""
    if not viewer.may("read_log"):
        return []
    with elevated(reading.connection):
        return trace(reading.connection, found.id).roots


@router.get("/events/{event_id}/proof")
def proof(viewer: PageViewer, event_id: UUID) -> Response:
    """The proof file of an event. Raises NotVisible, CannotProve."""
    from ledger.audit.prove.proofs import proof_text, prove

    with viewer.reading() as reading:
        found = why.event_of(reading, event_id)
        with elevated(reading.connection):
            text = proof_text(prove(reading.connection, found.id))
    name = f'attachment; filename="{event_id}.proof.json"'
    return Response(text, media_type="application/json", headers={"Content-Disposition": name})


@router.get("/story/{which}")
def story(request: Request, viewer: PageViewer, which: UUID) -> HTMLResponse:
    """What belongs to a command, an event, an order or a correlation. Raises UnknownId."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
        with elevated(reading.connection):
            found = trace(reading.connection, which)
    return show(request, viewer, "story.html", {"trace": found}, standing=standing)


def _id(text: str | None, name: str) -> UUID | None:
    """Raises InvalidQuestion."""
    if not text or not text.strip():
        return None
    try:
        return UUID(text.strip())
    except ValueError:
        raise InvalidQuestion(f"{name} {text[:60]!r} is no id: give all 36 characters") from None


def _time(text: str | None) -> datetime | None:
    """Raises InvalidQuestion."""
    if not text or not text.strip():
        return None
    try:
        return read_time(text.strip())
    except ValueError:
        raise InvalidQuestion(
            f"{text[:60]!r} is no time: write it like 2026-08-01T12:00:00Z"
        ) from None

"""The log, by what an auditor can ask of it: events, traces, explanations, statements, proofs.

Whoever sees all rows asks about everything; a user about what row-level security shows to be theirs
(`Reading` in answers.py).
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import Response

from ledger.audit.ask import documents, payload
from ledger.audit.ask import statement as statements
from ledger.audit.ask.commands import CommandFilter
from ledger.audit.ask.commands import find as find_commands
from ledger.audit.ask.events import EventCriteria
from ledger.kernel import strict_json
from ledger.nouns import EVENTS
from ledger.web import json_body
from ledger.web.answers import USUAL_ROWS, PageCursor, Reading
from ledger.web.api.parameters import LARGEST_POSITION, After, KnownAt, OnlyKnown, refusals
from ledger.web.problems import Problem
from ledger.web.viewer import Viewer

MOST_ENTRIES = 10_000
"""Entries of a statement, or postings of an explanation, in one answer: what a person may scroll
through. The whole is written by `ledgerctl audit`."""
LONGEST_CONDITION = 1_000
"""Characters of what is asked of payloads."""

router = APIRouter(tags=["audit"], dependencies=[OnlyKnown])
_FOUND: dict[str, Any] = {"response_class": Response, "responses": refusals("NOT_FOUND")}

Time = Annotated[datetime | None, Query()]
Limit = Annotated[int, Query(ge=1, le=1_000)]
PostingsLimit = Annotated[
    int,
    Query(ge=1, le=MOST_ENTRIES, description="So many of the newest; the sums are of all."),
]


@router.get("/standing", **_FOUND)
def standing(viewer: Viewer, known_at: KnownAt = None) -> Response:
    """How far the log, its seals and the read models are."""
    viewer.require("read")
    with viewer.reading() as reading:
        position = None if known_at is None else reading.position_of(known_at)
        found = reading.standing(position)
    return json_body.response(
        {
            "position": found.position,
            "recorded_at": found.recorded_at,
            "sealed_to": found.sealed_to,
            "sealed_at": found.sealed_at,
            "known_at": found.known_at_time,
            "slowest_read_model": found.slowest,
            "lag_events": found.lag_events,
            "lag_seconds": found.lag_seconds,
        },
        found,
    )


# --- events -----------------------------------------------------------------------------


@router.get("/events", **_FOUND)
def events(
    viewer: Viewer,
    stream_id: UUID | None = None,
    stream_type: Annotated[str | None, Query(max_length=100)] = None,
    type: Annotated[list[str] | None, Query(max_length=50)] = None,  # noqa: A002
    account_id: UUID | None = None,
    user_id: UUID | None = None,
    correlation_id: UUID | None = None,
    causation_id: UUID | None = None,
    occurred_from: Time = None,
    occurred_to: Time = None,
    recorded_from: Time = None,
    recorded_to: Time = None,
    where: Annotated[str | None, Query(max_length=LONGEST_CONDITION)] = None,
    contains: Annotated[str | None, Query(max_length=LONGEST_CONDITION)] = None,
    order: Literal["newest", "oldest"] = "newest",
    known_at: KnownAt = None,
    limit: Limit = USUAL_ROWS,
    after: After = None,
) -> Response:
    """Events that fit all that is given. `where` is like `data.last_qty > 0.5`, `contains` a JSON
    object that the payload contains."""
    viewer.require("read")
    given = {name: value for name, value in locals().items() if name not in ("viewer", "after")}
    cursor = PageCursor("events", {**given, "type": sorted(type or ())}, known_at, None)
    place, position = cursor.read(after)
    criteria = EventCriteria(
        stream_id=stream_id,
        stream_type=_text(stream_type),
        event_types=_types(type or ()),
        account_id=account_id,
        user_id=user_id,
        correlation_id=correlation_id,
        causation_id=causation_id,
        occurred_from=_zoned(occurred_from),
        occurred_to=_zoned(occurred_to),
        recorded_from=_zoned(recorded_from),
        recorded_to=_zoned(recorded_to),
        where=_condition(where),
        contains=_object(contains),
    )
    with viewer.reading() as reading:
        if position is None:
            position = None if known_at is None else reading.position_of(known_at)
        found = reading.events(
            criteria,
            newest_first=order == "newest",
            limit=limit + 1,
            known_at=position,
            behind=None if place is None else int(place),
        )
        at = reading.standing(position)
    more = len(found) > limit
    rows = [documents.event(one) for one in found[:limit]]
    following = cursor.written(str(found[limit - 1].position), position) if more else None
    answer = {"position": at.position, "rows": rows, "more": more, "next": following}
    return json_body.response(answer, at)


@router.get("/events/{event_id}", **_FOUND)
def event(viewer: Viewer, event_id: UUID) -> Response:
    """One event."""
    viewer.require("read")
    with viewer.reading() as reading:
        found = reading.event(event_id)
        at = reading.standing()
    sealed = found.position <= at.sealed_to
    return json_body.response(documents.event(found) | {"sealed": sealed}, at)


@router.get(
    "/events/{event_id}/proof",
    response_class=Response,
    responses=refusals("NOT_FOUND", "NOT_PROVABLE"),
)
def proof(viewer: Viewer, event_id: UUID) -> Response:
    """Proof that the event is in the sealed log, to be checked without this ledger (`ledgerctl
    audit check-proof`, or the proof page). Of other events it has hashes only."""
    viewer.require("read")
    with viewer.reading() as reading:
        found = reading.proof(event_id)
        at = reading.standing()
    as_file = {"Content-Disposition": f'attachment; filename="{event_id}.proof.json"'}
    return json_body.response(found, at, headers=as_file)


@router.get("/trace/{id}", **_FOUND)
def trace(viewer: Viewer, id: UUID) -> Response:  # noqa: A002
    """What caused what: of a command, an event, an order or a correlation."""
    viewer.require("read")
    with viewer.reading() as reading:
        found = reading.trace(id)
        at = reading.standing()
    answer = {"id": found.id, "asked": found.asked, "complete": found.complete}
    return json_body.response(answer | {"roots": list(map(documents.node, found.roots))}, at)


@router.get("/decisions", response_class=Response, responses=refusals("TOO_SLOW"))
def decisions(
    viewer: Viewer,
    status: Literal["ACCEPTED", "REJECTED", "FAILED"] | None = None,
    code: Annotated[str | None, Query(max_length=100)] = None,
    command_type: Annotated[str | None, Query(max_length=100)] = None,
    source: Annotated[str | None, Query(max_length=200)] = None,
    sender: Annotated[str | None, Query(max_length=200)] = None,
    subject: Annotated[str | None, Query(max_length=100)] = None,
    decided_from: Time = None,
    decided_to: Time = None,
    limit: Limit = USUAL_ROWS,
) -> Response:
    """Commands as they were decided, the newest first."""
    viewer.require("read_log")
    wanted = CommandFilter(
        status=status,
        code=_text(code),
        command_type=_text(command_type),
        source=_text(source),
        sender=_text(sender),
        subject=_text(subject),
        decided_from=_zoned(decided_from),
        decided_to=_zoned(decided_to),
    )
    with viewer.reading() as reading:
        rows = list(find_commands(reading.connection, wanted, limit=limit))
        at = reading.standing()
    return json_body.response({"position": at.position, "rows": rows}, at)


# --- why --------------------------------------------------------------------------------


@router.get("/explain/balance", **_FOUND)
def explain_balance(
    viewer: Viewer,
    account_id: UUID,
    asset: Annotated[str, Query(max_length=64)],
    sub_account: Annotated[str | None, Query(max_length=64)] = None,
    known_at: KnownAt = None,
    limit: PostingsLimit = 1_000,
) -> Response:
    """Every posting behind a balance, and whether their sum is the balance to the last unit."""
    viewer.require("read")
    with viewer.reading() as reading:
        document, position = reading.balance(
            account_id, asset, sub_account=sub_account, known_at=known_at, most=limit
        )
        at = reading.standing(position)
    return json_body.response(document, at)


@router.get("/explain/order/{order_id}", **_FOUND)
def explain_order(viewer: Viewer, order_id: UUID) -> Response:
    """Every event of an order with what it changed, and whether its row says the same."""
    viewer.require("read")
    with viewer.reading() as reading:
        document, position = reading.order(order_id)
        at = reading.standing(position)
    return json_body.response(document, at)


@router.get("/explain/positions", **_FOUND)
def explain_positions(
    viewer: Viewer,
    account_id: UUID,
    instrument: Annotated[str | None, Query(max_length=130)] = None,
    sub_account: Annotated[str | None, Query(max_length=64)] = None,
    number: Annotated[int | None, Query(ge=1, le=LARGEST_POSITION)] = None,
    known_at: KnownAt = None,
) -> Response:
    """Every trade, fee and flow behind positions, with the arithmetic."""
    viewer.require("read")
    with viewer.reading() as reading:
        document, position = reading.positions(
            account_id,
            instrument=instrument,
            sub_account=sub_account,
            number=number,
            known_at=known_at,
        )
        at = reading.standing(position)
    return json_body.response(document, at)


@router.get("/statement", response_class=Response, responses=refusals("NOT_FOUND", "TOO_LARGE"))
def statement(
    viewer: Viewer,
    account_id: UUID,
    begin: Annotated[datetime, Query(alias="from", description="Included.")],
    end: Annotated[datetime, Query(alias="to", description="Not included.")],
) -> Response:
    """What an account had, what moved, and what it had then: opening + movements = closing."""
    viewer.require("read")
    first, last = _zoned(begin), _zoned(end)
    assert first is not None
    assert last is not None
    if first >= last:
        raise Problem("INVALID_REQUEST", f"from {first} is not before to {last}")
    with viewer.reading() as reading:
        document = _statement(reading, account_id, first, last)
        at = reading.standing()
    return json_body.response(document, at)


def _statement(
    reading: Reading, account_id: UUID, begin: datetime, end: datetime
) -> dict[str, Any]:
    with reading.of_account(account_id) as connection:
        found = statements.statement(connection, account_id, begin, end)
        entries = []
        for entry in found.entries(connection):
            entries.append(entry._asdict())
            if len(entries) > MOST_ENTRIES:
                raise Problem(
                    "TOO_LARGE",
                    f"the statement has more than {MOST_ENTRIES:,} entries: ask for a shorter "
                    "time, or write it with ledgerctl audit statement",
                )
    return {"account_id": account_id, "from": begin, "to": end, "entries": entries,
            "equal": found.equal}  # fmt: skip


# --- what is given ----------------------------------------------------------------------


def _zoned(time: datetime | None) -> datetime | None:
    """Without a zone it is UTC."""

    return time.replace(tzinfo=UTC) if time is not None and time.tzinfo is None else time


def _text(text: str | None) -> str | None:
    """Raises Problem for what no text of the ledger has."""
    if text is not None and "\x00" in text:
        raise Problem("INVALID_REQUEST", "a text has no NUL character")
    return text


def _types(names: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in EVENTS:
            raise Problem(
                "INVALID_REQUEST",
                f"{name[:60]!r} is no event type; there are: {', '.join(sorted(EVENTS))}",
            )
    return tuple(names)


def _condition(text: str | None) -> Any:
    try:
        return () if text is None else payload.parse(text)
    except payload.InvalidCondition as error:
        raise Problem("INVALID_REQUEST", str(error)) from error


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = strict_json.loads(text)
    except strict_json.InvalidJson as error:
        raise Problem("INVALID_REQUEST", f"contains is not JSON: {error}") from error
    if not isinstance(found, dict) or "\\u0000" in text or "\x00" in text:
        raise Problem("INVALID_REQUEST", "contains must be a JSON object, without NUL characters")
    return found

"""Limits and halts, as the log tells them: what is in force, what waits for approval, who set it.

They are folded from the log here, by the rule that decisions use, so any past moment is told as
well. Who belongs to one user sees the limits that hold for everybody and those of own accounts.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from ledger.audit.ask.events import EventCriteria, find
from ledger.kernel import read_side
from ledger.nouns.limits.state import Limit, LimitBook, evolve
from ledger.nouns.limits.terms import LimitScope
from ledger.web.answers import Reading
from ledger.web.database import elevated
from ledger.web.pages import tables
from ledger.web.pages.accounts_of import MOST_OFFERED, choose
from ledger.web.pages.frame import look_of, show
from ledger.web.person import OF_ONE_USER
from ledger.web.viewer import PageViewer

STREAM_TYPE = "limits"
MOST_ORDERS = 500
SHOWN_ROWS = 20
TOLD = {
    "risk_events": ("Risk events", "No limit was breached."),
    "breaker_trips": ("Breakers that tripped", "No breaker has tripped."),
}
"""Questions whose newest rows stand below the limits, with what they are called."""
SHARED = (LimitScope.SYSTEM, LimitScope.STRATEGY, LimitScope.INSTRUMENT)

router = APIRouter()


class ShownLimit(NamedTuple):
    """A limit, with what is in force of it now."""

    scope: str
    reference: str | None
    limit: Limit
    version: Any


@router.get("/risk")
def risk(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
    known_at: str | None = None,
) -> HTMLResponse:
    """Raises InvalidMoment, NotVisible."""
    known_at = known_at or None
    with viewer.reading() as reading:
        standing = reading.standing(reading.position_of(known_at) if known_at else None)
        books = limit_books(reading, standing.position)
        accounts = choose(reading, account_id)
    used = None
    if accounts.account_id is not None and standing.known_at is None:
        used = viewer.web.limit_use.use(accounts.account_id)
    moment = standing.known_at_time or datetime.now(UTC)
    limits = [
        ShownLimit(book.scope.value, book.reference, limit, limit.at(moment))
        for book in books
        for limit in book.limits.values()
    ]
    with viewer.reading() as reading:
        tables_of = {name: _newest(reading, name, look_of(request).zone) for name in TOLD}
    values = {
        "told": tables_of,
        "accounts": accounts,
        "used": used,
        "names": TOLD,
        "limits": sorted(limits, key=lambda one: (one.scope, one.reference or "")),
        "halted": [book for book in books if book.halt is not None],
    }
    return show(request, viewer, "risk.html", values, standing=standing)


@router.get("/kill")
def kill(
    request: Request,
    viewer: PageViewer,
    account_id: UUID | None = None,
) -> HTMLResponse:
    """What a halt would do, and the way to it: big, apart, in two steps."""
    with viewer.reading() as reading:
        standing = reading.standing()
        accounts = choose(reading, account_id)
        books = limit_books(reading, standing.position)
        working = positions = None
        if accounts.account_id is not None:
            asked = {"account_id": accounts.account_id, "status": "OPEN"}
            working = len(reading.ask("orders", asked, limit=MOST_ORDERS).rows)
            positions = len(reading.ask("positions", asked, limit=MOST_ORDERS).rows)
    values = {
        "accounts": accounts,
        "working": working,
        "open_positions": positions,
        "halted": [book for book in books if book.halt is not None],
        "of_one_user": viewer.role in OF_ONE_USER,
    }
    return show(request, viewer, "kill.html", values, standing=standing)


def _newest(reading: Reading, name: str, zone: Any) -> tables.TableView:
    """The newest rows of a question, as it shows them."""
    answer = reading.ask(name, {}, limit=SHOWN_ROWS)
    return replace(tables.table(read_side.question(name), answer, zone=zone), next=None)


def limit_books(reading: Reading, position: int) -> Sequence[LimitBook]:
    """What is said of each scope up to a position, of what is visible."""
    found: dict[UUID, LimitBook] = {}
    own = None
    if reading.person.role in OF_ONE_USER:
        rows = reading.ask("accounts", {}, limit=MOST_OFFERED).rows
        own = {str(row["account_id"]) for row in rows} | {str(reading.person.user_id)}
    criteria = EventCriteria(stream_type=STREAM_TYPE, before=position + 1)
    with elevated(reading.connection):
        for recorded in find(reading.connection, criteria):
            event = recorded.decoded()
            if getattr(event, "scope", None) is None or recorded.event_type == "limits.registered":
                continue
            state = evolve(found.get(recorded.stream_id), event, recorded.stream_id)
            found[recorded.stream_id] = state
    return [
        book
        for book in found.values()
        if own is None or book.scope in SHARED or book.reference in own
    ]

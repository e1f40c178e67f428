"""Who could, and who did: rights at one moment and at another, and what people did between.

    could   users of the console with their roles, tokens with their scopes, who was signed in,
            users of the bus with what they may send, logins of the database with their roles; the
            limits and halts that bounded them
    did     limits, halts, approvals, overrides, adjustments, deeds on read models and streams, with
            who, when and why, each an event of the log

Rights that are kept with their time (users, tokens, sessions, limits) are told as of the moment.
Those of the bus and of the database are told as they are now: nobody keeps what they were.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
import psycopg
from fastapi import APIRouter, Request
from fastapi.responses import Response

from ledger.audit.ask.events import EventCriteria, find
from ledger.bus.users import UnusableUser, read_users
from ledger.eventstore.reader import RecordedEvent
from ledger.nouns.limits.state import LimitBook
from ledger.web.answers import LogStanding, Reading
from ledger.web.database import elevated
from ledger.web.pages.files import csv_file
from ledger.web.pages.frame import show
from ledger.web.pages.log import who_did
from ledger.web.pages.risk import limit_books
from ledger.web.viewer import PageViewer, SignedIn

SHOWN_DEEDS = 200
MOST_DEEDS = 2_000
"""Looked through between two moments, the newest first; beyond them the page says so."""
COLUMNS = ("position", "recorded", "person", "kind", "event", "about", "reason", "event id")
_SESSIONS = """
    SELECT name, method, address, created_at,
        least(expires_at, coalesce(ended_at, expires_at)) AS until, ended_by
    FROM public.web_sessions WHERE created_at <= %(last)s
        AND least(expires_at, coalesce(ended_at, expires_at)) > %(first)s
    ORDER BY created_at DESC LIMIT 500"""
_LOGINS = """
    SELECT login.rolname, array_agg(role.rolname::text ORDER BY role.rolname), login.rolsuper
    FROM pg_catalog.pg_auth_members AS member
    JOIN pg_catalog.pg_roles AS login ON login.oid = member.member
    JOIN pg_catalog.pg_roles AS role ON role.oid = member.roleid
    WHERE role.rolname LIKE 'ledger\\_%%' AND login.rolcanlogin
    GROUP BY login.rolname, login.rolsuper ORDER BY login.rolname"""

router = APIRouter()


class DeedKind(StrEnum):
    """What people did, by what it is about."""

    LIMITS = "limits"
    OVERRIDES = "overrides"
    HALTS = "halts"
    APPROVALS = "approvals"
    ADJUSTMENTS = "adjustments"
    ALERTS = "alerts"
    READ_MODELS = "read models"
    LOG = "log and streams"


TYPES: dict[str, DeedKind] = {
    "limits.set": DeedKind.LIMITS,
    "limits.proposed": DeedKind.LIMITS,
    "limits.removal_proposed": DeedKind.LIMITS,
    "limits.removed": DeedKind.APPROVALS,
    "limits.halted": DeedKind.HALTS,
    "limits.resumed": DeedKind.HALTS,
    "account.halted": DeedKind.HALTS,
    "account.suspended": DeedKind.HALTS,
    "account.reactivated": DeedKind.HALTS,
    "account.closed": DeedKind.HALTS,
    "account.adjusted": DeedKind.ADJUSTMENTS,
    "account.borrowing_limit_set": DeedKind.LIMITS,
    "breaker.set": DeedKind.LIMITS,
    "breaker.removed": DeedKind.LIMITS,
    "breaker.resumed": DeedKind.HALTS,
    "alert.acknowledged": DeedKind.ALERTS,
    "alert.suppressed": DeedKind.ALERTS,
    "alert.unsuppressed": DeedKind.ALERTS,
    "projection.paused": DeedKind.READ_MODELS,
    "projection.resumed": DeedKind.READ_MODELS,
    "projection.event_skipped": DeedKind.READ_MODELS,
    "projection.events_retried": DeedKind.READ_MODELS,
    "projection.rebuilt": DeedKind.READ_MODELS,
    "projection.rolled_back": DeedKind.READ_MODELS,
    "projection.generation_dropped": DeedKind.READ_MODELS,
    "log.recovered": DeedKind.LOG,
    "stream.event_passed_over": DeedKind.LOG,
    "stream.gap_accepted": DeedKind.LOG,
}
"""The events of what people do, with what they are about. A test asks that each is there."""
ABOUT = ("scope", "reference", "projection_name", "rule", "asset", "amount", "repaired_stream_id")


@dataclass(frozen=True)
class Entitlement:
    """Somebody's right to something. `first` and `second` say whether it held at either moment;
    None is not known."""

    of: str
    who: str
    what: str
    since: datetime | None
    until: datetime | None
    first: bool | None
    second: bool | None
    note: str = ""

    @property
    def differs(self) -> bool:
        return self.first is not None and self.first != self.second


class PersonDeed(NamedTuple):
    """What somebody did."""

    event: RecordedEvent
    kind: DeedKind
    person: str
    about: str
    reason: str


class Bound(NamedTuple):
    """A limit or a halt, as it was at both moments."""

    name: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        return self.first != self.second


class MomentPair(NamedTuple):
    """The two moments, the first before the second."""

    first: LogStanding
    second: LogStanding
    first_time: datetime
    second_time: datetime


@router.get("/who")
def who(
    request: Request,
    viewer: PageViewer,
    first: str | None = None,
    second: str | None = None,
    person: str | None = None,
    kind: str | None = None,
    known_at: str | None = None,
    format: str = "page",  # noqa: A002
) -> Response:
    """Raises Problem, InvalidMoment."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        span = _span(reading, first, second or known_at)
        deeds, more = _deeds(reading, span, person, kind)
        if format == "csv":
            return csv_file("who-did", COLUMNS, _as_rows(deeds), span.second)
        bounds = _bounds(reading, span)
        standing = span.second if known_at else reading.standing()
        rights = [*_users(viewer, span), *_tokens(viewer, span), *_sessions(reading, span)]
        rights += [*_bus(viewer), *_logins(reading)]
    values = {
        "span": span,
        "rights": rights,
        "bounds": bounds,
        "deeds": deeds[:SHOWN_DEEDS],
        "count": len(deeds),
        "more": more,
        "most": MOST_DEEDS,
        "kinds": [one.value for one in DeedKind],
        "kind": kind or "",
        "person": person or "",
        "bus_file": viewer.web.settings.web_bus_users_file,
    }
    return show(request, viewer, "who.html", values, standing=standing)


def _span(reading: Reading, first: str | None, second: str | None) -> MomentPair:
    """Without a first moment, the day before the second. Raises InvalidMoment."""
    now = datetime.now(UTC)
    head = reading.standing().head
    later = reading.standing(reading.position_of(second) if second else head)
    later_time = (later.known_at_time or now) if second else now
    text = first or (later_time - timedelta(days=1)).isoformat()
    earlier = reading.standing(reading.position_of(text))
    earlier_time = earlier.known_at_time or later_time - timedelta(days=1)
    return MomentPair(earlier, later, earlier_time, later_time)


# --- who could --------------------------------------------------------------------------------


def _users(viewer: SignedIn, span: MomentPair) -> Iterator[Entitlement]:
    file = viewer.web.users
    moments = [file.at(span.first_time), file.at(span.second_time)]
    for name in sorted({*moments[0], *moments[1]}):
        then = [one.get(name) for one in moments]
        roles = [None if one is None else one.role for one in then]
        last = then[1] or then[0]
        assert last is not None
        what = str(last.role).lower()
        if None not in roles and roles[0] != roles[1]:
            what = f"{str(roles[0]).lower()}, then {what}"
        note = "" if last.user_id is None else f"sees accounts of {last.user_id}"
        held = [role == last.role for role in roles]
        yield Entitlement("console", name, what, last.at, None, held[0], held[1], note)


def _tokens(viewer: SignedIn, span: MomentPair) -> Iterator[Entitlement]:
    for one in viewer.web.tokens.ever():
        held = one.holds(span.first_time), one.holds(span.second_time)
        if any(held):
            until = one.revoked_at or one.expires_at
            note = f"revoked by {one.revoked_by}" if one.revoked_by else one.note
            what = f"token {one.id}: {', '.join(one.scopes)}"
            yield Entitlement("token", one.name, what, one.created_at, until, *held, note)


def _sessions(reading: Reading, span: MomentPair) -> Iterator[Entitlement]:
    given = {"first": span.first_time, "last": span.second_time}
    for name, method, address, since, until, ended_by in reading.connection.execute(
        _SESSIONS, given
    ):
        held = since <= span.first_time < until, since <= span.second_time < until
        what = f"signed in by {method.lower().replace('_', ' ')}"
        note = f"from {address}" + (f", ended by {ended_by}" if ended_by else "")
        yield Entitlement("session", name, what, since, until, *held, note)


def _bus(viewer: SignedIn) -> Iterator[Entitlement]:
    """Of now: the file has no past."""
    path = viewer.web.settings.web_bus_users_file
    if path is None:
        return
    try:
        users = read_users(path)
    except (UnusableUser, OSError) as error:
        yield Entitlement("bus", "", "cannot be read", None, None, None, None, str(error))
        return
    for one in users.values():
        what = one.role + (f": sends {', '.join(one.may)}" if one.may else "")
        about = ", ".join([*map(str, one.accounts), *one.families])
        yield Entitlement("bus", one.name, what, None, None, None, True, about)


def _logins(reading: Reading) -> Iterator[Entitlement]:
    """Of now: the catalogue has no past."""
    for name, roles, is_superuser in reading.connection.execute(_LOGINS):
        note = "superuser" if is_superuser else ""
        yield Entitlement("database", name, ", ".join(roles), None, None, None, True, note)


def _bounds(reading: Reading, span: MomentPair) -> list[Bound]:
    """Limits and halts at both moments, those that differ first."""
    sides = [
        _said(limit_books(reading, standing.position), moment)
        for standing, moment in (
            (span.first, span.first_time),
            (span.second, span.second_time),
        )
    ]
    names = sorted({*sides[0], *sides[1]})
    found = [Bound(name, sides[0].get(name, ""), sides[1].get(name, "")) for name in names]
    return sorted(found, key=lambda one: not one.differs)


def _said(books: Sequence[LimitBook], moment: datetime) -> dict[str, str]:
    found = {}
    for book in books:
        of = " ".join(filter(None, (book.scope.value.lower(), book.reference)))
        if book.halt is not None:
            found[f"halt of {of}"] = f"by {book.halt.by}: {book.halt.reason}"
        for limit in book.limits.values():
            version = limit.at(moment)
            if version is None:
                continue
            terms = version.terms
            by = version.by + (
                f", approved by {version.approved_by}" if version.approved_by else ""
            )
            name = f"{limit.measure.value.lower().replace('_', ' ')} of {of}"
            until = terms.effective_until
            ends = f" until {until:%Y-%m-%d %H:%M} UTC" if until else ""
            told = f"{terms.value:f} {terms.unit or ''}{ends}, set by {by}"
            key = name if name not in found else f"{name} ({str(limit.limit_id)[:8]})"
            found[key] = told
    return found


# --- who did ----------------------------------------------------------------------------------


def _deeds(
    reading: Reading, span: MomentPair, person: str | None, kind: str | None
) -> tuple[list[PersonDeed], bool]:
    """What people did between, the newest first, and whether there is more of it."""
    criteria = EventCriteria(
        person=person or None, after=span.first.position, before=span.second.position + 1
    )
    with elevated(reading.connection):
        events = _found(reading.connection, criteria)
    deeds = [_deed(one) for one in events[:MOST_DEEDS]]
    chosen = [one for one in deeds if not kind or one.kind.value == kind]
    return chosen, len(events) > MOST_DEEDS


def _found(connection: psycopg.Connection[Any], criteria: EventCriteria) -> list[RecordedEvent]:
    """Of one person those of the index of people; of all type by type, each by the index of types:
    of several at once the log would be read back."""
    if criteria.person is not None:
        parts = [replace(criteria, event_types=tuple(TYPES))]
    else:
        parts = [replace(criteria, event_types=(name,)) for name in TYPES]
    found = [
        event
        for part in parts
        for event in find(connection, part, newest_first=True, limit=MOST_DEEDS + 1)
    ]
    return sorted(found, key=lambda event: event.position, reverse=True)[: MOST_DEEDS + 1]


def _deed(event: RecordedEvent) -> PersonDeed:
    data: Mapping[str, Any] = orjson.loads(event.data)
    reason = data.get("reason") or data.get("note") or data.get("terms", {}).get("description")
    about = " ".join(str(data[name]) for name in ABOUT if data.get(name))
    return PersonDeed(
        event, _kind(event.event_type, data), who_did(event), about, str(reason or "")
    )


def _kind(event_type: str, data: Mapping[str, Any]) -> DeedKind:
    if event_type == "limits.set" and data.get("approved_by"):
        return DeedKind.APPROVALS
    if event_type == "limits.set" and data.get("terms", {}).get("effective_until"):
        return DeedKind.OVERRIDES
    return TYPES[event_type]


def _as_rows(deeds: Sequence[PersonDeed]) -> Iterator[Sequence[Any]]:
    for one in deeds:
        event = one.event
        yield (event.position, event.recorded_at, one.person, one.kind.value, event.event_type,
               one.about, one.reason, event.id)  # fmt: skip

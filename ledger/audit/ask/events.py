"""Events of the log, by whatever an auditor can say of them.

    with reading(url) as connection:
        for event in find(connection, EventCriteria(account_id=A, event_types=("order.filled",))):
            ...

Answers come in position order, oldest or newest first, and are streamed: memory holds a few
thousand rows, however many there are. The next page begins after the last position of this one.

What the planner cannot know is told here: versions of a stream and times of recording rise with
position, so a position or time is turned into a bound by halving (sql/functions). The venue's
time rises with position too, nearly. A range of it is therefore read in three parts:

    before the place where it should begin    the few that were ahead of their time
    between that and where it should end      nearly all
    after that                                the few that came late

the first and the last by an index that excludes whole stretches of the log.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg
from psycopg import sql

from ledger.audit.ask import payload
from ledger.audit.ask.payload import Condition
from ledger.eventstore.reader import (
    ACCOUNT,
    COLUMNS,
    OF_PEOPLE,
    PERSON,
    RecordedEvent,
    where_kept,
    where_streams_are,
)
from ledger.eventstore.session import FETCH_ROWS
from ledger.nouns import EVENTS

COMMON_TYPES = (
    "order.submitted",
    "order.accepted",
    "order.filled",
    "order.cancelled",
    "account.funds_held",
    "account.funds_released",
    "account.trade_settled",
)
"""The types that index event_store_uncommon_type leaves out."""

_UNCOMMON_STREAMS = {name.partition(".")[0] for name in EVENTS} - {
    name.partition(".")[0] for name in COMMON_TYPES
}

_ACCOUNTS_OF_USER = """
    SELECT stream_id::text FROM event_store WHERE event_type = 'account.opened' AND user_id = %s"""


_cursor_numbers = count(1)
"""Of cursors, so that several answers can be read at once."""


@dataclass(frozen=True, kw_only=True)
class EventCriteria:
    """Which events; all that is given must hold. Ranges include their beginning and exclude
    their end; positions are those of the caller's last page and excluded. `person` is who did it,
    at the console or as the event names them."""

    stream_id: UUID | None = None
    stream_type: str | None = None
    event_types: tuple[str, ...] = ()
    account_id: UUID | None = None
    user_id: UUID | None = None
    person: str | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    event_id: UUID | None = None
    after: int | None = None
    before: int | None = None
    occurred_from: datetime | None = None
    occurred_to: datetime | None = None
    recorded_from: datetime | None = None
    recorded_to: datetime | None = None
    where: tuple[Condition, ...] = ()
    contains: dict[str, Any] | None = None

    @property
    def in_time(self) -> bool:
        """Whether the events are to be found by the venue's time, as those of one id are not."""
        ids = (self.correlation_id, self.causation_id, self.event_id)
        timed = self.occurred_from is not None or self.occurred_to is not None
        return timed and ids == (None, None, None)


@dataclass
class _Query:
    """A statement in the making."""

    conditions: list[sql.Composable] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    order: str = "position"

    def add(self, condition: str, **parameters: Any) -> None:
        self.conditions.append(sql.SQL(condition))
        self.parameters |= parameters


def find(
    connection: psycopg.Connection[Any],
    events: EventCriteria,
    *,
    newest_first: bool = False,
    limit: int | None = None,
) -> Iterator[RecordedEvent]:
    """The events, streamed. The connection must be in a transaction (`session.reading`)."""
    for part in _parts(connection, events, newest_first):
        statement, parameters = _statement(connection, part, newest_first, limit)
        with connection.cursor(name=f"audit_events_{next(_cursor_numbers)}", binary=True) as cursor:
            cursor.itersize = FETCH_ROWS
            with _planning(connection, part):
                cursor.execute(statement, parameters)
            for row in cursor:
                yield RecordedEvent(*row)
                if limit is not None:
                    limit -= 1
        if limit == 0:
            return


def plan(
    connection: psycopg.Connection[Any],
    events: EventCriteria,
    *,
    newest_first: bool = False,
    limit: int | None = None,
) -> str:
    """How PostgreSQL would answer, as EXPLAIN tells it, part by part."""
    lines: list[str] = []
    for part in _parts(connection, events, newest_first):
        statement, parameters = _statement(connection, part, newest_first, limit)
        with _planning(connection, part):
            rows = connection.execute(sql.SQL("EXPLAIN ") + statement, parameters).fetchall()
        lines += [row[0] for row in rows]
    return "\n".join(lines)


class _Part(NamedTuple):
    """The positions `after` < position < `before`. `astray`: what happened at another time than
    its place says."""

    events: EventCriteria
    after: int | None
    before: int | None
    astray: bool


def _parts(
    connection: psycopg.Connection[Any], events: EventCriteria, newest_first: bool
) -> list[_Part]:
    after, before = _positions(connection, events)
    if not events.in_time:
        return [_Part(events, after, before, astray=False)]
    begin = _near(connection, events.occurred_from)
    end = _near(connection, events.occurred_to)
    parts = [
        _Part(events, _latest(after, begin), _earliest(before, _next(end)), astray=False),
    ]
    if begin is not None:
        parts.insert(0, _Part(events, after, _earliest(before, begin + 1), astray=True))
    if end is not None:
        parts.append(_Part(events, _latest(after, max(end, begin or 0)), before, astray=True))
    return parts[::-1] if newest_first else parts


def _statement(
    connection: psycopg.Connection[Any], part: _Part, newest_first: bool, limit: int | None
) -> tuple[sql.Composed, dict[str, Any]]:
    query = _query(connection, part)
    query.parameters["limit"] = limit
    statement = sql.SQL(
        "SELECT {columns} FROM event_store WHERE {where} "
        "ORDER BY {order} {direction} LIMIT %(limit)s"
    ).format(
        columns=sql.SQL(COLUMNS),
        where=sql.SQL(" AND ").join(query.conditions) if query.conditions else sql.SQL("true"),
        order=sql.SQL(f"{query.order} + 0" if part.astray else query.order),
        direction=sql.SQL("DESC" if newest_first else "ASC"),
    )
    return statement, query.parameters


_WHOLE = ("enable_seqscan",)
_ROW_BY_ROW = ("enable_seqscan", "enable_indexscan", "enable_indexonlyscan")


@contextmanager
def _planning(connection: psycopg.Connection[Any], part: _Part) -> Iterator[None]:
    """Nothing is found by reading the whole log and sorting what fits. How many payloads fit the
    planner cannot know: its statistics leave long ones out. It takes them for so few that an order
    is cheap to make, and would read to the end what can be read in order, up to the limit.

    What is astray is little, but the planner takes it for much and would read everything. (Nor
    may it find the answer's order in an index, which it would read whatever is off: `position + 0`
    has none.)"""
    before = {}
    for name in _ROW_BY_ROW if part.astray else _WHOLE:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
        before[name] = row[0] if row else "on"
        connection.execute("SELECT set_config(%s, 'off', true)", (name,))
    yield
    for name, value in before.items():
        connection.execute("SELECT set_config(%s, %s, true)", (name, value))


def _query(connection: psycopg.Connection[Any], part: _Part) -> _Query:
    query, events = _Query(), part.events
    _of_whom(connection, events, query)
    _of_what(events, query)
    _where(part, query)
    if events.occurred_from is not None:
        query.add("occurred_at >= %(occurred_from)s", occurred_from=events.occurred_from)
    if events.occurred_to is not None:
        query.add("occurred_at < %(occurred_to)s", occurred_to=events.occurred_to)
    for number, condition in enumerate(events.where):
        query.conditions.append(payload.to_sql(condition, f"where_{number}", query.parameters))
    if events.contains is not None:
        query.add(
            "event_data @> %(contains)s::jsonb", contains=orjson.dumps(events.contains).decode()
        )
    return query


def _of_whom(connection: psycopg.Connection[Any], events: EventCriteria, query: _Query) -> None:
    if events.stream_id is not None:
        query.add("stream_id = %(stream_id)s", stream_id=events.stream_id)
        query.add(where_streams_are("ARRAY[%(stream_id)s::uuid]"))
        query.order = "event_version"
    if events.account_id is not None:
        query.add(f"{ACCOUNT} = %(account)s", account=str(events.account_id))
    if events.user_id is not None:
        # A user's events are those of the user's accounts.
        found = connection.execute(_ACCOUNTS_OF_USER, (events.user_id,)).fetchall()
        query.add("user_id = %(user_id)s", user_id=events.user_id)
        if len(found) == 1:
            query.add(f"{ACCOUNT} = %(of_user)s", of_user=found[0][0])
        else:
            query.add(f"{ACCOUNT} = ANY(%(of_user)s)", of_user=[row[0] for row in found])
    if events.person is not None:
        query.add(f"{PERSON} = %(person)s AND {OF_PEOPLE}", person=events.person)
    if events.correlation_id is not None:
        query.add("correlation_id = %(correlation)s", correlation=events.correlation_id)
    if events.causation_id is not None:
        query.add("causation_id = %(causation)s", causation=events.causation_id)
    if events.event_id is not None:
        query.add("id = %(id)s", id=events.event_id)
        query.add(where_kept("public.archived_events AS kept WHERE kept.id = %(id)s"))


def _of_what(events: EventCriteria, query: _Query) -> None:
    if events.stream_type is not None:
        query.add("stream_type = %(stream_type)s", stream_type=events.stream_type)
        if events.stream_type in _UNCOMMON_STREAMS:
            # Types begin with the kind of stream: said so that the index of types is of use.
            query.add(
                "event_type >= %(first_type)s AND event_type < %(end_of_types)s"
                " AND event_type <> ALL (%(common)s)",
                first_type=f"{events.stream_type}.",
                end_of_types=f"{events.stream_type}/",
                common=list(COMMON_TYPES),
            )
    if len(events.event_types) == 1:
        query.add("event_type = %(event_type)s", event_type=events.event_types[0])
    elif events.event_types:
        query.add("event_type = ANY(%(event_types)s)", event_types=list(events.event_types))


def _where(part: _Part, query: _Query) -> None:
    by_version = part.events.stream_id is not None
    if part.after is not None:
        query.add("position > %(after)s", after=part.after)
        if by_version:
            query.add("event_version > version_at(%(stream_id)s, %(after)s)")
    if part.before is not None:
        query.add("position < %(before)s", before=part.before)
        if by_version:
            query.add("event_version <= version_at(%(stream_id)s, %(before)s - 1)")


def _positions(
    connection: psycopg.Connection[Any], events: EventCriteria
) -> tuple[int | None, int | None]:
    """The positions that the range of positions and the times of recording leave between them."""
    after, before = events.after, events.before
    if events.recorded_from is not None:
        after = _latest(after, _recorded_before(connection, events.recorded_from))
    if events.recorded_to is not None:
        before = _earliest(before, _recorded_before(connection, events.recorded_to) + 1)
    return after, before


def _latest(one: int | None, other: int | None) -> int | None:
    return max((place for place in (one, other) if place is not None), default=None)


def _earliest(one: int | None, other: int | None) -> int | None:
    return min((place for place in (one, other) if place is not None), default=None)


def _next(position: int | None) -> int | None:
    return None if position is None else position + 1


def _near(connection: psycopg.Connection[Any], time: datetime | None) -> int | None:
    if time is None:
        return None
    row = connection.execute("SELECT position_near(%s)", (time,)).fetchone()
    assert row is not None
    return int(row[0])


def _recorded_before(connection: psycopg.Connection[Any], time: datetime) -> int:
    """The last position recorded before a time."""
    row = connection.execute(
        "SELECT position_at(%s::timestamptz - interval '1 microsecond')", (time,)
    ).fetchone()
    assert row is not None
    return int(row[0])

"""Orders as they were: the events that count, folded by the read model's own fold.

With a time of the venue's an order's events are first put into the order in which they happened
(venue_time.py).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import psycopg

from ledger.eventstore import repairs
from ledger.eventstore.moments import Moment
from ledger.eventstore.reader import ACCOUNT, COLUMNS, RecordedEvent, where_streams_are
from projections.past.fold import fold
from projections.past.venue_time import in_venue_time
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement
from projections.read_models.orders import ORDERS

ORDERS_AT_ONCE = 100
"""Orders whose events are read by one query: the first page of most questions."""

_BEGINNINGS = ["order.submitted", "order.denied", "order.reported"]
_RECORDED = f"""
    SELECT stream_id AS order_id FROM public.event_store
    WHERE {ACCOUNT} = %(account_id)s::text AND event_type = ANY(%(beginnings)s)
          AND position <= %(known_at)s
    ORDER BY occurred_at DESC, stream_id DESC"""
_PLACED = """
    SELECT order_id FROM public.orders WHERE account_id = %(account_id)s AND created_at <= %(until)s
    ORDER BY created_at DESC, order_id DESC"""
_EVENTS = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE stream_id = ANY(%(ids)s) AND position <= %(known_at)s
          AND {where_streams_are("%(ids)s")}
          AND (%(until)s::timestamptz IS NULL OR occurred_at <= %(until)s)
    ORDER BY stream_id, event_version""".encode()


def order_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """The row of an order; none if it was not there."""
    yield from _folded(connection, [asked["order_id"]], moment)


def orders_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of an account in the order of the question: by when they were placed, newest first. So
    a page begins behind the last row of the one before it, as it does now."""
    ids = _ids(connection, asked["account_id"], moment.known_at, moment.effective_at)
    while chunk := list(islice(ids, ORDERS_AT_ONCE)):
        yield from _folded(connection, chunk, moment)


def events_of(
    connection: psycopg.Connection[Any], ids: Sequence[UUID], moment: Moment
) -> dict[UUID, list[RecordedEvent]]:
    """The events of orders that count at the moment."""
    given = {"ids": list(ids), "known_at": moment.known_at, "until": moment.effective_at}
    events: dict[UUID, list[RecordedEvent]] = {}
    with connection.cursor(binary=True) as cursor:
        found = [RecordedEvent(*row) for row in cursor.execute(_EVENTS, given)]
    for event in repairs.counted(connection, ids, found):
        events.setdefault(event.stream_id, []).append(event)
    return events


def _ids(
    connection: psycopg.Connection[Any], account_id: UUID, known_at: int, until: datetime | None
) -> Iterator[UUID]:
    given = {
        "account_id": account_id,
        "known_at": known_at,
        "until": until,
        "beginnings": _BEGINNINGS,
    }
    found = stream(connection, SqlStatement(_RECORDED if until is None else _PLACED, given))
    return (row["order_id"] for row in found)


def _folded(
    connection: psycopg.Connection[Any], ids: Sequence[UUID], moment: Moment
) -> Iterator[Row]:
    """The rows of those of the orders that were there, in the order of the ids."""
    events = events_of(connection, ids, moment)
    for order_id in ids:
        of_order = events.get(order_id)
        if of_order and of_order[0].event_version == 1:
            if moment.effective_at is not None:
                of_order = in_venue_time(of_order)
            yield from fold(ORDERS, of_order)

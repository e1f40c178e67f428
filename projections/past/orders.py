"""Rows of the read models as they were at a past moment, with the read models' columns.

    balances       a checkpoint and a stretch of the log (audit/balances.py)
    orders         the events that count, folded by the read model's own fold
    order_fills    the rows there are, those that changed since folded again
    transactions   the rows there are, which never change

The folds belong to another package, which plugs them in by the entry point "ledger.folds":
callable(table name, events) -> rows.
"""

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count, islice
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from ledger.audit.ask.events import EventFilter, find
from ledger.eventstore import reader
from ledger.eventstore.moments import Moment, position_of, time_of
from ledger.eventstore.reader import COLUMNS, RecordedEvent
from ledger.eventstore.session import FETCH_ROWS
from ledger.kernel.money import exact
from projections.past import balances
from projections.past.venue_time import in_venue_time

ORDERS_AT_ONCE = 100
"""Orders whose events are read by one query: the first page of most questions."""
_BEGINNINGS = ("order.submitted", "order.denied", "order.reported")

Row = Mapping[str, Any]


class ReadModelBehind(Exception):
    """A read model has not come to the position that was asked about."""


class FoldsMissing(Exception):
    """Nothing is installed that folds events into rows."""


def moment_of(
    connection: psycopg.Connection[Any], view: str, known_at: str | None, effective_at: str | None
) -> Moment:
    """The moment that texts name, for a question about a read model. Raises InvalidMoment, and
    ReadModelBehind."""
    until = None if effective_at is None else time_of(effective_at)
    if view in ("balances", "orders") and (until is None or view == "balances"):
        reached = reader.head(connection)  # these are told by the log
    else:
        reached = _reached(connection, view)
    if known_at is None:
        return Moment(reached, until)
    position = min(position_of(connection, known_at), reader.head(connection))
    if position > reached:
        raise ReadModelBehind(
            f"{view} has come to position {reached} and not yet to {position}: ask again in a "
            "moment, or see `ledgerctl projections status`"
        )
    return Moment(position, until)


def _reached(connection: psycopg.Connection[Any], view: str) -> int:
    row = connection.execute(
        "SELECT last_processed_position FROM event_projections WHERE projection_name = %s", (view,)
    ).fetchone()
    return row[0] if row else 0


def balances_at(
    connection: psycopg.Connection[Any], account_id: UUID, moment: Moment, asset: str | None = None
) -> Iterator[Row]:
    """Rows of `balances`."""
    for row in balances.balances_at(connection, account_id, moment, asset):
        yield row._asdict()


def order_at(connection: psycopg.Connection[Any], order_id: UUID, moment: Moment) -> Iterator[Row]:
    """The row of an order; none if it was not there."""
    yield from _folded(connection, [order_id], moment)


def orders_at(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    moment: Moment,
    status: str | None = None,
) -> Iterator[Row]:
    """Rows of `orders`, newest first: by when they were recorded, or with a time of the venue's
    by when they were placed."""
    if moment.effective_at is None:
        ids = _recorded_orders(connection, account_id, moment)
    else:
        ids = _placed_orders(connection, account_id, moment.effective_at)
    while chunk := list(islice(ids, ORDERS_AT_ONCE)):
        for row in _folded(connection, chunk, moment):
            if status in (None, row["status"]):
                yield row


def fills_at(
    connection: psycopg.Connection[Any], account_id: UUID, moment: Moment
) -> Iterator[Row]:
    """Rows of `order_fills`, newest first. What was voided or contradicted after the moment was
    not yet."""
    statement = """
        SELECT * FROM order_fills
        WHERE account_id = %(account)s AND position <= %(known_at)s
              AND (%(until)s::timestamptz IS NULL OR fill_timestamp <= %(until)s)
        ORDER BY """
    order = "position DESC" if moment.effective_at is None else "fill_timestamp DESC, position DESC"
    for row in _stream(connection, statement + order, account_id, moment):
        timed = moment.effective_at is not None and (row["voided"] or row["conflicted"])
        yield (
            _fill_then(connection, row, moment)
            if (row["last_position"] > moment.known_at or timed)
            else row
        )


def transactions_at(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    moment: Moment,
    asset: str | None = None,
) -> Iterator[Row]:
    """Rows of `transactions`, newest first. With a time of the venue's they come by that time, and
    `closing_balance` is what the book held after the movement in that order."""
    statement = """
        SELECT * FROM transactions
        WHERE account_id = %(account)s AND position <= %(known_at)s
              AND (%(until)s::timestamptz IS NULL OR "timestamp" <= %(until)s)
              AND (%(asset)s::text IS NULL OR asset = %(asset)s)
        ORDER BY """
    if moment.effective_at is None:
        order = "position DESC, line DESC"
        yield from _stream(connection, statement + order, account_id, moment, asset)
        return
    order = '"timestamp" DESC, position DESC, line DESC'
    books = balances.books_at(connection, account_id, moment)
    left: dict[tuple[str, str], Decimal] = {}
    for row in _stream(connection, statement + order, account_id, moment, asset):
        book = (row["sub_account"], row["asset"])
        closing = left.get(book, books.total(*book))
        with exact():
            signed = row["amount"] if row["direction"] == "CREDIT" else -row["amount"]
            left[book] = closing - signed
        yield {**row, "closing_balance": closing}


# --- orders ---------------------------------------------------------------------------


def _recorded_orders(
    connection: psycopg.Connection[Any], account_id: UUID, moment: Moment
) -> Iterator[UUID]:
    events = EventFilter(account_id=account_id, event_types=_BEGINNINGS, before=moment.known_at + 1)
    return (event.stream_id for event in find(connection, events, newest_first=True))


def _placed_orders(
    connection: psycopg.Connection[Any], account_id: UUID, until: datetime
) -> Iterator[UUID]:
    with _cursor(connection) as cursor:
        cursor.execute(
            """SELECT order_id FROM orders WHERE account_id = %s AND created_at <= %s
               ORDER BY created_at DESC, order_id DESC""",
            (account_id, until),
        )
        for row in cursor:
            yield row["order_id"]


def _folded(
    connection: psycopg.Connection[Any], ids: Sequence[UUID], moment: Moment
) -> Iterator[Row]:
    """The rows of those of the orders that were there, in the order of the ids."""
    events = _events_of(connection, ids, moment)
    for order_id in ids:
        of_order = events.get(order_id)
        if of_order and of_order[0].event_version == 1:
            if moment.effective_at is not None:
                of_order = in_venue_time(of_order)
            yield from _fold()("orders", of_order)


def _events_of(
    connection: psycopg.Connection[Any], ids: Sequence[UUID], moment: Moment
) -> dict[UUID, list[RecordedEvent]]:
    events: dict[UUID, list[RecordedEvent]] = {}
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            f"""SELECT {COLUMNS} FROM event_store
                WHERE stream_id = ANY(%(ids)s) AND position <= %(known_at)s
                      AND (%(until)s::timestamptz IS NULL OR occurred_at <= %(until)s)
                ORDER BY stream_id, event_version""".encode(),
            {"ids": list(ids), "known_at": moment.known_at, "until": moment.effective_at},
        )
        for row in cursor:
            event = RecordedEvent(*row)
            events.setdefault(event.stream_id, []).append(event)
    return events


def _fill_then(connection: psycopg.Connection[Any], row: Row, moment: Moment) -> Row:
    """The row of a fill as it was, though it has changed since."""
    order_id = row["order_id"]
    of_trade = [
        event
        for event in _events_of(connection, [order_id], moment).get(order_id, ())
        if getattr(event.decoded(), "trade_id", None) == row["trade_id"]
    ]
    (then,) = _fold()("order_fills", of_trade)
    return then


def _fold() -> Callable[[str, Sequence[RecordedEvent]], Iterable[dict[str, Any]]]:
    for entry_point in importlib.metadata.entry_points(group="ledger.folds"):
        fold: Callable[[str, Sequence[RecordedEvent]], Iterable[dict[str, Any]]]
        fold = entry_point.load()
        return fold
    raise FoldsMissing("nothing folds events into rows here: install trading-ledger again")


# --- rows -----------------------------------------------------------------------------


_cursor_numbers = count(1)


def _cursor(connection: psycopg.Connection[Any]) -> psycopg.ServerCursor[dict[str, Any]]:
    name = f"audit_rows_{next(_cursor_numbers)}"
    cursor = connection.cursor(name=name, row_factory=dict_row, binary=True)
    cursor.itersize = FETCH_ROWS
    return cursor


def _stream(
    connection: psycopg.Connection[Any],
    statement: str,
    account_id: UUID,
    moment: Moment,
    asset: str | None = None,
) -> Iterator[dict[str, Any]]:
    given = {
        "account": account_id,
        "known_at": moment.known_at,
        "until": moment.effective_at,
        "asset": asset,
    }
    with _cursor(connection) as cursor:
        cursor.execute(sql.SQL(statement), given)
        yield from cursor

"""Fills as they were: the rows there are, and those that changed since folded again.

What was voided or contradicted after the moment was not yet.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from ledger.eventstore.moments import Moment
from ledger.kernel.event import Event
from ledger.nouns.orders.events import Execution
from projections.past.fold import fold
from projections.past.orders import events_of
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement
from projections.read_models.fills import FILLS

_ROWS = """
    SELECT * FROM public.order_fills
    WHERE account_id = %(account_id)s AND position <= %(known_at)s
          AND (%(until)s::timestamptz IS NULL OR fill_timestamp <= %(until)s)
    ORDER BY """


def fills_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of an account, newest first."""
    timed = moment.effective_at is not None
    given = {"known_at": moment.known_at, "until": moment.effective_at}
    order = "fill_timestamp DESC, position DESC" if timed else "position DESC"
    for row in stream(connection, SqlStatement(_ROWS + order, {**asked, **given})):
        changed_since = row["last_position"] > moment.known_at
        if changed_since or (timed and (row["voided"] or row["conflicted"])):
            yield _then(connection, row, moment)
        else:
            yield row


def _then(connection: psycopg.Connection[Any], row: Row, moment: Moment) -> Row:
    """The row of a fill as it was, though it has changed since."""
    order_id = row["order_id"]
    of_trade = [
        event
        for event in events_of(connection, [order_id], moment).get(order_id, ())
        if _is_about(event.decoded(), row)
    ]
    (then,) = fold(FILLS, of_trade)
    return then


def _is_about(event: Event, row: Row) -> bool:
    """Whether an event is one of a trade's row."""
    return isinstance(event, Execution) and (
        (event.trade_id, event.revision) == (row["trade_id"], row["revision"])
    )

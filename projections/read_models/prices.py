"""`prices`: the newest price of every instrument, kind and source.
`price_history`: every price that was told, which never changes: what is told again of the same time
is a row of its own.

What the price of an instrument at a moment is, of these and of one's own trades, says one rule:
`ledger/nouns/prices/price.py`.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from ledger.nouns.prices.events import PriceKind, PricesRecorded
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import (
    Past,
    Question,
    ascending,
    between,
    exactly,
    newest_first,
)


class NewestPrice(Row):
    instrument: str
    kind: PriceKind
    source: str
    price: Decimal
    time: datetime
    recorded_at: datetime
    last_position: int


class ToldPrice(Row):
    instrument: str
    time: datetime
    kind: PriceKind
    source: str
    position: int
    price: Decimal
    recorded_at: datetime


NEWEST = Table("prices", NewestPrice, key=("instrument", "kind", "source"), shared=True)
HISTORY = Table(
    "price_history",
    ToldPrice,
    key=("instrument", "time", "kind", "source", "position"),
    insert_only=True,
    shared=True,
)


def _recorded(recorded: Recorded, event: PricesRecorded, rows: RowSet) -> None:
    newest, history = rows[NEWEST], rows[HISTORY]
    kind, source, time = event.kind, event.source, event.time
    for instrument, price in event.prices.items():
        history.insert(
            ToldPrice(
                instrument, time, kind, source, recorded.position, price, recorded.recorded_at
            )
        )
        row = newest.change((instrument, kind, source))
        if row is None:
            newest.insert(
                NewestPrice(
                    instrument, kind, source, price, time, recorded.recorded_at, recorded.position
                )
            )
        elif time >= row.time:
            row.price, row.time = price, time
            row.recorded_at, row.last_position = recorded.recorded_at, recorded.position


def _keys(recorded: Recorded, event: PricesRecorded) -> Iterator[tuple[Table[Any], Key]]:  # noqa: ARG001
    for instrument in event.prices:
        yield NEWEST, (instrument, event.kind, event.source)


PROJECTION = Projection(
    name="prices",
    version=1,
    tables=(NEWEST, HISTORY),
    folds={PricesRecorded: _recorded},
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="prices",
        table=NEWEST,
        about="The newest price of an instrument, of each kind and source.",
        paths=(ascending(None, "instrument", "kind", "source"),),
        filters=(exactly("instrument"), exactly("kind"), exactly("source")),
        argument="instrument",
        shown=("instrument", "kind", "price", "time", "source"),
        past=Past("projections.past.prices:prices_at", begins_with="rows"),
    ),
    Question(
        name="price_history",
        table=HISTORY,
        read_model="prices",
        about="A price that was told of an instrument; the newest first.",
        paths=(newest_first("instrument", "time", "kind", "source", "position"),),
        filters=(exactly("kind"), exactly("source"), *between("time")),
        argument="instrument",
        shown=("time", "kind", "price", "source", "recorded_at"),
    ),
)

"""An account that trades by commands, and what the read models of its positions say then."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row
from uuid_utils.compat import uuid7

from ledger.eventstore import reader
from ledger.eventstore.moments import Moment
from ledger.write.ledger import Ledger
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.questions.answers import rows_at
from projections.questions.catalogue import questions
from projections.registry import find
from projections.settings import ProjectionSettings
from tests.commands import command, open_account, submit_order

DAY = datetime(2026, 3, 2, tzinfo=UTC)
READ_MODELS = ("positions", "position_lots")
QUESTIONS = {
    "positions": "positions",
    "round_trips": "round_trips",
    "lots": "position_lots",
    "gains": "realized_gains",
}
"""Name -> its table."""


class Desk:
    """A ledger and its read models of positions, which are folded when they are asked."""

    def __init__(self, database_url: str, ledger: Ledger) -> None:
        self.url = database_url
        self._ledger = ledger
        self._folded = 0
        self._accounts = 0

    def execute(self, *commands: Any) -> None:
        outcomes = self._ledger.execute(list(commands))
        assert all(one.status == "ACCEPTED" for one in outcomes), outcomes

    def fold(self) -> None:
        """Up to the head, by what a worker uses."""
        with connect(self.url, "test") as connection:
            head = reader.head(connection)
            for name in READ_MODELS:
                projection = find(name, ProjectionSettings())
                build = Build(projection, f"{name}_1", connection, rows_in_memory=100, empty=False)
                types = projection.event_types
                build.fold(
                    source.read(connection, after=self._folded, up_to=head, event_types=types)
                )
                with connection.transaction():
                    build.write()
                build.settle()
            self._folded = head

    def trader(self, **account: Any) -> "Trader":
        self._accounts += 1
        return Trader(self, **account)


class Trader:
    """One account. Times are hours and minutes of one day: "10:00"."""

    def __init__(self, desk: Desk, **account: Any) -> None:
        self.desk = desk
        self.account_id: UUID = uuid7()
        self._trades = 0
        self._orders: dict[str, UUID] = {}
        desk.execute(open_account(self.account_id, **{"account_type": "MARGIN"} | account))

    def tell(
        self, price: str, time: str, *, instrument: str = "BINANCE:BTCUSDT", kind: str
    ) -> None:
        told = {"source": "feed", "kind": kind, "prices": {instrument: price}, "time": _time(time)}
        self.desk.execute(command("RecordPrices", "prices", **told))

    def buy(self, quantity: str, price: str, at: str | None = None, **fill: Any) -> str:
        return self._fill("BUY", quantity, price, at, fill)

    def sell(self, quantity: str, price: str, at: str | None = None, **fill: Any) -> str:
        return self._fill("SELL", quantity, price, at, fill)

    def order_of(self, trade_id: str) -> UUID:
        return self._orders[trade_id]

    def void(self, trade_id: str) -> None:
        self.send("VoidFill", order_id=self.order_of(trade_id), trade_id=trade_id, reason="busted")

    def send(self, kind: str, at: str | None = None, /, **data: Any) -> None:
        times = {} if at is None else {"occurred_at": _time(at)}
        self.desk.execute(command(kind, self.account_id, **data, **times))

    def _fill(
        self, side: str, quantity: str, price: str, at: str | None, fill: dict[str, Any]
    ) -> str:
        self._trades += 1
        order_id, trade_id = uuid7(), f"t-{self._trades}"
        self._orders[trade_id] = order_id
        times = {} if at is None else {"occurred_at": _time(at)}
        instrument = fill.pop("instrument", "BINANCE:BTCUSDT")
        named = fill.pop("named", price)
        of_order = ("strategy_id", "signal_id", "purpose")
        terms = {name: fill.pop(name) for name in of_order if name in fill}
        order = submit_order(
            self.account_id,
            order_id,
            side=side,
            quantity=quantity,
            price=named,
            instrument=instrument,
            **terms,
        )
        told = {"trade_id": trade_id, "last_qty": quantity, "last_px": price}
        self.desk.execute(
            order,
            command("RecordFill", self.account_id, order_id=order_id, **told, **fill, **times),
        )
        return trade_id

    def rows(self, name: str) -> list[dict[str, Any]]:
        """What a question says of the account now, in the order in which it came to be; which is
        what the question about the past says of now."""
        self.desk.fold()
        order = {
            "positions": "opened_at, number",
            "round_trips": "closed_at",
            "gains": "position, line",
        }
        with psycopg.connect(self.desk.url, row_factory=dict_row) as connection:
            rows = connection.execute(
                f"SELECT * FROM {QUESTIONS[name]} WHERE account_id = %s "
                f"ORDER BY {order.get(name, 'acquired_at, lot')}".encode(),
                [self.account_id],
            ).fetchall()
        then = self.at(name)
        times = ("updated_at", "last_position")
        assert _sorted(rows, without=times) == _sorted(then, without=times)
        return rows

    def at(
        self, name: str, *, known_at: int | None = None, effective_at: str | None = None
    ) -> list[dict[str, Any]]:
        """What it says of a past moment."""
        with psycopg.connect(self.desk.url) as connection:
            until = None if effective_at is None else datetime.fromisoformat(_time(effective_at))
            moment = Moment(known_at or reader.head(connection), until)
            found = rows_at(connection, questions()[name], {"account_id": self.account_id}, moment)
            return [dict(row) for row in found][::-1]


def _time(text: str) -> str:
    hour, minute = map(int, text.split(":"))
    return (DAY + timedelta(hours=hour, minutes=minute)).isoformat()


def _sorted(rows: Sequence[dict[str, Any]], without: Sequence[str]) -> list[Any]:
    return sorted(
        repr({name: _plain(row[name]) for name in sorted(row) if name not in without})
        for row in rows
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value.normalize())
    return str(value) if value is not None else None


@contextmanager
def desk(database_url: str) -> Iterator[Desk]:
    with Ledger(database_url) as ledger:
        yield Desk(database_url, ledger)

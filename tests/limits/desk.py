"""An account that trades under limits, decided on a real database at times of our choosing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.kernel.command import Command, Outcome
from ledger.write.ledger import Ledger
from tests.commands import INSTRUMENT, USER, command, list_instrument, message, parsed

START = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)
PERPETUAL = "BINANCE:BTCPERP"


class Desk:
    """One account of one user; `now` is the ledger's clock, and moves when it is told to."""

    def __init__(self, url: str, **changes: Any) -> None:
        self.url = url
        self.now = START
        self.ledger = Ledger(url)
        self.account = uuid7()
        self.send(*listings())  # which may be there already
        self.accepted(self.opened(self.account, **changes))

    @classmethod
    def of(cls, other: "Desk", account_id: UUID) -> "Desk":
        """Another worker on the same log, for another account."""
        desk = cls.__new__(cls)
        desk.url, desk.now, desk.account = other.url, other.now, account_id
        desk.ledger = Ledger(other.url)
        return desk

    def opened(self, account_id: UUID, **changes: Any) -> Command:
        data = {
            "account_id": account_id,
            "user_id": USER,
            "exchange": "BINANCE",
            "name": "test",
            "account_type": "MARGIN",
            "environment": "PAPER",
            "base_currency": "USDT",
        }
        return command("OpenAccount", account_id, **(data | changes))

    def restart(self) -> None:
        self.ledger.close()
        self.ledger = Ledger(self.url)

    def later(self, **time: float) -> None:
        self.now += timedelta(**time)

    # --- sending ------------------------------------------------------------------------------

    def send(self, *commands: Command) -> list[Outcome]:
        return self.ledger.execute(commands, self.now)

    def accepted(self, *commands: Command) -> list[Outcome]:
        outcomes = self.send(*commands)
        refused = [one for one in outcomes if not one.accepted]
        assert not refused, refused[0]
        return outcomes

    def one(self, sent: Command) -> Outcome:
        return self.send(sent)[0]

    def order(self, side: str, quantity: str, price: str | None = "100", **changes: Any) -> Command:
        data = {
            "order_id": uuid7(),
            "instrument": INSTRUMENT,
            "side": side,
            "order_type": "LIMIT" if price is not None else "MARKET",
            "quantity": quantity,
        }
        if price is not None:
            data["price"] = price
        about = changes.pop("account", self.account)
        return command("SubmitOrder", about, **(data | changes))

    def buy(self, quantity: str, price: str | None = "100", **changes: Any) -> Outcome:
        return self.one(self.order("BUY", quantity, price, **changes))

    def sell(self, quantity: str, price: str | None = "100", **changes: Any) -> Outcome:
        return self.one(self.order("SELL", quantity, price, **changes))

    def deposit(self, amount: str, asset: str = "USDT", account: UUID | None = None) -> None:
        self.accepted(command("Deposit", account or self.account, asset=asset, amount=amount))

    def fill(self, order_id: UUID, quantity: str, price: str, /, **more: Any) -> Outcome:
        return self.one(
            command(
                "RecordFill",
                self.account,
                order_id=order_id,
                trade_id=str(uuid7()),
                last_qty=quantity,
                last_px=price,
                **more,
            )
        )

    def traded(self, side: str, quantity: str, price: str = "100", **more: Any) -> None:
        """A trade that the venue tells of, whatever the limits say."""
        instrument = more.pop("instrument", INSTRUMENT)
        outcome = self.fill(
            uuid7(), quantity, price, instrument=instrument, side=side, quantity=quantity, **more
        )
        assert outcome.accepted, outcome

    def price(self, price: str, instrument: str = INSTRUMENT, age_seconds: float = 0) -> None:
        when = self.now - timedelta(seconds=age_seconds)
        self.accepted(
            command(
                "RecordPrices",
                "prices",
                source="test",
                kind="MARK",
                time=when.isoformat(),
                prices={instrument: price},
            )
        )

    # --- limits -------------------------------------------------------------------------------

    def limit(
        self,
        measure: str,
        value: str,
        unit: str,
        *,
        scope: str = "ACCOUNT",
        reference: str | None = "",
        by: str = "test",
        **more: Any,
    ) -> UUID:
        limit_id = more.pop("limit_id", None) or uuid7()
        data = {
            "limit_id": limit_id,
            "scope": scope,
            "measure": measure,
            "value": value,
            "unit": unit,
        }
        where = str(self.account) if reference == "" else reference
        if where is not None and scope != "SYSTEM":
            data["reference"] = where
        outcome = self.one(sent_by(by, "SetLimit", "limits", **(data | more)))
        assert outcome.accepted, outcome
        return UUID(str(limit_id))

    def halt(self, scope: str, reference: str | None = None, **more: Any) -> Outcome:
        named = {} if reference is None else {"reference": reference}
        return self.one(command("Halt", "limits", scope=scope, reason="enough", **named, **more))

    def position(self, instrument: str) -> Decimal:
        """What the account holds of it, signed, as its newest event says."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT p.value->>'quantity' FROM event_store, "
                "jsonb_array_elements(event_data->'positions') WITH ORDINALITY AS p (value, n) "
                "WHERE stream_id = %s AND p.value->>'instrument' = %s "
                "ORDER BY position DESC, n DESC LIMIT 1",
                [self.account, instrument],
            ).fetchone()
        return Decimal(found[0]) if found and found[0] else Decimal(0)

    # --- looking ------------------------------------------------------------------------------

    def event(self, outcome: Outcome) -> dict[str, Any]:
        """The data of the first event of an outcome."""
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT event_data FROM event_store WHERE id = %s", [outcome.events[0].id]
            ).fetchone()
        assert found is not None
        data: dict[str, Any] = found[0]
        return data

    def failed(self, outcome: Outcome) -> list[str]:
        """The measures that refused."""
        assert outcome.code in {"RISK_LIMIT_EXCEEDED", "SELF_MATCH"}, outcome
        return [one["measure"] for one in self.risk_of(outcome)["failed"]]

    def risk_of(self, outcome: Outcome) -> dict[str, Any]:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(
                "SELECT event_data->'risk' FROM event_store WHERE id = ANY(%s) "
                "AND event_data ? 'risk'",
                [[one.id for one in outcome.events]],
            ).fetchone()
        assert found is not None, outcome
        data: dict[str, Any] = found[0]
        return data


def sent_by(source: str, command_type: str, subject: UUID | str, **data: Any) -> Command:
    read = parsed(message(command_type, subject, **data) | {"source": source})
    assert isinstance(read, Command), read
    return read


def listings() -> Sequence[Command]:
    return (
        list_instrument(),
        command(
            "ListInstrument",
            "instruments",
            instrument=PERPETUAL,
            base_asset="BTC",
            quote_asset="USDT",
            kind="PERPETUAL",
            settlement_asset="USDT",
        ),
    )


def order_id(outcome: Outcome) -> UUID:
    return next(one.stream_id for one in outcome.events if one.type.startswith("order."))


__all__ = ["PERPETUAL", "START", "Desk", "order_id", "sent_by"]

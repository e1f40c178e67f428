"""Writing small logs for tests: one account, one market, events with defaults."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg

from ledger.eventstore import codec, store
from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    AccountDeposited,
    AccountOpened,
    AccountType,
    Environment,
    HoldChange,
    Posting,
    Reason,
    TradeSettled,
    TradeVoided,
)
from ledger.nouns.allocations import state as allocation_state
from ledger.nouns.orders.events import (
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderFilled,
    OrderFillVoided,
    OrderSubmitted,
    OrderType,
    Side,
)
from ledger.nouns.orders.status import OrderStatus

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
ACCOUNT = UUID("0190a000-0000-7000-8000-00000000000a")
USER = UUID("0190a000-0000-7000-8000-00000000000b")
ORDER = UUID("0190a000-0000-7000-8000-00000000000c")
INSTRUMENT = "BINANCE:BTCUSDT"


class Log:
    """Appends events; knows the streams' versions. `now` is when the next one happens."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._versions: dict[UUID, int] = {}
        self.now = START

    def append(
        self,
        stream_id: UUID,
        *events: Event,
        user_id: UUID | None = USER,
        schema: int | None = None,
    ) -> int:
        """The position of the last one."""
        new = []
        for event in events:
            version = self._versions[stream_id] = self._versions.get(stream_id, 0) + 1
            shape = schema or event.schema
            new.append(
                store.NewEvent(
                    id=uuid4(),
                    stream_id=stream_id,
                    stream_type=event.type.partition(".")[0],
                    event_type=event.type,
                    event_version=version,
                    data=codec.encode(event),
                    metadata=f'{{"schema": {shape}}}' if shape > 1 else "{}",
                    correlation_id=None,
                    causation_id=None,
                    user_id=user_id,
                    occurred_at=self.now,
                )
            )
            self.now += timedelta(seconds=1)
        with self._connection.transaction(), self._connection.cursor() as cursor:
            appended = store.begin_append(cursor, len(new))
            store.copy_events(cursor, new, appended)
        return appended.head + len(new)

    def account(self, *events: Event) -> int:
        return self.append(ACCOUNT, *events)

    def order(self, *events: Event, order_id: UUID = ORDER) -> int:
        return self.append(order_id, *events)

    def allocation(self, *events: Event) -> int:
        return self.append(allocation_state.stream_id(ACCOUNT), *events)


@contextmanager
def opened_log(database_url: str) -> Iterator[Log]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield Log(connection)


# --- events with defaults --------------------------------------------------------------


def account_opened(**changes: Any) -> AccountOpened:
    fields: dict[str, Any] = {
        "user_id": USER,
        "exchange": "BINANCE",
        "name": "main account",
        "account_type": AccountType.CASH,
        "environment": Environment.LIVE,
        "base_currency": "USDT",
    }
    return AccountOpened(**fields | changes)


def posting(book: str, asset: str, amount: str, reason: Reason = Reason.DEPOSIT) -> Posting:
    return Posting(book=book, asset=asset, amount=Decimal(amount), reason=reason)


def hold(asset: str, amount: str, order_id: UUID = ORDER) -> HoldChange:
    return HoldChange(order_id=order_id, sub_account="main", asset=asset, amount=Decimal(amount))


def deposited(asset: str, amount: str, reference: str | None = None) -> AccountDeposited:
    return AccountDeposited(
        asset=asset,
        amount=Decimal(amount),
        sub_account="main",
        reference=reference,
        postings=(posting("main", asset, amount), posting("external", asset, f"-{amount}")),
    )


def settled(
    quantity: str,
    price: str,
    *,
    side: Side = Side.BUY,
    fee: str = "0",
    **changes: Any,
) -> TradeSettled:
    """A trade at `quantity` x `price` in BTC and USDT."""
    return TradeSettled(**_trade(quantity, price, side, fee, void=False) | changes)


def trade_voided(
    quantity: str,
    price: str,
    *,
    side: Side = Side.BUY,
    fee: str = "0",
    **changes: Any,
) -> TradeVoided:
    return TradeVoided(**_trade(quantity, price, side, fee, void=True) | changes)


def _trade(quantity: str, price: str, side: Side, fee: str, *, void: bool) -> dict[str, Any]:
    base = Decimal(quantity) * (1 if (side is Side.BUY) is not void else -1)
    quote = -base * Decimal(price)
    charged = -Decimal(fee) if not void else Decimal(fee)
    traded = Reason.TRADE_VOID if void else Reason.TRADE
    paid = Reason.FEE_VOID if void else Reason.FEE
    legs = (
        ("venue:BINANCE", "BTC", base, traded),
        ("venue:BINANCE", "USDT", quote, traded),
        ("fees:BINANCE", "USDT", charged, paid),
    )
    return {
        "order_id": ORDER,
        "trade_id": "t-1",
        "instrument": INSTRUMENT,
        "side": side,
        "last_qty": Decimal(quantity),
        "last_px": Decimal(price),
        "postings": tuple(
            posting(book, asset, str(moved), reason)
            for other, asset, amount, reason in legs
            if amount
            for book, moved in (("main", amount), (other, -amount))
        ),
    }


def submitted(**changes: Any) -> OrderSubmitted:
    return OrderSubmitted(**_terms() | changes)


def denied(**changes: Any) -> OrderDenied:
    refused = {"status": OrderStatus.REJECTED, "code": "INSUFFICIENT_FUNDS", "reason": "too little"}
    return OrderDenied(**_terms() | refused | changes)


def _terms() -> dict[str, Any]:
    return {
        "account_id": ACCOUNT,
        "status": OrderStatus.PENDING,
        "instrument": INSTRUMENT,
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "sub_account": "main",
        "quantity": Decimal(10),
        "price": Decimal(100),
    }


def accepted(**changes: Any) -> OrderAccepted:
    fields: dict[str, Any] = {
        "account_id": ACCOUNT,
        "status": OrderStatus.NEW,
        "venue_order_id": "v-1",
    }
    return OrderAccepted(**fields | changes)


def filled(
    quantity: str, price: str = "100", *, cum: str, status: str = "PARTIALLY_FILLED", **changes: Any
) -> OrderFilled:
    """A trade after which `cum` is filled."""
    return OrderFilled(**_execution(quantity, price, cum, status) | changes)


def fill_voided(
    quantity: str, price: str = "100", *, cum: str, status: str = "PARTIALLY_FILLED", **changes: Any
) -> OrderFillVoided:
    return OrderFillVoided(**_execution(quantity, price, cum, status) | changes)


def _execution(quantity: str, price: str, cum: str, status: str) -> dict[str, Any]:
    return {
        "account_id": ACCOUNT,
        "status": OrderStatus(status),
        "trade_id": "t-1",
        "instrument": INSTRUMENT,
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "side": Side.BUY,
        "sub_account": "main",
        "last_qty": Decimal(quantity),
        "last_px": Decimal(price),
        "cum_qty": Decimal(cum),
        "cum_quote": Decimal(cum) * Decimal(price),
        "avg_px": Decimal(price) if Decimal(cum) else None,
    }


def cancelled(**changes: Any) -> OrderCancelled:
    fields: dict[str, Any] = {"account_id": ACCOUNT, "status": OrderStatus.CANCELLED}
    return OrderCancelled(**fields | changes)

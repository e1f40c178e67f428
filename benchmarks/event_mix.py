"""A log of any length with the demo's mix of events and numbers that add up.

Accounts are opened and funded, instruments listed, strategies assigned; then orders come and
go, several open at a time in every account:

    order.submitted + account.funds_held        every order
    order.accepted                              every order
    order.filled + account.trade_settled        one to three times, for most
    order.cancelled + account.funds_released    for those that do not fill
    order.denied                                one in twenty, alone

The same seed gives the same log but for recorded_at. Events are written through the store's
own append, so that everything that reads a log reads this one.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Any
from uuid import UUID, uuid5

import psycopg

from ledger.eventstore import codec, store
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import (
    EXTERNAL,
    AccountDeposited,
    AccountEvent,
    AccountOpened,
    AccountType,
    Environment,
    FundsHeld,
    FundsReleased,
    HoldChange,
    Posting,
    Reason,
    TradeSettled,
)
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.allocations import state as allocation_state
from ledger.nouns.allocations.events import StrategyAssigned
from ledger.nouns.allocations.state import ALLOCATION
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.instruments.events import InstrumentListed
from ledger.nouns.instruments.state import INSTRUMENT
from ledger.nouns.orders.events import (
    LiquiditySide,
    OrderAccepted,
    OrderCancelled,
    OrderDenied,
    OrderEvent,
    OrderFilled,
    OrderSubmitted,
    OrderType,
    Side,
)
from ledger.nouns.orders.state import ORDER
from ledger.nouns.orders.status import OrderStatus
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.position import Position, PositionKey
from ledger.nouns.positions.rules import PositionTrade

EVENTS_PER_APPEND = 10_000
"""Enough to make the commit's share small, few enough to keep the lines in the cache."""
_OPEN_ORDERS_PER_ACCOUNT = 20
_EXCHANGE = "BINANCE"
_MARKETS = (("BTC", Decimal("50000.12")), ("ETH", Decimal("2500.34")), ("SOL", Decimal("150.5")))
_STRATEGIES = ("grid", "momentum")
_FEE_RATE = Decimal("0.001")
_START = datetime(2026, 1, 1, tzinfo=UTC)
_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7aff")


@dataclass
class _Open:
    """An order that is still open."""

    id: UUID
    terms: OrderSubmitted
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    fills: int = 0


class EventMix:
    """The generator's state: versions of streams, open orders, the clock."""

    def __init__(self, *, accounts: int = 40, seed: int = 1) -> None:
        self._random = Random(seed)
        self._accounts = [uuid5(_NAMESPACE, f"account {seed} {n}") for n in range(accounts)]
        self._users = {a: uuid5(_NAMESPACE, f"user of {a}") for a in self._accounts}
        self._versions: dict[UUID, int] = {}
        self._open: dict[UUID, list[_Open]] = {a: [] for a in self._accounts}
        self._newest: dict[tuple[UUID, PositionKey], Position] = {}
        self._now = _START
        self._cause: UUID | None = None
        self._stream = self._events()

    @property
    def now(self) -> datetime:
        """The time of its newest event."""
        return self._now

    def take(self, count: int) -> list[store.NewEvent]:
        """The next `count` events."""
        with exact():
            return list(islice(self._stream, count))

    def _events(self) -> Iterator[store.NewEvent]:
        """Events without end."""
        for base, price in _MARKETS:
            yield self._listed(base, price)
        for account_id in self._accounts:
            yield from self._set_up(account_id)
        while True:
            account_id = self._random.choice(self._accounts)
            self._now += timedelta(milliseconds=self._random.randint(1, 400))
            yield from self._next_of(account_id)

    # --- what happens ------------------------------------------------------------------

    def _listed(self, base: str, price: Decimal) -> store.NewEvent:
        name = f"{_EXCHANGE}:{base}USDT"
        event = InstrumentListed(
            instrument=name,
            base_asset=base,
            quote_asset="USDT",
            tick_size=Decimal(1).scaleb(int(price.as_tuple().exponent)),
            step_size=Decimal("0.001"),
            min_quantity=Decimal("0.001"),
        )
        return self._new(instrument_state.stream_id(name), INSTRUMENT.stream_type, event, None)

    def _set_up(self, account_id: UUID) -> Iterator[store.NewEvent]:
        yield self._of_account(
            account_id,
            AccountOpened(
                user_id=self._users[account_id],
                exchange=_EXCHANGE,
                name=f"account {account_id.hex[:6]}",
                account_type=AccountType.CASH,
                environment=Environment.PAPER,
                base_currency="USDT",
            ),
        )
        for strategy_id in _STRATEGIES:
            assigned = StrategyAssigned(
                account_id=account_id, strategy_id=strategy_id, allocation_percent=Decimal(50)
            )
            stream_id = allocation_state.stream_id(account_id)
            yield self._new(stream_id, ALLOCATION.stream_type, assigned, account_id)
        for asset, amount in (
            ("USDT", Decimal(10) ** 9),
            *((m[0], Decimal(10**6)) for m in _MARKETS),
        ):
            for sub_account in _STRATEGIES:
                yield self._of_account(account_id, _deposit(asset, amount, sub_account))

    def _next_of(self, account_id: UUID) -> Iterator[store.NewEvent]:
        """A new order or the next step of an open one."""
        orders = self._open[account_id]
        if len(orders) < _OPEN_ORDERS_PER_ACCOUNT and self._random.random() < 0.3:
            yield from self._submit(account_id)
        elif orders:
            place = self._random.randrange(len(orders))
            opened = orders[place]
            if self._random.random() < 0.2 and not opened.fills:
                yield from self._cancel(account_id, opened)
                orders.pop(place)
            else:
                yield from self._fill(account_id, opened)
                if opened.filled == opened.terms.quantity:
                    orders.pop(place)

    def _submit(self, account_id: UUID) -> Iterator[store.NewEvent]:
        base, middle = self._random.choice(_MARKETS)
        terms = OrderSubmitted(
            account_id=account_id,
            status=OrderStatus.PENDING,
            instrument=f"{_EXCHANGE}:{base}USDT",
            base_asset=base,
            quote_asset="USDT",
            side=self._random.choice((Side.BUY, Side.SELL)),
            order_type=OrderType.LIMIT,
            sub_account=(strategy_id := self._random.choice(_STRATEGIES)),
            strategy_id=strategy_id,
            quantity=Decimal(self._random.randint(1, 300) * 3).scaleb(-3),
            price=middle + Decimal(self._random.randint(-500, 500)).scaleb(-2),
            fee_rate=_FEE_RATE,
            client_order_id=f"c-{self._random.getrandbits(40):x}",
        )
        opened = _Open(self._id(), terms)
        if self._random.random() < 0.05:
            denied = OrderDenied(
                **{f: getattr(terms, f) for f in terms.__struct_fields__}
                | {"status": OrderStatus.REJECTED},
                code="INSUFFICIENT_FUNDS",
                reason="not enough available",
            )
            yield self._of_order(opened, denied)
            return
        yield self._of_order(opened, terms)
        assert terms.quantity is not None
        hold = self._hold(opened, terms.quantity)
        yield self._of_account(account_id, FundsHeld(order_id=opened.id, holds=(hold,)))
        accepted = OrderAccepted(
            account_id=account_id,
            status=OrderStatus.NEW,
            venue_order_id=str(self._random.getrandbits(50)),
        )
        yield self._of_order(opened, accepted)
        self._open[account_id].append(opened)

    def _fill(self, account_id: UUID, opened: _Open) -> Iterator[store.NewEvent]:
        terms = opened.terms
        assert terms.quantity is not None
        assert terms.price is not None
        whole = self._random.random() < 0.4 or opened.fills == 2
        quantity = terms.quantity - opened.filled if whole else terms.quantity / 3
        opened.fills += 1
        opened.filled += quantity
        opened.spent += quantity * terms.price
        fee = quantity * terms.price * _FEE_RATE
        trade_id = f"t-{self._random.getrandbits(48):x}"
        yield self._of_order(
            opened,
            OrderFilled(
                account_id=account_id,
                status=OrderStatus.FILLED
                if opened.filled == terms.quantity
                else OrderStatus.PARTIALLY_FILLED,
                trade_id=trade_id,
                instrument=terms.instrument,
                base_asset=terms.base_asset,
                quote_asset=terms.quote_asset,
                side=terms.side,
                sub_account=terms.sub_account,
                strategy_id=terms.strategy_id,
                last_qty=quantity,
                last_px=terms.price,
                commission=fee,
                commission_asset=terms.quote_asset,
                liquidity_side=LiquiditySide.MAKER,
                cum_qty=opened.filled,
                cum_quote=opened.spent,
                avg_px=terms.price,
                leaves_qty=terms.quantity - opened.filled,
            ),
        )
        yield self._of_account(
            account_id,
            TradeSettled(
                order_id=opened.id,
                trade_id=trade_id,
                instrument=terms.instrument,
                side=terms.side,
                last_qty=quantity,
                last_px=terms.price,
                postings=_trade(terms, quantity, fee),
                holds=(self._hold(opened, -quantity),),
                positions=self._positions(account_id, terms, quantity, fee),
                named_price=terms.price,
            ),
        )

    def _positions(
        self, account_id: UUID, terms: OrderSubmitted, quantity: Decimal, fee: Decimal
    ) -> tuple[Position, ...]:
        assert terms.price is not None
        key = PositionKey(terms.sub_account, terms.instrument)
        trade = PositionTrade(
            key=key,
            quantity=quantity if terms.side is Side.BUY else -quantity,
            value=quantity * terms.price,
            settlement_asset=terms.quote_asset,
            base_asset=terms.base_asset,
            fees={terms.quote_asset: fee},
            at=self._now,
        )
        made = position_rules.trade(self._newest.get((account_id, key)), trade)
        self._newest[account_id, key] = made[-1]
        return made

    def _cancel(self, account_id: UUID, opened: _Open) -> Iterator[store.NewEvent]:
        assert opened.terms.quantity is not None
        cancelled = OrderCancelled(account_id=account_id, status=OrderStatus.CANCELLED)
        yield self._of_order(opened, cancelled)
        hold = self._hold(opened, opened.filled - opened.terms.quantity)
        yield self._of_account(account_id, FundsReleased(order_id=opened.id, holds=(hold,)))

    def _hold(self, opened: _Open, quantity: Decimal) -> HoldChange:
        terms = opened.terms
        assert terms.price is not None
        asset, amount = terms.base_asset, quantity
        if terms.side is Side.BUY:
            asset, amount = terms.quote_asset, quantity * terms.price * (1 + _FEE_RATE)
        return HoldChange(
            order_id=opened.id, sub_account=terms.sub_account, asset=asset, amount=amount
        )

    # --- envelopes ---------------------------------------------------------------------

    def _of_order(self, opened: _Open, event: OrderEvent) -> store.NewEvent:
        return self._new(opened.id, ORDER.stream_type, event, event.account_id)

    def _of_account(self, account_id: UUID, event: AccountEvent) -> store.NewEvent:
        return self._new(account_id, ACCOUNT.stream_type, event, account_id)

    def _new(
        self, stream_id: UUID, stream_type: str, event: Event, account_id: UUID | None
    ) -> store.NewEvent:
        version = self._versions.get(stream_id, 0) + 1
        self._versions[stream_id] = version
        event_id = self._id()
        cause, self._cause = self._cause, event_id
        return store.NewEvent(
            id=event_id,
            stream_id=stream_id,
            stream_type=stream_type,
            event_type=event.type,
            event_version=version,
            data=codec.encode(event),
            metadata=f'{{"schema": {event.schema}}}' if event.schema > 1 else "{}",
            correlation_id=event_id,
            causation_id=cause,
            user_id=self._users[account_id] if account_id else None,
            occurred_at=self._now,
        )

    def _id(self) -> UUID:
        """Like a UUIDv7: ordered by time, so that indexes see what they would see."""
        milliseconds = int(self._now.timestamp() * 1_000)
        return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | self._random.getrandbits(60))


def _deposit(asset: str, amount: Decimal, sub_account: str) -> AccountDeposited:
    reason = Reason.DEPOSIT
    return AccountDeposited(
        asset=asset,
        amount=amount,
        sub_account=sub_account,
        postings=(
            Posting(book=sub_account, asset=asset, amount=amount, reason=reason),
            Posting(book=EXTERNAL, asset=asset, amount=-amount, reason=reason),
        ),
    )


def _trade(terms: OrderSubmitted, quantity: Decimal, fee: Decimal) -> tuple[Posting, ...]:
    assert terms.price is not None
    sign = 1 if terms.side is Side.BUY else -1
    legs = (
        (f"venue:{_EXCHANGE}", terms.base_asset, sign * quantity, Reason.TRADE),
        (
            f"venue:{_EXCHANGE}",
            terms.quote_asset,
            -sign * quantity * terms.price,
            Reason.TRADE,
        ),
        (f"fees:{_EXCHANGE}", terms.quote_asset, -fee, Reason.FEE),
    )
    return tuple(
        Posting(book=book, asset=asset, amount=amount, reason=reason)
        for other, asset, gained, reason in legs
        for book, amount in ((terms.sub_account, gained), (other, -gained))
    )


def append_mix(connection: psycopg.Connection[Any], mix: EventMix, count: int) -> None:
    """Appends `count` events of the mix, in transactions of EVENTS_PER_APPEND. While the server
    stores some, the next are made."""
    stored: Future[None] | None = None
    with ThreadPoolExecutor(1) as server:
        while count > 0:
            chunk = mix.take(min(count, EVENTS_PER_APPEND))
            count -= len(chunk)
            if stored is not None:
                stored.result()
            stored = server.submit(_append, connection, chunk)
        if stored is not None:
            stored.result()


def _append(connection: psycopg.Connection[Any], events: list[store.NewEvent]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        store.copy_events(cursor, events, store.begin_append(cursor, len(events)))

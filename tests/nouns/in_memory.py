"""The handlers of all commands with nothing around them: no log but a list, no cache, no batch."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions.position import Position, PositionKey
from ledger.write.deciders import AGGREGATES, COMMANDS
from tests.commands import command, list_instrument, open_account
from tests.nouns.without_limits import WithoutLimits

PERPETUAL = "BINANCE:BTC-PERP"
INVERSE = "BINANCE:BTCUSD-PERP"
SPOT = "BINANCE:BTCUSDT"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class InMemoryLedger:
    """One account, and what is traded on it. `tell` gives the code of a refusal, None when it was
    accepted. Each command is a second after the one before, unless it says when."""

    def __init__(self, account_type: str = "MARGIN", **account: Any) -> None:
        self.account_id = uuid7()
        self.states: dict[UUID, Any] = {}
        self.log: list[tuple[str, UUID, PastEvent]] = []
        self.told = 0
        for listed in (
            list_instrument(),
            list_instrument(instrument=PERPETUAL, kind="PERPETUAL", max_leverage="100"),
            list_instrument(
                instrument=INVERSE,
                quote_asset="USD",
                kind="PERPETUAL",
                inverse=True,
                max_quantity="10000000",
            ),
        ):
            self._decide(listed)
        self._decide(open_account(self.account_id, account_type=account_type, **account))

    def tell(self, command_type: str, **data: Any) -> str | None:
        return self._decide(command(command_type, self.account_id, **data))

    def fill(
        self, trade_id: str, side: str, qty: str, px: str, instrument: str = SPOT, **more: Any
    ) -> UUID:
        """A trade of an order that the venue tells of with it, unless it names one."""
        order_id = more.pop("order_id", None) or uuid7()
        data = {"instrument": instrument, "quantity": qty, "last_qty": qty, "last_px": px} | more
        assert (
            self.tell("RecordFill", order_id=order_id, trade_id=trade_id, side=side, **data) is None
        )
        return order_id

    def order(self, side: str, quantity: str, price: str | None = "100", **more: Any) -> UUID:
        order_id = uuid7()
        assert self.submit(order_id, side, quantity, price, **more) is None
        return order_id

    def submit(
        self, order_id: UUID, side: str, quantity: str, price: str | None = "100", **more: Any
    ) -> str | None:
        data = {
            "instrument": PERPETUAL,
            "order_type": "LIMIT",
            "quantity": quantity,
            "price": price,
        } | more
        return self.tell("SubmitOrder", order_id=order_id, side=side, **data)

    @property
    def account(self) -> AccountState:
        state = self.states[self.account_id]
        assert isinstance(state, AccountState)
        return state

    def position(
        self, instrument: str = SPOT, side: PositionSide = PositionSide.BOTH
    ) -> Position | None:
        return self.account.position(PositionKey("main", instrument, side))

    def held(self, instrument: str = SPOT) -> Position:
        position = self.position(instrument)
        assert position is not None
        return position

    def events(self) -> list[Event]:
        """Of the account."""
        return [past.event for _, stream, past in self.log if stream == self.account_id]

    def _decide(self, told: Command) -> str | None:
        self.told += 1
        work = _Work(self, told, BEGAN + timedelta(seconds=self.told))
        recorded = len(self.log)
        try:
            COMMANDS[told.type].handler(work, told.data)
        except Rejection as refused:
            if len(self.log) > recorded:
                del self.log[recorded:]
                self.states = self.replayed()
            return refused.code.value
        return None if work.denied is None else work.denied.code.value

    def replayed(self) -> dict[UUID, Any]:
        """All states, folded anew."""
        states: dict[UUID, Any] = {}
        for stream_type, stream_id, past in self.log:
            evolve = AGGREGATES[stream_type].evolve
            states[stream_id] = evolve(states.get(stream_id), past.event, stream_id)
        return states


class _Work(WithoutLimits):
    """See `ledger.kernel.unit_of_work`."""

    def __init__(self, ledger: InMemoryLedger, told: Command, at: datetime) -> None:
        self.command = told
        self.occurred_at: datetime = getattr(told.data, "occurred_at", None) or at
        self.denied: Rejection | None = None
        self.last_event: UUID | None = None
        self._ledger = ledger

    @property
    def account_id(self) -> UUID:
        assert self.command.account_id is not None
        return self.command.account_id

    def state(self, aggregate: Aggregate[Any], stream_id: UUID) -> Any:
        return self._ledger.states.get(stream_id)

    def past(self, stream_id: UUID, instruments: Collection[str]) -> Iterator[PastEvent]:
        for _, of_stream, past in reversed(self._ledger.log):
            if of_stream == stream_id and getattr(past.event, "instrument", None) in instruments:
                yield past

    def record(
        self,
        aggregate: Aggregate[Any],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,
    ) -> UUID | None:
        states, last = self._ledger.states, None
        for event in events:
            before = states.get(stream_id)
            if aggregate.check is not None:
                aggregate.check(before, event, self.command.data.command_kind)
            states[stream_id] = aggregate.evolve(before, event, stream_id)
            self._ledger.log.append(
                (aggregate.stream_type, stream_id, PastEvent(event, self.occurred_at))
            )
            last = self.last_event = uuid7()
        return last

    def of_user(self, user_id: UUID) -> None:
        pass


__all__ = ["ACCOUNT", "INVERSE", "PERPETUAL", "SPOT", "InMemoryLedger"]

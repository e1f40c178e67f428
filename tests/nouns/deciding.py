"""The handlers of all commands with nothing around them: what is sent is decided in memory."""

from collections.abc import Collection, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.orders.state import OrderState
from ledger.write.deciders import AGGREGATES, COMMANDS
from tests.commands import command, list_instrument, open_account, submit_order
from tests.nouns.without_limits import WithoutLimits

State = TypeVar("State")
NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


class Work(WithoutLimits):
    """A command being decided (`ledger/kernel/unit_of_work.py`)."""

    def __init__(self, deciding: "Deciding", sent: Command) -> None:
        self.command = sent
        self.occurred_at = getattr(sent.data, "occurred_at", None) or NOW
        self.denied: Rejection | None = None
        self.last_event: UUID | None = None
        self.events: list[Event] = []
        self._deciding = deciding

    @property
    def account_id(self) -> UUID:
        assert self.command.account_id is not None
        return self.command.account_id

    def state(self, _: Aggregate[State], stream_id: UUID) -> State | None:
        found: State | None = self._deciding.states.get(stream_id)
        return found

    def past(self, stream_id: UUID, instruments: Collection[str]) -> Iterator[PastEvent]:
        for of_stream, past in tuple(reversed(self._deciding.log)):
            if of_stream == stream_id and getattr(past.event, "instrument", None) in instruments:
                yield past

    def record(
        self,
        aggregate: Aggregate[Any],
        stream_id: UUID,
        events: Iterable[Event],
        cause: UUID | None = None,
    ) -> UUID | None:
        recorded = None
        for event in events:
            before = self._deciding.states.get(stream_id)
            if aggregate.check is not None:
                aggregate.check(before, event, self.command.data.command_kind)
            after = aggregate.evolve(before, event, stream_id)
            self._deciding.states[stream_id] = after
            self._deciding.log.append((stream_id, PastEvent(event, self.occurred_at)))
            self.events.append(event)
            recorded = self.last_event = uuid7()
        return recorded

    def of_user(self, user_id: UUID) -> None:
        pass


class Deciding:
    """A ledger with one CASH account on BINANCE that has 1000 USDT and 10 BTC, or others."""

    def __init__(self, **account: Any) -> None:
        self.states: dict[UUID, Any] = {}
        self.log: list[tuple[UUID, PastEvent]] = []
        self._code: str | None = None
        self.account_id = uuid7()
        self.execute(open_account(self.account_id, **account))
        self.execute(list_instrument(step_size="0.000001", min_quantity="0.000001"))
        self.send("Deposit", asset="USDT", amount="1000")
        self.send("Deposit", asset="BTC", amount="10")

    def execute(self, sent: Command) -> list[Event]:
        """What was recorded of a command."""
        work = Work(self, sent)
        self._code = None
        with exact():
            try:
                COMMANDS[sent.type].handler(work, sent.data)
            except Rejection as rejection:
                assert not work.events
                work.denied = rejection
        if work.denied is not None:
            self._code = work.denied.code.value
        return work.events

    def send(self, command_type: str, **data: Any) -> list[Event]:
        return self.execute(command(command_type, self.account_id, **data))

    def submit(self, order_id: UUID | None = None, **changes: Any) -> UUID:
        """A LIMIT BUY of 0.5 at 100, or other."""
        order_id = order_id or uuid7()
        self.execute(submit_order(self.account_id, order_id, **changes))
        return order_id

    def fill(self, order_id: UUID, trade_id: str, qty: str, px: str, **more: Any) -> list[Event]:
        given = {"order_id": order_id, "trade_id": trade_id, "last_qty": qty, "last_px": px}
        return self.send("RecordFill", **given, **more)

    # --- looking --------------------------------------------------------------------------

    def code(self) -> str | None:
        """Why the last command was rejected, if it was."""
        return self._code

    @property
    def account(self) -> AccountState:
        state: AccountState = self.states[self.account_id]
        return state

    def order(self, order_id: UUID) -> OrderState:
        state: OrderState = self.states[order_id]
        return state

    def has(self, asset: str, sub_account: str = "main") -> str:
        """The total, as text."""
        return f"{self.account.balance(sub_account, asset).total.normalize():f}"

    def locked(self, asset: str, sub_account: str = "main") -> str:
        return f"{self.account.balance(sub_account, asset).locked.normalize():f}"

    def check_folding(self) -> None:
        """The events, folded anew, give the states that the decisions saw."""
        folded: dict[UUID, Any] = {}
        for stream_id, (event, _) in self.log:
            evolve = AGGREGATES[event.type.partition(".")[0]].evolve
            folded[stream_id] = evolve(folded.get(stream_id), event, stream_id)
        assert folded == self.states

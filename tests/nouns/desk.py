"""The ledger with nothing around it: the decisions of all aggregates, composed the way the
application composes them, every event kept in the order in which it happened."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from ledger.kernel.command import CommandKind
from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts import settlement as account_settlement
from ledger.nouns.accounts.events import AccountType, Environment
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.state import check_active, check_not_closed
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.allocations import state as allocation_state
from ledger.nouns.allocations.state import ALLOCATION, AllocationState
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.instruments.state import INSTRUMENT
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import OrderFillConflicted, OrderType, SubmitTerms
from ledger.nouns.orders.state import ORDER
from ledger.write.deciders import AGGREGATES

EVOLVE: dict[str, Callable[[Any, Event, UUID], Any]] = {
    name: aggregate.evolve for name, aggregate in AGGREGATES.items()
}


EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When all happens here."""


class Desk:
    def __init__(self) -> None:
        self.log: list[tuple[str, UUID, Event]] = []
        self.states: dict[UUID, Any] = {}
        self.accounts: list[UUID] = []
        self.orders: list[UUID] = []

    # --- account, allocation, instrument ------------------------------------------------

    def open_account(self, account_type: AccountType) -> UUID:
        account_id = uuid4()
        events = account_rules.open_account(
            self.states.get(account_id),
            account_id=account_id,
            user_id=uuid4(),
            exchange="BINANCE",
            name="trading",
            account_type=account_type,
            environment=Environment.PAPER,
            base_currency="USDT",
        )
        self._record(ACCOUNT, account_id, events)
        self.accounts.append(account_id)
        return account_id

    def of_account(self, account_id: UUID, decision: Callable[..., Any], **given: Any) -> None:
        if decision is account_rules.transfer:
            known = allocation_rules.sub_accounts(self.allocations(account_id))
            given["known_sub_accounts"] = known
        self._record(ACCOUNT, account_id, decision(self.states[account_id], **given))

    def allocate(self, account_id: UUID, decision: Callable[..., Any], **given: Any) -> None:
        check_not_closed(self.states[account_id])
        events = decision(self.allocations(account_id), account_id=account_id, **given)
        self._record(ALLOCATION, allocation_state.stream_id(account_id), events)

    def rebalance(self, account_id: UUID) -> None:
        told, moved = allocation_rules.rebalance(
            self.allocations(account_id), account_state=self.states[account_id]
        )
        self._record(ALLOCATION, allocation_state.stream_id(account_id), told)
        self._record(ACCOUNT, account_id, moved)

    def of_instrument(self, name: str, decision: Callable[..., Any], **given: Any) -> None:
        stream_id = instrument_state.stream_id(name)
        events = decision(self.states.get(stream_id), **given)
        self._record(INSTRUMENT, stream_id, events)

    # --- orders -------------------------------------------------------------------------

    def submit(self, account_id: UUID, order_id: UUID, **asked: Any) -> None:
        """A refusal leaves a denied order, and is raised."""
        terms = self._terms(account_id, **asked)
        try:
            events = self._check_and_submit(order_id, terms)
        except Rejection as rejection:
            events = order_rules.deny(
                self.states.get(order_id),
                order_id=order_id,
                code=rejection.code,
                reason=rejection.message,
                **terms,
            )
            self._begin_order(order_id, events)
            raise
        self._begin_order(order_id, events)
        self._keep_hold(order_id)

    def _check_and_submit(self, order_id: UUID, terms: SubmitTerms) -> tuple[Event, ...]:
        account_id, strategy_id = terms["account_id"], terms.get("strategy_id")
        funds = self.states[account_id]
        account_rules.check_order(funds, instrument=terms["instrument"])
        allocation_rules.check_order(
            self.allocations(account_id), account_id=account_id, strategy_id=strategy_id
        )
        is_market = terms["order_type"] is OrderType.MARKET
        instrument_rules.check_order(
            self.states[instrument_state.stream_id(terms["instrument"])],
            quantity=terms.get("quantity"),
            price=None if is_market else terms.get("price"),
            stop_price=terms.get("stop_price"),
        )
        events = order_rules.submit(self.states.get(order_id), order_id=order_id, **terms)
        to_be = order_state.evolve(None, events[0], order_id)
        account_settlement.hold(funds, order_state.required_hold(to_be))
        return events

    def report(self, account_id: UUID, order_id: UUID, **asked: Any) -> None:
        self._begin_order(order_id, order_facts.report(**self._terms(account_id, **asked)))
        self._keep_hold(order_id)

    def of_order(self, order_id: UUID, decision: Callable[..., Any], **given: Any) -> int:
        """A request or fact other than trades. Returns how many events it caused."""
        state = self.states[order_id]
        events = decision(state, **given)
        if decision is order_rules.request_replace:
            check_active(self.states[state.account_id])
            account_settlement.check_hold(
                self.states[state.account_id], order_state.required_hold(state, **given)
            )
        self._record(ORDER, order_id, events)
        return len(events) + self._keep_hold(order_id)

    def trade(self, order_id: UUID, decision: Callable[..., Any], **given: Any) -> int:
        """A fill or a void. Returns how many events it caused."""
        state = self.states[order_id]
        events = decision(state, **given)
        self._record(ORDER, order_id, events)
        if not events or isinstance(events[0], OrderFillConflicted):
            return len(events)
        settling: dict[str, Any] = {
            "execution": events[0],
            "required": order_state.required_hold(state),
        }
        owner = self.states[state.account_id]
        settled = (
            account_settlement.settle(owner, **settling)
            if decision is order_facts.fill
            else account_settlement.void_trade(owner, **settling, past=self.past(state.account_id))
        )
        self._record(ACCOUNT, state.account_id, settled)
        return len(events) + len(settled)

    def past(self, stream_id: UUID) -> Iterator[PastEvent]:
        """Its events, newest first."""
        for _, of_stream, event in reversed(self.log):
            if of_stream == stream_id:
                yield PastEvent(event, EPOCH)

    # --- shared -------------------------------------------------------------------------

    def allocations(self, account_id: UUID) -> AllocationState | None:
        return self.states.get(allocation_state.stream_id(account_id))

    def _terms(
        self, account_id: UUID, instrument_name: str, strategy_id: str | None = None, **asked: Any
    ) -> SubmitTerms:
        listed = self.states[instrument_state.stream_id(instrument_name)]
        return {
            "account_id": account_id,
            "instrument": instrument_name,
            "base_asset": listed.base_asset,
            "quote_asset": listed.quote_asset,
            "sub_account": allocation_rules.sub_account_of(strategy_id),
            "strategy_id": strategy_id,
            **asked,  # type: ignore[typeddict-item]
        }

    def _begin_order(self, order_id: UUID, events: tuple[Event, ...]) -> None:
        self._record(ORDER, order_id, events)
        self.orders.append(order_id)

    def _keep_hold(self, order_id: UUID) -> int:
        state = self.states[order_id]
        events = account_settlement.set_hold(
            self.states[state.account_id], order_state.required_hold(state)
        )
        self._record(ACCOUNT, state.account_id, events)
        return len(events)

    def _record(
        self, aggregate: Aggregate[Any], stream_id: UUID, events: tuple[Event, ...]
    ) -> None:
        for event in events:
            before = self.states.get(stream_id)
            if aggregate.check is not None:
                aggregate.check(before, event, CommandKind.FACT)
            self.states[stream_id] = aggregate.evolve(before, event, stream_id)
            self.log.append((aggregate.stream_type, stream_id, event))


def available(desk: Desk) -> dict[tuple[UUID, str, str], Decimal]:
    """What is available, per CASH account, sub-account and asset."""
    return {
        (account_id, sub_account, asset): balance.available
        for account_id in desk.accounts
        if desk.states[account_id].account_type is AccountType.CASH
        for sub_account, assets in desk.states[account_id].balances.items()
        for asset, balance in assets.items()
    }

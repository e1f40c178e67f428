"""A venue may say anything in any order about an order; what is known of it stays right."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.kernel import money
from ledger.kernel.event import Event
from ledger.kernel.rejection import Rejection
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import OrderFillConflicted, OrderType, Side, SubmitTerms
from tests.nouns.checks import ENDED, through_a_snapshot
from tests.nouns.drawn import Decision, places
from tests.nouns.folded import D

ENDINGS: list[Decision] = [
    order_facts.accept,
    order_facts.reject,
    order_facts.cancel,
    order_facts.expire,
]
REQUESTS: list[Decision] = [order_rules.request_cancel, order_rules.request_replace]
ANSWERS: list[Decision] = [order_facts.reject_cancel, order_facts.reject_replace]


class VenueMachine(RuleBasedStateMachine):
    """One order, and a venue that says anything in any order about it, with amounts of every
    size. The expected state is kept beside it in the plainest way."""

    trades_seen: dict[str, tuple[Decimal, Decimal, bool]]

    @initialize(
        side=st.sampled_from(Side),
        quantity=st.integers(1, 10**24),
        price=st.integers(1, 10**24),
        budget=st.booleans(),
    )
    def begin(self, side: Side, quantity: int, price: int, budget: bool) -> None:
        self.id = uuid4()
        self.trades_seen = {}
        self.told: set[tuple[str, Decimal, Decimal]] = set()
        self.status = "PENDING"
        terms: SubmitTerms = {
            "account_id": uuid4(),
            "instrument": "BINANCE:BTCUSDT",
            "base_asset": "BTC",
            "quote_asset": "USDT",
            "side": side,
            "order_type": OrderType.LIMIT,
            "sub_account": "main",
            "quantity": D(quantity).scaleb(-18),
            "price": D(price).scaleb(-18),
        }
        if budget and side is Side.BUY:
            quote_quantity = D(price).scaleb(-18)
            terms["order_type"] = OrderType.MARKET
            terms.update({"quantity": None, "price": None, "quote_quantity": quote_quantity})
        (event,) = order_rules.submit(None, order_id=self.id, **terms)
        self.state = order_state.evolve(None, event, self.id)

    def tell(self, decision: Callable[..., tuple[Event, ...]], **given: Any) -> Any:
        with money.exact():
            before = msgspec.json.encode(self.state)
            events = decision(self.state, **given)
            assert msgspec.json.encode(self.state) == before, "a decision changed the state"
            for event in events:
                self.state = order_state.evolve(self.state, event, self.id)
        return events[0] if events else None

    @rule(decision=st.sampled_from(ENDINGS))
    def happen(self, decision: Decision) -> None:
        was_open = self.status not in ENDED
        event = self.tell(decision)
        if decision is order_facts.accept:
            assert event.late == (self.status not in {"PENDING", "PARTIALLY_FILLED"})
        else:
            assert event.late == (not was_open)
        assert was_open or event.status == self.status

    @rule(decision=st.sampled_from(REQUESTS))
    def ask(self, decision: Decision) -> None:
        given = {"price": D(1)} if decision is order_rules.request_replace else {}
        try:
            event = self.tell(decision, **given)
        except Rejection:
            return
        assert event.status == self.status
        assert self.status not in ENDED

    @rule(decision=st.sampled_from(ANSWERS))
    def answer(self, decision: Decision) -> None:
        pending = (
            self.state.cancel_pending
            if decision is order_facts.reject_cancel
            else self.state.replace_pending is not None
        )
        event = self.tell(decision)
        assert (event.status, event.late) == (self.status, not pending)

    @rule(quantity=st.none() | st.integers(1, 10**24), price=st.none() | st.integers(1, 10**24))
    def replace(self, quantity: int | None, price: int | None) -> None:
        event = self.tell(
            order_facts.replace,
            quantity=None if quantity is None else D(quantity).scaleb(-18),
            price=None if price is None else D(price).scaleb(-18),
        )
        assert event.late == (self.status in ENDED)

    @rule(
        trade_id=st.sampled_from(["t1", "t2", "t3", "t4", "t5", "t6"]),
        last_qty=st.integers(1, 10**24) | st.just(10**38 - 1),
        last_px=st.integers(1, 10**24) | st.just(10**38 - 1),
    )
    def fill(self, trade_id: str, last_qty: int, last_px: int) -> None:
        qty, px = D(last_qty).scaleb(-18), D(last_px).scaleb(-18)
        known = self.trades_seen.get(trade_id)
        was_open = self.status not in ENDED
        event = self.tell(order_facts.fill, trade_id=trade_id, last_qty=qty, last_px=px)
        if known is None:
            self.trades_seen[trade_id] = (qty, px, False)
            assert event.late == (not was_open)
        elif known[:2] == (qty, px) or (trade_id, qty, px) in self.told:
            assert event is None
        elif known[2]:
            self.told.add((trade_id, *known[:2]))
            self.trades_seen[trade_id] = (qty, px, False)
            assert event.revision > 1
        else:
            assert isinstance(event, OrderFillConflicted)

    @precondition(lambda self: self.trades_seen)
    @rule(place=places)
    def fill_again(self, place: int) -> None:
        trade_id = list(self.trades_seen)[place % len(self.trades_seen)]
        qty, px, _ = self.trades_seen[trade_id]
        assert self.tell(order_facts.fill, trade_id=trade_id, last_qty=qty, last_px=px) is None

    @precondition(lambda self: self.trades_seen)
    @rule(place=places)
    def void(self, place: int) -> None:
        trade_id = list(self.trades_seen)[place % len(self.trades_seen)]
        qty, px, voided = self.trades_seen[trade_id]
        event = self.tell(order_facts.void_fill, trade_id=trade_id)
        self.trades_seen[trade_id] = (qty, px, True)
        assert (event is None) == voided
        assert voided or (event.last_qty, event.last_px) == (qty, px)

    @invariant()
    def what_is_filled_is_the_sum_of_the_trades_that_stand(self) -> None:
        with money.exact():
            kept = [(qty, px) for qty, px, voided in self.trades_seen.values() if not voided]
            assert self.state.cum_qty == sum(qty for qty, _ in kept)
            assert self.state.cum_quote == sum(qty * px for qty, px in kept)

    @invariant()
    def the_status_only_goes_forward(self) -> None:
        steps = ["PENDING", "NEW", "PARTIALLY_FILLED"]
        if self.status in ENDED:
            assert self.state.status == self.status
        elif self.state.status not in ENDED and self.status != "PARTIALLY_FILLED":
            assert steps.index(self.state.status) >= steps.index(self.status)
        self.status = self.state.status.value

    @invariant()
    def a_hold_is_never_negative_and_ends_with_the_order(self) -> None:
        with money.exact():
            held = order_state.required_hold(self.state).amount
            assert held >= 0
            assert held == 0 or self.status not in ENDED

    @invariant()
    def a_snapshot_gives_the_same_state(self) -> None:
        assert through_a_snapshot(self.state) == self.state


# Some 20,000 facts: enough to meet any three rules in a row, in seconds.
TestVenueMachine = VenueMachine.TestCase
TestVenueMachine.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)

"""Orders, alone and linked, and a venue that tells anything about them in any order: what they hold
is what they need, and what they trade is conserved.

The machine sends commands to all handlers, in memory, and keeps in the plainest way what must come
of it: the books from the postings, and of each group what its orders have traded since one of them
was open.
"""

import os
from collections import defaultdict
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.kernel.money import ZERO, exact
from ledger.nouns.accounts.events import AccountEvent
from ledger.nouns.orders.state import OrderState, required_hold
from tests.nouns.deciding import Deciding
from tests.nouns.drawn import places

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
"""How many times as long as in the default suite."""
QUANTITIES = st.sampled_from(["0.001", "0.4", "1", "1.5", "3"])
PRICES = st.sampled_from(["0.01", "99.5", "100", "130"])
TOLD_PRICES = PRICES | st.sampled_from(["0", "-37.63", "0.123456789012345678901"])
FEES = st.lists(
    st.fixed_dictionaries(
        {"asset": st.just("USDT"), "amount": st.sampled_from(["1", "-0.5", "0.000000000001"])}
    )
    | st.fixed_dictionaries(
        {"asset": st.sampled_from(["BTC", "BNB"]), "amount": st.sampled_from(["0.01", "0.0001"])}
    ),
    max_size=3,
    unique_by=lambda fee: fee["asset"],
)
GROUPS = [uuid4(), uuid4()]
TRADES = ["t1", "t2", "t3"]
VENUE_IDS = [None, "A", "B", "C"]

GroupKey = tuple[UUID, str, str]


class OrdersMachine(RuleBasedStateMachine):
    ledger: Deciding

    @initialize(account_type=st.sampled_from(["CASH", "MARGIN"]))
    def begin(self, account_type: str) -> None:
        self.ledger = Deciding(account_type=account_type)
        self.orders: list[UUID] = []
        self.seen = 0
        self.books: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self.filled: dict[UUID, Decimal] = defaultdict(Decimal)
        self.traded: dict[GroupKey, Decimal] = defaultdict(Decimal)

    @rule(
        side=st.sampled_from(["BUY", "SELL"]),
        quantity=QUANTITIES,
        price=PRICES,
        group=st.sampled_from([None, *GROUPS]),
        order_type=st.sampled_from(["LIMIT", "MARKET"]),
    )
    def submit(self, group: UUID | None, **terms: Any) -> None:
        self._known(self.ledger.submit(oco_group=group, **terms))

    @rule(quantity=st.none() | QUANTITIES, side=st.sampled_from(["BUY", "SELL"]))
    def report(self, quantity: str | None, side: str) -> None:
        order_id = uuid4()
        given_terms = {"instrument": "BINANCE:BTCUSDT", "side": side, "quantity": quantity}
        self.ledger.send("AcceptOrder", order_id=order_id, **given_terms)
        self._known(order_id)

    @precondition(lambda self: self.orders)
    @rule(
        place=places,
        fact=st.sampled_from(["AcceptOrder", "CancelOrder", "ExpireOrder", "CompleteOrder"]),
        venue_order_id=st.sampled_from(VENUE_IDS),
    )
    def tell(self, place: int, fact: str, venue_order_id: str | None) -> None:
        order = self._order(place)
        was_former = venue_order_id in order.former_venue_order_ids
        before = (order.status, order.price, order.quantity, self._held(order))
        self.ledger.send(fact, order_id=order.order_id, venue_order_id=venue_order_id)
        order = self.ledger.order(order.order_id)
        after = (order.status, order.price, order.quantity, self._held(order))
        assert self.ledger.code() is None
        assert not was_former or after == before

    @precondition(lambda self: self.orders)
    @rule(place=places, quantity=QUANTITIES, price=PRICES, venue_id=st.sampled_from(VENUE_IDS))
    def replace(self, place: int, venue_id: str | None, **terms: Any) -> None:
        order = self._order(place)
        self.ledger.send("ReplaceOrder", order_id=order.order_id, venue_order_id=venue_id, **terms)
        assert self.ledger.code() is None

    @precondition(lambda self: self.orders)
    @rule(
        place=places,
        trade=st.sampled_from(TRADES),
        qty=QUANTITIES,
        px=TOLD_PRICES,
        fees=FEES,
        quote=st.none() | st.sampled_from(["50", "-1", "0"]),
        side=st.sampled_from([None, None, "BUY", "SELL"]),
    )
    def fill(self, place: int, trade: str, qty: str, px: str, **more: Any) -> None:
        more["quote_quantity"] = more.pop("quote")
        self.ledger.fill(self._order(place).order_id, trade, qty, px, **more)
        assert self.ledger.code() in (None, "FILL_CONFLICT")

    @precondition(lambda self: self.orders)
    @rule(place=places, trade=st.sampled_from(TRADES))
    def void(self, place: int, trade: str) -> None:
        self.ledger.send("VoidFill", order_id=self._order(place).order_id, trade_id=trade)
        assert self.ledger.code() is None

    @precondition(lambda self: self.orders)
    @rule(place=places, trade=st.sampled_from(TRADES), fees=FEES)
    def correct(self, place: int, trade: str, fees: list[dict[str, str]]) -> None:
        order_id = self._order(place).order_id
        self.ledger.send("CorrectCommission", order_id=order_id, trade_id=trade, fees=fees)
        assert self.ledger.code() is None

    # --- what must be -------------------------------------------------------------------

    def _known(self, order_id: UUID) -> None:
        self.orders.append(order_id)

    def _order(self, place: int) -> OrderState:
        """An open one more often than there are such."""
        still_open = [one for one in self.orders if not self.ledger.order(one).status.is_terminal]
        among = still_open if still_open and place % 4 else self.orders
        return self.ledger.order(among[place // 4 % len(among)])

    def _held(self, order: OrderState) -> Decimal:
        return self.ledger.account.held(order.order_id)

    def _grouped(self) -> dict[GroupKey, list[OrderState]]:
        found: dict[GroupKey, list[OrderState]] = defaultdict(list)
        for order_id in self.orders:
            order = self.ledger.order(order_id)
            if order.oco_group is not None:
                found[order.oco_group, order.side, order.sub_account].append(order)
        return found

    @invariant()
    def what_is_in_the_books_was_posted_and_comes_from_trades_and_fees(self) -> None:
        with exact():
            for _, (event, _) in self.ledger.log[self.seen :]:
                if isinstance(event, AccountEvent):
                    for posting in event.postings:
                        self.books[posting.book, posting.asset] += posting.amount
            self.seen = len(self.ledger.log)
            for asset, balance in self.ledger.account.balances["main"].items():
                assert balance.total == self.books["main", asset]
            expected: dict[str, Decimal] = defaultdict(Decimal, USDT=Decimal(1000), BTC=Decimal(10))
            for order_id in self.orders:
                for trade in self.ledger.order(order_id).trades.values():
                    if trade.voided:
                        continue
                    sign = 1 if trade.side == "BUY" else -1
                    expected["BTC"] += sign * trade.last_qty
                    expected["USDT"] -= sign * trade.quote_moved
                    for fee in trade.fees:
                        expected[fee.asset] -= fee.amount
            for asset, total in expected.items():
                assert self.books["main", asset] == total, asset

    @invariant()
    def the_account_knows_which_orders_are_open_and_each_alone_holds_what_it_needs(self) -> None:
        with exact():
            for order_id in self.orders:
                order = self.ledger.order(order_id)
                is_open = not order.status.is_terminal
                assert (order_id in self.ledger.account.holds) is is_open
                if order.oco_group is None:
                    assert self._held(order) == required_hold(order).amount

    @invariant()
    def a_group_holds_once_what_the_largest_may_still_trade(self) -> None:
        with exact():
            for key, orders in self._grouped().items():
                still_open = [one for one in orders if not one.status.is_terminal]
                for order in orders:
                    self.traded[key] += order.cum_qty - self.filled[order.order_id]
                    self.filled[order.order_id] = order.cum_qty
                if not still_open:
                    self.traded[key] = ZERO
                held = [self._held(order) for order in orders]
                largest = ZERO
                for order in still_open:
                    member = required_hold(order).member
                    assert member is not None
                    left = max(member.quantity - self.traded[key], ZERO)
                    largest = max(largest, left * member.unit)
                assert sum(held) == largest
                assert sum(1 for amount in held if amount) <= 1

    @invariant()
    def what_is_locked_is_what_is_held(self) -> None:
        with exact():
            for asset, balance in self.ledger.account.balances["main"].items():
                holds = [one for one in self.ledger.account.holds.values() if one.asset == asset]
                assert balance.locked == sum(one.amount for one in holds)

    def teardown(self) -> None:
        if hasattr(self, "ledger"):
            with exact():
                self.ledger.check_folding()


TestOrdersMachine = OrdersMachine.TestCase
TestOrdersMachine.settings = settings(
    max_examples=40 * ROUNDS, stateful_step_count=40, deadline=None
)


@settings(max_examples=40 * ROUNDS, deadline=None)
@given(st.data())
def test_in_which_order_independent_facts_arrive_does_not_matter(data: st.DataObject) -> None:
    """Trades of one order, what they are charged, and which of them are void."""
    facts: list[tuple[str, dict[str, Any]]] = []
    for trade in TRADES:
        told = {"trade_id": trade}
        fill = {"last_qty": data.draw(QUANTITIES), "last_px": data.draw(TOLD_PRICES)}
        facts.append(("RecordFill", told | fill | {"fees": data.draw(FEES)}))
        if data.draw(st.booleans()):
            facts.append(("CorrectCommission", told | {"fees": data.draw(FEES)}))
        if data.draw(st.booleans()):
            facts.append(("VoidFill", told))
    ends = []
    for arrival in (facts, data.draw(st.permutations(facts))):
        ledger = Deciding()
        order_id = ledger.submit(side="SELL", quantity="10", price="100")
        for name, given_data in arrival:
            ledger.send(name, order_id=order_id, **given_data)
        order = ledger.order(order_id)
        assert not order.foretold
        balances = ledger.account.balances["main"]
        totals = {asset: one.total for asset, one in balances.items() if one.total}
        ends.append((order.status, order.cum_qty, order.cum_quote, ledger.locked("BTC"), totals))
    assert ends[0] == ends[1]

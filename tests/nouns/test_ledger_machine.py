"""Arbitrary sequences of commands, legal and illegal, never break what must always hold.

The machine gives commands to a `Desk`, and keeps its own books from the postings alone. What it
checks after every step, and at the end of every sequence, is listed in its invariants.
"""

from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ledger.kernel import money
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.events import AccountEvent, AccountType
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.instruments import state as instrument_state
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders import state as order_state
from ledger.nouns.orders.events import OrderType, Side
from ledger.nouns.orders.state import Trade
from tests.nouns.checks import ENDED, check_event_quantities, check_folding
from tests.nouns.desk import Desk, available
from tests.nouns.drawn import (
    FACTS,
    INSTRUMENTS,
    SHARE_REQUESTS,
    STATUS_REQUESTS,
    Decision,
    amounts,
    assets,
    content,
    listing,
    order_terms,
    percents,
    places,
    prices,
    quantities,
    strategy_ids,
    sub_accounts,
)
from tests.nouns.folded import D


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.books: dict[tuple[UUID, str, str], Decimal] = defaultdict(Decimal)
        self.booked = 0
        self.ended: dict[UUID, str] = {}

    @initialize(deposited=st.sampled_from([D(1), D(500), D(10_000)]))
    def begin(self, deposited: Decimal) -> None:
        with money.exact():
            for account_type in AccountType:
                account_id = self.desk.open_account(account_type)
                for asset in ("USDT", "BTC"):
                    self.desk.of_account(
                        account_id, account_rules.deposit, asset=asset, amount=deposited
                    )
                self.desk.allocate(
                    account_id,
                    allocation_rules.assign,
                    strategy_id="alpha",
                    allocation_percent=D(40),
                )
            for name in INSTRUMENTS:
                self.desk.of_instrument(name, instrument_rules.list_instrument, **listing(name))

    # --- carrying out -------------------------------------------------------------------

    def request(self, command: Callable[..., Any], *given: Any, **more: Any) -> None:
        """May be rejected; takes nothing available below zero."""
        before = available(self.desk)
        with money.exact():
            with suppress(Rejection):
                command(*given, **more)
            for key, after in available(self.desk).items():
                assert after >= min(before.get(key, money.ZERO), money.ZERO), (key, after)

    def fact(self, command: Callable[..., int | None], *given: Any, **more: Any) -> int:
        """Is never rejected. Returns the events it caused."""
        known = len(self.desk.log)
        with money.exact():
            command(*given, **more)
        return len(self.desk.log) - known

    def _account(self, place: int) -> UUID:
        return self.desk.accounts[place % len(self.desk.accounts)]

    def _order(self, place: int) -> UUID:
        """Any order, or an open one more often than there are such."""
        open_orders = [i for i in self.desk.orders if i not in self.ended]
        among = open_orders if open_orders and place % 3 else self.desk.orders
        return among[place // 3 % len(among)]

    def _trade(self, order_id: UUID, place: int) -> tuple[str, Trade] | None:
        trades = list(self.desk.states[order_id].trades.items())
        return trades[place % len(trades)] if trades else None

    # --- accounts -----------------------------------------------------------------------

    @rule(place=places, asset=assets, amount=amounts, sub_account=sub_accounts)
    def deposit(self, place: int, **given: Any) -> None:
        assert (
            self.fact(self.desk.of_account, self._account(place), account_rules.deposit, **given)
            == 1
        )

    @rule(
        place=places, asset=assets, amount=amounts, sign=st.sampled_from([1, -1]), sub=sub_accounts
    )
    def adjust(self, place: int, asset: str, amount: Decimal, sign: int, sub: str) -> None:
        given = {"asset": asset, "amount": amount * sign, "sub_account": sub}
        told = {"reason": "statement", "actor": "ops"}
        done = self.fact(
            self.desk.of_account, self._account(place), account_rules.adjust, **given, **told
        )
        assert done == 1

    @rule(place=places, asset=assets, amount=amounts, sub_account=sub_accounts)
    def withdraw(self, place: int, **given: Any) -> None:
        self.request(self.desk.of_account, self._account(place), account_rules.withdraw, **given)

    @rule(
        place=places,
        asset=assets,
        amount=amounts,
        from_sub_account=sub_accounts,
        to_sub_account=sub_accounts,
    )
    def transfer(self, place: int, **given: Any) -> None:
        self.request(self.desk.of_account, self._account(place), account_rules.transfer, **given)

    @rule(
        place=places,
        decision=st.sampled_from(STATUS_REQUESTS),
    )
    def change_status(self, place: int, decision: Decision) -> None:
        self.request(self.desk.of_account, self._account(place), decision, actor="ops")

    @rule(place=places)
    def empty_and_close(self, place: int) -> None:
        account_id = self._account(place)
        with money.exact():
            for sub_account, balances in self.desk.states[account_id].balances.items():
                for asset, balance in balances.items():
                    given = {"asset": asset, "amount": -balance.total, "sub_account": sub_account}
                    told = {"reason": "swept", "actor": "ops"}
                    self.desk.of_account(account_id, account_rules.adjust, **given, **told)
        self.request(self.desk.of_account, account_id, account_rules.close)

    # --- allocations and instruments ----------------------------------------------------

    @rule(
        place=places,
        decision=st.sampled_from(SHARE_REQUESTS),
        strategy_id=strategy_ids,
        percent=percents,
    )
    def allocate(self, place: int, decision: Decision, strategy_id: str, percent: Decimal) -> None:
        self.request(
            self.desk.allocate,
            self._account(place),
            decision,
            strategy_id=strategy_id,
            allocation_percent=percent,
        )

    @rule(place=places, strategy_id=strategy_ids)
    def deactivate(self, place: int, strategy_id: str) -> None:
        account_id = self._account(place)
        self.request(
            self.desk.allocate, account_id, allocation_rules.deactivate, strategy_id=strategy_id
        )

    @rule(place=places)
    def rebalance(self, place: int) -> None:
        self.request(self.desk.rebalance, self._account(place))

    @rule(name=st.sampled_from(list(INSTRUMENTS)), tick_size=st.sampled_from([D("0.01"), D("0.5")]))
    def update_instrument(self, name: str, tick_size: Decimal) -> None:
        decision = instrument_rules.update_instrument
        self.request(self.desk.of_instrument, name, decision, tick_size=tick_size)

    @rule(name=st.sampled_from(list(INSTRUMENTS)))
    def delist_or_list_again(self, name: str) -> None:
        if self.desk.states[instrument_state.stream_id(name)].delisted:
            self.request(
                self.desk.of_instrument, name, instrument_rules.list_instrument, **listing(name)
            )
        else:
            self.request(self.desk.of_instrument, name, instrument_rules.delist_instrument)

    # --- orders -------------------------------------------------------------------------

    @rule(place=places, terms=order_terms())
    def submit(self, place: int, terms: dict[str, Any]) -> None:
        self.request(self.desk.submit, self._account(place), uuid4(), **terms)

    @rule(place=places, quantity=quantities, price=prices, side=st.sampled_from(Side))
    def submit_what_is_likely_accepted(self, place: int, **terms: Any) -> None:
        terms |= {"instrument_name": "BINANCE:BTCUSDT", "order_type": OrderType.LIMIT}
        self.request(self.desk.submit, self._account(place), uuid4(), **terms)

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, terms=order_terms())
    def submit_under_a_known_id(self, place: int, terms: dict[str, Any]) -> None:
        known = len(self.desk.log)
        self.request(self.desk.submit, self._account(place), self._order(place), **terms)
        assert len(self.desk.log) == known

    @rule(place=places, terms=order_terms())
    def report(self, place: int, terms: dict[str, Any]) -> None:
        terms |= {"strategy_id": None}
        assert self.fact(self.desk.report, self._account(place), uuid4(), **terms) >= 1

    @precondition(lambda self: self.desk.orders)
    @rule(
        place=places,
        decision=st.sampled_from(FACTS),
    )
    def tell(self, place: int, decision: Decision) -> None:
        assert self.fact(self.desk.of_order, self._order(place), decision) >= 1

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, quantity=st.none() | quantities, price=st.none() | prices)
    def replace(self, place: int, **given: Any) -> None:
        assert self.fact(self.desk.of_order, self._order(place), order_facts.replace, **given) >= 1

    @precondition(lambda self: self.desk.orders)
    @rule(place=places)
    def request_cancel(self, place: int) -> None:
        self.request(self.desk.of_order, self._order(place), order_rules.request_cancel)

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, quantity=st.none() | quantities, price=st.none() | prices)
    def request_replace(self, place: int, **given: Any) -> None:
        self.request(self.desk.of_order, self._order(place), order_rules.request_replace, **given)

    # --- trades -------------------------------------------------------------------------

    @precondition(lambda self: self.desk.orders)
    @rule(
        place=places,
        last_qty=quantities,
        last_px=prices,
        commission=st.sampled_from([money.ZERO, D("0.01"), D("-0.002")]),
        commission_asset=st.sampled_from(["USDT", "BTC", "BNB"]),
    )
    def fill(self, place: int, **given: Any) -> None:
        trade_id = str(uuid4())
        done = self.fact(
            self.desk.trade, self._order(place), order_facts.fill, trade_id=trade_id, **given
        )
        assert done == 2

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, other=places)
    def fill_again(self, place: int, other: int) -> None:
        known = self._trade(self._order(place), other)
        if known is not None:
            assert (
                self.fact(self.desk.trade, self._order(place), order_facts.fill, **content(*known))
                == 0
            )

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, other=places)
    def fill_with_other_content(self, place: int, other: int) -> None:
        known = self._trade(self._order(place), other)
        if known is not None:
            voided = known[1].voided
            given = content(*known) | {"last_px": known[1].last_px + len(self.desk.log)}
            done = self.fact(self.desk.trade, self._order(place), order_facts.fill, **given)
            assert done == (2 if voided else 1)

    @precondition(lambda self: self.desk.orders)
    @rule(place=places, other=places)
    def void(self, place: int, other: int) -> None:
        known = self._trade(self._order(place), other)
        if known is not None:
            events = 0 if known[1].voided else 2
            given = {"trade_id": known[0]}
            done = self.fact(self.desk.trade, self._order(place), order_facts.void_fill, **given)
            assert done == events

    # --- what always holds --------------------------------------------------------------

    def _book(self) -> None:
        """Carries new postings into the machine's own books. Each event's sum to zero."""
        for _, stream_id, event in self.desk.log[self.booked :]:
            if isinstance(event, AccountEvent):
                sums: dict[str, Decimal] = defaultdict(Decimal)
                for posting in event.postings:
                    sums[posting.asset] += posting.amount
                    self.books[stream_id, posting.book, posting.asset] += posting.amount
                assert not any(sums.values()), event
        self.booked = len(self.desk.log)

    @invariant()
    def all_books_of_an_asset_sum_to_zero(self) -> None:
        with money.exact():
            self._book()
            sums: dict[tuple[UUID, str], Decimal] = defaultdict(Decimal)
            for (account_id, _, asset), amount in self.books.items():
                sums[account_id, asset] += amount
            assert not any(sums.values())

    @invariant()
    def balances_are_what_was_posted_and_what_is_held(self) -> None:
        with money.exact():
            self._book()
            for account_id in self.desk.accounts:
                state = self.desk.states[account_id]
                locked: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
                for hold in state.holds.values():
                    assert hold.amount >= 0
                    locked[hold.sub_account, hold.asset] += hold.amount
                for sub_account, balances in state.balances.items():
                    for asset, balance in balances.items():
                        assert balance.total == self.books[account_id, sub_account, asset]
                        assert balance.locked == locked.pop((sub_account, asset), 0)
                        assert balance.total == balance.available + balance.locked
                assert not locked

    @invariant()
    def each_order_holds_what_it_needs_and_an_ended_one_nothing(self) -> None:
        with money.exact():
            for order_id in self.desk.orders:
                state = self.desk.states[order_id]
                held = self.desk.states[state.account_id].held(order_id)
                assert held == order_state.required_hold(state).amount
                is_open = order_id in self.desk.states[state.account_id].holds
                assert is_open == (state.status not in ENDED)

    @invariant()
    def active_strategies_have_at_most_the_whole_account(self) -> None:
        for account_id in self.desk.accounts:
            state = self.desk.allocations(account_id)
            if state is not None:
                active = [a.allocation_percent for a in state.strategies.values() if a.active]
                assert sum(active) <= 100

    @invariant()
    def an_ended_order_keeps_its_status(self) -> None:
        for order_id in self.desk.orders:
            status = self.desk.states[order_id].status
            assert self.ended.get(order_id, status) is status
            if status in ENDED:
                self.ended[order_id] = status

    @invariant()
    def an_orders_quantities_add_up(self) -> None:
        with money.exact():
            for order_id in self.desk.orders:
                state = self.desk.states[order_id]
                kept = [t for t in state.trades.values() if not t.voided]
                assert state.cum_qty == sum(t.last_qty for t in kept)
                assert state.cum_quote == sum(t.last_qty * t.last_px for t in kept)
                if state.status == "PARTIALLY_FILLED":
                    assert state.cum_qty > 0
                    assert state.quantity is None or state.cum_qty < state.quantity
                if state.status in {"PENDING", "NEW"}:
                    assert state.cum_qty == 0

    @invariant()
    def the_venue_gave_and_took_what_was_traded(self) -> None:
        with money.exact():
            self._book()
            expected: dict[tuple[UUID, str, str], Decimal] = defaultdict(Decimal)
            for order_id in self.desk.orders:
                state = self.desk.states[order_id]
                sign = 1 if state.side is Side.SELL else -1
                venue, fees = (
                    (state.account_id, "venue:BINANCE"),
                    (state.account_id, "fees:BINANCE"),
                )
                expected[*venue, state.base_asset] += sign * state.cum_qty
                expected[*venue, state.quote_asset] -= sign * state.cum_quote
                for trade in state.trades.values():
                    for fee in () if trade.voided else trade.fees:
                        expected[*fees, fee.asset] += fee.amount
            for key in expected | self.books:
                if ":" in key[1]:
                    assert self.books.get(key, 0) == expected.get(key, 0), key

    def teardown(self) -> None:
        with money.exact():
            check_event_quantities(self.desk)
            check_folding(self.desk)


# Some 17,000 commands: enough for every event and code to come up many times, in well under a
# minute.
TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(max_examples=300, stateful_step_count=60, deadline=None)

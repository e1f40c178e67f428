"""Whatever is limited, ordered, changed, filled, priced and restarted, in any order:

no accepted request leaves an exact limit exceeded that it has brought nearer to
no request that only reduces is refused, but for one that would trade with oneself
every refusal comes out again from its own event
what a cold reader of the log measures is what the one that decided measures, and what one that
follows it measures
"""

import os
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from examples.recompute_refusals import differences
from ledger.kernel.command import Outcome
from ledger.nouns.limits.answers import LimitUse
from ledger.write.preview import Preview
from tests.commands import INSTRUMENT, USER, command
from tests.limits.desk import PERPETUAL, Desk, order_id, sent_by

EXAMPLES = int(os.environ.get("LEDGER_TEST_ROUNDS", "0")) or 6
EXACT = {"MAX_POSITION", "MAX_EXPOSURE", "MAX_LEVERAGE", "MAX_OPEN_ORDERS"}
INSTRUMENTS = st.sampled_from((INSTRUMENT, PERPETUAL))
SIDES = st.sampled_from(("BUY", "SELL"))
QUANTITIES = st.sampled_from(("0.5", "1", "2", "3.5", "7"))
PRICES = st.sampled_from(("80", "95", "100", "104", "130"))
LIMITS = st.sampled_from((
    ("MAX_POSITION", "4", "UNITS"), ("MAX_POSITION", "500", "USDT"), ("MAX_POSITION", "40", "%"),
    ("MAX_EXPOSURE", "700", "USDT"), ("MAX_EXPOSURE", "60", "%"), ("MAX_LEVERAGE", "0.7", "RATIO"),
    ("MAX_OPEN_ORDERS", "3", "ORDERS"), ("MAX_ORDER_QUANTITY", "3", "UNITS"),
    ("MAX_ORDER_NOTIONAL", "300", "USDT"), ("PRICE_BAND", "10", "%"),
    ("MAX_DAILY_LOSS", "5", "%"), ("MAX_DRAWDOWN", "8", "%"), ("MIN_EQUITY", "900", "USDT"),
    ("RISK_PER_TRADE", "30", "%"), ("ORDER_RATE", "4", "ORDERS"),
    ("NOTIONAL_RATE", "900", "USDT"), ("DUPLICATE_ORDER", "1", "ORDERS"),
    ("SELF_MATCH", "0", "ORDERS"), ("PRICE_WALK", "5", "%"),
))  # fmt: skip
SCOPES = st.sampled_from(("SYSTEM", "USER", "ACCOUNT", "INSTRUMENT"))
STEPS = st.one_of(
    st.tuples(st.just("limit"), LIMITS, SCOPES),
    *[st.tuples(st.just("order"), INSTRUMENTS, SIDES, QUANTITIES, PRICES)] * 3,
    st.tuples(st.just("replace"), st.integers(0, 9), QUANTITIES, PRICES),
    st.tuples(st.just("fill"), st.integers(0, 9), QUANTITIES),
    st.tuples(st.just("cancel"), st.integers(0, 9)),
    st.tuples(st.just("price"), INSTRUMENTS, PRICES),
    st.tuples(st.just("trade"), INSTRUMENTS, SIDES, QUANTITIES),
    st.tuples(st.just("reduce"), INSTRUMENTS, st.booleans()),
    st.tuples(st.just("time"), st.sampled_from((1, 200, 90_000))),
    st.tuples(st.just("restart")),
)


def previewing(url: str) -> Preview:
    return Preview(url, clock_tolerance=timedelta(minutes=5), price_max_age=timedelta(minutes=5))


class Machine:
    """One account, at work."""

    def __init__(self, url: str) -> None:
        self.desk = Desk(url)
        self.desk.deposit("1000")
        self.open: list[UUID] = []
        self.limits: list[UUID] = []
        self.following = previewing(url)
        for instrument in (INSTRUMENT, PERPETUAL):
            self.desk.price("100", instrument)

    def used(self) -> dict[UUID, LimitUse]:
        """What limits are at, by a reader that has just come."""
        preview = previewing(self.desk.url)
        answer = preview.use(self.desk.account, self.desk.now)
        preview.close()
        assert answer is not None
        assert self.following.use(self.desk.account, self.desk.now) == answer
        return {one.limit_id: one for one in answer.rows}

    def asked(self, sent: Any) -> Outcome:
        """Sends a request, and looks at what came of it."""
        before = self.used()
        outcome = self.desk.one(sent)
        if outcome.code in {"RISK_LIMIT_EXCEEDED", "SELF_MATCH"}:
            assert list(differences(self.desk.event(_of_order(outcome)))) == []
        if outcome.accepted:
            for limit_id, now in self.used().items():
                was = before.get(limit_id)  # None: the account had nothing of this instrument
                at = Decimal(0) if was is None else was.measured
                if now.measure not in EXACT or now.measured is None or at is None:
                    continue
                assert not now.exceeded or now.measured <= at, (was, now)
        return outcome

    def forget_limits(self) -> None:
        """For those who come after: some are of everything."""
        for limit in self.limits:
            self.desk.accepted(command("RemoveLimit", "limits", limit_id=limit))
            self.desk.accepted(sent_by("another", "ApproveLimit", "limits", limit_id=limit))

    # --- steps ----------------------------------------------------------------------------

    def limit(self, terms: tuple[str, str, str], scope: str) -> None:
        references = {"SYSTEM": None, "USER": str(USER), "INSTRUMENT": INSTRUMENT}
        named = references.get(scope, str(self.desk.account))
        measure, _, unit = terms
        of_account = measure in ("MAX_DAILY_LOSS", "MAX_DRAWDOWN", "MIN_EQUITY")
        if scope == "INSTRUMENT" and of_account:
            return
        if scope != "ACCOUNT" and measure == "MAX_EXPOSURE" and unit == "USDT":
            return  # of all accounts: as of what is committed
        self.limits.append(self.desk.limit(*terms, scope=scope, reference=named))

    def order(self, instrument: str, side: str, quantity: str, price: str) -> None:
        outcome = self.asked(self.desk.order(side, quantity, price, instrument=instrument))
        if outcome.accepted:
            self.open.append(order_id(outcome))

    def replace(self, which: int, quantity: str, price: str) -> None:
        order = self.one_of(which)
        if order is not None:
            change = {"order_id": order, "quantity": quantity, "price": price}
            if self.asked(command("RequestReplace", self.desk.account, **change)).accepted:
                answer = "ReplaceOrder" if which % 2 else "RejectReplace"
                self.desk.accepted(command(answer, self.desk.account, order_id=order))

    def fill(self, which: int, quantity: str) -> None:
        order = self.one_of(which)
        if order is not None:
            self.desk.fill(order, quantity, "100")

    def cancel(self, which: int) -> None:
        order = self.one_of(which)
        if order is not None:
            self.desk.send(command("CancelOrder", self.desk.account, order_id=order))
            self.open.remove(order)

    def price(self, instrument: str, price: str) -> None:
        self.desk.price(price, instrument)

    def trade(self, instrument: str, side: str, quantity: str) -> None:
        self.desk.traded(side, quantity, instrument=instrument)

    def reduce(self, instrument: str, by_all: bool) -> None:
        """An exit from what is held of the contract, as far as no other order takes it."""
        position = self.desk.position(PERPETUAL)
        if not position:
            return
        side = "SELL" if position > 0 else "BUY"
        size = abs(position) if by_all else abs(position) / 2
        outcome = self.asked(
            self.desk.order(
                side, str(size.normalize()), "100", instrument=PERPETUAL, reduce_only=True
            )
        )
        answers = {None, "NOTHING_TO_REDUCE", "SELF_MATCH"}
        assert outcome.code in answers, (instrument, outcome)
        if outcome.accepted:
            self.open.append(order_id(outcome))

    def time(self, seconds: int) -> None:
        self.desk.later(seconds=seconds)

    def restart(self) -> None:
        self.desk.restart()

    def one_of(self, which: int) -> UUID | None:
        return self.open[which % len(self.open)] if self.open else None


def _of_order(outcome: Outcome) -> Outcome:
    """The outcome with the order's own event first: marks of equity come before it."""
    events = sorted(outcome.events, key=lambda one: not one.type.startswith("order."))
    return Outcome(command_id=outcome.command_id, status=outcome.status, events=tuple(events))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=8, max_size=25))
def test_nothing_gets_past_a_limit_and_nothing_is_kept_from_getting_out(
    database_url: str, steps: list[tuple[Any, ...]]
) -> None:
    machine = Machine(database_url)
    try:
        for name, *given_ in steps:
            step: Callable[..., None] = getattr(machine, name)
            step(*given_)
        machine.forget_limits()
    finally:
        machine.following.close()
        machine.desk.ledger.close()

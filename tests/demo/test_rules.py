"""What the demo's venue and strategies do, which is pure, and the same in every run."""

import random
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from ledger.demo import plan, venue_rules
from ledger.demo.market import Walk, cut_to_grid, on_grid
from ledger.demo.strategy_rules import Mistake, intentions, order_data
from ledger.demo.venue_rules import VenueOrder, VenueReport
from ledger.nouns.accounts.events import AccountType
from ledger.nouns.orders.events import OrderType, Side, TimeInForce

BTC = plan.LISTINGS[0]
PRICE = Decimal(60_000)
SEEDS = range(400)


def order(seed: int, **changes: object) -> VenueOrder:
    terms: dict[str, object] = {
        "order_id": "o",
        "account_id": "a",
        "client_order_id": f"c-{seed}",
        "listing": BTC,
        "side": Side.BUY,
        "order_type": OrderType.LIMIT,
        "time_in_force": TimeInForce.GTC,
        "chance": random.Random(seed),
        "quantity": Decimal("0.01"),
        "price": PRICE,
    }
    return VenueOrder(**(terms | changes))  # type: ignore[arg-type]


def traded(reports: list[VenueReport]) -> Decimal:
    """What the reports say has traded: repeated and contradicted fills count once."""
    fills = {
        r.data["trade_id"]: Decimal(r.data["last_qty"])
        for r in reversed(reports)
        if r.type == "RecordFill"
    }
    voided = {r.data["trade_id"] for r in reports if r.type == "VoidFill"}
    return sum((qty for trade, qty in fills.items() if trade not in voided), Decimal(0))


def lives() -> Iterator[tuple[VenueOrder, list[VenueReport]]]:
    """Orders that rest are replaced and then cancelled."""
    for seed in SEEDS:
        one = order(seed)
        reports = venue_rules.place(one, PRICE)
        if one.open:
            reports += venue_rules.replace(one, Decimal("0.01001"), PRICE + 1)
        if one.open:
            reports += venue_rules.cancel(one)
        yield one, reports


def test_the_venue_keeps_count_of_what_it_reports() -> None:
    for one, reports in lives():
        assert one.traded == traded(reports)


def test_everything_that_can_go_wrong_at_a_venue_does_so_sometimes() -> None:
    reported = Counter(report.type for _, reports in lives() for report in reports)
    assert reported.keys() == {
        *("AcceptOrder", "RejectOrder", "RecordFill", "VoidFill"),
        *("CancelOrder", "RejectCancel", "ReplaceOrder", "RejectReplace"),
    }
    histories = [[report.type for report in reports] for _, reports in lives()]
    assert any("RecordFill" in h[h.index("CancelOrder") :] for h in histories if "CancelOrder" in h)
    assert any(h[:2] == ["RecordFill", "AcceptOrder"] for h in histories)
    assert any(one.traded > (one.quantity or 0) for one, _ in lives())


def test_an_order_that_must_be_filled_at_once_never_rests() -> None:
    for killed in (TimeInForce.IOC, TimeInForce.FOK):
        for seed in SEEDS:
            one = order(seed, time_in_force=killed)
            venue_rules.place(one, PRICE)
            assert not one.open


def test_a_budget_is_never_exceeded_but_by_one_step() -> None:
    for seed in SEEDS:
        budget = Decimal("123.45")
        one = order(
            seed, order_type=OrderType.MARKET, quantity=None, price=None, quote_quantity=budget
        )
        reports = venue_rules.place(one, PRICE)
        if reports[0].type != "RejectOrder":
            assert one.price is not None
            assert traded(reports) * one.price <= budget + BTC.step_size * one.price


def test_the_same_order_meets_the_same_fate_whatever_happens_to_others() -> None:
    first, second = (venue_rules.place(order(11), PRICE) for _ in range(2))
    assert first == second


def test_a_strategy_intends_the_same_in_every_run_and_makes_every_mistake() -> None:
    runs = [list(intentions("dip", "alice", AccountType.CASH, 2_000)) for _ in range(2)]
    assert runs[0] == runs[1]
    assert {intention.mistake for intention in runs[0]} == {None, *Mistake}


@pytest.mark.parametrize("strategy", plan.STRATEGIES)
def test_orders_without_a_mistake_lie_on_the_instruments_grid(strategy: str) -> None:
    for intention in intentions(strategy, "bob", AccountType.CASH, 300):
        if intention.mistake is not None:
            continue
        listed = plan.listing(intention.instrument)
        data = order_data(intention, "o", Walk(listed, 1).price(intention.step))
        for name, step in (("price", listed.tick_size), ("quantity", listed.step_size)):
            if name in data:
                assert Decimal(data[name]) % step == 0


def test_prices_walk_on_the_grid_and_the_same_way_for_the_same_seed() -> None:
    walks = [Walk(BTC, 5), Walk(BTC, 5), Walk(BTC, 6)]
    paths = [[walk.price(step) for step in range(50)] for walk in walks]
    assert paths[0] == paths[1] != paths[2]
    assert all(price % BTC.tick_size == 0 for price in paths[0])
    assert len(set(paths[0])) > 40


def test_amounts_are_put_on_a_grid() -> None:
    assert on_grid(Decimal("0.0149"), Decimal("0.01")) == Decimal("0.01")
    assert on_grid(Decimal("0.001"), Decimal("0.01")) == Decimal("0.01")
    assert cut_to_grid(Decimal("0.0199"), Decimal("0.01")) == Decimal("0.01")

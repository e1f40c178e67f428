"""Measures of margin, by figures that can be reckoned by hand."""

from typing import Any

from ledger.kernel.money import round_down
from ledger.nouns.instruments.contract import Contract, InstrumentKind
from ledger.nouns.positions import margin
from ledger.nouns.positions.margin import MarginMode, Marked
from ledger.nouns.positions.position import Position
from tests.nouns.folded import D

LINEAR = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="USDT")
INVERSE = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="BTC", inverse=True)


def held(quantity: str, cost: str, contract: Contract = LINEAR, **more: Any) -> Position:
    return Position(
        sub_account="main",
        instrument="BINANCE:X",
        number=1,
        quantity=D(quantity),
        cost=D(cost),
        settlement_asset=contract.settlement_asset,
        contract=contract,
        margin_rate=D("0.1"),
        **more,
    )


def test_margin_is_a_share_of_what_was_paid_and_of_what_it_is_worth() -> None:
    long, short = held("10", "1000"), held("-5", "600")
    assert margin.initial_margin(long) == D(100)
    assert margin.initial_margin(held("0", "0")) == 0
    found = margin.measures(
        D(500), [Marked(long, D(110), D("0.005")), Marked(short, D(110), D("0.005"))]
    )
    assert found.equity == D(500) + D(100) + D(50)
    assert found.initial_margin == D(160)
    assert found.maintenance_margin == D("8.25")
    assert found.margin_ratio is not None
    assert round_down(found.margin_ratio, 6) == D("0.012692")
    assert found.leverage_ratio is not None
    assert round_down(found.leverage_ratio, 6) == D("2.538461")


def test_without_equity_there_is_no_ratio() -> None:
    found = margin.measures(D(-500), [Marked(held("10", "1000"), D(100))])
    assert (found.margin_ratio, found.leverage_ratio) == (None, None)


def test_a_bought_option_locks_nothing_and_a_sold_one_does() -> None:
    option = Contract(kind=InstrumentKind.OPTION, settlement_asset="USDT")
    assert margin.initial_margin(held("10", "1000", option)) == 0
    assert margin.initial_margin(held("-10", "1000", option)) == D(100)


def test_at_the_liquidation_price_equity_is_what_maintenance_takes() -> None:
    rate = D("0.005")
    for quantity, cost, contract, balance, mark in (
        ("10", "1000", LINEAR, "200", "100"),
        ("-10", "1000", LINEAR, "200", "100"),
        ("1000", "0.1", INVERSE, "0.02", "10000"),
        ("-1000", "0.1", INVERSE, "0.02", "10000"),
    ):
        position = held(quantity, cost, contract)
        marked = Marked(position, D(mark), rate)
        price = margin.liquidation_price(marked, D(balance))
        assert price is not None, quantity
        left = D(balance) + position.unrealized_pnl(price)
        takes = margin.maintenance_margin(marked._replace(mark=price))
        assert abs(left - takes) < D("1e-12"), quantity


def test_what_cannot_be_liquidated_has_no_such_price() -> None:
    rich = Marked(held("10", "1000"), D(100), D("0.005"))
    assert margin.liquidation_price(rich, D(5000)) is None
    isolated = rich._replace(mode=MarginMode.ISOLATED)
    price = margin.liquidation_price(isolated, D(5000))
    assert price is not None
    assert round_down(price, 4) == D("90.4522")  # (1000 - 100) / (10 x 0.995)
    other = Marked(held("-10", "1000"), D(600), D("0.005"))
    assert margin.liquidation_price(rich, D(5000), [other]) is not None


def test_the_rate_is_the_greater_of_leverage_and_instrument() -> None:
    assert margin.margin_rate(D(3), None) == D("0.333333333333333333")
    assert margin.margin_rate(D(100), D("0.05")) == D("0.05")
    assert margin.margin_rate(D(10), D("0.05")) == D("0.1")

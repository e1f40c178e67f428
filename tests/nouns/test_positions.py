"""Positions: the rules, by figures that can be reckoned by hand."""

from datetime import UTC, datetime
from decimal import Decimal

from ledger.nouns.instruments.contract import Contract, InstrumentKind
from ledger.nouns.positions import rules
from ledger.nouns.positions.position import Position, PositionKey
from tests.nouns.folded import D

AT = datetime(2026, 1, 1, tzinfo=UTC)
BTCUSDT = PositionKey("main", "BINANCE:BTCUSDT")
INVERSE = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="BTC", inverse=True)


def traded(
    quantity: str, price: str, contract: Contract | None = None, **fees: str
) -> rules.PositionTrade:
    size, paid = D(quantity), D(price)
    value = abs(size) * paid if contract is None else contract.value(abs(size), paid)
    return rules.PositionTrade(
        key=BTCUSDT,
        quantity=size,
        value=value,
        settlement_asset="USDT" if contract is None else contract.settlement_asset,
        base_asset="BTC" if contract is None else None,
        contract=contract,
        fees={asset: D(fee) for asset, fee in fees.items()},
        at=AT,
    )


def after(*trades: rules.PositionTrade) -> list[Position]:
    """All positions that the trades make, by number."""
    positions: dict[int, Position] = {}
    newest = None
    for trade in trades:
        for position in rules.trade(newest, trade):
            newest = positions[position.number] = position
    return list(positions.values())


def test_a_part_of_what_was_turned_round_is_closed() -> None:
    first, second = after(traded("-1", "100"), traded("1.5", "90"))
    assert (first.realized_pnl, first.quantity, first.cost) == (D(10), D(0), D(0))
    assert first.closed_at == second.opened_at == AT
    assert (second.number, second.quantity, second.average_entry_price) == (2, D("0.5"), D(90))

    first, second = after(traded("-1", "100"), traded("1.5", "90"), traded("-0.5", "95"))
    assert first.realized_pnl + second.realized_pnl == D("12.5")
    assert not second.is_open


def test_a_fee_in_the_base_asset_makes_the_position_smaller_and_is_not_counted_again() -> None:
    (bought,) = after(traded("2", "1500", BTC="0.002"))
    assert (bought.quantity, bought.cost, bought.commission) == (D("1.998"), D(3000), D(0))
    (sold,) = after(traded("2", "1500", BTC="0.002"), traded("-1.998", "1600", USDT="3.1968"))
    assert (sold.quantity, sold.cost, sold.net_pnl) == (D(0), D(0), D("193.6032"))


def test_what_a_fee_takes_beyond_what_is_held_is_owed() -> None:
    lost, owed = after(traded("1", "100"), traded("-1", "110", BTC="0.001"))
    assert (lost.quantity, lost.realized_pnl) == (D(0), D(10))
    assert (owed.quantity, owed.cost, owed.realized_pnl) == (D("-0.001"), D(0), D(0))
    assert owed.unrealized_pnl(D(100)) == D("-0.1")


def test_thirds_are_realised_to_the_last_unit() -> None:
    budget = rules.PositionTrade(
        key=BTCUSDT, quantity=D(3), value=D(10), settlement_asset="USDT", at=AT
    )
    (position,) = after(budget, *[traded("-1", "4")] * 3)
    assert (position.realized_pnl, position.cost, position.quantity) == (D(2), D(0), D(0))


def test_costs_are_pooled() -> None:
    """Fees as parts of cost and proceeds, as a tax office has them."""
    held, more, some, rest = (
        rules.PositionTrade(
            key=BTCUSDT, quantity=D(n), value=D(value), settlement_asset="USDT", at=AT
        )
        for n, value in ((1000, 4150), (500, 2130), (-700, 3260), (-400, 1975))
    )
    (once,), (twice,) = after(held, more, some), after(held, more, some, rest)
    assert once.realized_pnl == D("329.333333333333333333")  # 988 / 3
    assert twice.realized_pnl - once.realized_pnl == D("300.333333333333333334")  # 901 / 3
    assert (twice.quantity, twice.cost) == (D(400), D("1674.666666666666666667"))


def test_an_inverse_contract_is_reckoned_in_its_coin() -> None:
    (short,) = after(traded("-100000", "10000", INVERSE), traded("100000", "11000", INVERSE))
    assert short.realized_pnl == D("-0.909090909090909091")
    (long,) = after(traded("100", "10000", INVERSE), traded("100", "20000", INVERSE))
    assert long.average_entry_price == D("13333.333333333333333333")
    assert long.unrealized_pnl(D(25000)) == D("0.015") - D("0.008")


def test_the_fee_of_a_trade_that_turns_round_is_split_by_quantity() -> None:
    closed, opened = after(traded("1", "100"), traded("-3", "110", USDT="1", BNB="0.1"))
    assert closed.commission == D("0.333333333333333333")
    assert closed.commission + opened.commission == D(1)
    assert closed.other_commissions["BNB"] + opened.other_commissions["BNB"] == D("0.1")


def test_funding_is_not_profit_of_prices() -> None:
    (position,) = after(traded("1", "100"))
    paid = rules.fund(rules.fund(position, "USDT", D("-0.01")), "USDT", D("-0.02"))
    assert (paid.funding, paid.realized_pnl, paid.net_pnl) == (D("-0.03"), D(0), D("-0.03"))
    assert rules.fund(position, "BNB", D("-1")).other_commissions == {"BNB": D(1)}


def test_a_split_changes_the_quantity_and_not_the_cost() -> None:
    (short,) = after(traded("-100", "80"))
    halved = rules.split(short, 2, 1)
    assert (halved.quantity, halved.cost, halved.average_entry_price) == (D(-200), D(8000), D(40))
    (closed,) = rules.trade(halved, traded("200", "41"))
    assert (closed.quantity, closed.cost, closed.realized_pnl) == (D(0), D(0), D(-200))


def test_a_split_that_leaves_nothing_closes() -> None:
    (dust,) = after(traded("0.000000000000000001", "10"))
    gone = rules.split(dust, 1, 1000, at=AT)
    assert (gone.quantity, gone.cost, gone.closed_at) == (D(0), D(0), AT)
    assert gone.realized_pnl == D("-0.00000000000000001")


def test_positions_of_a_key_count_from_flat_to_flat() -> None:
    turns = [traded("1", "100"), traded("-1", "100")] * 3
    assert [position.number for position in after(*turns)] == [1, 2, 3]
    assert sum((position.quantity for position in after(*turns)), Decimal(0)) == 0

"""What accounts are worth over time, from small scripts of events."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from ledger.kernel.environment import Environment
from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    AccountTransferred,
    AccountWithdrawn,
    CashFlowKind,
    CashFlowRecorded,
    FundsHeld,
    Reason,
    TradeSettled,
)
from ledger.nouns.clock import state as clock_state
from ledger.nouns.clock.events import SnapshotKind, SnapshotRecorded, SnapshotsTaken
from ledger.nouns.instruments.contract import Contract, InstrumentKind
from ledger.nouns.instruments.events import InstrumentListed
from ledger.nouns.orders.events import Side
from ledger.nouns.positions.position import Position
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from projections.engine.projection import Recorded, Table
from projections.past.fold import fold_told
from projections.portfolio import series
from projections.portfolio.performance_rows import PERFORMANCE
from tests.projections import log as events
from tests.projections.log import ACCOUNT, INSTRUMENT, START, USER

MINUTE = timedelta(minutes=1)
OTHER = UUID(int=7)
VENUE, CLOCK = UUID(int=8), clock_state.stream_id()


class Script:
    """Events in the order of their recording, and the rows that they make."""

    def __init__(self) -> None:
        self.told: list[tuple[Recorded, Event]] = []
        self.now = START

    def tell(self, stream_id: UUID, *events: Event) -> None:
        for event in events:
            recorded = Recorded(
                len(self.told) + 1, UUID(int=len(self.told)), stream_id, event.type, 1, "", None,
                USER, self.now, self.now,
            )  # fmt: skip
            self.told.append((recorded, event))

    def account(self, *events: Event) -> None:
        self.tell(ACCOUNT, *events)

    def take(
        self,
        time: datetime | None = None,
        account_id: UUID | None = None,
        kind: SnapshotKind = SnapshotKind.SCHEDULED,
    ) -> None:
        taken = SnapshotsTaken(kind=kind, time=time or self.now, account_id=account_id)
        self.tell(CLOCK, taken)

    def price(
        self, kind: PriceKind = PriceKind.MARK, time: datetime | None = None, **of: str
    ) -> None:
        prices = {f"BINANCE:{symbol}": Decimal(price) for symbol, price in of.items()}
        self.tell(
            VENUE,
            PricesRecorded(
                venue="BINANCE", source="feed", kind=kind, time=time or self.now, prices=prices
            ),
        )

    def market(self, base: str, quote: str, **terms: Any) -> None:
        self.tell(
            VENUE,
            InstrumentListed(
                instrument=f"BINANCE:{base}{quote}", base_asset=base, quote_asset=quote, **terms
            ),
        )

    def rows(self, table: Table[Any] = series.SNAPSHOTS) -> list[dict[str, Any]]:
        return fold_told(table, self.told)

    def newest(self, *columns: str) -> tuple[Any, ...]:
        row = self.rows()[-1]
        return tuple(row[column] for column in columns)


@pytest.fixture
def script() -> Script:
    made = Script()
    made.account(events.account_opened())
    return made


@contextmanager
def later(script: Script, by: timedelta = MINUTE) -> Iterator[None]:
    script.now += by
    yield


D = Decimal


# --- which rows there are -------------------------------------------------------------------


def test_an_account_that_holds_something_has_a_row_of_each_snapshot(script: Script) -> None:
    script.take()
    script.account(events.deposited("USDT", "1000"))
    script.account(FundsHeld(order_id=events.ORDER, holds=(events.hold("USDT", "400"),)))
    script.take(START + MINUTE)
    (row,) = script.rows()
    assert (row["time"], row["snapshot_type"]) == (START + MINUTE, SnapshotKind.SCHEDULED)
    assert (row["total_balance"], row["available_balance"], row["equity"]) == (1000, 600, 1000)
    assert row["external_flows"] == 1000
    assert row["through_position"] == row["last_position"] == 5


def test_one_that_holds_nothing_any_more_has_a_last_row_that_says_so(script: Script) -> None:
    script.account(events.deposited("USDT", "1000"))
    script.take(START)
    script.account(
        AccountWithdrawn(
            asset="USDT",
            amount=D(1000),
            sub_account="main",
            postings=(
                events.posting("main", "USDT", "-1000", Reason.WITHDRAWAL),
                events.posting("external", "USDT", "1000", Reason.WITHDRAWAL),
            ),
        )
    )
    script.take(START + MINUTE)
    script.take(START + 2 * MINUTE)
    assert [(row["equity"], row["external_flows"]) for row in script.rows()] == [
        (1000, 1000),
        (0, 0),
    ]


def test_a_backtest_is_told_of_when_it_is_named(script: Script) -> None:
    backtest = events.account_opened(environment=Environment.BACKTEST)
    script.tell(OTHER, backtest, events.deposited("USDT", "5"))
    script.account(events.deposited("USDT", "7"))
    script.take(START)
    script.take(START - timedelta(days=900), OTHER, SnapshotKind.MANUAL)
    found = [(row["account_id"], row["equity"], row["snapshot_type"]) for row in script.rows()]
    assert found == [(ACCOUNT, 7, SnapshotKind.SCHEDULED), (OTHER, 5, SnapshotKind.MANUAL)]


def test_what_another_system_told_is_kept_as_told_and_is_in_no_span(script: Script) -> None:
    told = SnapshotRecorded(
        account_id=ACCOUNT, time=START - timedelta(days=30), source="before", equity=D(77)
    )
    script.tell(CLOCK, told)
    script.account(events.deposited("USDT", "5"))
    script.take(START)
    found = [(row["equity"], row["snapshot_type"]) for row in script.rows()]
    assert found == [(77, SnapshotKind.MIGRATED), (5, SnapshotKind.SCHEDULED)]
    assert len(script.rows(series.DAILY)) == 1


# --- values -----------------------------------------------------------------------------------


def test_assets_are_valued_by_prices_told_and_own_trades_or_named(script: Script) -> None:
    script.account(events.deposited("BTC", "2"))
    script.take(START)
    assert script.newest("equity", "unvalued_reasons", "priced", "priceable") == (
        *(0, {"BTC": "no market with a price leads to the account's currency"}),
        *(0, 1),
    )
    script.account(events.settled("1", "100"))
    script.take(START + MINUTE)
    assert script.newest("equity", "unvalued_assets", "priced") == (200, [], 1)
    script.price(PriceKind.MARK, START + MINUTE, BTCUSDT="110")
    script.take(START + 2 * MINUTE)
    assert script.newest("equity", "oldest_price_age_seconds") == (230, 60)


def test_a_coin_is_worth_what_it_changes_hands_at_and_not_its_contracts_prices(
    script: Script,
) -> None:
    script.market("BTC", "USDT")
    for symbol, kind in (("BTC-9-C", InstrumentKind.OPTION), ("BTCPERP", InstrumentKind.PERPETUAL)):
        name = f"BINANCE:{symbol}"
        script.tell(
            VENUE,
            InstrumentListed(instrument=name, base_asset="BTC", quote_asset="USDT", kind=kind),
        )
    script.account(events.deposited("BTC", "2"))
    told: list[tuple[dict[str, Any], int]] = [
        ({"BTC-9-C": "7"}, 0),
        ({"BTCPERP": "110"}, 220),
        ({"BTCUSDT": "100"}, 200),
    ]
    for prices, equity in told:
        script.price(**prices)
        script.take(START)
        assert script.newest("equity") == (equity,)


def test_what_others_traded_at_is_no_price(script: Script) -> None:
    script.tell(OTHER, events.account_opened(), events.settled("1", "100"))
    script.account(events.deposited("BTC", "2"))
    script.take(START)
    rows = {row["account_id"]: row for row in script.rows()}
    assert rows[ACCOUNT]["unvalued_assets"] == ["BTC"]
    assert rows[OTHER]["equity"] == 0
    assert rows[OTHER]["unrealized_pnl"] == 0


def test_a_price_of_after_its_time_is_not_in_a_snapshot(script: Script) -> None:
    script.market("BTC", "USDT")
    script.account(events.deposited("BTC", "1"))
    for minute in range(3):
        script.price(PriceKind.MARK, START + minute * MINUTE, BTCUSDT=str(100 + minute))
    script.take(START + MINUTE)
    assert script.newest("equity") == (101,)


def test_a_late_price_changes_nothing_that_was_told_and_what_is_known_now(script: Script) -> None:
    script.market("BTC", "USDT")
    script.account(events.deposited("BTC", "1"))
    script.price(PriceKind.MARK, START, BTCUSDT="100")
    script.take(START + 2 * MINUTE)
    then = script.rows()
    script.price(PriceKind.MARK, START + MINUTE, BTCUSDT="150")
    assert script.rows() == then
    script.take(START + 2 * MINUTE, ACCOUNT, SnapshotKind.MANUAL)
    assert script.newest("equity") == (150,)


def test_what_is_late_says_so(script: Script) -> None:
    script.account(events.deposited("USDT", "5"))
    script.now += MINUTE
    script.account(events.deposited("USDT", "7"))
    script.take(START)
    script.take(START + MINUTE)
    assert [(row["equity"], row["is_late"]) for row in script.rows()] == [(12, True), (12, False)]


def test_usd_is_told_with_its_rate_and_the_age_of_it_or_not_at_all(script: Script) -> None:
    script.account(events.deposited("USDT", "50"))
    script.take(START)
    assert script.newest("usd_rate", "total_balance_usd") == (None, None)
    script.market("USDT", "USD")
    script.price(PriceKind.LAST, START, USDTUSD="0.99")
    script.take(START + MINUTE)
    assert script.newest("usd_rate", "usd_rate_age_seconds", "total_balance_usd") == (
        *(D("0.99"), 60),
        D("49.50"),
    )


def test_quality_is_the_share_of_the_value_at_fresh_prices(script: Script) -> None:
    script.market("BTC", "USDT")
    script.account(events.deposited("USDT", "100"), events.deposited("BTC", "3"))
    script.price(PriceKind.MARK, START, BTCUSDT="100")
    script.take(START)
    assert script.newest("data_quality_score") == (1,)
    script.take(START + timedelta(hours=1))
    assert script.newest("data_quality_score") == (D("0.25"),)
    script.account(events.deposited("DOGE", "3"))
    script.take(START + timedelta(hours=2))
    assert script.newest("data_quality_score", "priced", "priceable") == (D("0.125"), 1, 2)


# --- profit and flows ---------------------------------------------------------------------------


def identity(row: dict[str, Any]) -> tuple[Decimal, Decimal]:
    """Equity, and what it must be where all is settled in the account's currency."""
    made = row["realized_pnl"] + row["unrealized_pnl"] - row["commission"] + row["funding"]
    return row["equity"], row["external_flows"] + made


def test_equity_is_what_came_and_what_was_made_to_the_last_unit(script: Script) -> None:
    script.account(events.deposited("USDT", "1000"))
    steps = [
        events.settled("3", "33.333333333333333333", fee="0.1"),
        events.settled("1", "35.7", side=Side.SELL, fee="0.2", trade_id="t-2"),
        events.settled("0.3", "31", side=Side.SELL, trade_id="t-3"),
        events.settled("5", "30.1", fee="0.7", trade_id="t-4"),
        events.trade_voided("0.3", "31", side=Side.SELL, trade_id="t-3"),
        events.settled("7", "29.9", side=Side.SELL, fee="-0.05", trade_id="t-5"),
    ]
    for number, event in enumerate(steps):
        script.account(event)
        script.take(START + (number + 1) * MINUTE)
    for row in script.rows():
        equity, made = identity(row)
        assert equity == made
    assert script.newest("external_flows", "position_count", "commission") == (
        *(1000, 0),
        D("0.95"),
    )


def test_a_fee_in_another_asset_is_what_it_was_worth_then(script: Script) -> None:
    script.market("BNB", "USDT")
    script.price(PriceKind.MARK, START, BNBUSDT="600")
    script.account(events.deposited("USDT", "1000"), events.deposited("BNB", "1"))
    made = Position(
        sub_account="main", instrument=INSTRUMENT, number=1, quantity=D(1), cost=D(100),
        settlement_asset="USDT", other_commissions={"BNB": D("0.01")},
    )  # fmt: skip
    plain = events.settled("1", "100")
    fee = (
        events.posting("main", "BNB", "-0.01", Reason.FEE),
        events.posting("fees:BINANCE", "BNB", "0.01", Reason.FEE),
    )
    script.account(events.settled("1", "100", positions=(made,), postings=(*plain.postings, *fee)))
    script.price(PriceKind.MARK, START + MINUTE, BNBUSDT="700")
    script.take(START + MINUTE)
    assert script.newest("commission", "external_flows") == (6, 1600)
    assert script.newest("equity") == (900 + 100 + D("0.99") * 700,)


def test_a_flow_without_a_price_counts_when_it_has_one_and_is_no_profit(script: Script) -> None:
    script.account(events.deposited("BTC", "2"))
    script.take(START)
    assert script.newest("equity", "external_flows") == (0, 0)
    script.market("BTC", "USDT")
    script.price(PriceKind.MARK, START + MINUTE, BTCUSDT="100")
    script.take(START + MINUTE)
    assert script.newest("equity", "external_flows") == (200, 200)
    script.price(PriceKind.MARK, START + 2 * MINUTE, BTCUSDT="90")
    script.take(START + 2 * MINUTE)
    assert script.newest("equity", "external_flows") == (180, 200)


def test_funding_and_charges_that_belong_to_no_position_are_made_too(script: Script) -> None:
    script.account(events.deposited("USDT", "100"))
    for kind, amount, book in (
        (CashFlowKind.INTEREST, "3", "income:interest"),
        (CashFlowKind.FEE, "-2", "fees:BINANCE"),
    ):
        script.account(
            CashFlowRecorded(
                flow_id=kind, kind=kind, asset="USDT", amount=D(amount), sub_account="main",
                postings=(
                    events.posting("main", "USDT", amount, Reason(kind.value)),
                    events.posting(book, "USDT", str(-D(amount)), Reason(kind.value)),
                ),
            )
        )  # fmt: skip
    script.take(START)
    assert script.newest("equity", "funding", "commission", "external_flows") == (101, 3, 2, 100)


# --- contracts ----------------------------------------------------------------------------------


PERPETUAL = Contract(kind=InstrumentKind.PERPETUAL, settlement_asset="USDT")


def contract_trade(quantity: str, price: str, **position: Any) -> TradeSettled:
    made = Position(
        sub_account="main", instrument=INSTRUMENT, number=1, quantity=D(quantity),
        cost=abs(D(quantity)) * D(price), settlement_asset="USDT", contract=PERPETUAL,
        margin_rate=D("0.1"), **position,
    )  # fmt: skip
    return TradeSettled(
        order_id=events.ORDER, trade_id="t-1", instrument=INSTRUMENT, side=Side.BUY,
        last_qty=abs(D(quantity)), last_px=D(price), positions=(made,),
        holds=(events.hold("USDT", "20"),),
    )  # fmt: skip


def test_an_open_contract_counts_by_what_it_would_bring(script: Script) -> None:
    script.market(
        "BTC",
        "USDT",
        kind=InstrumentKind.PERPETUAL,
        settlement_asset="USDT",
        maintenance_margin_rate=D("0.05"),
    )
    script.account(events.deposited("USDT", "100"), contract_trade("-2", "100"))
    script.price(PriceKind.MARK, START + MINUTE, BTCUSDT="90")
    script.take(START + MINUTE)
    assert script.newest("total_balance", "available_balance", "equity") == (100, 80, 120)
    assert script.newest("unrealized_pnl", "initial_margin", "maintenance_margin") == (20, 20, 9)
    assert script.newest("gross_exposure", "net_exposure", "total_position_value") == (
        *(180, -180),
        180,
    )
    assert script.newest("leverage_ratio", "margin_ratio") == (D("1.5"), D("0.075"))


# --- sub-accounts, assets, spans --------------------------------------------------------------


def test_strategies_are_told_beside_the_account_and_add_up_to_it(script: Script) -> None:
    script.account(events.deposited("USDT", "100"))
    script.take(START)
    assert script.rows(series.STRATEGIES) == []
    script.account(
        AccountTransferred(
            asset="USDT", amount=D(40), from_sub_account="main", to_sub_account="trend",
            postings=(
                events.posting("main", "USDT", "-40", Reason.TRANSFER),
                events.posting("trend", "USDT", "40", Reason.TRANSFER),
            ),
        )
    )  # fmt: skip
    script.take(START + MINUTE)
    found = [
        (row["strategy_id"], row["equity"], row["flows"]) for row in script.rows(series.STRATEGIES)
    ]
    assert found == [("main", 60, 60), ("trend", 40, 40)]
    assert script.newest("equity", "external_flows") == (100, 100)


def test_assets_are_told_as_they_were_last_in_each_hour(script: Script) -> None:
    script.market("BTC", "USDT")
    script.account(events.deposited("BTC", "1"))
    script.price(PriceKind.MARK, START, BTCUSDT="100")
    script.take(START)
    script.account(events.deposited("BTC", "1"))
    script.take(START + 59 * MINUTE)
    script.take(START + 61 * MINUTE)
    found = [
        (row["time"], row["total"], row["value"], row["path"], row["is_stale"])
        for row in script.rows(series.ASSET_VALUES)
    ]
    assert found == [
        (START, 2, 200, [INSTRUMENT], True),
        (START + 60 * MINUTE, 2, 200, [INSTRUMENT], True),
    ]


def test_hours_and_days_have_the_last_levels_and_the_sums_of_flows(script: Script) -> None:
    script.market("BTC", "USDT")
    script.account(events.deposited("USDT", "100"), events.settled("1", "100"))
    script.take(START)
    script.price(PriceKind.MARK, START + MINUTE, BTCUSDT="130")
    script.take(START + MINUTE)
    script.price(PriceKind.MARK, START + 2 * MINUTE, BTCUSDT="120")
    script.account(events.deposited("USDT", "50"))
    script.take(START + 61 * MINUTE)
    hours = script.rows(series.HOURLY)
    shown = ("opening_equity", "equity", "max_equity", "min_equity", "external_flows", "profit")
    assert [tuple(row[column] for column in shown) for row in hours] == [
        (0, 130, 130, 100, 100, 30),
        (130, 170, 170, 170, 50, -10),
    ]
    assert (hours[0]["avg_balance"], hours[0]["snapshot_count"]) == (115, 2)
    (day,) = script.rows(series.DAILY)
    assert tuple(day[column] for column in shown) == (0, 170, 170, 100, 150, 20)
    assert day["snapshot_count"] == 3


def test_midnight_is_the_last_of_the_day_that_ends_in_every_series(script: Script) -> None:
    """And what the next one opens with; where no day was under way it begins one."""
    midnight = START.replace(hour=0)
    script.market("BTC", "USDT")
    script.account(events.deposited("USDT", "100"), events.settled("1", "100"))
    for hours, price in ((0, "100"), (24, "110"), (36, "120"), (48, "130"), (96, "140")):
        script.now = midnight + timedelta(hours=hours)
        script.price(BTCUSDT=price)
        script.take()
    told = ("time", "opening_equity", "equity")
    days = [tuple(row[column] for column in told) for row in script.rows(series.DAILY)]
    assert days == [
        (midnight, 0, 110),
        (midnight + timedelta(days=1), 110, 130),
        (midnight + timedelta(days=4), 130, 140),
    ]
    closed = [
        (row["time"], row["closing_balance"])
        for row in script.rows(PERFORMANCE)
        if (row["period_type"], row["scope"]) == ("DAILY", "ACCOUNT")
        and row["is_closed"]
        and row["data_points_count"]
    ]
    assert closed == [(day, equity) for day, _, equity in days[:2]]


def test_a_snapshot_of_an_earlier_time_is_kept_and_changes_no_span(script: Script) -> None:
    script.account(events.deposited("USDT", "100"))
    script.take(START + 60 * MINUTE)
    before = script.rows(series.HOURLY)
    script.take(START, kind=SnapshotKind.MANUAL)
    assert len(script.rows()) == 2
    assert script.rows(series.HOURLY) == before

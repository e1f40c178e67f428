"""Rows of performance and risk, as the fold makes them of events."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from ledger.kernel.environment import Environment
from ledger.nouns.accounts.events import AccountTransferred, Reason, ReportingSet, TradeSettled
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.orders.events import Side
from projections.portfolio import measures, series
from projections.portfolio.books import PORTFOLIOS, WHOLE
from projections.portfolio.performance_rows import PERFORMANCE, SERIES, SeriesScope
from projections.portfolio.risk_rows import RISK
from tests.portfolio.test_snapshots import Script
from tests.projections import log as events
from tests.projections.log import START, USER

D = Decimal
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MIDNIGHT = START.replace(hour=0)
OTHER = UUID(int=7)


@pytest.fixture
def script() -> Script:
    made = Script()
    made.now = MIDNIGHT
    made.account(events.account_opened())
    made.market("BTC", "USDT")
    made.market("USDT", "USD")
    made.price(USDTUSD="1")
    return made


def performance(script: Script, period: str, scope: str = "ACCOUNT") -> list[dict[str, Any]]:
    return of_period(script.rows(PERFORMANCE), period, scope)


def of_period(
    rows: list[dict[str, Any]], period: str, scope: str = "ACCOUNT"
) -> list[dict[str, Any]]:
    found = [row for row in rows if (row["period_type"], row["scope"]) == (period, scope)]
    return sorted(found, key=lambda row: row["time"])


def buys_a_coin(script: Script) -> None:
    """1000 come in, and all of it becomes ten coins."""
    script.account(events.deposited("USDT", "1000"))
    script.account(events.settled("10", "100", fee="0"))


def worth(script: Script, *prices: str, every: timedelta = DAY) -> None:
    """The coin's price at the end of each span, and a snapshot then."""
    for price in prices:
        script.now += every
        script.price(BTCUSDT=price)
        script.take()


def test_a_row_of_each_period_says_what_was_made_and_closes_with_it(script: Script) -> None:
    buys_a_coin(script)
    worth(script, "110", "99")
    first, second, under_way = performance(script, "DAILY")
    assert (first["total_pnl"], first["external_flows"], first["is_closed"]) == (100, 1000, True)
    assert (first["time_weighted_return"], second["time_weighted_return"]) == (D("0.1"), D("-0.1"))
    assert (second["allocated_balance"], second["closing_balance"]) == (1100, 990)
    assert second["max_drawdown_percent"] == D("0.1")
    assert second["max_drawdown"] == 110
    assert not under_way["is_closed"]
    (month,) = performance(script, "MONTHLY")
    assert month["total_pnl"] == -10
    assert month["time_weighted_return"] == D("-0.01")
    assert (month["return_count"], month["annualised_by"]) == (2, 365)


def test_a_deposit_between_snapshots_is_revalued_when_it_comes(script: Script) -> None:
    """1000 become 1050; 1000 more come in, and all becomes 2100: no snapshot is taken meanwhile."""
    buys_a_coin(script)
    script.now += HOUR
    script.price(BTCUSDT="105")
    script.account(events.deposited("USDT", "1000"))
    script.price(BTCUSDT="110")
    script.now += DAY - HOUR
    script.take()
    (day, _) = performance(script, "DAILY")
    assert round(day["time_weighted_return"] * 100, 8) == D("7.56097561")
    assert day["total_pnl"] == 100
    assert day["external_flows"] == 2000


def test_parts_of_the_profit_are_all_of_it(script: Script) -> None:
    script.account(events.deposited("USDT", "1000"))
    script.account(events.settled("5", "100", fee="1"))
    worth(script, "120", "130")
    for row in performance(script, "DAILY"):
        assert row["total_pnl"] == (
            row["realized_pnl"]
            + row["unrealized_pnl"]
            - row["commission"]
            + row["funding"]
            + row["other_pnl"]
        )


def test_changes_of_equity_are_profit_and_flows_in_every_kind_of_period(script: Script) -> None:
    buys_a_coin(script)
    worth(script, *map(str, range(100, 130)), every=timedelta(hours=7))
    script.take(kind=SnapshotKind.MANUAL)
    told = script.rows(PERFORMANCE)
    for period in ("HOURLY", "DAILY", "WEEKLY", "MONTHLY", "QUARTERLY", "YEARLY"):
        rows = of_period(told, period)
        assert sum(row["total_pnl"] + row["external_flows"] for row in rows) == 1290
        assert rows[-1]["closing_balance"] == 1290


def test_a_snapshot_that_somebody_asks_for_brings_every_row_up_to_date(script: Script) -> None:
    buys_a_coin(script)
    worth(script, "101", "102", every=timedelta(minutes=1))
    assert performance(script, "YEARLY")[0]["total_pnl"] == 10
    script.take(kind=SnapshotKind.MANUAL)
    assert performance(script, "YEARLY")[0]["total_pnl"] == 20


def test_round_trips_count_when_they_are_over(script: Script) -> None:
    script.account(events.deposited("USDT", "1000"))
    script.account(events.settled("1", "100", fee="0"))
    script.account(events.settled("1", "110", fee="0", side=Side.SELL))
    worth(script, "110")
    day = performance(script, "DAILY")[0]
    assert (day["total_trades"], day["winning_trades"], day["gross_profit"]) == (1, 1, 10)
    assert day["total_volume"] == 210
    assert (day["win_rate"], day["profit_factor"]) == (1, None)
    assert day["null_reasons"]["profit_factor"] == "nothing was lost"


def test_what_is_traded_is_counted_when_somebody_looks_and_touches_no_series_before(
    script: Script,
) -> None:
    """Not even that of a strategy, whose first trades come before its first snapshot."""
    script.account(events.deposited("USDT", "1000"), to_strategy("500"))
    before = script.rows(SERIES)
    for price, side in (("100", Side.BUY), ("110", Side.SELL)):
        script.account(in_strategy(events.settled("1", price, fee="0", side=side)))
    after = script.rows(SERIES)
    assert [row for row in after if row["scope"] is not SeriesScope.STRATEGY] == before
    script.now += HOUR
    script.take()
    for scope in ("ACCOUNT", "STRATEGY"):
        (hour,) = (row for row in performance(script, "HOURLY", scope) if row["is_closed"])
        assert (hour["total_trades"], hour["gross_profit"], hour["total_volume"]) == (1, 10, 210)
        assert hour["realized_pnl"] == 10


def test_round_trips_that_nobody_looks_at_are_counted_and_not_kept_one_by_one(
    script: Script,
) -> None:
    script.account(events.deposited("USDT", "1000"))
    for _ in range(measures.MOST_UNSEEN + 5):
        script.account(events.settled("1", "100", fee="0"))
        script.account(events.settled("1", "101", fee="0", side=Side.SELL))
    (portfolio,) = script.rows(PORTFOLIOS)
    assert len(portfolio["unseen"][WHOLE].trips) < measures.MOST_UNSEEN
    script.now += DAY
    script.take()
    day = performance(script, "DAILY")[0]
    assert day["total_trades"] == day["max_consecutive_wins"] == measures.MOST_UNSEEN + 5
    assert day["total_volume"] == 201 * (measures.MOST_UNSEEN + 5)


def test_an_account_s_own_midnight_and_year_hold_from_when_they_are_told(script: Script) -> None:
    script.account(ReportingSet(periods_per_year=252, time_zone="Asia/Tokyo"))
    buys_a_coin(script)
    worth(script, *map(str, range(100, 124)), every=HOUR)
    days = performance(script, "DAILY")
    assert [row["time"].hour for row in days] == [15, 15]
    assert days[0]["annualised_by"] == 252


def test_a_benchmark_is_followed_by_the_day(script: Script) -> None:
    script.account(ReportingSet(benchmark="BINANCE:BTCUSDT"))
    script.account(events.deposited("USDT", "1000"))
    script.account(events.settled("5", "100", fee="0"))
    worth(script, "100", "110", "105", "120", "100")
    (month,) = performance(script, "MONTHLY")
    assert month["benchmark"] == "BINANCE:BTCUSDT"
    assert 0 < month["beta"] < 1
    assert month["alpha"] is not None


# --- strategies, users, environments -------------------------------------------------------


def in_strategy(trade: TradeSettled) -> TradeSettled:
    moved = (replace(one, book=one.book.replace("main", "grid")) for one in trade.postings)
    return replace(trade, postings=tuple(moved))


def to_strategy(amount: str) -> AccountTransferred:
    return AccountTransferred(
        asset="USDT",
        amount=D(amount),
        from_sub_account="main",
        to_sub_account="grid",
        postings=(
            events.posting("main", "USDT", f"-{amount}", Reason.TRANSFER),
            events.posting("grid", "USDT", amount, Reason.TRANSFER),
        ),
    )


def test_what_a_strategy_gets_is_no_profit_of_it(script: Script) -> None:
    script.account(events.deposited("USDT", "1000"), to_strategy("400"))
    script.now += HOUR
    script.take()
    script.now += DAY - HOUR
    script.take()
    script.account(to_strategy("100"))
    script.now += DAY
    script.take()
    first, second, _ = performance(script, "DAILY", "STRATEGY")
    assert (first["strategy_id"], first["external_flows"], first["closing_balance"]) == (
        *("grid", 400, 400),
    )
    assert (second["external_flows"], second["total_pnl"]) == (100, 0)
    assert second["time_weighted_return"] == 0


def test_accounts_of_a_user_are_added_up_in_usd_and_users_to_an_environment(
    script: Script,
) -> None:
    buys_a_coin(script)
    opened = events.account_opened(base_currency="BTC")
    script.price(BTCUSDT="100")
    script.tell(OTHER, opened, events.deposited("BTC", "2"))
    worth(script, "100", "150")
    for scope in ("USER", "ENVIRONMENT"):
        first, second, _ = performance(script, "DAILY", scope)
        assert (first["currency"], first["closing_balance"]) == ("USD", 1200)
        assert first["external_flows"] == 1200
        assert (second["total_pnl"], second["time_weighted_return"]) == (600, D("0.5"))
        assert second["user_id"] == (USER if scope == "USER" else None)


def test_a_backtest_is_in_nobody_s_sum(script: Script) -> None:
    script.tell(
        OTHER,
        events.account_opened(environment=Environment.BACKTEST),
        events.deposited("USDT", "5"),
    )
    script.take(START, OTHER)
    assert {row["scope"] for row in script.rows(PERFORMANCE)} == {"ACCOUNT"}


# --- risk ----------------------------------------------------------------------------------


def test_what_is_risked_is_told_each_hour_with_its_method_and_why_it_is_not_known(
    script: Script,
) -> None:
    buys_a_coin(script)
    worth(script, "100", "110", every=HOUR)
    rows = [row for row in script.rows(RISK) if row["scope"] == "ACCOUNT"]
    assert [row["time"] for row in rows] == [MIDNIGHT + HOUR, MIDNIGHT + 2 * HOUR]
    assert (rows[1]["total_exposure"], rows[1]["leverage_ratio"]) == (1100, 1)
    assert (rows[1]["largest_position_percent"], rows[1]["risk_score"]) == (1, 50)
    assert rows[1]["null_reasons"]["var_95"] == "there are no returns"


def test_value_at_risk_and_correlation_come_with_the_days(script: Script) -> None:
    script.market("ETH", "USDT")
    script.price(BTCUSDT="100", ETHUSDT="10")
    script.account(events.deposited("BTC", "1"), events.deposited("ETH", "10"))
    for day in range(1, 34):
        script.now += DAY
        script.price(BTCUSDT=str(100 + day % 5), ETHUSDT=str(10 + day % 5))
        script.take()
    row = [row for row in script.rows(RISK) if row["scope"] == "ACCOUNT"][-1]
    assert row["return_count"] == 33
    assert row["var_95"] > 0
    assert row["var_99"] is None
    assert row["correlations"]["BTC ETH"] == row["correlation_risk"]
    assert row["correlation_risk"] > D("0.9")
    newest = script.rows(series.SNAPSHOTS)[-1]
    assert newest["correlation_risk"] == row["correlation_risk"]
    assert abs(newest["var_95"] - row["var_95"]) < D("1e-12")
    assert newest["risk_score"] == row["risk_score"]


def test_what_comes_before_its_price_is_no_profit_when_the_price_comes(script: Script) -> None:
    """Coins wait for a price; a trade gives them one, then more money comes, then a snapshot."""
    script.account(events.deposited("USDT", "1000"), events.deposited("BTC", "20"))
    script.now += HOUR
    script.account(events.settled("1", "100", fee="0"))
    script.account(events.deposited("USDT", "500"))
    script.now += DAY - HOUR
    script.price(BTCUSDT="100")
    script.take()
    (day, _) = performance(script, "DAILY")
    assert (day["external_flows"], day["total_pnl"]) == (3500, 0)
    assert day["time_weighted_return"] == 0
    assert day["max_drawdown_percent"] == 0

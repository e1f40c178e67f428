"""What users have together and how strategies rank, against sums by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.session import reading
from ledger.write.ledger import Ledger
from projections.questions.catalogue import questions
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import command, list_instrument, open_account, submit_order
from tests.databases import temporary_database
from tests.projections.workers import caught_up, running

ONE, TWO, IDLE, USER = uuid7(), uuid7(), uuid7(), uuid7()
BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
STALE_AFTER = BEGAN + 2 * DAY + timedelta(hours=1)


def at(time: datetime) -> str:
    return time.isoformat()


def prices(time: datetime, btc: int) -> Any:
    told = {"BINANCE:BTCUSDT": str(btc), "BINANCE:USDTUSD": "1"}
    return command("RecordPrices", "prices", source="feed", kind="MARK", prices=told, time=at(time))


def snapshots(time: datetime, account_id: UUID | None = None) -> Any:
    named = {} if account_id is None else {"account_id": account_id}
    kind = "SCHEDULED" if account_id is None else "MANUAL"
    return command("TakeSnapshots", "clock", time=at(time), kind=kind, **named)


def money(account_id: UUID, asset: str, amount: str, sub_account: str) -> Any:
    return command(
        "Deposit",
        account_id,
        asset=asset,
        amount=amount,
        sub_account=sub_account,
        occurred_at=at(BEGAN),
    )


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    """Two days of one user: `up` holds a coin that gains 10 and 20 %, `flat` holds money, in two
    accounts; then one account alone is looked at again."""
    with temporary_database(postgres_url, template="ledger_template") as url:
        with Ledger(url) as ledger:
            for commands in story():
                outcomes = ledger.execute(commands)
                assert all(one.status == "ACCEPTED" for one in outcomes), outcomes
        with running(url, all_projections(ProjectionSettings())):
            caught_up(url)
        yield url


def story() -> Iterator[list[Any]]:
    yield [
        list_instrument(),
        list_instrument(instrument="BINANCE:USDTUSD", base_asset="USDT", quote_asset="USD"),
    ]
    accounts = ((ONE, "one"), (TWO, "two"), (IDLE, "idle"))
    yield [open_account(account, user_id=USER, name=name) for account, name in accounts]
    share = {"allocation_percent": "50"}
    yield [command("AssignStrategy", ONE, strategy_id="up", **share)]
    yield [command("AssignStrategy", TWO, strategy_id="flat", **share)]
    yield [prices(BEGAN, 100)]
    yield [money(ONE, "BTC", "5", "up"), money(TWO, "USDT", "1000", "flat")]
    yield [snapshots(BEGAN)]
    yield [prices(BEGAN + DAY, 110), snapshots(BEGAN + DAY)]
    yield [prices(BEGAN + 2 * DAY, 132), snapshots(BEGAN + 2 * DAY)]
    order = {"quantity": "2", "price": "150", "side": "SELL", "strategy_id": "up"}
    yield [submit_order(ONE, uuid7(), **order)]
    yield [snapshots(STALE_AFTER, ONE)]


def found(url: str, name: str, **asked: Any) -> list[Any]:
    with reading(url) as connection:
        return questions()[name].find(connection, **asked)


def test_a_user_s_accounts_are_added_up_and_who_was_not_seen_lately_is_named(
    database_url: str,
) -> None:
    (row,) = found(database_url, "portfolio", user_id=USER)
    assert (row.equity_usd, row.connected_accounts) == (660 + 1000, 3)
    assert row.as_of == STALE_AFTER
    assert (row.stale_accounts, row.unvalued_accounts) == ([str(TWO)], [])
    assert (row.active_orders, row.pending_order_value_usd, row.unpriced_orders) == (1, 300, 0)


def test_the_score_is_weighted_by_equity(database_url: str) -> None:
    (row,) = found(database_url, "portfolio", user_id=USER)
    scores = {
        account: found(database_url, "snapshots", account_id=account)[0].risk_score
        for account in (ONE, TWO)
    }
    weighted = (scores[ONE] * 660 + scores[TWO] * 1000) / Decimal(1660)
    assert row.risk_score == pytest.approx(weighted)


def test_it_is_told_as_it_was_with_orders_of_now_left_out(database_url: str) -> None:
    (row,) = found(database_url, "portfolio", user_id=USER, at=at(BEGAN + DAY))
    assert (row.equity_usd, row.as_of, row.stale_accounts) == (1550, BEGAN + DAY, [])
    assert row.active_orders is None


def test_strategies_rank_by_what_they_made_of_what_they_had(database_url: str) -> None:
    best, other = found(database_url, "strategy_analytics", to_time=at(BEGAN + 3 * DAY))
    assert (best.strategy_id, other.strategy_id) == ("up", "flat")
    assert (best.days, best.is_active, best.active_users) == (2, True, 1)
    assert best.total_pnl_usd == 160
    assert best.average_daily_pnl_usd == 80
    assert best.total_aum_usd == 550
    assert (best.sharpe_rank, best.pnl_rank, best.aum_rank) == (1, 1, 2)
    assert best.composite_score == 250
    assert (other.sharpe_ratio, other.sharpe_rank, other.pnl_rank, other.aum_rank) == (
        *(None, 2, 2, 1),
    )
    assert (best.performance_quintile, other.performance_quintile) == (1, 2)


def test_sharpe_of_a_strategy_is_of_its_daily_returns(database_url: str) -> None:
    (row,) = found(database_url, "strategy_analytics", strategy_id="up")
    mean = (Decimal("0.1") + Decimal("0.2")) / 2
    deviation = (2 * Decimal("0.05") ** 2).sqrt()
    assert row.sharpe_ratio == pytest.approx(mean / deviation * Decimal(365).sqrt())


def test_a_span_that_has_no_whole_day_has_no_strategy(database_url: str) -> None:
    asked = {"from_time": at(BEGAN + 5 * DAY), "to_time": at(BEGAN + 6 * DAY)}
    assert found(database_url, "strategy_analytics", **asked) == []


def test_equity_is_told_by_the_day_and_by_the_hour(database_url: str) -> None:
    days = found(database_url, "equity", account_id=ONE)
    assert [row.equity for row in days] == [660, 660, 550]
    assert [row.profit for row in days] == [0, 110, 50]
    assert [row.external_flows for row in days] == [0, 0, 500]
    hours = found(database_url, "equity", account_id=ONE, grain="HOUR")
    assert {row.equity for row in hours} >= {500, 550, 660}
    for row in (*days, *hours):
        assert row.equity - row.opening_equity == row.profit + row.external_flows

"""What losses are compared with: marked by the clock, kept through everything."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.clock.jobs import of_ledger
from ledger.nouns.equity.commands import MarkEquity
from ledger.operate.database import connect
from ledger.operate.settings import Settings
from tests.commands import USER, command
from tests.limits.desk import Desk


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    desk = Desk(database_url)
    desk.deposit("100", "BTC")
    desk.price("10")
    yield desk
    desk.ledger.close()


def test_the_day_begins_with_what_the_clock_marks(desk: Desk) -> None:
    desk.limit("MAX_DAILY_LOSS", "10", "%")
    desk.now = datetime(2026, 11, 22, tzinfo=UTC)
    desk.price("20")
    desk.accepted(command("MarkEquity", desk.account))
    desk.later(hours=5)
    desk.price("18.1")
    assert desk.buy("0.1", "18").accepted
    desk.price("18")
    assert desk.failed(desk.buy("0.1", "18")) == ["MAX_DAILY_LOSS"]


def test_a_trip_is_found_by_the_clock_where_nobody_orders(desk: Desk) -> None:
    desk.limit("MAX_DAILY_LOSS", "10", "%")
    desk.price("9")
    (outcome,) = desk.accepted(command("MarkEquity", desk.account))
    assert "equity.limit_tripped" in [event.type for event in outcome.events]
    desk.price("10")
    assert desk.failed(desk.buy("0.1", "10")) == ["MAX_DAILY_LOSS"]


def test_a_drawdown_is_from_the_highest_equity_and_ends_when_it_is_made_good(desk: Desk) -> None:
    desk.limit("MAX_DRAWDOWN", "20", "%")
    desk.price("20")
    assert desk.buy("0.1", "20").accepted
    desk.price("16")
    refused = desk.buy("0.1", "16")
    assert desk.failed(refused) == ["MAX_DRAWDOWN"]
    assert desk.risk_of(refused)["failed"][0]["after"] == "20"
    desk.restart()
    assert desk.failed(desk.buy("0.1", "16")) == ["MAX_DRAWDOWN"]
    desk.price("16.1")
    assert desk.buy("0.1", "16").accepted


def test_what_goes_out_is_no_loss(desk: Desk) -> None:
    desk.limit("MAX_DAILY_LOSS", "10", "%")
    desk.accepted(command("Withdraw", desk.account, asset="BTC", amount="50"))
    assert desk.buy("0.1", "10").accepted


def test_equity_has_a_floor(desk: Desk) -> None:
    desk.limit("MIN_EQUITY", "900", "USDT", warning_threshold="950")
    assert desk.buy("0.1", "10").accepted
    desk.price("8.9")
    assert desk.failed(desk.buy("0.1", "9")) == ["MIN_EQUITY"]


def test_a_measure_that_somebody_reckons_refuses_until_it_is_told_and_when_it_is_old(
    desk: Desk,
) -> None:
    desk.limit("MAX_VAR_95", "10", "%")
    refused = desk.buy("0.1", "10")
    assert desk.risk_of(refused)["failed"][0]["missing"] == [
        "MAX_VAR_95 of the account (RecordRiskMeasure)"
    ]

    def tell(value: str) -> None:
        told = {"measure": "MAX_VAR_95", "value": value, "time": desk.now.isoformat()}
        desk.accepted(command("RecordRiskMeasure", desk.account, **told))

    tell("0.11")
    assert desk.failed(desk.buy("0.1", "10")) == ["MAX_VAR_95"]
    tell("0.09")
    assert desk.buy("0.1", "10").accepted
    desk.later(hours=27)
    desk.price("10")
    assert desk.failed(desk.buy("0.1", "10")) == ["MAX_VAR_95"]


def test_the_clock_asks_for_the_accounts_whose_losses_are_limited(desk: Desk) -> None:
    other = uuid7()
    desk.accepted(desk.opened(other, user_id=uuid7()))
    (job,) = [one for one in of_ledger(Settings()) if one.name == "equity"]

    def asked() -> set[str]:
        with connect(desk.url, "clock") as connection:
            due = list(job.commands(connection, desk.now))
        assert all(isinstance(one.data, MarkEquity) for one in due)
        return {str(one.account_id) for one in due}

    assert asked() == set()
    desk.limit("MAX_DAILY_LOSS", "10", "%", scope="USER", reference=str(USER))
    assert asked() == {str(desk.account)}
    desk.limit("MAX_DRAWDOWN", "10", "%", scope="SYSTEM", reference=None)
    assert asked() == {str(desk.account), str(other)}


def test_the_numbers_of_a_mark_are_in_its_event(desk: Desk) -> None:
    desk.limit("MAX_DRAWDOWN", "20", "%")
    with psycopg.connect(desk.url) as connection:
        found = connection.execute(
            "SELECT event_data FROM event_store WHERE event_type = 'equity.marked'"
        ).fetchone()
    assert found is not None
    (data,) = found
    assert (data["equity"], data["baselines"], data["flows"]) == ("1000", ["PEAK"], {"BTC": "100"})
    assert [(one["instrument"], one["price"]) for one in data["prices"]] == [
        ("BINANCE:BTCUSDT", "10")
    ]


def test_an_account_may_be_opened_with_what_it_may_lose(desk: Desk) -> None:
    cautious = uuid7()
    shares = {"max_daily_loss": "0.05", "max_total_drawdown": "0.10"}
    desk.accepted(desk.opened(cautious, **shares))
    desk.deposit("1", "BTC", account=cautious)
    desk.price("10")
    assert desk.buy("0.1", "10", account=cautious).accepted
    desk.price("9.5")
    refused = desk.buy("0.1", "9", account=cautious)
    assert desk.failed(refused) == ["MAX_DAILY_LOSS"]
    desk.later(days=1)
    desk.price("9")
    assert desk.failed(desk.buy("0.1", "9", account=cautious)) == ["MAX_DRAWDOWN"]

"""Why an account is worth what its snapshot says, down to the events."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.session import reading
from projections.past.equity import ExplainedEquity, NoSnapshot, explain_equity
from tests.databases import temporary_database
from tests.reports.weeks import ACCOUNT, BEGAN, trade_some_weeks

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    with temporary_database(postgres_url, template="ledger_template") as url:
        trade_some_weeks(url, days=4)
        yield url


def explained(database_url: str, after: timedelta) -> ExplainedEquity:
    with reading(database_url) as connection:
        return explain_equity(connection, ACCOUNT, BEGAN + after)


@pytest.mark.parametrize("days", [1, 2, 3, 4])
def test_children_sum_to_their_parents_and_leaves_are_events(database_url: str, days: int) -> None:
    found = explained(database_url, days * DAY)
    assert found.equal
    assert found.time == BEGAN + days * DAY
    for one in found.assets:
        assert one.events
        assert all(event.log_position < found.log_position for event in one.events)


def test_a_price_is_told_with_its_way_its_age_and_its_event(database_url: str) -> None:
    found = explained(database_url, DAY)
    (coin,) = [one for one in found.assets if one.asset == "BTC"]
    (hop,) = coin.way
    assert (hop.instrument, hop.is_stale) == ("BINANCE:BTCUSDT", False)
    assert hop.age_seconds == 0
    assert hop.event is not None
    assert hop.event.event_type == "prices.recorded"
    assert coin.value == coin.total * hop.price


def test_it_is_of_the_newest_snapshot_by_then(database_url: str) -> None:
    assert explained(database_url, DAY + timedelta(minutes=5)).time == BEGAN + DAY
    with pytest.raises(NoSnapshot, match="has no snapshot by"):
        explained(database_url, -DAY)
    with reading(database_url) as connection, pytest.raises(NoSnapshot, match="snapshots take"):
        explain_equity(connection, uuid7())


def test_its_lines_begin_with_the_whole_and_have_every_part(database_url: str) -> None:
    lines = list(explained(database_url, DAY).lines())
    assert lines[0]["what"] == "equity"
    assert {"├ BTC", "├ USDT", "│ ├ by BINANCE:BTCUSDT"} <= {line["what"] for line in lines}

"""Prices as they were known, and as they were."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from ledger.eventstore.moments import Moment
from ledger.write.ledger import Ledger
from projections.past.prices import prices_at
from projections.read_models.prices import PROJECTION
from tests.commands import INSTRUMENT, command
from tests.projections.workers import caught_up, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def told(database_url: str) -> str:
    """100 at noon, 90 told late of a minute before, 101 as a correction, 105 a minute later."""
    prices = (("100", 0), ("90", -60), ("101", 0), ("105", 60))
    commands = [
        command(
            *("RecordPrices", "prices"),
            source="feed",
            kind="MARK",
            time=(NOON + timedelta(seconds=seconds)).isoformat(),
            prices={INSTRUMENT: price},
        )
        for price, seconds in prices
    ]
    with Ledger(database_url) as ledger:
        assert [one.status for one in ledger.execute(commands)] == ["ACCEPTED"] * 4
    with running(database_url, [PROJECTION]):
        caught_up(database_url, "prices")
    return database_url


def test_a_price_is_the_newest_that_was_told_until_then_of_a_time_until_then(told: str) -> None:
    def price(known_at: int, effective_at: int | None = None) -> list[int]:
        until = None if effective_at is None else NOON + timedelta(seconds=effective_at)
        found = prices_at(connection, Moment(known_at, until), {"instrument": INSTRUMENT})
        return [int(row["price"]) for row in found]

    with psycopg.connect(told) as connection:
        assert [price(known_at) for known_at in (1, 2, 3, 4)] == [[100], [100], [101], [105]]
        assert [price(4, 30), price(4, -30), price(2, 30), price(1, -30)] == [
            [101],
            [90],
            [100],
            [],
        ]

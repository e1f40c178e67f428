"""Prices of a venue on this machine, told to the ledger by `serve prices`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ledger.nouns.prices.events import PriceKind
from ledger.operate.settings import Settings
from ledger.programs.prices import PROGRAM, PriceService, command_id, moment, source_of
from ledger.programs.registry import Places, wanted
from ledger.venues.tickers import TickerFeed, venues_of
from projections.read_models.instruments import PROJECTION as INSTRUMENTS
from projections.read_models.prices import PROJECTION as PRICES
from tests.programs.services import ANSWER_SECONDS, client, running_worker
from tests.projections.workers import caught_up, running, wait_until
from tests.venues.standing import KRAKEN, standing_exchange

VENUES = "KRAKEN"
READ = ("symbols", "prices")


def events_of(database_url: str) -> list[dict[str, Any]]:
    with psycopg.connect(database_url) as connection:
        return [
            data
            for (data,) in connection.execute(
                "SELECT event_data::jsonb FROM event_store WHERE event_type = 'prices.recorded' "
                "ORDER BY position"
            )
        ]


def told(database_url: str) -> None:
    """Waits until prices are told."""
    wait_until(lambda: bool(events_of(database_url)), "prices to be told")


@asynccontextmanager
async def telling(places: Places, answers: dict[str, Any]) -> AsyncIterator[PriceService]:
    """The program's work, with the venue here."""
    (venue,) = venues_of(VENUES)
    async with standing_exchange(venue.exchange_id, answers) as exchange:
        service = PriceService(places)
        work = asyncio.create_task(service.follow([(venue, TickerFeed(exchange))]))
        try:
            yield service
        finally:
            service.stop()
            await asyncio.wait_for(work, ANSWER_SECONDS)


async def test_two_that_tell_the_prices_of_a_venue_have_one_effect(
    database_url: str, nats_url: str
) -> None:
    settings = Settings(nats_url=nats_url, price_venues=VENUES, prices_seconds=3_600)
    places = Places(settings, database_url)
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        terms = {"base_asset": "BTC", "quote_asset": "USD", "tick_size": "1", "step_size": "1"}
        outcome = await ledger.submit("ListInstrument", {"instrument": "KRAKEN:XBTUSD"} | terms)
        assert outcome.accepted
        with running(database_url, [INSTRUMENTS, PRICES]):
            caught_up(database_url, *READ)
            assert not PROGRAM.ready(places)
            async with AsyncExitStack() as stack:
                for _ in range(2):
                    await stack.enter_async_context(telling(places, KRAKEN))
                await asyncio.to_thread(told, database_url)
            caught_up(database_url, *READ)
            (event,) = events_of(database_url)
            assert (event["source"], event["kind"], event["prices"]) == (
                *("ccxt.kraken", "LAST"),
                {"KRAKEN:XBTUSD": "60000.1"},
            )
            assert PROGRAM.ready(places)


async def test_a_venue_that_fails_is_asked_again_and_nothing_is_made_up(
    database_url: str, nats_url: str
) -> None:
    settings = Settings(nats_url=nats_url, price_venues=VENUES, prices_seconds=1)
    answers = {name: answer for name, answer in KRAKEN.items() if "Ticker" not in name}
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        terms = {"base_asset": "BTC", "quote_asset": "USD", "tick_size": "1", "step_size": "1"}
        await ledger.submit("ListInstrument", {"instrument": "KRAKEN:XBTUSD"} | terms)
        with running(database_url, [INSTRUMENTS]):
            caught_up(database_url, "symbols")
            async with telling(Places(settings, database_url), answers):
                await asyncio.sleep(0)
                assert events_of(database_url) == []
                answers |= KRAKEN
                await asyncio.to_thread(told, database_url)


async def test_it_waits_for_a_bus_that_is_away_and_stops_when_asked() -> None:
    places = Places(Settings(nats_url="nats://127.0.0.1:1", prices_seconds=1))
    service = PriceService(places)
    work = asyncio.create_task(service.follow([]))
    done, _ = await asyncio.wait([work], timeout=0.2)
    assert not done
    service.stop()
    await asyncio.wait_for(work, ANSWER_SECONDS)


def test_moments_and_ids_are_the_same_for_all() -> None:
    now = datetime(2026, 3, 1, 12, 0, 44, 5, tzinfo=UTC)
    time = moment(now, timedelta(seconds=30))
    assert time == datetime(2026, 3, 1, 12, 0, 30, tzinfo=UTC)
    (venue,) = venues_of(VENUES)
    kinds = (PriceKind.LAST, PriceKind.LAST, PriceKind.MARK)
    ids = [command_id(source_of(venue), kind, time, 0) for kind in kinds]
    assert ids[0] == ids[1] != ids[2]


def test_it_runs_only_where_venues_are_named() -> None:
    assert "prices" not in wanted(Settings())
    assert "prices" in wanted(Settings(price_venues=VENUES))

"""`ledgerctl serve prices`: what venues say that listed instruments are worth, told to the ledger.

    every LEDGER_PRICES_SECONDS, at the same moments everywhere, for each venue of its own:
    ask      which instruments are listed there (the read model), and the venue for their prices
    tell     RecordPrices, one for each kind of price, under an id made of source, kind and time

So two of these programs have one effect. A venue that does not answer is asked again at the next
moment; nothing is made up meanwhile, and prices become stale, which is shown.
"""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID, uuid5

import psycopg
import structlog
from prometheus_client import Counter, Histogram

from ledger.client.client import LedgerClient
from ledger.client.submission import LedgerUnavailable
from ledger.kernel import read_side
from ledger.kernel.command import CommandRejected
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import plain
from ledger.kernel.rejection import GeneralRejection
from ledger.nouns.prices.commands import MAX_PRICES
from ledger.nouns.prices.events import PriceKind
from ledger.operate.database import connect
from ledger.operate.roles import AUDITOR
from ledger.operate.settings import Settings
from ledger.programs.process import run_in_loop
from ledger.programs.registry import Places, Program
from ledger.venues import tickers
from ledger.venues.tickers import TickerFeed, Traded, VenueName

if TYPE_CHECKING:
    import threading

    from projections.questions.question import Question
    from projections.read_models.instruments import Symbol
    from projections.read_models.prices import NewestPrice

SOURCE = "prices"
"""The service that sends the commands."""
FRESH_INTERVALS = 3
"""Moments without a price after which a feed does not do its work: one may fail."""

ANSWERS = Counter(
    "ledger_venue_answers", "What venues were asked, by whether they told it.", ["venue", "answer"]
)
TOLD, NOT_TOLD = "TOLD", "NOT_TOLD"
ANSWER_SECONDS = Histogram(
    "ledger_venue_answer_seconds",
    "From the question to its prices in the ledger.",
    ["venue"],
    buckets=(0.1, 0.3, 1, 3, 10, 30),
)
PRICES = Counter("ledger_venue_prices", "Prices that a venue told.", ["venue"])

_NAMESPACE = UUID("5d3a3c7e-90f4-5a63-9f0e-51b7b1d5c6a4")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_log = structlog.get_logger(__name__)


def source_of(venue: VenueName) -> str:
    """Who the ledger is told has said a price."""
    return f"ccxt.{venue.exchange_id}"


def command_id(source: str, kind: PriceKind, time: datetime, part: int) -> UUID:
    """The same for all who tell of the same moment."""
    return uuid5(_NAMESPACE, f"{source} {kind} {time.isoformat()} {part}")


class PriceService:
    """Until `stop`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._venues = tickers.venues_of(places.settings.price_venues)
        self._interval = timedelta(seconds=places.settings.prices_seconds)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        if not self._venues:
            _log.warning("prices.no_venues", remedy="name some in LEDGER_PRICE_VENUES")
        async with contextlib.AsyncExitStack() as stack:
            for venue in self._venues:  # a count that began with its first failure would hide it
                ANSWERS.labels(venue.venue, TOLD)
                ANSWERS.labels(venue.venue, NOT_TOLD)
            feeds = [
                (venue, TickerFeed(await stack.enter_async_context(tickers.opened(venue[1]))))
                for venue in self._venues
            ]
            await self.follow(feeds)

    async def follow(self, feeds: Sequence[tuple[VenueName, TickerFeed]]) -> None:
        """Asks and tells at each moment."""
        client = await self._connected()
        if client is None:
            return
        async with client:
            while not self._stopping.is_set():
                time = moment(datetime.now(UTC), self._interval)
                await asyncio.gather(*(self._turn(client, *feed, time) for feed in feeds))
                await self._wait_until(time + self._interval)

    async def _connected(self) -> LedgerClient | None:
        """A client, as soon as the bus is there; None if we are to stop before."""
        places = self._places
        while not self._stopping.is_set():
            try:
                return await LedgerClient.connect(
                    places.nats_url, source=SOURCE, security=places.security
                )
            except LedgerUnavailable as error:
                _log.warning("prices.bus_away", error=str(error))
            await self._wait_until(datetime.now(UTC) + self._interval)
        return None

    def stop(self) -> None:
        self._stopping.set()

    async def _wait_until(self, time: datetime) -> None:
        seconds = (time - datetime.now(UTC)).total_seconds()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), max(seconds, 0))

    async def _turn(
        self, client: LedgerClient, venue: VenueName, feed: TickerFeed, time: datetime
    ) -> None:
        """One venue, one moment. Whatever goes wrong with it concerns neither the others nor the
        next moment."""
        started = asyncio.get_running_loop().time()
        try:
            wanted = await asyncio.to_thread(listed, self._places.database_url, venue.venue)
            if wanted:
                found = await feed.prices(wanted)
                for kind, prices in found.items():
                    await _tell(client, source_of(venue), kind, time, prices)
                    PRICES.labels(venue.venue).inc(len(prices))
                taken = asyncio.get_running_loop().time() - started
                ANSWER_SECONDS.labels(venue.venue).observe(taken)
                ANSWERS.labels(venue.venue, TOLD).inc()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - ccxt raises what it likes
            ANSWERS.labels(venue.venue, NOT_TOLD).inc()
            _log.warning(
                "prices.not_told",
                venue=venue.venue,
                error=f"{type(error).__name__}: {error}"[:500],
                next_try_seconds=self._interval.total_seconds(),
            )


def moment(now: datetime, interval: timedelta) -> datetime:
    """The last of the moments that are the same for all."""
    return _EPOCH + (now - _EPOCH) // interval * interval


def listed(database_url: str, venue: str) -> list[Traded]:
    """What is listed of a venue."""
    question: Question[Symbol] = read_side.question("instruments")
    with connect(database_url, "prices") as connection, connection.transaction():
        rows = question.find(connection, exchange=venue, is_active=True)
    return [Traded(row.instrument, row.symbol, row.base_asset, row.quote_asset) for row in rows]


async def _tell(
    client: LedgerClient,
    source: str,
    kind: PriceKind,
    time: datetime,
    prices: Mapping[str, Decimal],
) -> None:
    names = sorted(prices)
    for part, first in enumerate(range(0, len(names), MAX_PRICES)):
        told = {name: plain(prices[name]) for name in names[first : first + MAX_PRICES]}
        outcome = await client.submit(
            "RecordPrices",
            {"source": source, "kind": kind.value, "time": time.isoformat(), "prices": told},
            command_id=command_id(source, kind, time, part),
        )
        if outcome.rejected and outcome.code != GeneralRejection.COMMAND_ID_REUSED:
            raise CommandRejected(outcome)


def _serve(places: Places, stop: "threading.Event") -> None:
    run_in_loop(PriceService(places), stop)


def _ready(places: Places) -> bool:
    """Whether every venue's newest price is of one of the last moments."""
    settings = places.settings
    since = datetime.now(UTC) - FRESH_INTERVALS * timedelta(seconds=settings.prices_seconds)
    question: Question[NewestPrice] = read_side.question("prices")
    try:
        with connect(places.database_url, "prices") as connection, connection.transaction():
            return all(
                any(row.time >= since for row in question.find(connection, source=source_of(venue)))
                for venue in tickers.venues_of(settings.price_venues)
            )
    except (psycopg.Error, LedgerError):
        return False


def _wanted(settings: Settings) -> bool:
    return bool(settings.price_venues.strip())


PROGRAM = Program(
    name="prices",
    summary="tells what venues say that listed instruments are worth",
    role=AUDITOR,
    ready=_ready,
    run=_serve,
    wanted=_wanted,
    outside=True,
    port=9469,
)

"""A ledger with something of everything, all of its programs at work, and what they tell."""

import asyncio
import contextlib
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from ledger.client.client import LedgerClient
from ledger.kernel.command import CommandRejected
from ledger.operate import http
from ledger.operate.embedded.servers import EmbeddedNats
from ledger.operate.settings import Settings
from ledger.programs.prices import ANSWER_SECONDS, ANSWERS, NOT_TOLD, PRICES, TOLD
from ledger.programs.registry import Places, find, names
from ledger.vitals.collector import told
from ledger.vitals.examination import Vitals, examine
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.ports import free_port
from tests.programs.services import answering, open_account
from tests.projections.everything import append_everything
from tests.projections.workers import caught_up, running

AT_WORK = ("clock", "commands", "publisher", "seals", "queries")
"""Programs that run here; the read models are kept by `running`."""
TOLD_AT_LAST = ("seal_head_age_seconds", "follower_lag_events", "published_position")
"""Numbers that are there only when their programs have done something."""
PATIENCE_SECONDS = 60


@pytest.fixture(scope="session")
def filled_url(postgres_url: str) -> Iterator[str]:
    """A database with events of every type, all folded."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        append_everything(url)
        with running(url, all_projections(ProjectionSettings())):
            caught_up(url)
        yield url


@pytest.fixture(scope="session")
def page(filled_url: str, memory_directory: Path) -> Iterator[str]:
    """/metrics, as Prometheus reads it, with all programs at work in one process."""
    directory = memory_directory / "boards"
    with EmbeddedNats(directory) as server:
        settings = Settings(
            database_url=filled_url,
            nats_url=server.url,
            data_dir=directory,
            seal_block_age_seconds=0.1,
            metrics_port=free_port(),
        )
        with at_work(settings):
            asyncio.run(_trade(server.url, settings))
            yield _scraped(settings)


@contextlib.contextmanager
def at_work(settings: Settings) -> Iterator[None]:
    places = Places(settings, found_database=settings.database_url)
    stop = threading.Event()
    threads = [
        threading.Thread(target=find(name).run, args=(places, stop), name=name) for name in AT_WORK
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)


async def _trade(nats_url: str, settings: Settings) -> None:
    """Some commands, one refused; a question; a follower; and what a venue would be asked."""
    async with await LedgerClient.connect(nats_url, source="boards") as ledger:
        await answering(ledger)
        account_id = await open_account(ledger)
        deposit = {"asset": "USDT", "amount": "7"}
        told_twice = uuid7()
        for _ in range(2):
            await ledger.submit("Deposit", deposit, account_id=account_id, command_id=told_twice)
        with contextlib.suppress(CommandRejected):
            await ledger.submit("Withdraw", {"asset": "USDT", "amount": "8"}, account_id=account_id)
        async with contextlib.aclosing(ledger.events(name="risk")) as events:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await anext(events)
                await anext(events)  # the first is done with now, so that there is a place
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await asyncio.to_thread(_everything_told, settings):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    for answer in (TOLD, NOT_TOLD):
        ANSWERS.labels("BINANCE", answer).inc()
    ANSWER_SECONDS.labels("BINANCE").observe(0.2)
    PRICES.labels("BINANCE").inc()


def _everything_told(settings: Settings) -> bool:
    samples = examine(settings, settings.database_url, settings.nats_url, as_program=True).samples
    return set(TOLD_AT_LAST) <= {one.name for one in samples}


def _scraped(settings: Settings) -> str:
    ours = settings.model_copy(update={"database_url": None, "nats_url": None})

    def ask() -> Vitals:  # as where the servers are ours, whose disk is looked at
        return examine(ours, settings.database_url, settings.nats_url, as_program=True)

    for name in names():  # as each program says of itself
        find(name)
        http.BUILD_INFO.labels(name, "test").set(1)
    with (
        told(ask),
        http.served(settings) as url,
        urllib.request.urlopen(f"{url}/metrics") as answer,
    ):
        return str(answer.read().decode())

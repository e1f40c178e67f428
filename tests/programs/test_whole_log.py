"""A worker decides nothing on a database that lacks what the bus says was done."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest
from nats.js import api

from ledger.bus.connection import Connection
from ledger.bus.events import EVENTS_STREAM
from ledger.client.submission import LedgerUnavailable
from ledger.eventstore.connection import OneConnection
from ledger.operate.settings import Settings
from ledger.programs.whole_log import LogBehind, check_whole
from ledger.vitals.examination import examine
from tests.programs.publishing import connected, published_up_to, running_publisher
from tests.programs.restoring import copied, worker_on
from tests.programs.services import (
    client,
    count,
    exchange,
    message,
    open_account,
    rows,
    running_worker,
)

LIMIT = 65_536


async def looked_at(database_url: str, nats_url: str) -> None:
    database = OneConnection(database_url, "test")
    async with connected(nats_url) as connection:
        assert isinstance(connection, Connection)
        try:
            await check_whole(connection, database, LIMIT)
        finally:
            database.close()


async def test_a_database_restored_to_an_earlier_moment_is_not_served(
    postgres_url: str, database_url: str, nats_url: str
) -> None:
    deposit = {"asset": "USDT", "amount": "1"}
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
    restored = copied(postgres_url, database_url)
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        for _ in range(3):
            await ledger.submit("Deposit", deposit, account_id=account_id)
    await looked_at(database_url, nats_url)
    with pytest.raises(LogBehind, match=r"4 of the last 500 .*ledgerctl recover"):
        await looked_at(restored, nats_url)
    before = count(restored, "command_inbox")
    async with worker_on(restored, nats_url), await client(nats_url) as ledger:
        with pytest.raises(LedgerUnavailable):  # so it is not ready either
            await ledger.outcome(uuid4(), timeout=1.0)
    assert count(restored, "command_inbox") == before


async def test_what_was_published_and_is_not_in_the_log_is_missed_too(
    postgres_url: str, database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
    restored = copied(postgres_url, database_url)
    async with (
        running_worker(database_url, nats_url),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        deposit = {"asset": "USDT", "amount": "1"}
        last = await ledger.submit("Deposit", deposit, account_id=account_id)
        await published_up_to(database_url, last.position or 0)
    async with connected(nats_url) as connection:
        await connection.jetstream().purge_stream("LEDGER_COMMANDS")
    with pytest.raises(LogBehind, match=r"published at position 2, .* ends at 1"):
        await looked_at(restored, nats_url)
    for url, behind in ((restored, 1.0), (database_url, 0.0)):
        vitals = await asyncio.to_thread(examine, Settings(), url, nats_url)
        assert vitals.value("log_behind") == behind


async def test_commands_that_have_no_outcome_by_their_nature_are_not_missed(
    database_url: str, nats_url: str
) -> None:
    """Messages without an id, ids that came twice, and commands that were set aside."""
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        async with connected(nats_url) as connection:
            rubbish = await exchange(connection, account_id, b"{")
            again = message("Deposit", account_id, {"asset": "USDT", "amount": "1"})
            first = await exchange(connection, account_id, again)
            second = await exchange(connection, account_id, again)
            aside = message("Deposit", account_id, {"asset": "USDT", "amount": "2"})
            await exchange(connection, account_id, aside)
    assert (rubbish.status, first.status, second.replayed) == ("REJECTED", "ACCEPTED", True)
    with psycopg.connect(database_url) as connection:  # as if it had never been decided
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM command_inbox WHERE command_id = %s", [aside["id"]])
        connection.execute(
            "INSERT INTO failed_commands (command_id, command_type, source, subject, fingerprint,"
            " body, code, message, tries) VALUES (%s, '', '', '', '', '', '', '', 5)",
            [aside["id"]],
        )
    await looked_at(database_url, nats_url)


async def test_a_worker_looks_again_when_the_database_may_be_another_one(
    database_url: str, nats_url: str, postgres_url: str
) -> None:
    """As after a standby took over: the worker was at work, and its connections broke."""
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        await ledger.submit("Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id)
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
                " AND pid <> pg_backend_pid()",
                [urlsplit(database_url).path[1:]],
            ).fetchall()
        assert len(ended) > 1
        # The same server, so it goes on: the commit's new connection is to what was looked at.
        outcome = await ledger.submit(
            "Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id
        )
        assert outcome.status == "ACCEPTED"


async def test_a_bus_that_knows_nothing_is_believed(database_url: str, nats_url: str) -> None:
    await looked_at(database_url, nats_url)
    async with connected(nats_url) as connection:
        await connection.jetstream().add_stream(
            api.StreamConfig(name=EVENTS_STREAM, subjects=["ledger.events.>"])
        )
    await looked_at(database_url, nats_url)
    assert rows(database_url, "SELECT count(*) FROM log_incarnations") == [(0,)]

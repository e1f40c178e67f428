"""The primary is lost under load, a standby takes over, and the programs go on by themselves.

With synchronous replication nothing that was accepted is lost, read models are what the log says,
and what was sealed before is what it was. Without it there is a window, which is measured; what
fell into it is noticed, and recovered from the bus.
"""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.prove import seals
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verify import verify
from ledger.bus.connection import Connection
from ledger.client.client import LedgerClient
from ledger.client.submission import LedgerUnavailable
from ledger.kernel.command import Outcome
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.operate.settings import Settings
from ledger.programs.recovery import Plan, Recovery
from ledger.programs.registry import Places, Program
from ledger.programs.seals import PROGRAM as SEALS
from projections.query_service import PROGRAM as QUERIES
from projections.service import PROGRAM as PROJECTIONS
from tests.audit.test_backup import project
from tests.cli.running import run
from tests.programs.publishing import connected, published_up_to, running_publisher
from tests.programs.restoring import worker_on
from tests.programs.services import client, open_account, rows
from tests.restores.standby import (
    asked,
    lose,
    set_on,
    standby_of,
    take_over,
    until,
    url_of_both,
)

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
ROUND_SECONDS = 90.0
WITHIN_SECONDS = 15.0
"""How long after the standby has taken over the first command is accepted, at the latest."""
LOAD_SECONDS = 1.0
FOLLOWED = """
    SELECT (SELECT max(last_position) FROM event_seals) >= max(position) AND NOT EXISTS (
        SELECT FROM event_projections AS one WHERE last_processed_position < max(position))
    FROM event_store"""
"""Whether everything is sealed, and every read model has come to the end."""
SERVICE = {"retry_wait_seconds": 0.5, "command_lease_seconds": 3.0}


class Load:
    """Deposits, one after the other on several accounts, and what became of them."""

    def __init__(self, ledger: LedgerClient, accounts: list[UUID]) -> None:
        self._ledger = ledger
        self._accounts = accounts
        self.outcomes: dict[UUID, Outcome] = {}
        self.accepted_at: list[float] = []
        self._stop = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        senders = [asyncio.create_task(self._send(one)) for one in self._accounts]
        try:
            yield
        finally:
            self._stop.set()
            await asyncio.gather(*senders)

    async def _send(self, account_id: UUID) -> None:
        while not self._stop.is_set():
            command_id = uuid7()
            outcome = await self._ledger.submit(
                "Deposit",
                {"asset": "USDT", "amount": "1"},
                account_id=account_id,
                command_id=command_id,
            )
            assert outcome.accepted, outcome
            self.outcomes[command_id] = outcome
            self.accepted_at.append(time.monotonic())

    async def first_after(self, moment: float) -> float:
        """How many seconds after the moment the first command was accepted."""
        async with asyncio.timeout(3 * WITHIN_SECONDS):
            while not (later := [one for one in self.accepted_at if one > moment]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return later[0] - moment


@pytest.mark.timeout((ROUNDS + 1) * ROUND_SECONDS)
async def test_with_synchronous_replication_nothing_accepted_is_lost(
    server_directory: Path, nats_url: str, tmp_path: Path
) -> None:
    primary = EmbeddedPostgres(server_directory / "0", fast=True)
    primary.start()
    migrate_all(primary.url)
    took: list[float] = []
    try:
        for number in range(1, ROUNDS + 1):
            standby = await asyncio.to_thread(standby_of, primary, server_directory / str(number))
            set_on(primary, "synchronous_standby_names", "*")
            url = url_of_both(primary, standby, "read-write")
            async with (
                worker_on(url, nats_url, **SERVICE),
                running_publisher(url, nats_url, retry_wait_seconds=0.5),
                serving(PROJECTIONS, url, nats_url),
                serving(SEALS, url, nats_url),
                await client(nats_url, ask_after=1.0) as ledger,
            ):
                load = Load(ledger, [await open_account(ledger) for _ in range(4)])
                async with load.running():
                    await asyncio.sleep(LOAD_SECONDS)
                    kept = await asyncio.to_thread(newest_seal, primary.url)
                    await asyncio.to_thread(lose, primary)
                    # What was promoted waits for no standby of its own.
                    set_on(standby, "synchronous_standby_names", "")
                    await asyncio.to_thread(take_over, standby)
                    took.append(await load.first_after(time.monotonic()))
                    await asyncio.sleep(LOAD_SECONDS / 2)
                head = asked(standby.url, "SELECT max(position) FROM event_store")
                assert isinstance(head, int)
                await published_up_to(standby.url, head)
                await asyncio.to_thread(until, standby.url, FOLLOWED)
            _check(standby.url, load)
            with psycopg.connect(standby.url) as connection:
                verdict = verify(connection, kept=[kept])
                assert verdict.holds, verdict.findings
                assert verdict.kept_head == kept
            verified = await run(
                "projections", "verify", cwd=tmp_path, LEDGER_DATABASE_URL=standby.url
            )
            assert verified.exit_code == 0, verified.stdout + verified.stderr
            primary = standby
    finally:
        primary.stop()
        sys.stderr.write(
            f"\n{len(took)} failovers with synchronous replication: nothing accepted was lost; "
            f"commands again {_figures(took)} after the standby had taken over\n"
        )
    assert max(took) <= WITHIN_SECONDS


@pytest.mark.timeout((ROUNDS + 1) * ROUND_SECONDS)
async def test_without_it_what_was_lost_is_noticed_and_recovered(
    server_directory: Path, nats_url: str, tmp_path: Path
) -> None:
    primary = EmbeddedPostgres(server_directory / "0", fast=True)
    primary.start()
    migrate_all(primary.url)
    lost: list[int] = []
    windows: list[float] = []
    try:
        for number in range(1, ROUNDS + 1):
            standby = await asyncio.to_thread(standby_of, primary, server_directory / str(number))
            url = url_of_both(primary, standby, "read-write")
            async with (
                worker_on(url, nats_url, **SERVICE),
                await client(nats_url, ask_after=1.0) as ledger,
            ):
                load = Load(ledger, [await open_account(ledger) for _ in range(4)])
                async with load.running():
                    await asyncio.sleep(LOAD_SECONDS)
                    if number == 1:  # as a standby behind a slow line; later it is as it is
                        await asyncio.to_thread(_hold_back, standby)
                        await asyncio.sleep(0.2)
                    await asyncio.to_thread(lose, primary)
                    await asyncio.to_thread(take_over, standby)
                    plan = await _planned(standby.url, nats_url)
                    lost.append(len(plan.lost_commands))
                    windows.append(_window(load, standby.url))
                    if plan.needed:
                        await _recovered(standby.url, nats_url, tmp_path / "lost.jsonl")
                    await load.first_after(time.monotonic())
            _check(standby.url, load)
            primary = standby
    finally:
        primary.stop()
        sys.stderr.write(
            f"\n{len(lost)} failovers without: {lost} accepted commands were lost and decided "
            f"again; the window was {_figures(windows[1:] or windows)}\n"
        )
    assert lost[0] > 0


async def test_a_replica_answers_queries_and_goes_on_when_it_takes_over(
    server_directory: Path, nats_url: str
) -> None:
    primary = EmbeddedPostgres(server_directory / "primary", fast=True)
    primary.start()
    migrate_all(primary.url)
    standby = await asyncio.to_thread(standby_of, primary, server_directory / "standby")
    try:
        async with (
            worker_on(primary.url, nats_url, **SERVICE),
            await client(nats_url) as ledger,
        ):
            account_id = await open_account(ledger)
            await asyncio.to_thread(project, primary.url)
            until(standby.url, "SELECT EXISTS (SELECT FROM accounts)")
            async with serving(QUERIES, standby.url, nats_url):
                answer = await _answered(ledger, account_id)
        assert [row.account_id for row in answer.rows] == [account_id]
        for words in (
            ("query", "accounts", "--account", str(account_id), "--json"),
            ("audit", "events", "--format", "jsonl"),
            ("projections", "status"),
        ):
            told = await run(*words, cwd=server_directory, LEDGER_DATABASE_URL=standby.url)
            assert told.exit_code in (0, 1), told.stderr
            assert "mistake of ledgerctl" not in told.stderr
        refused = await run("migrate", cwd=server_directory, LEDGER_DATABASE_URL=standby.url)
        assert refused.exit_code == 1
        assert "mistake of ledgerctl" not in refused.stderr
    finally:
        standby.stop()
        primary.stop()


@asynccontextmanager
async def serving(program: Program, database_url: str, nats_url: str) -> AsyncIterator[None]:
    """`ledgerctl serve NAME`, in this process, on this database."""
    stop = threading.Event()
    places = Places(Settings(nats_url=nats_url), database_url)
    thread = threading.Thread(target=program.run, args=(places, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


def newest_seal(database_url: str) -> Seal:
    """The head of the seals, as soon as there is one; as somebody would have kept it elsewhere."""
    until(database_url, "SELECT EXISTS (SELECT FROM event_seals)")
    with psycopg.connect(database_url) as connection:
        head = seals.head(connection)
    assert head is not None
    return head


async def _answered(ledger: LedgerClient, account_id: UUID) -> Any:
    """The answer, as soon as somebody answers."""
    async with asyncio.timeout(WITHIN_SECONDS):
        while True:
            with contextlib.suppress(LedgerUnavailable):
                return await ledger.queries.accounts(account_id=account_id)
            await asyncio.sleep(0.1)


def _hold_back(standby: EmbeddedPostgres) -> None:
    """Nothing is received any more."""
    set_on(standby, "primary_conninfo", "")
    until(standby.url, "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver)")


async def _planned(database_url: str, nats_url: str) -> Plan:
    recovery = Recovery(database_url, nats_url, Settings())
    async with connected(nats_url) as connection:
        assert isinstance(connection, Connection)
        try:
            return await recovery.plan(connection)
        finally:
            recovery.close()


async def _recovered(database_url: str, nats_url: str, lost_file: Path) -> None:
    recovery = Recovery(database_url, nats_url, Settings())
    async with connected(nats_url) as connection:
        assert isinstance(connection, Connection)
        try:
            plan = await recovery.plan(connection)
            await recovery.run(
                connection,
                plan,
                by="ada",
                reason="the standby was behind",
                lost_file=lost_file,
                tell=lambda _: None,
            )
            assert not (await recovery.plan(connection)).needed
        finally:
            recovery.close()


def _window(load: Load, database_url: str) -> float:
    """Seconds between the first and the last acceptance of what was lost."""
    known = {row[0] for row in rows(database_url, "SELECT command_id FROM command_inbox")}
    at = dict(zip(load.outcomes, load.accepted_at, strict=False))
    lost = [at[command_id] for command_id in load.outcomes if command_id not in known]
    return max(lost) - min(lost) if lost else 0.0


def _check(database_url: str, load: Load) -> None:
    known = {row[0] for row in rows(database_url, "SELECT command_id FROM command_inbox")}
    assert set(load.outcomes) <= known
    ((count, last),) = rows(database_url, "SELECT count(*), max(position) FROM event_store")
    assert count == last


def _figures(seconds: list[float]) -> str:
    if not seconds:
        return "never"
    middle = sorted(seconds)[len(seconds) // 2]
    return f"{middle:.2f} s (median), {max(seconds):.2f} s (longest)"

"""Servers and workers die in the middle of a run: every command has one outcome and one effect.

A client sends deposits of known amounts through real servers to a real `ledgerctl serve commands`,
while one of them is taken away and comes back. Afterwards the log, the inbox and the outcomes that
the client got must agree with what it sent.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import nats
import orjson
import pytest
from nats.js import JetStreamContext
from uuid_utils.compat import uuid7

from ledger.commands import Outcome
from ledger.database import migrate
from ledger.embedded import EmbeddedNats, EmbeddedPostgres
from ledger.messaging.bus import COMMANDS_CONSUMER, COMMANDS_STREAM
from ledger.messaging.client import LedgerClient
from tests.messaging.services import answering, client, message, open_account, rows

COMMANDS = 600
ACCOUNTS = 6
RUN_SECONDS = 40.0
"""A run that takes longer hangs; most of it is waiting for a server to be back."""


class Worker:
    """`ledgerctl serve commands` as a process."""

    def __init__(self, directory: Path, database_url: str, nats_url: str) -> None:
        self._log = directory / "worker.log"
        self._environment = os.environ | {
            "LEDGER_DATABASE_URL": database_url,
            "LEDGER_NATS_URL": nats_url,
            "LEDGER_COMMAND_BATCH_SIZE": "20",
            "LEDGER_RETRY_WAIT_SECONDS": "0.2",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ledger", "serve", "commands"],
                cwd=self._log.parent,
                env=self._environment,
                stderr=log,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._process.wait(20) == 0, self._log.read_text()[-2_000:]


class Scene(NamedTuple):
    postgres: EmbeddedPostgres
    nats: EmbeddedNats
    worker: Worker
    ledger: LedgerClient


@pytest.fixture
async def scene(
    postgres_server: EmbeddedPostgres, nats_server: EmbeddedNats, tmp_path: Path
) -> AsyncIterator[Scene]:
    migrate(postgres_server.url)
    worker = Worker(tmp_path, postgres_server.url, nats_server.url)
    worker.start()
    async with await client(nats_server.url, ask_after=1.0) as ledger:
        await answering(ledger)
        yield Scene(postgres_server, nats_server, worker, ledger)
    await asyncio.to_thread(worker.stop)


class Deposit(NamedTuple):
    account_id: UUID
    command_id: UUID
    amount: int


BreakThings = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


async def run_while(scene: Scene, break_things: BreakThings) -> None:
    """Sends all commands while things break; then everything must be as if nothing had."""
    deposits = await _deposits(scene)
    some_sent = asyncio.Event()
    async with asyncio.timeout(RUN_SECONDS):
        breaking = asyncio.create_task(break_things(some_sent))
        outcomes = await _send(scene.ledger, deposits, some_sent)
        while not breaking.done():  # on a slow machine there is more to break than to send
            await _send(scene.ledger, deposits, some_sent)
        await breaking
        # Whatever happened: a resend of each has no second effect, and the same outcome.
        again = await _send(scene.ledger, deposits, some_sent)
    assert [outcome.status for outcome in outcomes] == ["ACCEPTED"] * COMMANDS
    assert [outcome.events for outcome in again] == [outcome.events for outcome in outcomes]
    assert all(outcome.replayed for outcome in again)
    stored = _stored_deposits(scene.postgres.url, deposits)
    for deposit, outcome in zip(deposits, outcomes, strict=True):
        assert stored[outcome.events[0].id] == (deposit.account_id, deposit.amount)


async def _deposits(scene: Scene) -> list[Deposit]:
    accounts = [await open_account(scene.ledger) for _ in range(ACCOUNTS)]
    return [Deposit(accounts[n % ACCOUNTS], uuid7(), n + 1) for n in range(COMMANDS)]


async def _send(
    ledger: LedgerClient, deposits: list[Deposit], some_sent: asyncio.Event
) -> list[Outcome]:
    sent = []
    for number, deposit in enumerate(deposits):
        data = {"asset": "USDT", "amount": str(deposit.amount)}
        sent.append(
            await ledger.send(
                "Deposit", data, account_id=deposit.account_id, command_id=deposit.command_id
            )
        )
        if number % 20 == 19:
            # About as fast as a worker decides, so that it is always in the middle of something.
            await asyncio.wait([asyncio.ensure_future(sent[-20])], timeout=0.1)
            some_sent.set()
    return [await command for command in sent]


def _stored_deposits(database_url: str, deposits: list[Deposit]) -> dict[UUID, tuple[UUID, int]]:
    """Account and amount of each deposit in the log, which has every one once and no gaps."""
    count, last = rows(database_url, "SELECT count(*), max(position) FROM event_store")[0]
    assert count == last == ACCOUNTS + COMMANDS
    streams = "SELECT count(*), max(event_version) FROM event_store GROUP BY stream_id"
    assert all(count == last for count, last in rows(database_url, streams))
    inbox = dict(rows(database_url, "SELECT command_id, status FROM command_inbox"))
    assert {inbox.get(deposit.command_id) for deposit in deposits} == {"ACCEPTED"}
    statement = """SELECT id, stream_id, event_data ->> 'amount' FROM event_store
                   WHERE event_type = 'account.deposited'"""
    stored = {row[0]: (row[1], int(row[2])) for row in rows(database_url, statement)}
    assert len(stored) == COMMANDS
    return stored


async def test_a_worker_that_is_killed_again_and_again(scene: Scene) -> None:
    async def kill_often(some_sent: asyncio.Event) -> None:
        for _ in range(4):
            some_sent.clear()
            await some_sent.wait()
            await asyncio.to_thread(scene.worker.kill)
            scene.worker.start()
            await answering(scene.ledger)

    await run_while(scene, kill_often)


async def test_a_postgresql_that_crashes(scene: Scene) -> None:
    async def crash_twice(some_sent: asyncio.Event) -> None:
        for _ in range(2):
            some_sent.clear()
            await some_sent.wait()
            await asyncio.to_thread(scene.postgres.stop, "immediate")
            await asyncio.to_thread(scene.postgres.start)
            await answering(scene.ledger)

    await run_while(scene, crash_twice)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_nats_server_that_goes_away(scene: Scene, how: str) -> None:
    async def restart_twice(some_sent: asyncio.Event) -> None:
        for _ in range(2):
            some_sent.clear()
            await some_sent.wait()
            await asyncio.to_thread(scene.nats.kill if how == "kill" else scene.nats.stop)
            await asyncio.to_thread(scene.nats.start)
            await answering(scene.ledger)

    await run_while(scene, restart_twice)


async def test_everything_at_once(scene: Scene) -> None:
    async def break_everything(some_sent: asyncio.Event) -> None:
        await some_sent.wait()
        await asyncio.to_thread(scene.worker.kill)
        await asyncio.to_thread(scene.nats.kill)
        await asyncio.to_thread(scene.postgres.stop, "immediate")
        scene.worker.start()  # it waits for both
        await asyncio.to_thread(scene.nats.start)
        await asyncio.to_thread(scene.postgres.start)
        await answering(scene.ledger)

    await run_while(scene, break_everything)


async def test_what_the_bus_received_needs_nobody_to_send_it_again(scene: Scene) -> None:
    deposits = await _deposits(scene)
    async with await nats.connect(scene.nats.url) as connection:
        jetstream = connection.jetstream()
        for number, (account_id, command_id, amount) in enumerate(deposits):
            data = {"asset": "USDT", "amount": str(amount)}
            body = orjson.dumps(message("Deposit", account_id, data, id=str(command_id)))
            await jetstream.publish(f"ledger.commands.{account_id}", body)
            if number % (COMMANDS // 5) == COMMANDS // 10:
                await asyncio.to_thread(scene.worker.kill)
                scene.worker.start()
        async with asyncio.timeout(RUN_SECONDS):
            await _nothing_left(jetstream)
    stored = _stored_deposits(scene.postgres.url, deposits)
    sent = sorted((deposit.account_id, deposit.amount) for deposit in deposits)
    assert sorted(stored.values()) == sent
    in_order = "SELECT (event_data ->> 'amount')::int FROM event_store WHERE stream_id = %s"
    for account_id in {deposit.account_id for deposit in deposits}:
        of_account = rows(
            scene.postgres.url,
            f"{in_order} AND event_type = 'account.deposited' ORDER BY position",
            account_id,
        )
        assert of_account == sorted(of_account)


async def _nothing_left(jetstream: JetStreamContext) -> None:
    while True:
        info = await jetstream.consumer_info(COMMANDS_STREAM, COMMANDS_CONSUMER)
        if info.num_pending == info.num_ack_pending == 0:
            return
        await asyncio.sleep(0.05)

"""The worker: what it does when something of ours, of a sender or of a server is wrong."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import nats
import orjson
import psycopg
import pytest
from nats.aio.client import Client

from ledger.bus.connection import COMMANDS_STREAM, REPLY_TO
from ledger.client.client import LedgerClient
from ledger.kernel.command import Command, InvalidCommand
from ledger.kernel.rejection import GeneralRejection
from ledger.operate.settings import Settings
from ledger.programs.commands import CommandWorker
from ledger.write.ledger import Decision, Ledger, decide
from tests.programs.services import (
    client,
    count,
    exchange,
    message,
    open_account,
    rows,
    running_worker,
    sent_to,
)

DEPOSIT = {"asset": "USDT", "amount": "1"}


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[Client]:
    async with await nats.connect(nats_url) as connection:
        yield connection


def faulty(monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[str]:
    """Makes the decision of DelistInstrument fail `times` times; the failures, as they come."""
    failures: list[str] = []

    def fail_sometimes(work: Any) -> None:
        if work.command.type == "DelistInstrument" and len(failures) < times:
            failures.append(work.command.type)
            raise RuntimeError("a fault of ours")
        decide(work)

    monkeypatch.setattr("ledger.write.ledger.decide", fail_sometimes)
    return failures


async def test_a_passing_fault_of_ours_is_not_seen_by_the_sender(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = faulty(monkeypatch, times=2)
    async with (
        running_worker(database_url, nats_url, command_retry_wait_seconds=0.05),
        await client(nats_url) as ledger,
    ):
        outcome = await ledger.submit("DelistInstrument", {"instrument": "A:B"})
    assert (outcome.status, outcome.code) == ("REJECTED", "UNKNOWN_INSTRUMENT")
    assert len(failures) == 2


async def test_a_lasting_fault_of_ours_is_set_aside_and_holds_up_nobody(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = faulty(monkeypatch, times=1_000)
    limits = {"command_retry_wait_seconds": 0.05, "command_max_deliver": 3}
    async with (
        running_worker(database_url, nats_url, **limits),
        await client(nats_url) as ledger,
    ):
        faulty_one = await ledger.send("DelistInstrument", {"instrument": "A:B"})
        account_id = await open_account(ledger)
        assert (await ledger.submit("Deposit", DEPOSIT, account_id=account_id)).events
        outcome = await faulty_one
        assert outcome.status == "FAILED"
        assert outcome.command_id is not None
        assert (await ledger.outcome(outcome.command_id)).status == "FAILED"
    assert len(failures) == 3
    kept = rows(database_url, "SELECT command_id FROM command_inbox WHERE status = 'FAILED'")
    assert kept == [(outcome.command_id,)]


async def test_a_command_that_the_database_refuses_is_set_aside_and_spoils_no_batch(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Ledger.decide

    def refuse(
        self: Ledger, commands: Sequence[Command | InvalidCommand], *arguments: Any
    ) -> Decision:
        if any(command.type == "DelistInstrument" for command in commands):
            raise psycopg.DataError("this cannot be stored")
        return decide(self, commands, *arguments)

    monkeypatch.setattr(Ledger, "decide", refuse)
    limits = {"command_retry_wait_seconds": 0.05, "command_max_deliver": 2}
    async with (
        running_worker(database_url, nats_url, **limits),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        sent = []
        for _ in range(5):
            sent.append(await ledger.send("DelistInstrument", {"instrument": "A:B"}))
            sent.append(await ledger.send("Deposit", DEPOSIT, account_id=account_id))
        outcomes = [await command for command in sent]
        ids = [outcome.command_id for outcome in outcomes[::2]]
        asked = [await ledger.outcome(one) for one in ids if one is not None]
    assert {outcome.code for outcome in outcomes[::2]} == {GeneralRejection.NOT_RECORDED}
    assert asked == outcomes[::2]
    assert {outcome.status for outcome in outcomes[1::2]} == {"ACCEPTED"}
    assert count(database_url, "failed_commands") == 5


@pytest.mark.parametrize(
    "reply_to",
    [
        f"$JS.API.STREAM.DELETE.{COMMANDS_STREAM}",
        "ledger.commands.instruments.admin.tester",
        "ledger.followers.tester.tester",
        "a..b",
        "*",
        "two words",
        "x" * 10_000,
    ],
)
async def test_a_reply_subject_that_may_not_be_used_is_not_used(
    database_url: str, nats_url: str, connection: Client, reply_to: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        command = message("Deposit", account_id, DEPOSIT)
        jetstream = connection.jetstream()
        body = orjson.dumps(command)
        await jetstream.publish(sent_to(account_id, body), body, headers={REPLY_TO: reply_to})
        assert (await ledger.submit("Deposit", DEPOSIT, account_id=account_id)).status == "ACCEPTED"
        again = await exchange(connection, account_id, command)
        assert (again.status, again.replayed) == ("ACCEPTED", True)
        sent = (await jetstream.stream_info(COMMANDS_STREAM)).state.messages
        assert sent == 5  # the first of the worker's start, and the four of this test


async def test_two_workers_at_once_give_each_command_one_effect(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url, command_batch_size=7),
        running_worker(database_url, nats_url, command_batch_size=5),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        sent = [await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(200)]
        outcomes = [await command for command in sent]
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}
    assert count(database_url, "event_store") == 201
    versions = "SELECT max(event_version) FROM event_store WHERE stream_id = %s"
    assert rows(database_url, versions, account_id) == [(201,)]


async def test_everything_decided_is_acknowledged(
    database_url: str, nats_url: str, connection: Client
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        for command in [
            await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(20)
        ]:
            await command
    [info] = await connection.jetstream().consumers_info(COMMANDS_STREAM)
    assert (info.num_pending, info.num_ack_pending) == (0, 0)


async def test_a_stop_in_the_middle_loses_nothing(database_url: str, nats_url: str) -> None:
    async with await client(nats_url) as ledger:
        async with running_worker(database_url, nats_url, command_batch_size=10):
            account_id = await open_account(ledger)
            sent = [
                await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(300)
            ]
        async with running_worker(database_url, nats_url):
            outcomes = [await command for command in sent]
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}
    assert count(database_url, "event_store") == 301


async def test_a_stream_that_was_deleted_is_made_again(
    database_url: str, nats_url: str, connection: Client
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        await connection.jetstream().delete_stream(COMMANDS_STREAM)
        outcome = await ledger.submit("Deposit", DEPOSIT, account_id=account_id)
        assert outcome.status == "ACCEPTED"


async def test_a_worker_waits_for_a_nats_server_and_can_be_stopped_meanwhile(
    database_url: str,
) -> None:
    worker = CommandWorker(database_url, "nats://127.0.0.1:1", Settings())
    running = asyncio.create_task(worker.run())
    await asyncio.wait([running], timeout=0.3)
    assert not running.done()
    worker.stop()
    await asyncio.wait_for(running, 5)


async def test_a_lone_command_is_not_kept_waiting(database_url: str, nats_url: str) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        loop = asyncio.get_running_loop()
        started = loop.time()
        for _ in range(20):
            await ledger.submit("Deposit", DEPOSIT, account_id=account_id)
        assert (loop.time() - started) / 20 < 0.25


async def test_answers_come_to_all_of_several_clients(database_url: str, nats_url: str) -> None:
    async def deposit_often(ledger: LedgerClient) -> set[str]:
        account_id = await open_account(ledger)
        sent = [await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(50)]
        return {(await command).status for command in sent}

    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as one,
        await client(nats_url) as two,
    ):
        of_one, of_two = await asyncio.gather(deposit_often(one), deposit_often(two))
    assert of_one == of_two == {"ACCEPTED"}

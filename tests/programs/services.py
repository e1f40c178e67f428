"""A command worker and clients for tests, in this process, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import orjson
import psycopg
from nats.aio.client import Client
from uuid_utils.compat import uuid7

from ledger.bus.command_subjects import command_subject
from ledger.bus.connection import REPLY_TO
from ledger.client.client import LedgerClient
from ledger.kernel.command import Outcome
from ledger.nouns import COMMAND_DATA
from ledger.operate.settings import Settings
from ledger.programs.commands import CommandWorker

SENDER = "tester"
ANSWER_SECONDS = 10.0
"""Longer than any answer takes, even on a busy machine."""


@asynccontextmanager
async def running_worker(
    database_url: str, nats_url: str, **settings: Any
) -> AsyncIterator[CommandWorker]:
    """A worker that serves inside the block and stops in good order after it."""
    worker = CommandWorker(database_url, nats_url, Settings(**settings))
    running = asyncio.create_task(worker.run())
    try:
        async with await client(nats_url) as ledger:
            await answering(ledger)
        yield worker
    finally:
        worker.stop()
        await asyncio.wait_for(running, ANSWER_SECONDS)


async def client(nats_url: str, **options: Any) -> LedgerClient:
    return await LedgerClient.connect(nats_url, source="test", **options)


async def answering(ledger: LedgerClient) -> None:
    """Returns when a worker answers."""
    async with asyncio.timeout(ANSWER_SECONDS):
        await ledger.submit("RebalanceAllocations", account_id=uuid7())


async def open_account(ledger: LedgerClient, **changes: Any) -> UUID:
    """Opens a CASH account of a new user; its id."""
    account_id = uuid7()
    data = {
        "account_id": account_id,
        "user_id": uuid7(),
        "exchange": "BINANCE",
        "name": "test",
        "account_type": "CASH",
        "environment": "PAPER",
        "base_currency": "USDT",
    }
    outcome = await ledger.submit("OpenAccount", data | changes)
    assert outcome.status == "ACCEPTED", outcome
    return account_id


async def list_instrument(ledger: LedgerClient) -> str:
    """Lists an instrument of its own; its name."""
    instrument = f"BINANCE:T{uuid7().hex[-12:].upper()}"
    data = {
        "instrument": instrument,
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "tick_size": "0.01",
        "step_size": "0.001",
    }
    outcome = await ledger.submit("ListInstrument", data)
    assert outcome.status == "ACCEPTED", outcome
    return instrument


def message(command_type: object, subject: object, data: object, **changes: Any) -> dict[str, Any]:
    """A CloudEvents message as somebody else's software might write it."""
    return {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": "test",
        "type": command_type,
        "subject": str(subject),
        "data": data,
    } | changes


def sent_to(subject: object, body: bytes) -> str:
    """Where a body is sent to: to the class of its command, if it is one."""
    try:
        model = COMMAND_DATA[orjson.loads(body)["type"]]
    except (ValueError, TypeError, KeyError):
        return command_subject(str(subject), "trade", SENDER)
    return command_subject(str(subject), model.command_class, SENDER)


async def exchange(nats: Client, subject: object, body: bytes | dict[str, Any]) -> Outcome:
    """Sends a body as it is to the account's or the family's subject; the outcome that comes
    back."""
    inbox = nats.new_inbox()
    answers = await nats.subscribe(inbox)
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    await nats.jetstream().publish(sent_to(subject, raw), raw, headers={REPLY_TO: inbox})
    answer = await answers.next_msg(ANSWER_SECONDS)
    await answers.unsubscribe()
    return Outcome.from_json(answer.data)


def rows(database_url: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(statement.encode(), values).fetchall()


def count(database_url: str, table: str) -> int:
    return int(rows(database_url, f"SELECT count(*) FROM {table}")[0][0])

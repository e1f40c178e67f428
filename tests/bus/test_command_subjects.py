"""Where commands are sent: the class and the sender in the subject, old streams, full ones."""

import asyncio
from collections.abc import AsyncIterator

import orjson
import pytest
from nats.js import api
from nats.js.errors import APIError
from uuid_utils.compat import uuid7

from ledger.bus import command_subjects
from ledger.bus import connection as bus
from ledger.bus.command_stream import ensure_commands_stream
from ledger.bus.command_subjects import COMMANDS, COMMANDS_PREFIX, CommandSubject, command_subject
from ledger.bus.connection import COMMANDS_STREAM, REPLY_TO, Connection
from ledger.bus.security import BusSecurity
from ledger.client.client import CommandNotSendable
from ledger.kernel.command import COMMAND_CLASSES
from ledger.kernel.rejection import GeneralRejection
from ledger.nouns import COMMAND_DATA
from ledger.operate.settings import Settings
from ledger.programs.command_room import make_room
from tests.programs.services import (
    ANSWER_SECONDS,
    SENDER,
    client,
    exchange,
    message,
    open_account,
    rows,
    running_worker,
)
from tests.questions.test_query_service import running_queries

DEPOSIT = {"asset": "USDT", "amount": "1"}
SENT = """SELECT {}, sender FROM command_inbox
    WHERE command_type <> 'RebalanceAllocations' ORDER BY decided_at"""
"""Without what tells a test that the worker has begun."""


@pytest.fixture
async def connection(nats_url: str) -> AsyncIterator[Connection]:
    connection = await bus.connect_once(nats_url, "test", security=BusSecurity(user=None))
    yield connection
    await connection.close()


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("ledger.commands.A.trade.s-7", CommandSubject("A", "trade", "s-7")),
        ("ledger.commands.3.A.trade.s-7", CommandSubject("A", "trade", "s-7")),
        ("ledger.commands.5.trade.s-7", CommandSubject("5", "trade", "s-7")),
        ("ledger.commands.A", CommandSubject("A")),
        ("ledger.commands.3.A", CommandSubject("A")),
    ],
)
def test_a_subject_says_what_it_says_wherever_the_command_is_stored(
    subject: str, says: CommandSubject
) -> None:
    assert command_subjects.read(subject) == says


@pytest.mark.parametrize("subject", ["ledger.commands.A.B", "ledger.commands.A.b.c.d.e"])
def test_another_subject_says_nothing(subject: str) -> None:
    assert command_subjects.read(subject).fault is not None


def test_every_command_has_one_class() -> None:
    assert {model.command_class for model in COMMAND_DATA.values()} == set(COMMAND_CLASSES)
    for name, command_class in (
        *(("SubmitOrder", "trade"), ("RequestCancel", "trade"), ("RecordFill", "report")),
        *(("Deposit", "money"), ("AdjustBalance", "money"), ("Transfer", "money")),
        *(("OpenAccount", "admin"), ("CloseAccount", "admin"), ("ListInstrument", "admin")),
        *(("AssignStrategy", "admin"), ("RebalanceAllocations", "admin")),
    ):
        assert COMMAND_DATA[name].command_class == command_class


async def test_a_command_of_another_class_than_its_subject_is_refused(
    database_url: str, nats_url: str, connection: Connection
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        inbox = connection.new_inbox()
        answers = await connection.subscribe(inbox)
        await connection.jetstream().publish(
            command_subject(str(account_id), "trade", SENDER),
            orjson.dumps(message("AdjustBalance", account_id, DEPOSIT)),
            headers={REPLY_TO: inbox},
        )
        outcome = orjson.loads((await answers.next_msg(ANSWER_SECONDS)).data)
    assert (outcome["status"], outcome["code"]) == ("REJECTED", GeneralRejection.WRONG_CLASS)
    assert command_subject(str(account_id), "money", SENDER) in outcome["message"]


async def test_the_sender_is_recorded_beside_what_the_message_claims(
    database_url: str, nats_url: str, connection: Connection
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        told = message("Deposit", account_id, DEPOSIT, source="treasury-desk")
        await exchange(connection, account_id, told)
        refused = message("Deposit", account_id, {"asset": "USDT"}, source="treasury-desk")
        await exchange(connection, account_id, refused)
    assert rows(database_url, SENT.format("source")) == [
        ("test", "anonymous"),
        ("treasury-desk", SENDER),
        ("treasury-desk", SENDER),
    ]
    metadata = "SELECT metadata->>'source', metadata->>'sender' FROM event_store ORDER BY position"
    assert rows(database_url, metadata) == [("test", "anonymous"), ("treasury-desk", SENDER)]


@pytest.mark.parametrize("partitions", [1, 3])
async def test_a_stream_of_the_old_subjects_is_brought_to_those_of_today_and_decided(
    database_url: str, nats_url: str, connection: Connection, partitions: int
) -> None:
    divided = api.SubjectTransform(
        src="ledger.commands.*", dest=f"ledger.commands.{{{{partition({partitions},1)}}}}.$1"
    )
    jetstream = connection.jetstream()
    await jetstream.add_stream(
        name=COMMANDS_STREAM,
        subjects=["ledger.commands.>" if partitions == 1 else "ledger.commands.*"],
        subject_transform=divided if partitions > 1 else None,
        discard=api.DiscardPolicy.NEW,
        max_age=11 * 86_400,
        allow_atomic=True,
    )
    account_id = uuid7()
    opened = {
        "account_id": str(account_id),
        "user_id": str(uuid7()),
        "exchange": "BINANCE",
        "name": "n",
        "account_type": "CASH",
        "environment": "PAPER",
        "base_currency": "USDT",
    }
    for command in (
        message("OpenAccount", account_id, opened),
        message("Deposit", account_id, DEPOSIT),
    ):
        await jetstream.publish(f"{COMMANDS_PREFIX}{account_id}", orjson.dumps(command))
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        again = await ledger.submit("Withdraw", DEPOSIT, account_id=account_id)
    assert again.status == "ACCEPTED"
    assert rows(database_url, SENT.format("command_type, status")) == [
        ("OpenAccount", "ACCEPTED", None),
        ("Deposit", "ACCEPTED", None),
        ("Withdraw", "ACCEPTED", "anonymous"),
    ]
    config = (await jetstream.stream_info(COMMANDS_STREAM)).config
    assert config.subjects == [COMMANDS]
    assert config.max_age == 11 * 86_400  # the operator's, as it was
    assert config.max_msg_size == Settings().bus_message_limit_bytes


async def test_an_answer_goes_nowhere_where_it_would_speak_for_the_ledger(
    database_url: str, nats_url: str, connection: Connection
) -> None:
    async with (
        running_worker(database_url, nats_url),
        running_queries(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        jetstream = connection.jetstream()
        before = (await jetstream.stream_info(COMMANDS_STREAM)).state
        reserved = command_subject(str(account_id), "trade", "victim")
        for subject in ("ledger.query.position-of", "ledger.query.balances", "ledger.outcomes.get",
                        "$SRV.PING", "$SRV.INFO", "$SRV.STATS.ledger-query"):  # fmt: skip
            await connection.publish(subject, b"", reply=reserved)
            await connection.request(subject, b"", timeout=ANSWER_SECONDS)  # is answered
        assert (await jetstream.stream_info(COMMANDS_STREAM)).state == before


# --- room -------------------------------------------------------------------------------


async def test_one_sender_cannot_use_up_the_room_of_others(connection: Connection) -> None:
    settings = Settings(command_retention_per_sender_commands=1_000)
    await ensure_commands_stream(connection, settings)
    await send_many(connection, "wild", 1_000)
    with pytest.raises(APIError, match="maximum messages per subject"):
        await connection.jetstream().publish(command_subject(ACCOUNT, "trade", "wild"), b"{}")
    await send_many(connection, "calm", 1)


async def test_a_command_that_no_stream_takes_is_told_its_sender_at_once(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        sent = await ledger.send("Deposit", {"reference": "x" * 2_000_000}, account_id=uuid7())
        with pytest.raises(CommandNotSendable, match="2000"):
            await asyncio.wait_for(sent, ANSWER_SECONDS)


async def test_what_is_decided_makes_room_and_what_waits_never_does(
    connection: Connection,
) -> None:
    settings = Settings(command_retention_bytes=1024**2)
    await ensure_commands_stream(connection, settings)
    jetstream = connection.jetstream()
    await jetstream.add_consumer(
        COMMANDS_STREAM, api.ConsumerConfig(durable_name="ledger-worker_1", max_ack_pending=9_000)
    )
    await send_many(connection, "one", 900, size=1_000)
    assert await make_room(connection) > 0.75  # nothing is decided: nothing may go
    assert (await jetstream.stream_info(COMMANDS_STREAM)).state.messages == 900
    taken = await jetstream.pull_subscribe_bind("ledger-worker_1", COMMANDS_STREAM)
    for one in await taken.fetch(300, timeout=ANSWER_SECONDS):
        await one.ack_sync()
    await make_room(connection)
    state = (await jetstream.stream_info(COMMANDS_STREAM)).state
    assert state.first_seq == 301
    for one in await taken.fetch(600, timeout=ANSWER_SECONDS):
        await one.ack_sync()
    assert await make_room(connection) <= 0.75


async def test_a_sender_that_used_half_of_its_share_keeps_what_waits(
    connection: Connection,
) -> None:
    settings = Settings(command_retention_per_sender_commands=1_000)
    await ensure_commands_stream(connection, settings)
    jetstream = connection.jetstream()
    await jetstream.add_consumer(
        COMMANDS_STREAM, api.ConsumerConfig(durable_name="ledger-worker_1", max_ack_pending=9_000)
    )
    await send_many(connection, "calm", 10)
    await send_many(connection, "busy", 600)
    taken = await jetstream.pull_subscribe_bind("ledger-worker_1", COMMANDS_STREAM)
    for one in await taken.fetch(500, timeout=ANSWER_SECONDS):
        await one.ack_sync()
    await make_room(connection)
    info = await jetstream.stream_info(COMMANDS_STREAM, subjects_filter=">")
    kept = {subject.rpartition(".")[2]: n for subject, n in (info.state.subjects or {}).items()}
    assert kept == {"calm": 10, "busy": 110}


ACCOUNT = str(uuid7())


async def send_many(connection: Connection, sender: str, number: int, size: int = 2) -> None:
    """As one sender for one account."""
    jetstream = connection.jetstream()
    subject = command_subject(ACCOUNT, "trade", sender)
    sent = [await jetstream.publish_async(subject, b"x" * size) for _ in range(number)]
    async with asyncio.timeout(60):
        await asyncio.gather(*sent)

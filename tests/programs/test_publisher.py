"""Events on the bus: all of them, once, in order, whatever breaks in between."""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from nats.js import api

from ledger.bus.event_stream import Last
from ledger.bus.events import EVENTS_STREAM, published, received
from ledger.eventstore.codec import decode
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.programs.publisher import Publisher
from tests.programs.publishing import (
    LOOK_SECONDS,
    Log,
    connected,
    ids_in_stream,
    in_stream,
    progress,
    published_up_to,
    running_publisher,
    until,
)
from tests.programs.services import ANSWER_SECONDS, client, open_account, rows, running_worker


@pytest.fixture
def log(database_url: str) -> Log:
    return Log(database_url)


async def test_every_event_is_published_in_position_order_under_its_own_id(
    log: Log, nats_url: str
) -> None:
    head = log.grow(1_200)
    async with running_publisher(log.database_url, nats_url):
        await published_up_to(log.database_url, head)
        head = log.grow(50)
        await published_up_to(log.database_url, head)
    messages = await in_stream(nats_url)
    assert [(message.headers or {})["Nats-Msg-Id"] for message in messages] == log.ids()
    assert [(message.headers or {})["Ledger-Position"] for message in messages] == [
        str(position) for position in range(1, head + 1)
    ]
    row = progress(log.database_url)
    assert row["total_events_processed"] == head
    assert (row["status"], row["owner"]) == ("STOPPED", None)


async def test_who_begins_with_an_empty_log_says_which_life_the_events_are_of(
    log: Log, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = asyncio.Event()
    find_place = Publisher._find_place

    async def found(*arguments: Any) -> Last:
        place = await find_place(*arguments)
        begun.set()
        return place

    monkeypatch.setattr(Publisher, "_find_place", found)
    async with running_publisher(log.database_url, nats_url):
        await asyncio.wait_for(begun.wait(), ANSWER_SECONDS)
        await published_up_to(log.database_url, log.grow(5))
    told = {orjson.loads(message.data)["incarnation"] for message in await in_stream(nats_url)}
    assert told == {log.ids()[0]}


async def test_an_event_says_on_its_subject_and_in_its_body_what_the_store_has(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url),
        running_publisher(database_url, nats_url),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        deposit = {"asset": "USDT", "amount": "100.10"}
        outcome = await ledger.submit("Deposit", deposit, account_id=account_id)
        instrument = {
            "instrument": "BINANCE:BTCUSDT",
            "base_asset": "BTC",
            "quote_asset": "USDT",
            "tick_size": "0.01",
            "step_size": "0.001",
        }
        last = await ledger.submit("ListInstrument", instrument)
        await published_up_to(database_url, last.position or 0)
    opened, deposited, listed = await in_stream(nats_url)
    assert [message.subject for message in (opened, deposited, listed)] == [
        f"ledger.events.account.opened.{account_id}",
        f"ledger.events.account.deposited.{account_id}",
        "ledger.events.instrument.listed.instruments",
    ]
    body = orjson.loads(deposited.data)
    event_id, occurred_at, data = rows(
        database_url, "SELECT id, occurred_at, event_data FROM event_store WHERE position = 2"
    )[0]
    assert body["specversion"] == "1.0"
    assert body["id"] == str(event_id) == str(outcome.events[0].id)
    assert body["type"] == "account.deposited"
    assert body["position"] == outcome.events[0].position == 2
    assert body["commandid"] == str(outcome.command_id)
    assert body["data"] == data
    event = received(deposited.data)
    assert (event.account_id, event.version, event.occurred_at) == (account_id, 2, occurred_at)
    assert event.data == decode("account.deposited", orjson.dumps(data))
    assert received(listed.data).account_id is None


async def test_an_old_payload_goes_out_in_the_newest_schema() -> None:
    from datetime import UTC, datetime
    from uuid import uuid4

    from ledger.eventstore.reader import RecordedEvent

    now = datetime.now(UTC)
    data = {
        "user_id": str(uuid4()),
        "exchange": "BINANCE",
        "name": "old",
        "account_type": "CASH",
        "is_testnet": True,
        "base_currency": "USDT",
    }
    old = RecordedEvent(
        1, uuid4(), uuid4(), "account", "account.opened", 1, orjson.dumps(data).decode(),
        '{"schema": 1}', None, None, None, now, now,
    )  # fmt: skip
    body = orjson.loads(published(old).body)
    assert body["dataschema"].endswith(":account.opened:2")
    assert body["data"]["environment"] == "PAPER"
    assert received(published(old).body).position == 1


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "one by one"])
async def test_a_publisher_that_dies_at_any_moment_repeats_nothing_and_leaves_nothing_out(
    log: Log, nats_url: str, batches: bool
) -> None:
    if not batches:  # as an older server would
        async with connected(nats_url) as connection:
            await connection.jetstream().add_stream(
                api.StreamConfig(name=EVENTS_STREAM, subjects=["ledger.events.>"])
            )
    rounds = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
    environment = os.environ | {
        "LEDGER_DATABASE_URL": log.database_url,
        "LEDGER_NATS_URL": nats_url,
        "LEDGER_PUBLISHER_TAKEOVER_SECONDS": "0.5",
        "LEDGER_EVENT_PUBLISH_BATCH_SIZE": "20",
    }
    for _ in range(rounds):
        before = progress(log.database_url).get("last_processed_position", 0)
        log.grow(1_000)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ledger", "serve", "publisher",
            env=environment, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        await published_up_to(log.database_url, before + 100)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with running_publisher(log.database_url, nats_url, publisher_takeover_seconds=0.5):
        await published_up_to(log.database_url, log.head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_the_place_is_found_in_the_stream_when_the_note_of_it_was_lost(
    log: Log, nats_url: str
) -> None:
    # The server has forgotten the message ids by then: nothing but the place prevents copies.
    async with connected(nats_url) as connection:
        await connection.jetstream().add_stream(
            api.StreamConfig(
                name=EVENTS_STREAM, subjects=["ledger.events.>"], duplicate_window=0.1,
                allow_atomic=True,
            )
        )  # fmt: skip
    head = log.grow(100)
    async with running_publisher(log.database_url, nats_url):
        await published_up_to(log.database_url, head)
    with psycopg.connect(log.database_url) as connection_to_database:
        connection_to_database.execute(
            """UPDATE event_projections SET last_processed_position = 40
               WHERE projection_name = 'publisher'"""
        )
    await asyncio.sleep(0.2)  # the window of the ids, which nobody tells the end of
    head = log.grow(10)
    async with running_publisher(log.database_url, nats_url):
        await published_up_to(log.database_url, head)
    assert await ids_in_stream(nats_url) == log.ids()


@pytest.mark.parametrize("batches", [True, False], ids=["in batches", "one by one"])
async def test_events_that_the_server_lost_are_sent_again_although_it_knows_their_ids(
    log: Log, nats_url: str, batches: bool
) -> None:
    async with connected(nats_url) as connection:
        jetstream = connection.jetstream()
        await jetstream.add_stream(
            api.StreamConfig(
                name=EVENTS_STREAM, subjects=["ledger.events.>"], duplicate_window=3_600,
                allow_atomic=batches,
            )
        )  # fmt: skip
        head = log.grow(20)
        async with running_publisher(log.database_url, nats_url):
            await published_up_to(log.database_url, head)
        for sequence in range(head - 2, head + 1):
            await jetstream.delete_msg(EVENTS_STREAM, sequence)
        head = log.grow(10)
        async with running_publisher(log.database_url, nats_url, retry_wait_seconds=0.05):
            await published_up_to(log.database_url, head)
        async with running_publisher(log.database_url, nats_url):  # finds its place by them
            head = log.grow(1)
            await published_up_to(log.database_url, head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_of_two_publishers_one_publishes_and_the_other_takes_over_from_a_silent_one(
    log: Log, nats_url: str
) -> None:
    head = log.grow(100)
    quick = {"publisher_takeover_seconds": 0.5}
    async with running_publisher(log.database_url, nats_url, **quick):
        await published_up_to(log.database_url, head)
        first = progress(log.database_url)["owner"]
        async with running_publisher(log.database_url, nats_url, **quick):
            head = log.grow(100)
            await published_up_to(log.database_url, head)
            assert progress(log.database_url)["owner"] == first
            with psycopg.connect(log.database_url) as connection:  # as if it had been silent
                connection.execute(
                    "UPDATE event_projections SET owner = 'gone', epoch = epoch + 1,"
                    " updated_at = updated_at - interval '1 minute'"
                    " WHERE projection_name = 'publisher'"
                )
            await until(lambda: progress(log.database_url)["owner"] not in ("gone", None))
            head = log.grow(100)
            await published_up_to(log.database_url, head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_a_publisher_that_was_killed_is_followed_before_its_lease_is_over(
    log: Log, nats_url: str
) -> None:
    environment = os.environ | {
        "LEDGER_DATABASE_URL": log.database_url,
        "LEDGER_NATS_URL": nats_url,
        "LEDGER_PUBLISHER_TAKEOVER_SECONDS": "3600",
    }
    killed = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "ledger", "serve", "publisher",
        env=environment, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await published_up_to(log.database_url, log.grow(100))
    async with running_publisher(log.database_url, nats_url):
        killed.kill()
        await killed.wait()
        await published_up_to(log.database_url, log.grow(100))
    assert await ids_in_stream(nats_url) == log.ids()


async def test_a_paused_publisher_stops_and_goes_on_when_it_is_resumed(
    log: Log, nats_url: str
) -> None:
    def set_status(status: str) -> None:
        with psycopg.connect(log.database_url) as connection:
            connection.execute(
                "UPDATE event_projections SET status = %s WHERE projection_name = 'publisher'",
                [status],
            )

    head = log.grow(10)
    async with running_publisher(log.database_url, nats_url, publisher_takeover_seconds=0.5):
        await published_up_to(log.database_url, head)
        set_status("PAUSED")
        log.grow(10)
        with pytest.raises(TimeoutError):
            await until(lambda: progress(log.database_url)["last_processed_position"] > head, 1)
        set_status("STOPPED")
        await published_up_to(log.database_url, log.head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_a_nats_server_that_crashes_and_loses_messages_gets_them_again(
    log: Log, nats_server: EmbeddedNats, tmp_path: Path
) -> None:
    head = log.grow(200)
    files = nats_server.data_dir / nats_server.name / "jetstream"
    async with running_publisher(log.database_url, nats_server.url, retry_wait_seconds=0.1):
        await published_up_to(log.database_url, head)
        nats_server.stop()
        shutil.copytree(files, tmp_path / "earlier")
        nats_server.start()
        head = log.grow(200)
        await published_up_to(log.database_url, head)
        nats_server.kill()
        shutil.rmtree(files)  # what was not synced is gone
        shutil.copytree(tmp_path / "earlier", files)
        nats_server.start()
        async with asyncio.timeout(ANSWER_SECONDS):
            while await ids_in_stream(nats_server.url) != log.ids():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)


async def test_a_database_that_restarts_interrupts_the_publisher_and_nothing_more(
    postgres_server: EmbeddedPostgres, nats_url: str
) -> None:
    migrate_all(postgres_server.url)
    log = Log(postgres_server.url)
    head = log.grow(200)
    async with running_publisher(log.database_url, nats_url, retry_wait_seconds=0.1):
        await published_up_to(log.database_url, head)
        postgres_server.stop("immediate")
        postgres_server.start()
        head = log.grow(200)
        await published_up_to(log.database_url, head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_a_stream_that_was_removed_is_filled_again_from_the_store(
    log: Log, nats_url: str
) -> None:
    head = log.grow(100)
    async with running_publisher(log.database_url, nats_url):
        await published_up_to(log.database_url, head)
        async with connected(nats_url) as connection:
            await connection.jetstream().delete_stream(EVENTS_STREAM)
        head = log.grow(1)
        await published_up_to(log.database_url, head)
    assert await ids_in_stream(nats_url) == log.ids()


async def test_the_stream_of_another_ledger_is_left_alone_and_the_operator_is_told(
    log: Log, postgres_url: str, nats_url: str
) -> None:
    from tests.conftest import TEMPLATE
    from tests.databases import temporary_database

    with temporary_database(postgres_url, template=TEMPLATE) as other_url:
        other = Log(other_url)
        head = other.grow(20)
        async with running_publisher(other_url, nats_url):
            await published_up_to(other_url, head)
    log.grow(10)
    async with running_publisher(log.database_url, nats_url):
        await until(lambda: progress(log.database_url).get("status") == "ERROR")
    assert "another ledger's" in progress(log.database_url)["error_message"]
    assert len(await in_stream(nats_url)) == head

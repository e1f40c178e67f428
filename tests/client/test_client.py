"""What a service gets from `LedgerClient`: one outcome per command, whatever gets lost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import nats
import orjson
import pytest
from uuid_utils.compat import uuid7

from ledger.bus.connection import OUTCOMES_SUBJECT
from ledger.bus.wire import Message
from ledger.client.client import CommandNotSendable, LedgerClient, LedgerUnavailable, OutcomeTimeout
from ledger.nouns.accounts.commands import Deposit
from ledger.operate.embedded.servers import EmbeddedNats
from tests.programs.services import client, count, open_account, rows, running_worker


@pytest.fixture
async def ledger(database_url: str, nats_url: str) -> AsyncIterator[LedgerClient]:
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        yield ledger


async def test_a_command_gets_the_outcome_that_was_recorded(
    ledger: LedgerClient, database_url: str
) -> None:
    account_id = await open_account(ledger)
    outcome = await ledger.submit(
        "Deposit", {"asset": "USDT", "amount": Decimal("100.10")}, account_id=account_id
    )
    assert outcome.status == "ACCEPTED"
    assert not outcome.replayed
    (event,) = outcome.events
    assert (event.type, event.stream_id, event.version) == ("account.deposited", account_id, 2)
    stored = rows(database_url, "SELECT position FROM event_store WHERE id = %s", event.id)
    assert stored == [(event.position,)]


async def test_a_model_of_the_data_can_be_submitted(ledger: LedgerClient) -> None:
    account_id = await open_account(ledger)
    deposit = Deposit.model_validate(
        {"account_id": account_id, "asset": "USDT", "amount": "0.00000001"}
    )
    assert (await ledger.submit(deposit)).status == "ACCEPTED"


async def test_a_command_that_must_name_its_account_gets_the_one_it_is_sent_for(
    ledger: LedgerClient,
) -> None:
    account_id = uuid7()
    data = {
        "user_id": uuid7(),
        "exchange": "BINANCE",
        "name": "test",
        "account_type": "CASH",
        "environment": "PAPER",
        "base_currency": "USDT",
    }
    opened = await ledger.submit("OpenAccount", data, account_id=account_id)
    assert (opened.status, opened.message) == ("ACCEPTED", None)
    assert opened.events[0].stream_id == account_id
    other = await ledger.submit(
        "OpenAccount", data | {"account_id": uuid7()}, account_id=account_id
    )
    assert other.code == "INVALID_COMMAND", "what the data names is not written over"


async def test_the_ids_of_a_command_are_stored_with_its_events(
    ledger: LedgerClient, database_url: str
) -> None:
    account_id = await open_account(ledger)
    command_id, correlation_id = uuid7(), uuid7()
    outcome = await ledger.submit(
        "Deposit",
        {"asset": "USDT", "amount": 1},
        account_id=account_id,
        command_id=command_id,
        correlation_id=correlation_id,
        causation_id=uuid7(),
        time=datetime.now(UTC),
    )
    assert outcome.command_id == command_id
    stored = "SELECT correlation_id FROM event_store WHERE id = %s"
    assert rows(database_url, stored, outcome.events[0].id) == [(correlation_id,)]


async def test_a_resend_gets_the_same_outcome_as_a_replay(
    ledger: LedgerClient, database_url: str
) -> None:
    account_id = await open_account(ledger)
    command_id = uuid7()
    deposit = {"asset": "USDT", "amount": "5"}
    first = await ledger.submit("Deposit", deposit, account_id=account_id, command_id=command_id)
    events = count(database_url, "event_store")
    again = await ledger.submit("Deposit", deposit, account_id=account_id, command_id=command_id)
    assert (first.replayed, again.replayed) == (False, True)
    assert (again.status, again.events, again.position) == (
        "ACCEPTED",
        first.events,
        first.position,
    )
    assert count(database_url, "event_store") == events


async def test_an_id_that_is_used_for_another_content_is_refused(ledger: LedgerClient) -> None:
    account_id = await open_account(ledger)
    command_id = uuid7()
    await ledger.submit(
        "Deposit", {"asset": "USDT", "amount": "5"}, account_id=account_id, command_id=command_id
    )
    other = await ledger.submit(
        "Deposit", {"asset": "USDT", "amount": "6"}, account_id=account_id, command_id=command_id
    )
    assert (other.status, other.code) == ("REJECTED", "COMMAND_ID_REUSED")


async def test_commands_are_decided_in_the_order_they_were_sent(ledger: LedgerClient) -> None:
    account_id = await open_account(ledger)
    sent = []
    for number in range(200):
        command = "Deposit" if number % 2 == 0 else "Withdraw"
        data = {"asset": "USDT", "amount": "1"}
        sent.append(await ledger.send(command, data, account_id=account_id))
    outcomes = [await command for command in sent]
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}
    positions = [outcome.events[0].position for outcome in outcomes]
    assert positions == sorted(positions)


async def test_a_command_of_another_users_service_is_refused(
    ledger: LedgerClient, nats_url: str
) -> None:
    account_id = await open_account(ledger)
    async with await client(nats_url, user_id=uuid7()) as stranger:
        outcome = await stranger.submit(
            "Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id
        )
    assert outcome.code == "NOT_YOUR_ACCOUNT"


async def test_the_outcome_of_an_id_can_be_asked_for_any_time(ledger: LedgerClient) -> None:
    command_id = uuid7()
    assert (await ledger.outcome(command_id)).status == "UNKNOWN"
    account_id = uuid7()
    sent = await ledger.send("CloseAccount", account_id=account_id, command_id=command_id)
    decided = await sent
    asked = await ledger.outcome(command_id)
    assert (
        (asked.status, asked.code)
        == (decided.status, decided.code)
        == (
            "REJECTED",
            "UNKNOWN_ACCOUNT",
        )
    )


@pytest.mark.parametrize("question", [b"%s", b'"%s"', b'{"command_id": "%s"}'])
async def test_outcomes_can_be_asked_for_as_text_or_as_json(
    ledger: LedgerClient, nats_url: str, question: bytes
) -> None:
    account_id = uuid7()
    outcome = await ledger.submit("CloseAccount", account_id=account_id)
    async with await nats.connect(nats_url) as connection:
        body = question.replace(b"%s", str(outcome.command_id).encode())
        answer = await connection.request(OUTCOMES_SUBJECT, body, timeout=5)
        assert orjson.loads(answer.data)["code"] == "UNKNOWN_ACCOUNT"


async def test_a_question_without_a_command_id_is_answered_as_invalid(
    ledger: LedgerClient, nats_url: str
) -> None:
    async with await nats.connect(nats_url) as connection:
        for body in (b"", b"x", b"{}", b'{"command_id": 5}', b"\xff"):
            answer = await connection.request(OUTCOMES_SUBJECT, body, timeout=5)
            assert orjson.loads(answer.data)["code"] == "INVALID_COMMAND"


async def test_a_lost_reply_is_made_up_for_by_asking(
    ledger: LedgerClient, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = await open_account(ledger)
    heard = LedgerClient._answered
    lost = []

    def deaf_to_replies(self: LedgerClient, message: Message) -> None:
        if ".outcome." in message.subject:
            lost.append(message)
            return
        heard(self, message)

    monkeypatch.setattr(LedgerClient, "_answered", deaf_to_replies)
    async with await client(nats_url, ask_after=0.2) as forgetful:
        outcome = await forgetful.submit(
            "Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id, timeout=10
        )
    assert outcome.status == "ACCEPTED"
    assert len(lost) == 1


async def test_commands_sent_before_the_first_worker_started_are_decided_when_it_does(
    database_url: str, nats_url: str
) -> None:
    async with await client(nats_url) as ledger:
        sent = await ledger.send("CloseAccount", account_id=uuid7())
        async with running_worker(database_url, nats_url):
            assert (await sent).code == "UNKNOWN_ACCOUNT"


async def test_without_a_worker_the_sender_is_told_what_to_do(
    database_url: str, nats_url: str
) -> None:
    async with running_worker(database_url, nats_url):
        pass  # the stream is there now
    async with await client(nats_url) as ledger:
        sent = await ledger.send("CloseAccount", account_id=uuid7(), timeout=0.5)
        await sent.received()
        with pytest.raises(OutcomeTimeout, match="ledgerctl serve commands") as caught:
            await sent
    assert caught.value.command_id == sent.command_id


async def test_a_bus_without_the_stream_is_named_as_the_cause(nats_url: str) -> None:
    async with await client(nats_url) as ledger:
        with pytest.raises(LedgerUnavailable, match="no stream LEDGER_COMMANDS"):
            await ledger.submit("CloseAccount", account_id=uuid7(), timeout=0.5)


async def test_a_server_that_is_not_there_is_named_as_the_cause() -> None:
    with pytest.raises(LedgerUnavailable, match="Check the URL"):
        await client("nats://127.0.0.1:1", connect_timeout=0.5)


async def test_commands_that_belong_nowhere_are_not_sent(ledger: LedgerClient) -> None:
    with pytest.raises(CommandNotSendable, match="names no account"):
        await ledger.submit("Deposit", {"asset": "USDT", "amount": "1"})
    with pytest.raises(CommandNotSendable, match="is not an account's id"):
        await ledger.submit("Deposit", {"asset": "USDT", "amount": "1"}, account_id="a.b")
    with pytest.raises(CommandNotSendable, match="bytes"):
        await ledger.submit("Deposit", {"reference": "x" * 9_000_000}, account_id=uuid7())
    with pytest.raises(CommandNotSendable, match="JSON"):
        await ledger.submit("Deposit", {"reference": object()}, account_id=uuid7())


async def test_more_commands_than_may_be_in_flight_wait_for_room(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url, max_in_flight=3) as ledger,
    ):
        account_id = await open_account(ledger)
        sent = [
            await ledger.send("Deposit", {"asset": "USDT", "amount": "1"}, account_id=account_id)
            for _ in range(50)
        ]
        assert {(await command).status for command in sent} == {"ACCEPTED"}


async def test_commands_survive_a_restart_of_nats_in_their_order(
    database_url: str, nats_server: EmbeddedNats
) -> None:
    async with (
        running_worker(database_url, nats_server.url, retry_wait_seconds=0.2),
        await client(nats_server.url) as ledger,
    ):
        account_id = await open_account(ledger)
        await asyncio.to_thread(nats_server.stop)
        sent = []
        for number in range(100):
            command = "Deposit" if number % 2 == 0 else "Withdraw"
            data = {"asset": "USDT", "amount": "1"}
            sent.append(await ledger.send(command, data, account_id=account_id))
        await asyncio.to_thread(nats_server.start)
        outcomes = [await command for command in sent]
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}


async def test_closing_tells_those_who_wait(nats_url: str) -> None:
    ledger = await client(nats_url)
    sent = await ledger.send("CloseAccount", account_id=uuid7())
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await sent

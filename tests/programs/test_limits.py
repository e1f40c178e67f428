"""Limits: how many requests of an account are taken, and how long outcomes are kept."""

import asyncio

import nats
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.bus.connection import COMMANDS_STREAM, SECONDS_PER_DAY
from ledger.kernel.command import Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.operate.settings import InvalidSettings, Settings, load
from ledger.programs import housekeeping
from ledger.programs.rate_limit import RateLimit
from tests.programs.services import ANSWER_SECONDS, client, count, open_account, running_worker
from tests.roles.acting import acting_as


def test_an_account_has_its_burst_at_once_and_then_its_rate() -> None:
    limit = RateLimit(rate=10, burst=3)
    assert [limit.allows("a", 1_000.0) for _ in range(5)] == [True, True, True, False, False]
    assert [limit.allows("b", 1_000.0) for _ in range(4)] == [True, True, True, False]
    taken = sum(limit.allows("a", 1_000.0 + step / 100) for step in range(1, 101))
    assert taken == 10
    assert [limit.allows("a", 1_010.0) for _ in range(4)] == [True, True, True, False]


def test_accounts_that_rest_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ledger.programs.rate_limit.MAX_ACCOUNTS", 10)
    limit = RateLimit(rate=1, burst=1)
    for number in range(1_000):
        assert limit.allows(str(number), 10.0 * number)
    assert len(limit._full_again) <= 10


async def test_too_many_requests_are_refused_for_ever_and_facts_and_cancels_never(
    database_url: str, nats_url: str
) -> None:
    limits = {"command_rate_per_account_second": 0.001, "command_burst_per_account_commands": 3}
    async with running_worker(database_url, nats_url, **limits), await client(nats_url) as ledger:
        account_id = await open_account(ledger)  # the first of three

        async def all_of(command_type: str, data: dict[str, str], times: int) -> list[Outcome]:
            sent = [
                await ledger.send(command_type, data, account_id=account_id) for _ in range(times)
            ]
            return [await one for one in sent]

        deposited = await all_of("Deposit", {"asset": "USDT", "amount": "1"}, 20)
        withdrawn = await all_of("Withdraw", {"asset": "USDT", "amount": "1"}, 5)
        cancelled = await all_of("RequestCancel", {"order_id": str(uuid7())}, 5)
        assert {one.status for one in deposited} == {"ACCEPTED"}
        assert [one.status for one in withdrawn] == 2 * ["ACCEPTED"] + 3 * ["REJECTED"]
        assert {one.code for one in withdrawn[2:]} == {GeneralRejection.RATE_LIMITED}
        assert {one.code for one in cancelled} == {"UNKNOWN_ORDER"}
        refused = withdrawn[-1]
        assert "0.001 requests a second" in (refused.message or "")
        assert refused.command_id is not None
        again = await ledger.submit(
            "Withdraw",
            {"asset": "USDT", "amount": "1"},
            account_id=account_id,
            command_id=refused.command_id,
        )
        assert (again.code, again.replayed) == (GeneralRejection.RATE_LIMITED, True)
        await open_account(ledger)  # another account has a burst of its own


def test_an_inbox_that_forgets_before_the_stream_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEDGER_COMMAND_RETENTION_DAYS", "30")
    monkeypatch.setenv("LEDGER_INBOX_RETENTION_DAYS", "30")
    with pytest.raises(InvalidSettings, match=r"LEDGER_INBOX_RETENTION_DAYS.*30 days"):
        load()
    monkeypatch.setenv("LEDGER_INBOX_RETENTION_DAYS", "31")
    assert load().inbox_retention_days == 31


def record_old_outcomes(database_url: str) -> None:
    """One of each status that is nine days old, and one that is seven."""
    with psycopg.connect(database_url) as connection:
        for status, days in (("ACCEPTED", 9), ("REJECTED", 9), ("FAILED", 9), ("ACCEPTED", 7)):
            connection.execute(
                """INSERT INTO command_inbox (command_id, command_type, subject, source,
                       fingerprint, status, outcome, decided_at)
                   VALUES (gen_random_uuid(), 'Deposit', 'b', 'a', '\\x01', %s, '{}',
                       now() - make_interval(days => %s))""",
                (status, days),
            )


async def old_outcomes_become(database_url: str, number: int) -> None:
    async with asyncio.timeout(ANSWER_SECONDS):
        while True:
            if await asyncio.to_thread(count, database_url, "command_inbox") == number:
                return
            await asyncio.sleep(0.02)


async def test_old_outcomes_are_forgotten_when_the_settings_say_so(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "ROWS_AT_ONCE", 1)
    async with running_worker(database_url, nats_url, inbox_retention_days=8):
        pass  # the stream is there
    record_old_outcomes(database_url)
    kept = count(database_url, "command_inbox")
    async with running_worker(database_url, nats_url, inbox_retention_days=8):
        await old_outcomes_become(database_url, kept - 2 + 1)  # a further one says it serves


async def test_nothing_is_forgotten_that_the_stream_could_deliver_again(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "INTERVAL_SECONDS", 0.02)
    refused = asyncio.Event()

    def note(event: str, **said: object) -> None:
        if event == "outcomes_not_forgotten":
            refused.set()

    monkeypatch.setattr(housekeeping._log, "error", note)
    async with await nats.connect(nats_url) as connection:
        jetstream = connection.jetstream()
        async with running_worker(database_url, nats_url):
            config = (await jetstream.stream_info(COMMANDS_STREAM)).config
        config.max_age = 20 * SECONDS_PER_DAY
        await jetstream.update_stream(config)
        record_old_outcomes(database_url)
        async with running_worker(database_url, nats_url, inbox_retention_days=8):
            await asyncio.wait_for(refused.wait(), ANSWER_SECONDS)
            kept = count(database_url, "command_inbox")
            config.max_age = 7 * SECONDS_PER_DAY
            await jetstream.update_stream(config)
            await old_outcomes_become(database_url, kept - 2)


def test_the_command_service_can_forget_no_young_outcome(database_url: str) -> None:
    record_old_outcomes(database_url)
    with acting_as(database_url, "ledger_writer") as connection:
        assert connection.execute("SELECT forget_outcomes('8 days', 10)").fetchone() == (2,)
        with pytest.raises(psycopg.errors.CheckViolation, match="at least a day"):
            connection.execute("SELECT forget_outcomes('23 hours', 10)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM command_inbox")


def test_nothing_is_limited_by_default() -> None:
    assert RateLimit.of(Settings()) is None
    assert Settings().inbox_retention_days is None

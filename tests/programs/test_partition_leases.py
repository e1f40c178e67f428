"""Partitions of the commands: one worker for each, and another at once when that one is gone."""

import asyncio
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.client.client import LedgerClient, Sent
from ledger.programs.partition_leases import LeaseLost, Leases, fence
from ledger.write.ledger import Ledger
from tests.commands import command
from tests.programs.services import answering, client, count, open_account, rows, running_worker

PARTITIONS = 4
TAKEOVER_SECONDS = 10.0
ACCOUNTS = 12
ROUNDS = 40


def leases(database_url: str, stack: ExitStack) -> Leases:
    return stack.enter_context(closing(Leases(database_url, 8.0)))


def test_a_lone_worker_has_all_partitions_and_a_second_its_share(database_url: str) -> None:
    with ExitStack() as stack:
        first, second = leases(database_url, stack), leases(database_url, stack)
        assert list(first.renew(PARTITIONS).ours) == [0, 1, 2, 3]
        assert second.renew(PARTITIONS).ours == {}
        assert first.renew(PARTITIONS).too_many == [2, 3]
        first.release([2, 3])
        assert second.renew(PARTITIONS).ours == {2: 2, 3: 2}
        assert first.renew(PARTITIONS).ours == {0: 1, 1: 1}


def test_with_one_partition_the_second_worker_stands_by(database_url: str) -> None:
    with ExitStack() as stack:
        first, second = leases(database_url, stack), leases(database_url, stack)
        assert first.renew(1).ours == {0: 1}
        assert second.renew(1).ours == {}
        assert first.renew(1).too_many == []
        first.leave()
        assert second.renew(1).ours == {0: 2}


def test_a_worker_whose_session_ended_is_replaced_at_once(database_url: str) -> None:
    with ExitStack() as stack:
        second = leases(database_url, stack)
        first = Leases(database_url, 8.0)
        assert first.renew(1).ours == {0: 1}
        first.close()  # what the death of its process does
        deadline = time.monotonic() + TAKEOVER_SECONDS
        while not (share := second.renew(1)).ours:
            assert time.monotonic() < deadline
        assert share.ours == {0: 2}


def test_what_a_stale_worker_decided_is_not_kept(database_url: str) -> None:
    account_id = uuid7()
    opening = command(
        "OpenAccount",
        account_id,
        account_id=account_id,
        user_id=uuid7(),
        exchange="BINANCE",
        name="test",
        account_type="CASH",
        environment="PAPER",
        base_currency="USD",
    )
    with ExitStack() as stack:
        stale, successor = leases(database_url, stack), leases(database_url, stack)
        epochs = stale.renew(1).ours
        stale.leave()
        successors = successor.renew(1).ours
        ledger = stack.enter_context(Ledger(database_url))
        with pytest.raises(LeaseLost, match=r"partitions \[0\] .* another worker's now"):
            ledger.execute([opening], fence=fence(stale.worker, epochs))
        assert count(database_url, "event_store") == count(database_url, "command_inbox") == 0
        (outcome,) = ledger.execute([opening], fence=fence(successor.worker, successors))
        assert outcome.status == "ACCEPTED"


def test_a_partition_is_not_taken_while_a_commit_of_its_owner_is_under_way(
    database_url: str,
) -> None:
    with ExitStack() as stack:
        owner, other = leases(database_url, stack), leases(database_url, stack)
        epochs = owner.renew(1).ours
        connection = stack.enter_context(psycopg.connect(database_url))
        fence(owner.worker, epochs)(connection.cursor())
        owner.leave()
        with psycopg.connect(database_url) as impatient:
            impatient.execute("SET lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                impatient.execute("UPDATE command_partitions SET owner = NULL")
        connection.rollback()
        assert other.renew(1).ours == {0: 2}


async def test_a_second_worker_answers_when_the_first_has_stopped(
    database_url: str, nats_url: str
) -> None:
    async with await client(nats_url) as ledger:
        async with running_worker(database_url, nats_url):
            account_id = await open_account(ledger)
            async with running_worker(database_url, nats_url) as standing_by:
                assert standing_by is not None
        async with running_worker(database_url, nats_url):
            again = await ledger.submit("CloseAccount", account_id=account_id)
    assert again.status == "ACCEPTED"


Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def start(database_url: str, nats_url: str, tmp_path: Path) -> Iterator[Start]:
    """Starts `ledgerctl serve commands` as a process."""
    started: list[subprocess.Popen[bytes]] = []
    environment = os.environ | {
        "LEDGER_DATABASE_URL": database_url,
        "LEDGER_NATS_URL": nats_url,
        "LEDGER_COMMAND_PARTITIONS": str(PARTITIONS),
        "LEDGER_COMMAND_BATCH_SIZE": "10",
    }

    def start_one() -> subprocess.Popen[bytes]:
        with (tmp_path / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "ledger", "serve", "commands"],
                cwd=tmp_path,
                env=environment,
                stderr=log,
            )
        started.append(process)
        return process

    yield start_one
    for process in started:
        process.kill()
        process.wait()


async def test_of_two_workers_one_is_killed_and_the_other_takes_over_in_order(
    database_url: str, nats_url: str, start: Start
) -> None:
    killed = start()
    async with await client(nats_url, ask_after=1.0) as ledger:
        await answering(ledger)
        accounts = [await open_account(ledger) for _ in range(ACCOUNTS)]
        start()
        await asyncio.to_thread(_wait_for_two_owners, database_url)
        sent = await _deposit_on_each(ledger, accounts, range(ROUNDS // 2))
        await sent[0]
        killed.kill()
        killed_at = time.monotonic()
        sent += await _deposit_on_each(ledger, accounts, range(ROUNDS // 2, ROUNDS))
        outcomes = [await one for one in sent]
        took = time.monotonic() - killed_at
    assert {outcome.status for outcome in outcomes} == {"ACCEPTED"}
    assert took < TAKEOVER_SECONDS
    assert len(_owners(database_url)) == 1
    references: dict[UUID, list[int]] = defaultdict(list)
    for stream_id, reference in rows(
        database_url,
        "SELECT stream_id, event_data->>'reference' FROM event_store "
        "WHERE event_type = 'account.deposited' ORDER BY position",
    ):
        references[stream_id].append(int(reference))
    assert references == {account_id: list(range(ROUNDS)) for account_id in accounts}


async def _deposit_on_each(
    ledger: LedgerClient, accounts: list[UUID], numbers: range
) -> list[Sent]:
    return [
        await ledger.send(
            "Deposit",
            {"asset": "USD", "amount": "1", "reference": str(number)},
            account_id=account_id,
        )
        for number in numbers
        for account_id in accounts
    ]


def _wait_for_two_owners(database_url: str) -> None:
    deadline = time.monotonic() + TAKEOVER_SECONDS
    while len(_owners(database_url)) < 2:
        assert time.monotonic() < deadline, "the second worker got no partitions"
        time.sleep(0.05)


def _owners(database_url: str) -> set[UUID]:
    return {
        owner for (owner,) in rows(database_url, "SELECT DISTINCT owner FROM command_partitions")
    }

"""What the command service and the publisher tell Prometheus."""

import asyncio
from typing import Any

import pytest
from prometheus_client import REGISTRY
from uuid_utils.compat import uuid7

from ledger.bus import pull
from ledger.operate.settings import Settings
from ledger.programs.publisher import Publisher
from tests.programs.services import ANSWER_SECONDS, client, count, open_account, running_worker

DEPOSIT = {"asset": "USDT", "amount": "1"}


def told(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class Change:
    """How much a count of this process grows."""

    def __init__(self, name: str, **labels: str) -> None:
        self._name, self._labels = name, labels
        self._before = told(name, **labels)

    def __call__(self) -> float:
        return told(self._name, **self._labels) - self._before


async def test_commands_batches_and_the_cache_are_counted(database_url: str, nats_url: str) -> None:
    accepted = Change("ledger_commands_total", type="Deposit", status="ACCEPTED")
    rejected = Change("ledger_commands_total", type="Withdraw", status="REJECTED")
    replayed = Change("ledger_commands_total", type="Deposit", status="REPLAYED")
    invalid = Change("ledger_commands_total", type="INVALID", status="REJECTED")
    batches = Change("ledger_command_batch_commands_count")
    in_batches = Change("ledger_command_batch_commands_sum")
    decided, committed = (
        Change(f"ledger_command_{what}_seconds_count") for what in ("decide", "commit")
    )
    hits, misses = (Change(f"ledger_aggregate_cache_{what}_total") for what in ("hits", "misses"))
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        missed = misses()
        for _ in range(3):
            await ledger.submit("Deposit", DEPOSIT, account_id=account_id)
        assert misses() == missed  # opening the account has loaded all there is
        first = uuid7()
        for _ in range(2):
            await ledger.submit("Deposit", DEPOSIT, account_id=account_id, command_id=first)
        too_much = DEPOSIT | {"amount": "99"}
        await ledger.submit("Withdraw", too_much, account_id=account_id)
        await ledger.submit("Launder", DEPOSIT, account_id=account_id)
        assert told("ledger_commands_waiting", consumer="ledger-worker") == 0
    assert (accepted(), rejected(), replayed(), invalid()) == (4, 1, 1, 1)
    assert in_batches() == 9  # with the one that says that the worker serves
    assert batches() == decided() == 9
    assert committed() == 8  # a replay records nothing
    assert hits() > 0
    assert (
        REGISTRY.get_sample_value("ledger_commands_waiting", {"consumer": "ledger-worker"}) is None
    )


async def test_redeliveries_are_counted(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(work: Any) -> None:
        raise RuntimeError("a fault of ours")

    again = Change("ledger_commands_redelivered_total")
    tries = Change("ledger_commands_total", type="Deposit", status="FAILED")
    limits = {"command_retry_wait_seconds": 0.01, "command_max_deliver": 3}
    async with running_worker(database_url, nats_url, **limits), await client(nats_url) as ledger:
        account_id = await open_account(ledger)
        monkeypatch.setattr("ledger.write.ledger.decide", fail)
        await ledger.submit("Deposit", DEPOSIT, account_id=account_id)
    assert (again(), tries()) == (2, 3)


async def test_what_waits_is_told_while_it_waits(
    database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    receive = pull.Pull._receive

    def look(self: pull.Pull, *arguments: Any) -> None:
        receive(self, *arguments)
        seen.append(told("ledger_commands_waiting", consumer="ledger-worker"))

    async with await client(nats_url) as ledger:
        async with running_worker(database_url, nats_url):
            account_id = await open_account(ledger)
        sent = [await ledger.send("Deposit", DEPOSIT, account_id=account_id) for _ in range(50)]
        await asyncio.gather(*(one.received() for one in sent))
        monkeypatch.setattr(pull.Pull, "_receive", look)
        async with running_worker(database_url, nats_url, command_batch_size=10):
            for one in sent:
                await one
    assert max(seen) >= 30
    assert seen[-1] == 0


async def test_the_publisher_tells_how_far_it_is(database_url: str, nats_url: str) -> None:
    published = Change("ledger_publisher_events_total")
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        await open_account(ledger)
    events = count(database_url, "event_store")
    publisher = Publisher(database_url, nats_url, Settings())
    running = asyncio.create_task(publisher.run())
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                position = await asyncio.to_thread(told, "ledger_publisher_position")
                if position == events:
                    break
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(told, "ledger_publisher_lag_events") == 0
        assert published() == events
    finally:
        publisher.stop()
        await running
    assert REGISTRY.get_sample_value("ledger_publisher_position") is None

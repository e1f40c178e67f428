"""What the command service tells Prometheus of itself."""

from typing import Any

import pytest
from prometheus_client import REGISTRY
from uuid_utils.compat import uuid7

from tests.programs.services import client, open_account, running_worker

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
    outcomes = Change("ledger_command_outcome_seconds_count")
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
    assert (accepted(), rejected(), replayed(), invalid()) == (4, 1, 1, 1)
    assert in_batches() == 9  # with the one that says that the worker serves
    assert batches() == decided() == 9
    assert committed() == 8  # a replay records nothing
    assert hits() > 0
    assert outcomes() == 9


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

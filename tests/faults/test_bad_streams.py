"""Streams that cannot be read, under load: each holds up its own commands, and nobody else's.

    round     a command service that has just begun decides deposits to healthy accounts; another
              does the same while ten accounts are damaged at random moments, in every way there
              is, snapshots of healthy ones are spoilt, and commands for the damaged go on coming;
              and another without those again, as histories are longer now (in the whole, another
              before, so that they are not empty)
    rate      of the healthy accounts, with and without: at least nine tenths
    order     of each account's commands, kept
    after it  each damaged account is named, and no other; an operator has them go on, what was set
              aside is decided in its order, and the log holds

`make faults ROUNDS=5` is the whole, on a machine with nothing else to do; the suite runs a small
one, in which time is not judged.
"""

import asyncio
import os
import secrets
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from random import Random
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.prove.verify import verify
from ledger.client.client import LedgerClient
from ledger.kernel.command import Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.write import failed_commands, held_streams, stream_reader
from ledger.write.ledger import Ledger
from ledger.write.parser import parse
from ledger.write.stream_reader import HeldStream
from tests import commands
from tests.programs.services import client, running_worker
from tests.write.damage import DAMAGES

ROUNDS = min(int(os.environ.get("LEDGER_TEST_ROUNDS", "0")), 5)
SEED = os.environ.get("LEDGER_TEST_SEED") or secrets.token_hex(4)
ACCOUNTS, DAMAGED, DEPOSITS = (1_000, 10, 60_000) if ROUNDS else (40, 7, 300)
BETWEEN_DAMAGES_SECONDS = 4.0 if ROUNDS else 0.05
"""At most. Each costs the batch that it meets a second decision, with its streams read anew: some
tenths of a second, so ten of them belong into a minute and not into seconds."""
ROUND_SECONDS = 900
FOR_DAMAGED = 0.02 if ROUNDS else 0.2
"""Commands for damaged accounts, for each for a healthy one: twice their share."""
LEAST_RATE = 0.9
SNAPSHOT_INTERVAL = 50 if ROUNDS else 5
DEPOSIT = {"asset": "USDT", "amount": "1"}
BY = {"by": "ada", "reason": "a test"}


def open_accounts(database_url: str) -> list[UUID]:
    made = [uuid7() for _ in range(ACCOUNTS + DAMAGED)]
    with Ledger(database_url) as ledger:
        for start in range(0, len(made), 500):
            opened = [commands.open_account(one) for one in made[start : start + 500]]
            assert {one.status for one in ledger.execute(opened)} == {"ACCEPTED"}
    return made


@contextmanager
def damaging(database_url: str, damaged: Sequence[UUID], random: Random) -> Iterator[None]:
    """Within the block each of the accounts is damaged, one after the other, and snapshots of
    others are spoilt."""
    ways = list(DAMAGES.values())

    def damage_all() -> None:
        for number, account_id in enumerate(damaged):
            ways[number % len(ways)](database_url, account_id)
            with psycopg.connect(database_url) as connection:
                connection.execute(
                    """UPDATE aggregate_snapshots SET state = '{"x": 1}' WHERE stream_id IN (
                           SELECT stream_id FROM aggregate_snapshots WHERE stream_id <> ALL (%s)
                           ORDER BY random() LIMIT 3)""",
                    [list(damaged)],
                )
            time.sleep(random.uniform(0, BETWEEN_DAMAGES_SECONDS))

    thread = threading.Thread(target=damage_all)
    thread.start()
    try:
        yield
    finally:
        thread.join()


async def sent(
    ledger: LedgerClient, healthy: Sequence[UUID], damaged: Sequence[UUID], random: Random
) -> tuple[float, dict[UUID, list[Outcome]]]:
    """Deposits to the healthy accounts a second, and the outcomes of each account in the order in
    which its commands were sent."""
    began = time.monotonic()
    under_way = []
    for _ in range(DEPOSITS):
        account_id = random.choice(healthy)
        under_way.append((account_id, await ledger.send("Deposit", DEPOSIT, account_id=account_id)))
        if damaged and random.random() < FOR_DAMAGED:
            account_id = random.choice(damaged)
            command = await ledger.send("Deposit", DEPOSIT, account_id=account_id)
            under_way.append((account_id, command))
    outcomes = defaultdict(list)
    for account_id, command in under_way:
        outcomes[account_id].append(await command)
    return DEPOSITS / (time.monotonic() - began), outcomes


async def one_round(
    database_url: str, nats_url: str, accounts: Sequence[UUID], random: Random
) -> float:
    """The rate of healthy accounts with damaged ones, to that without."""
    healthy, damaged = accounts[DAMAGED:], accounts[:DAMAGED]
    rates = []
    for of_damaged in ([], damaged, []) if not ROUNDS else ([], [], damaged, []):
        options = {"snapshot_interval_events": SNAPSHOT_INTERVAL}
        async with (
            running_worker(database_url, nats_url, **options),
            await client(nats_url) as ledger,
        ):
            with damaging(database_url, of_damaged, random):
                rate, outcomes = await sent(ledger, healthy, of_damaged, random)
            for account_id in of_damaged:
                held = await ledger.submit("Deposit", DEPOSIT, account_id=account_id)
                assert held.code == GeneralRejection.STREAM_HELD
        rates.append(rate)
        for account_id, told in outcomes.items():
            if account_id not in of_damaged:
                assert {one.status for one in told} == {"ACCEPTED"}
            else:
                assert {one.code for one in told} <= {None, GeneralRejection.STREAM_HELD}
            versions = [one.events[0].version for one in told if one.accepted]
            assert versions == sorted(versions)
    return rates[-2] / statistics.mean((rates[-3], rates[-1]))


def repaired(database_url: str, damaged: Sequence[UUID]) -> None:
    """As an operator does it, by what `ledgerctl streams held` says."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        noted = {one.stream_id for one in held_streams.find(connection)}
        assert noted == set(damaged)
        infinite = "UPDATE event_store SET occurred_at = recorded_at WHERE occurred_at = 'infinity'"
        connection.execute("ALTER TABLE event_store DISABLE TRIGGER event_store_is_append_only")
        connection.execute(infinite)  # what the database cannot give is mended there
        connection.execute("ALTER TABLE event_store ENABLE TRIGGER event_store_is_append_only")
        for stream_id in noted:
            while isinstance(
                held := stream_reader.read(connection, [stream_id])[stream_id], HeldStream
            ):
                assert held.event_version is not None
                held_streams.repair(connection, stream_id, held.event_version, **BY)
        assert set(held_streams.examine(connection)) == noted
        found = [one.message for one in verify(connection).findings]
        assert [one for one in found if "it is not used" not in one] == []  # but spoilt snapshots
        waiting = failed_commands.find(connection)
        with Ledger(database_url) as ledger:
            for one in waiting:
                failed_commands.settle(connection, one.command_id, "RETRIED", **BY)
                (outcome,) = ledger.execute([parse(one.body)])
                assert outcome.status in ("ACCEPTED", "REJECTED"), outcome


@pytest.mark.timeout(ROUND_SECONDS * max(ROUNDS, 1))
async def test_streams_that_cannot_be_read_cost_the_others_nothing(
    database_url: str, nats_url: str
) -> None:
    random = Random(SEED)
    shares = []
    for number in range(max(ROUNDS, 1)):
        accounts = await asyncio.to_thread(open_accounts, database_url)
        shares.append(await one_round(database_url, nats_url, accounts, random))
        await asyncio.to_thread(repaired, database_url, accounts[:DAMAGED])
        sys.stderr.write(f"\nround {number} (seed {SEED}): {shares[-1]:.3f} of the rate without\n")
    if ROUNDS:
        assert statistics.median(shares) >= LEAST_RATE, shares

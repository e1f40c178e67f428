"""The whole system under faults, round after round, against the books of the one who sends.

    a round    new accounts send commands for some seconds; meanwhile three faults, one after the
               other, and a supervisor that starts again what has ended
    after it   every command has its outcome, all readers reach the head, and everything in
               `invariants` holds

`make faults ROUNDS=200` is the whole, in which every fault comes as often; the suite runs a part.
What is drawn comes from LEDGER_TEST_SEED and the number of the round, and both are in the message
of a failure: `make faults SEED=… ROUNDS=…` sends the same commands and injects the same faults.
(The moment at which a fault hits is the machine's.)
"""

import asyncio
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from ledger.client.client import LedgerClient
from tests.faults.books import Books
from tests.faults.disk import SmallDisk
from tests.faults.faults import FAULTS, Fault, Scene, possible
from tests.faults.invariants import Watch
from tests.faults.system import System
from tests.faults.workload import DEADLINE_SECONDS, Account, list_instrument
from tests.programs.publishing import connected

FAULTS_PER_ROUND = 3
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
SEED = os.environ.get("LEDGER_TEST_SEED") or secrets.token_hex(4)
ACCOUNTS = 5
STEPS = 25
BEFORE_A_FAULT_SECONDS = (0.1, 0.6)
ROUND_SECONDS = 150.0
DISORDER = {"nats_loses_its_tail", "deliveries_twice_and_in_disorder"}
"""Faults after which commands have arrived in another order than they were first sent in."""


class Report:
    """What a run did, for people."""

    def __init__(self, possible_faults: Iterable[str]) -> None:
        self._possible = set(possible_faults)
        self.faults: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.rounds = 0
        self.began = time.monotonic()

    def __str__(self) -> str:
        seconds = time.monotonic() - self.began
        lines = [f"{self.rounds} rounds with seed {SEED} in {seconds:.0f} s"]
        lines.append("commands: " + _listed(self.outcomes))
        lines.append(f"faults: {self.faults.total()}")
        lines += [f"  {self.faults[name]:5}  {name}" for name in sorted(self._possible)]
        lines += [f"      -  {name} (not possible here)" for name in FAULTS.keys() - self._possible]
        return "\n".join(lines)


@pytest.fixture
def disk(server_directory: Path) -> Iterator[SmallDisk | None]:
    place = server_directory / "disk"
    if not SmallDisk.possible(place):
        yield None
        return
    with SmallDisk(place) as mounted:
        yield mounted


@pytest.mark.timeout((ROUNDS + 1) * ROUND_SECONDS)
async def test_everything_holds_after_every_round(
    server_directory: Path, disk: SmallDisk | None
) -> None:
    system = System(server_directory, disk)
    await system.start()
    faults_here = possible(system)
    report = Report(faults_here)
    try:
        deck = _deck(faults_here)
        watch = Watch(system, server_directory)
        for number in range(1, ROUNDS + 1):
            faults = [next(deck) for _ in range(FAULTS_PER_ROUND)]
            await _round(system, watch, number, faults, report)
    finally:
        ended_badly = await system.stop()
        sys.stderr.write(f"\n{report}\n")
    assert ended_badly == {}


async def _round(
    system: System,
    watch: Watch,
    number: int,
    faults: list[tuple[str, Fault]],
    report: Report,
) -> None:
    random = Random(f"{SEED} {number}")
    books = Books()
    async with asyncio.timeout(ROUND_SECONDS):
        async with (
            await LedgerClient.connect(
                system.nats.url, source="driver", ask_after=1.0, connect_timeout=DEADLINE_SECONDS
            ) as client,
            connected(system.nats.url) as connection,
        ):
            await list_instrument(client)
            bus = connection.jetstream()
            accounts = [
                Account(client, bus, books, Random(random.getrandbits(64))) for _ in range(ACCOUNTS)
            ]
            scene = Scene(system, client, accounts, books, random)
            work = asyncio.gather(*(account.run(STEPS) for account in accounts))
            for name, fault in faults:
                await scene.pause(BEFORE_A_FAULT_SECONDS)
                report.faults[name] += await fault(scene)
                await asyncio.to_thread(system.ensure_running)
            await work
            names = [name for name, _ in faults]
            forgot = "nats_loses_its_tail" in names
            await asyncio.gather(*(account.settle(bus_forgot=forgot) for account in accounts))
        found = await watch.violations(books, in_order=DISORDER.isdisjoint(names))
    report.rounds += 1
    report.outcomes += books.statuses()
    assert not found, f"seed {SEED}, round {number}, after {names}:\n" + "\n".join(found)


def _deck(faults: dict[str, Fault]) -> Iterator[tuple[str, Fault]]:
    """All faults in a drawn order, again and again: each comes equally often."""
    random = Random(SEED)
    while True:
        names = sorted(faults)
        random.shuffle(names)
        yield from ((name, faults[name]) for name in names)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())

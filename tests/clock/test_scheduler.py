"""Going through what is due, on real servers, at times that the tests say."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.client.client import LedgerClient
from ledger.clock import scheduler
from ledger.clock.job import DueCommand, Job
from ledger.clock.scheduler import Scheduler
from ledger.kernel.command import Outcome
from ledger.nouns.allocations.commands import RebalanceAllocations
from ledger.nouns.clock.commands import EndPeriods, TakeSnapshots
from ledger.nouns.clock.events import SnapshotKind
from ledger.operate.database import connect
from ledger.operate.roles import SCHEDULER, as_role
from ledger.operate.settings import Settings
from ledger.programs.clock import PROGRAM, ClockService
from ledger.programs.registry import Places
from ledger.write.ledger import Ledger
from tests.commands import open_account
from tests.programs.services import ANSWER_SECONDS, client, rows, running_worker
from tests.projections.workers import wait_until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP = timedelta(seconds=30)
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "3"))


def _snapshots(_: object, due: datetime) -> Iterable[DueCommand]:
    yield DueCommand(TakeSnapshots(time=due, kind=SnapshotKind.SCHEDULED))


SNAPSHOTS = Job("snapshots", "what is worth what", every=STEP, commands=_snapshots)


class Killed(BaseException):
    """A clock that is there no more."""


@asynccontextmanager
async def standing(
    database_url: str, ledger: LedgerClient, *jobs: Job, dies_after: int | None = None
) -> AsyncIterator[Scheduler]:
    """A clock; one that dies after so many commands, before it hears what came of them."""
    sent = 0

    async def send(command: DueCommand, command_id: UUID) -> Outcome:
        nonlocal sent
        answer = await ledger.send(
            command.data, account_id=command.account_id, command_id=command_id
        )
        sent += 1
        if sent == dies_after:
            raise Killed
        return await answer

    with connect(as_role(database_url, SCHEDULER, "a test"), "clock") as connection:
        yield Scheduler(connection, jobs, send)


def taken(database_url: str) -> list[datetime]:
    return [
        datetime.fromisoformat(when)
        for (when,) in rows(
            database_url,
            "SELECT event_data::jsonb ->> 'time' FROM event_store "
            "WHERE event_type = 'clock.snapshots_taken' ORDER BY position",
        )
    ]


async def test_what_is_due_is_done_once_and_what_was_missed_is_made_up(
    database_url: str, nats_url: str
) -> None:
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as ledger,
        standing(database_url, ledger, SNAPSHOTS) as ticking,
    ):
        ticking.begin(NOON)
        assert await ticking.turn(NOON + STEP / 2) == []
        ran = await ticking.turn(NOON + 3 * STEP)
        assert [run.due for run in ran] == [NOON + STEP, NOON + 2 * STEP, NOON + 3 * STEP]
        assert await ticking.turn(NOON + 3 * STEP) == []
    assert taken(database_url) == [NOON + STEP, NOON + 2 * STEP, NOON + 3 * STEP]


async def test_of_clocks_that_are_killed_at_random_moments_every_moment_is_done_once(
    database_url: str, nats_url: str
) -> None:
    chance = random.Random(7)
    moment = NOON
    async with running_worker(database_url, nats_url), await client(nats_url) as ledger:
        async with standing(database_url, ledger, SNAPSHOTS) as first:
            first.begin(NOON)
        for _ in range(ROUNDS):
            moment += chance.randint(1, 4) * STEP
            async with (
                standing(database_url, ledger, SNAPSHOTS) as lives,
                standing(database_url, ledger, SNAPSHOTS, dies_after=chance.randint(1, 4)) as dies,
            ):
                turns: list[Any] = [dies.turn(moment)]
                if chance.random() < 0.7:  # else all is made up in a later round
                    turns.insert(chance.randint(0, 1), lives.turn(moment))
                found = await asyncio.gather(
                    *map(asyncio.create_task, turns), return_exceptions=True
                )
                assert all(isinstance(one, list | Killed) for one in found), found
        async with standing(database_url, ledger, SNAPSHOTS) as last:
            await last.turn(moment)
    assert taken(database_url) == [
        NOON + which * STEP for which in range(1, (moment - NOON) // STEP + 1)
    ]


async def test_a_job_that_fails_is_told_and_holds_up_no_other(
    database_url: str, nats_url: str
) -> None:
    def fails(_: object, __: datetime) -> Iterable[DueCommand]:
        raise LookupError("there is nothing here")

    failing = Job("failing", "a test", every=STEP, commands=fails)
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as ledger,
        standing(database_url, ledger, SNAPSHOTS, failing) as ticking,
    ):
        ticking.begin(NOON)
        assert [run.job for run in await ticking.turn(NOON + STEP)] == ["snapshots"]
        with psycopg.connect(database_url) as connection:
            known = scheduler.rows(connection)
    assert known["failing"].error == "LookupError: there is nothing here"
    assert known["failing"].failing_since is not None
    assert (known["failing"].last_due, known["failing"].moments) == (NOON, 0)
    assert (known["snapshots"].last_due, known["snapshots"].outcome) == (NOON + STEP, "1 accepted")


async def test_what_is_refused_was_told_so_and_does_not_come_again(
    database_url: str, nats_url: str
) -> None:
    def refused(_: object, due: datetime) -> Iterable[DueCommand]:
        yield DueCommand(RebalanceAllocations(), account_id=uuid7())
        yield DueCommand(EndPeriods(time=due))

    job = Job("refused", "a test", every=time(12, 30), commands=refused)
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as ledger,
        standing(database_url, ledger, job) as ticking,
    ):
        ticking.begin(NOON)
        (run,) = await ticking.turn(NOON + timedelta(hours=1))
        assert [one.code for one in run.outcomes] == ["UNKNOWN_ACCOUNT", "INVALID_COMMAND"]
        assert await ticking.turn(NOON + timedelta(hours=2)) == []
        with psycopg.connect(database_url) as connection:
            row = scheduler.rows(connection)["refused"]
    assert (row.commands, row.refused) == (2, 2)
    assert row.outcome == "0 accepted, 2 rejected (UNKNOWN_ACCOUNT)"


async def test_a_long_gap_of_snapshots_stays_one_and_is_counted(
    database_url: str, nats_url: str
) -> None:
    job = Job("snapshots", "a test", every=STEP, commands=_snapshots, made_up=2)
    async with (
        running_worker(database_url, nats_url),
        await client(nats_url) as ledger,
        standing(database_url, ledger, job) as ticking,
    ):
        ticking.begin(NOON)
        await ticking.turn(NOON + 10 * STEP)
        with psycopg.connect(database_url) as connection:
            row = scheduler.rows(connection)["snapshots"]
    assert taken(database_url) == [NOON + 9 * STEP, NOON + 10 * STEP]
    assert (row.moments, row.passed_over) == (2, 8)


async def test_two_programs_have_the_effect_of_one(database_url: str, nats_url: str) -> None:
    settings = Settings(nats_url=nats_url, portfolio_snapshot_seconds=1)
    places = Places(settings, as_role(database_url, SCHEDULER, "a test"))
    with Ledger(database_url) as ledger:  # before there is an account nothing is worth anything
        ledger.execute([open_account(uuid7())])
    async with running_worker(database_url, nats_url):
        assert not PROGRAM.ready(places)
        services = [ClockService(places) for _ in range(2)]
        working = [asyncio.create_task(service.run()) for service in services]
        await asyncio.to_thread(wait_until, lambda: len(taken(database_url)) > 1, "two moments")
        assert PROGRAM.ready(places)
        for service in services:
            service.stop()
        await asyncio.wait_for(asyncio.gather(*working), ANSWER_SECONDS)
    found = taken(database_url)
    assert found == [found[0] + timedelta(seconds=which) for which in range(len(found))]


async def test_it_waits_for_a_bus_that_is_away_and_stops_when_asked(database_url: str) -> None:
    places = Places(Settings(nats_url="nats://127.0.0.1:1"), database_url)
    service = ClockService(places)
    work = asyncio.create_task(service.run())
    done, _ = await asyncio.wait([work], timeout=0.2)
    assert not done
    service.stop()
    await asyncio.wait_for(work, ANSWER_SECONDS)

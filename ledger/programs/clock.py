"""`ledgerctl serve clock`: sends what is due, at its time (ledger/clock).

Any number may run: each sends everything, under the same ids, and the first has the effect. So one
that hangs or dies holds up nothing, and there is nothing to take over.
"""

import asyncio
import contextlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import structlog

from ledger.client.client import LedgerClient
from ledger.client.submission import LedgerUnavailable
from ledger.clock import scheduler
from ledger.clock.job import DueCommand
from ledger.clock.jobs import all_jobs
from ledger.clock.scheduler import Scheduler
from ledger.kernel.command import UNKNOWN, CommandUndecided, Outcome
from ledger.operate.database import connect
from ledger.operate.roles import SCHEDULER
from ledger.programs.process import run_in_loop
from ledger.programs.registry import Places, Program

if TYPE_CHECKING:
    import threading

SOURCE = "clock"
"""The service that sends the commands."""
LOOK_SECONDS = 1.0
"""Longest pause between two looks at what is due: what went wrong is tried again after it."""
OUTCOME_SECONDS = 10.0
"""For the outcome of a command: the other jobs wait for the end of the turn."""
BEHIND_SECONDS = 15.0
"""What was due so long ago and is not done: the clock does not do its work. A turn takes less than
a second, and an outcome that is not there after ten is an error."""

_log = structlog.get_logger(__name__)


_AT_WORK = f"""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_stat_activity
    WHERE datname = pg_catalog.current_database() AND application_name = 'ledger {SOURCE}')"""


class ClockService:
    """Until `stop`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._jobs = all_jobs(places.settings)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def run(self) -> None:
        """Works while both servers are there, and looks for them again when one is not."""
        while not self._stopping.is_set():
            try:
                await self._work()
            except (psycopg.OperationalError, LedgerUnavailable) as error:
                _log.warning(
                    "clock.server_away",
                    error=" ".join(str(error).split()),
                    next_try_seconds=LOOK_SECONDS,
                )
            await self._pause(LOOK_SECONDS)

    async def _work(self) -> None:
        places = self._places
        connection = await asyncio.to_thread(connect, places.database_url, SOURCE)
        with contextlib.closing(connection):
            client = await LedgerClient.connect(
                places.nats_url, source=SOURCE, security=places.security
            )
            async with client:
                works = Scheduler(connection, self._jobs, _sending(client))
                await asyncio.to_thread(works.begin, scheduler.now(connection))
                while not self._stopping.is_set():
                    time = await asyncio.to_thread(scheduler.now, connection)
                    for run in await works.turn(time):
                        if run.outcomes:
                            _log.info("clock.ran", job=run.job, due=run.due.isoformat())
                    self._tell_failures(connection)
                    await self._pause(self._seconds_to_next(time))

    def _seconds_to_next(self, time: datetime) -> float:
        following = min((job.newest(time) + job.step for job in self._jobs), default=None)
        longest = timedelta(seconds=LOOK_SECONDS)
        return min(longest if following is None else following - time, longest).total_seconds()

    def _tell_failures(self, connection: psycopg.Connection[object]) -> None:
        for row in scheduler.rows(connection).values():
            if row.error is not None:
                _log.warning("clock.not_done", job=row.job, due=row.next_due, error=row.error)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _sending(client: LedgerClient) -> scheduler.Send:
    async def send(command: DueCommand, command_id: UUID) -> Outcome:
        outcome = await client.submit(
            command.data,
            account_id=command.account_id,
            command_id=command_id,
            timeout=OUTCOME_SECONDS,
        )
        if outcome.status == UNKNOWN:
            raise CommandUndecided(outcome)
        return outcome

    return send


def _serve(places: Places, stop: "threading.Event") -> None:
    run_in_loop(ClockService(places), stop)


def _ready(places: Places) -> bool:
    """Whether a clock is at work, and every job done with what was due."""
    names = {job.name for job in all_jobs(places.settings)}
    try:
        with connect(places.database_url, "readiness") as connection:
            if connection.execute(_AT_WORK).fetchone() != (True,):
                return False
            latest = scheduler.now(connection) - timedelta(seconds=BEHIND_SECONDS)
            known = scheduler.rows(connection)
    except psycopg.Error:
        return False
    return names <= known.keys() and all(known[name].next_due > latest for name in names)


PROGRAM = Program(
    name="clock",
    summary="sends what is due at a time",
    role=SCHEDULER,
    ready=_ready,
    run=_serve,
    port=9470,
)

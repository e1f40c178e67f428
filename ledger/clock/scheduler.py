"""Going through what is due.

    for each job, for each moment after the newest that is done, in order:
        ask      the job which commands it is made of
        send     all of them, and wait until each has an outcome
        keep     that the moment is done (`clock_jobs`), unless another clock did before

Any number of clocks may do this at once, and any of them may die at any point: what was sent and
not kept is sent again under the same ids, and has its one effect. A command that is refused was
told so, and does not come again; one that failed lies with an operator. What is not decided at all
(no bus, no command service) is tried again with the next turn, and the later moments of the job
wait for it.

A job begins with the newest moment when a clock first meets it. What time it is, is asked of the
database, once a turn (`now`); tests say it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

import psycopg

from ledger.clock.job import DueCommand, Job, command_id
from ledger.kernel.command import FAILED, Outcome
from ledger.kernel.rejection import GeneralRejection

Answer = TypeVar("Answer")

MOST_AT_ONCE = 100
"""Commands of a moment that are under way together."""
LONGEST_ERROR = 500
"""Characters of what went wrong, as it is kept."""


class JobRow(NamedTuple):
    """A job as the clock keeps it: see migrations/0026."""

    job: str
    last_due: datetime
    next_due: datetime
    last_run: datetime | None
    moments: int
    commands: int
    refused: int
    failed: int
    passed_over: int
    outcome: str | None
    error: str | None
    failing_since: datetime | None


class Send(Protocol):
    """Sends a command and awaits its outcome. Raises when nobody can say what became of it."""

    def __call__(self, command: DueCommand, command_id: UUID) -> Awaitable[Outcome]: ...


class Run(NamedTuple):
    """A moment of a job that was gone through."""

    job: str
    due: datetime
    outcomes: Sequence[Outcome]


_COLUMNS = ", ".join(JobRow._fields)
_KNOWN = f"SELECT {_COLUMNS} FROM public.clock_jobs ORDER BY job"
_BEGIN = """
    INSERT INTO public.clock_jobs (job, last_due, next_due) VALUES (%s, %s, %s)
    ON CONFLICT (job) DO NOTHING"""
_FORGET = "DELETE FROM public.clock_jobs WHERE job <> ALL(%s)"
_DONE = """
    UPDATE public.clock_jobs SET last_due = %(due)s, next_due = %(next)s,
        last_run = clock_timestamp(), moments = moments + 1, commands = commands + %(commands)s,
        refused = refused + %(refused)s, failed = failed + %(failed)s, outcome = %(outcome)s,
        error = NULL, failing_since = NULL
    WHERE job = %(job)s AND last_due < %(due)s"""
_PASSED_OVER = """
    UPDATE public.clock_jobs SET last_due = %(until)s, passed_over = passed_over + %(moments)s
    WHERE job = %(job)s AND last_due < %(until)s"""
_FAILING = """
    UPDATE public.clock_jobs SET error = %(error)s,
        failing_since = coalesce(failing_since, clock_timestamp())
    WHERE job = %(job)s AND last_due < %(due)s"""


def rows(connection: psycopg.Connection[Any]) -> dict[str, JobRow]:
    """What is kept of each job, by name."""
    return {row[0]: JobRow(*row) for row in connection.execute(_KNOWN)}


def now(connection: psycopg.Connection[Any]) -> datetime:
    """The one place that says what time it is."""
    row: tuple[datetime] | None = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    return row[0]


class Scheduler:
    """Sends what is due. The connection is its own, and autocommits."""

    def __init__(
        self, connection: psycopg.Connection[Any], jobs: Iterable[Job], send: Send
    ) -> None:
        self._connection = connection
        self._jobs = tuple(jobs)
        self._send = send
        self._connection_is_free = asyncio.Lock()

    def begin(self, time: datetime) -> None:
        """Takes in jobs that are new, and forgets those that nobody registers any more."""
        with self._connection.transaction():
            self._connection.execute(_FORGET, [[job.name for job in self._jobs]])
            for job in self._jobs:
                newest = job.newest(time)
                self._connection.execute(_BEGIN, [job.name, newest, newest + job.step])

    async def turn(self, time: datetime) -> list[Run]:
        """Goes through all that is due at a time, jobs beside each other. What fails is kept, and
        is due again."""
        known = await self._asked(rows)
        went = await asyncio.gather(
            *(self._catch_up(job, known[job.name], time) for job in self._jobs)
        )
        return [run for runs in went for run in runs]

    async def _catch_up(self, job: Job, row: JobRow, time: datetime) -> list[Run]:
        moments, passed_over = job.due(row.last_due, time)
        if passed_over:
            until = job.newest(time) - job.step * len(moments)
            await self._keep(
                _PASSED_OVER, {"job": job.name, "until": until, "moments": passed_over}
            )
        went: list[Run] = []
        for due in moments:
            try:
                run = await self._go_through(job, due)
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - a job may raise what it likes
                text = f"{type(error).__name__}: {error}"[:LONGEST_ERROR].replace("\x00", "")
                await self._keep(_FAILING, {"job": job.name, "due": due, "error": text})
                break
            went.append(run)
            await self._keep(_DONE, _done(job, run))
        return went

    async def _go_through(self, job: Job, due: datetime) -> Run:
        commands = await self._asked(lambda connection: list(job.commands(connection, due)))
        ids = [command_id(job.name, due, command) for command in commands]
        assert len(set(ids)) == len(ids), f"{job.name} sends two commands of one account and key"
        room = asyncio.Semaphore(MOST_AT_ONCE)

        async def sent(command: DueCommand, command_id: UUID) -> Outcome:
            async with room:
                return await self._send(command, command_id)

        return Run(job.name, due, await asyncio.gather(*map(sent, commands, ids)))

    async def _keep(self, statement: str, values: dict[str, Any]) -> None:
        await self._asked(lambda connection: connection.execute(statement, values))

    async def _asked(self, question: Callable[[psycopg.Connection[Any]], Answer]) -> Answer:
        """Jobs are asked one after the other: each has the connection to itself."""
        async with self._connection_is_free:
            return await asyncio.to_thread(question, self._connection)


def _done(job: Job, run: Run) -> dict[str, Any]:
    refused = [one for one in run.outcomes if one.rejected and not _is_another_clocks(one)]
    failed = [one for one in run.outcomes if one.status == FAILED]
    outcome = f"{len(run.outcomes) - len(refused) - len(failed)} accepted"
    for found in (refused, failed):
        if found:
            outcome += f", {len(found)} {found[0].status.lower()} ({found[0].code})"
    return {
        "job": job.name,
        "due": run.due,
        "next": run.due + job.step,
        "commands": len(run.outcomes),
        "refused": len(refused),
        "failed": len(failed),
        "outcome": outcome,
    }


def _is_another_clocks(outcome: Outcome) -> bool:
    """Another clock, which saw other rows, has sent the command of this id with other content."""
    return outcome.code == GeneralRejection.COMMAND_ID_REUSED

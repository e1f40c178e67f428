"""A job: something that is due again and again, and the commands that it is made of.

    JOB = Job("day-opening", "…", every=time(0), commands=_commands)      at midnight, in UTC
    JOB = Job("heartbeat", "…", every=timedelta(seconds=30), commands=…)  at moments of the epoch

`commands(connection, due)` is asked what to send for the moment `due`. The connection reads all
there is (`ledger_auditor`) and changes nothing. What is sent twice, or by two clocks, is sent under
the same ids, made of job, moment, account and `key`: nothing else tells two commands of one job and
moment apart.

A package registers its jobs under the entry points "ledger.clock_jobs": a function that is given
the settings and returns jobs (`jobs.py`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg

from ledger.kernel.command import CommandData

_NAMESPACE = UUID("b2c8d7a4-3f0e-5c1d-8e52-6d1a9b7f4c30")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class DueCommand:
    """A command to send; `account_id` is the subject of one about an account. `key` names what it
    is about beside it: an order, an instrument."""

    data: CommandData
    account_id: UUID | None = None
    key: str = ""


Commands = Callable[[psycopg.Connection[Any], datetime], Iterable[DueCommand]]


@dataclass(frozen=True)
class Job:
    """See the module's text. `every`: an interval, or the time of a day in UTC. `made_up`: of the
    moments that nobody was there for, at most so many are gone through, the newest; None: all. What
    speaks of the state that it finds makes up little, what must have happened makes up all."""

    name: str
    about: str
    every: timedelta | time
    commands: Commands
    made_up: int | None = None

    def newest(self, now: datetime) -> datetime:
        """The newest moment that is not after `now`: the same for all who ask."""
        if isinstance(self.every, timedelta):
            return _EPOCH + (now - _EPOCH) // self.every * self.every
        at_time = datetime.combine(now.astimezone(UTC).date(), self.every, tzinfo=UTC)
        return at_time if at_time <= now else at_time - _DAY

    @property
    def step(self) -> timedelta:
        """From one moment to the next."""
        return self.every if isinstance(self.every, timedelta) else _DAY

    def due(self, done: datetime, now: datetime) -> tuple[list[datetime], int]:
        """The moments after `done` to go through, in their order, and how many are passed over."""
        step, newest = self.step, self.newest(now)
        missed = max((newest - done) // step, 0)
        count = missed if self.made_up is None else min(missed, self.made_up)
        return [newest - step * (count - 1 - which) for which in range(count)], missed - count


def command_id(job: str, due: datetime, command: DueCommand) -> UUID:
    """The same for all who send it."""
    about = f"{command.account_id or ''} {command.key}"
    return uuid5(_NAMESPACE, f"{job} {due.astimezone(UTC).isoformat()} {about}")

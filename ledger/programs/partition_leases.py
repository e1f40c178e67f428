"""Which partitions of the commands this worker decides: one worker for each, by lease.

    renew    every RENEW_SECONDS: a sign of life; then partitions that nobody living owns are taken,
             up to a fair share of all, and what is more than that is named to be given back
    fence    in the transaction of each commit: are the partitions of this batch still ours, in the
             epoch we know? Else LeaseLost, and nothing of the batch is kept
    release  at a stop, or when others have too few: at once somebody else's to take

This is not the lease of those who follow the log (ledger/subscriptions). Such a one has a name and
a place of its own, and one owner or none. Partitions have no place (NATS knows what is done) and
any worker may have any: each is to have its share. So what lives is the worker and not its hold on
each of many partitions, all of them are shared out in one step, and a commit checks all of its own
at once. How a session is known to be gone is the same for both (subscriptions/sessions.py).

A worker lives as long as its session at the database does, and its last sign of life is not older
than the lease. So one that was killed is replaced within a second, and one whose machine vanished
within the lease. One that only believes to live has its commits refused by the fence: the row it
locks is the row that its successor changed.
"""

from collections.abc import Callable, Mapping, Sequence
from math import ceil
from threading import Lock
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.eventstore.connection import OneConnection
from ledger.kernel.errors import LedgerError
from ledger.subscriptions.sessions import MINE, lives

RENEW_SECONDS = 1.0
"""How often a worker gives a sign of life and looks for partitions without an owner: well within
every lease, and one short transaction."""
Result = TypeVar("Result")

# A lock that only those may take who write the table: an advisory lock would be anybody's.
_LOCK = "LOCK TABLE public.command_workers IN SHARE ROW EXCLUSIVE MODE"
_ALIVE = f"""
    INSERT INTO command_workers (worker, until, session_pid, session_start, trouble)
    SELECT %(worker)s, clock_timestamp() + make_interval(secs => %(lease)s), mine.*, %(trouble)s
    FROM ({MINE}) AS mine
    ON CONFLICT (worker) DO UPDATE SET until = excluded.until,
        session_pid = excluded.session_pid, session_start = excluded.session_start,
        trouble = excluded.trouble"""
_BURY = f"""
    DELETE FROM command_workers AS worker
    WHERE worker.until < clock_timestamp()
        OR NOT {lives("worker.session_pid", "worker.session_start")}"""
_COUNT = "SELECT count(*) FROM command_workers"
_ADD = """
    INSERT INTO command_partitions (partition) SELECT generate_series(0, %s - 1)
    ON CONFLICT DO NOTHING"""
_OWNED = """
    SELECT partition, epoch FROM command_partitions
    WHERE owner = %s AND partition < %s ORDER BY partition"""
_TAKE = """
    UPDATE command_partitions SET owner = %(worker)s, epoch = epoch + 1
    WHERE partition IN (
        SELECT partition FROM command_partitions
        WHERE partition < %(partitions)s
            AND (owner IS NULL OR owner NOT IN (SELECT worker FROM command_workers))
        ORDER BY partition LIMIT %(most)s)
    RETURNING partition, epoch"""
_RELEASE = """
    UPDATE command_partitions SET owner = NULL WHERE owner = %s AND partition = ANY(%s)"""
_LEAVE = "DELETE FROM command_workers WHERE worker = %s"
_STILL_OURS = """
    SELECT p.partition FROM command_partitions AS p
    JOIN unnest(%s::integer[], %s::bigint[]) AS ours (partition, epoch) USING (partition, epoch)
    WHERE p.owner = %s FOR SHARE OF p"""


class LeaseLost(LedgerError):
    """Another worker decides these commands now."""


class Share(NamedTuple):
    """Partitions with their epochs that are ours, and those of them to give back."""

    ours: dict[int, int]
    too_many: list[int]


class Leases:
    """Of one worker."""

    def __init__(self, database_url: str, lease_seconds: float) -> None:
        self.worker = uuid7()
        self._database = OneConnection(database_url, "partitions")
        self._lease_seconds = lease_seconds
        self._one_at_a_time = Lock()

    def renew(self, partitions: int, trouble: str | None = None) -> Share:
        """A sign of life, with what keeps us from going on; the partitions that are ours from here
        on. Raises psycopg.Error."""
        return self._run(lambda opened: self._renew(opened, partitions, trouble))

    def _renew(
        self, connection: psycopg.Connection[Any], partitions: int, trouble: str | None
    ) -> Share:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.execute("SELECT public.commit_durably()")
            cursor.execute(_LOCK)
            alive = {"worker": self.worker, "lease": self._lease_seconds, "trouble": trouble}
            cursor.execute(_ALIVE, alive)
            cursor.execute(_BURY)
            living = _number(cursor.execute(_COUNT))
            cursor.execute(_ADD, (partitions,))
            ours = dict(cursor.execute(_OWNED, (self.worker, partitions)).fetchall())
            share = ceil(partitions / living)
            if len(ours) < share:
                taking = {
                    "worker": self.worker,
                    "partitions": partitions,
                    "most": share - len(ours),
                }
                ours |= dict(cursor.execute(_TAKE, taking).fetchall())
            return Share(dict(sorted(ours.items())), sorted(ours)[share:])

    def release(self, partitions: Sequence[int]) -> None:
        """Gives partitions back, whose batches are done. Raises psycopg.Error."""
        self._run(lambda opened: opened.execute(_RELEASE, (self.worker, list(partitions))))

    def leave(self) -> None:
        """Gives everything back. Raises psycopg.Error."""
        self._run(lambda opened: opened.execute(_LEAVE, (self.worker,)))

    def _run(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        # A renewal that was given up may still be at it when partitions are given back.
        with self._one_at_a_time:
            return self._database.run(work)

    def close(self) -> None:
        self._database.close()


def fence(
    worker: UUID,
    epochs: Mapping[int, int],
    also: Callable[[psycopg.Cursor[Any]], None] = lambda _: None,
) -> Callable[[psycopg.Cursor[Any]], None]:
    """Checks, within the transaction of a commit, that these partitions are still the worker's,
    and keeps others from taking them before it ends; `also` checks what else must hold. Raises
    LeaseLost."""

    def check(cursor: psycopg.Cursor[Any]) -> None:
        also(cursor)
        cursor.execute(_STILL_OURS, (list(epochs), list(epochs.values()), worker))
        lost = set(epochs) - {row[0] for row in cursor}
        if lost:
            raise LeaseLost(f"partitions {sorted(lost)} of the commands are another worker's now")

    return check


def _number(cursor: psycopg.Cursor[Any]) -> int:
    row = cursor.fetchone()
    assert row is not None
    return int(row[0])

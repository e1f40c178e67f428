"""Trying parked events again, and skipping them.

One transaction for each key. It locks the projection's row, which holds back the owner's next
commit; folds the parked events of the key in their order, on rows loaded in this transaction;
and raises the epoch, so that the owner drops what it has in memory of those rows. It needs no
worker, and waits for none.

What cannot be handled this time stays parked, with all that is behind it; what came before it in
the key is applied and stays so. The event that a projection stopped at is the worker's: it tries
by itself, and here it is only told to.
"""

from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import psycopg

from ledger.kernel.errors import LedgerError
from ledger.nouns.projections.events import ProjectionEventSkipped, ProjectionEventsRetried
from ledger.subscriptions.checkpoint import NotInstalled
from ledger.subscriptions.wakeup import CONTROL_CHANNEL
from projections.engine import operator_events
from projections.engine.builds.generations import schema_of
from projections.engine.letters import dead_letters, parking
from projections.engine.letters.dead_letters import DeadLetter, HeldBack
from projections.engine.letters.parking import Applied
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.operator_events import Deed
from projections.engine.projection import Projection, other_version

LOCK_TIMEOUT_SECONDS = 15
"""How long a retry waits for the batch that is being committed."""


class NotParked(LedgerError):
    """There is no parked event of this id."""


class OtherCodeVersion(LedgerError):
    """The tables were built by another version of the projection's code."""


@dataclass(frozen=True)
class Retried:
    """What became of a key. `error` is why its first remaining event could not be handled;
    `stopped`: the projection stands before one of its events, and its worker tries it now."""

    projection_name: str
    partition_key: str
    applied: int
    remaining: int
    stopped: bool
    error: str | None


def retry(
    connection: psycopg.Connection[Any],
    projection: Projection,
    key: str,
    *,
    rows_in_memory: int,
    deed: Deed | None = None,
) -> Retried:
    """Folds the parked events of the key. `deed`: an operator's, which the log then tells; a
    rebuild tells of itself. Raises OtherCodeVersion, NotInstalled."""
    with connection.transaction():
        at = lock(connection, projection)
        result = fold_key(connection, projection, at, key, rows_in_memory)
        if deed is not None:
            done = deed.as_event(
                ProjectionEventsRetried,
                projection.name,
                partition_key=key,
                applied=result.applied,
                remaining=result.remaining,
            )
            operator_events.record(connection, done)
        return result


def retry_all(
    connection: psycopg.Connection[Any], projection: Projection, *, rows_in_memory: int
) -> list[Retried]:
    """Every parked key of the projection."""
    letters = dead_letters.find(connection, name=projection.name)
    keys = dict.fromkeys(letter.partition_key for letter in letters)
    return [retry(connection, projection, key, rows_in_memory=rows_in_memory) for key in keys]


def skip(
    connection: psycopg.Connection[Any],
    projection: Projection,
    letter: DeadLetter,
    *,
    deed: Deed,
    rows_in_memory: int,
) -> Retried:
    """Leaves the event out for ever, and lets the later ones of its key go on. Raises NotParked,
    OtherCodeVersion, NotInstalled."""
    with connection.transaction():
        at = lock(connection, projection)
        reason = deed.reason or ""
        if not dead_letters.skip(connection, letter.id, who=deed.actor, reason=reason):
            raise NotParked(f"{letter.id} is not parked any more")
        result = fold_key(connection, projection, at, letter.partition_key, rows_in_memory)
        done = deed.as_event(
            ProjectionEventSkipped,
            projection.name,
            partition_key=letter.partition_key,
            event_id=str(letter.event_id),
            position=letter.position,
        )
        operator_events.record(connection, done)
        return replace(result, stopped=letter.position > at.position)


def find_letter(connection: psycopg.Connection[Any], letter_id: UUID) -> DeadLetter:
    """The event of this id, parked or not any more. Raises NotParked."""
    letters = dead_letters.find(connection, letter_id=letter_id, statuses=dead_letters.STATUSES)
    if not letters:
        raise NotParked(
            f"no parked event has the id {letter_id}. `ledgerctl projections dead-letters list` "
            "tells which there are"
        )
    return letters[0]


@dataclass(frozen=True)
class At:
    """Where a read model is."""

    generation: int
    position: int


def lock(connection: psycopg.Connection[Any], projection: Projection) -> At:
    """Holds the projection where it is, until the transaction ends. Raises OtherCodeVersion,
    NotInstalled."""
    connection.execute("SELECT public.commit_durably()")
    connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
    row = connection.execute(
        "SELECT code_version, generation, last_processed_position FROM event_projections "
        "WHERE projection_name = %s FOR UPDATE",
        [projection.name],
    ).fetchone()
    if row is None:
        raise NotInstalled(f"projection {projection.name} is not installed. Run: ledgerctl migrate")
    if row[0] != projection.version:
        raise OtherCodeVersion(other_version(projection, row[0]))
    return At(row[1], row[2])


def fold_key(
    connection: psycopg.Connection[Any],
    projection: Projection,
    at: At,
    key: str,
    rows_in_memory: int,
) -> Retried:
    """Folds what is parked of the key, inside the transaction of the `lock`, and fences the
    owner."""

    def open_build() -> Build:
        schema = schema_of(projection.name, at.generation)
        return Build(projection, schema, connection, rows_in_memory=rows_in_memory, empty=False)

    letters = dead_letters.find(connection, name=projection.name, key=key)
    positions = [letter.position for letter in letters if letter.position <= at.position]
    applied = Applied()
    if positions:
        events = source.read_at(connection, positions)
        held = HeldBack(skipped=dead_letters.skipped(connection, projection.name))
        applied = parking.apply(
            connection, open_build, events, held, stop=False, alive=lambda: None
        )
    dead_letters.applied(
        connection, projection.name, at.generation, [event.position for event in applied.events]
    )
    # Those behind say so already; only the one that failed has something new to tell.
    dead_letters.park(connection, projection, at.generation, applied.letters[:1])
    fence(connection, projection, handled=len(applied.events))
    return Retried(
        projection.name,
        key,
        applied=len(applied.events),
        remaining=len(applied.letters),
        stopped=len(positions) < len(letters),
        error=applied.letters[0].error if applied.letters else None,
    )


def fence(connection: psycopg.Connection[Any], projection: Projection, *, handled: int = 0) -> None:
    """Has the owner drop what it has in memory, inside the transaction of the `lock`; `handled`:
    events that were folded beside it."""
    connection.execute(
        """UPDATE event_projections
           SET epoch = epoch + 1, total_events_processed = total_events_processed + %s,
               updated_at = clock_timestamp()
           WHERE projection_name = %s""",
        [handled, projection.name],
    )
    connection.execute("SELECT public.wake(%s, %s)", [CONTROL_CHANNEL, projection.name])

"""The table of events that a projection could not handle, and of those that wait behind them.

A key is parked while it has an event of status PARKED that the checkpoint has passed. An event of
status PARKED beyond the checkpoint is where the projection stopped. SKIPPED is an operator's
decision and holds for every build of the read model (if the kind is "folded", the build of that
generation has the event all the same); APPLIED tells that a later try worked. Rows are never
deleted but with the generation that they belong to.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import class_row, dict_row
from uuid_utils.compat import uuid7

from projections.engine.letters.failures import Kind
from projections.engine.live.source import LogEvent
from projections.engine.projection import Projection

PARKED, APPLIED, SKIPPED = STATUSES = ("PARKED", "APPLIED", "SKIPPED")
ERROR_CHARACTERS = 4_000
"""Of an error's text are kept: enough to understand it, and no payload can fill the table."""
TRACEBACK_CHARACTERS = 16_000
"""Of a traceback are kept, from its end: there is the line that raised."""


@dataclass(frozen=True)
class DeadLetter:
    """A row of projection_dead_letters."""

    id: UUID
    projection_name: str
    generation: int
    partition_key: str
    position: int
    event_id: UUID
    event_type: str
    status: str
    kind: str
    error: str | None
    traceback: str | None
    code_version: int
    attempts: int
    parked_at: datetime
    updated_at: datetime
    skipped_by: str | None
    skip_reason: str | None


class Placed(Protocol):
    """An event, as far as it is known without reading what it tells."""

    @property
    def position(self) -> int: ...
    @property
    def id(self) -> UUID: ...
    @property
    def stream_id(self) -> UUID: ...
    @property
    def event_type(self) -> str: ...


@dataclass(frozen=True)
class NewLetter:
    """An event to be parked."""

    recorded: LogEvent
    partition_key: str
    kind: Kind
    error: str
    traceback: str | None = None


def key_of(recorded: LogEvent) -> str:
    """What an event is about: its stream, so one order, one account. Told from the envelope,
    because the payload may be what is wrong with it."""
    return str(recorded.stream_id)


@dataclass
class HeldBack:
    """What a worker must not fold: later events of parked keys, and skipped events. `stopped_at`:
    the parked event that it must get over first."""

    parked_keys: set[str] = field(default_factory=set)
    skipped: frozenset[int] = frozenset()
    stopped_at: int | None = None

    def sort(self, events: list[LogEvent]) -> tuple[list[LogEvent], list[NewLetter]]:
        """(those to fold, those to park behind earlier ones of their key)."""
        if not self.parked_keys and not self.skipped:
            return events, []  # as good as always: nobody pays for what is not parked
        to_fold, behind = [], []
        for recorded in events:
            if recorded.position in self.skipped:
                continue
            key = key_of(recorded)
            if key in self.parked_keys:
                behind.append(NewLetter(recorded, key, Kind.BEHIND, "an earlier event is parked"))
            else:
                to_fold.append(recorded)
        return to_fold, behind


_COLUMNS = """id, projection_name, generation, partition_key, position, event_id, event_type,
    status, kind, error, traceback, code_version, attempts, parked_at, updated_at,
    skipped_by, skip_reason"""
_OF_LIVE = """projection_name IN (SELECT projection_name FROM event_projections AS live
    WHERE live.generation = projection_dead_letters.generation)"""
_INSERT = """
    INSERT INTO projection_dead_letters (id, projection_name, generation, partition_key, position,
        event_id, event_type, kind, error, traceback, code_version)
    SELECT id, %(name)s, %(generation)s, partition_key, position, event_id, event_type, kind,
        error, traceback, %(code_version)s
    FROM unnest(%(ids)s::uuid[], %(keys)s::text[], %(positions)s::bigint[], %(event_ids)s::uuid[],
        %(event_types)s::text[], %(kinds)s::text[], %(errors)s::text[], %(tracebacks)s::text[])
        AS letter (id, partition_key, position, event_id, event_type, kind, error, traceback)
    ON CONFLICT (projection_name, generation, position) DO UPDATE
    SET status = 'PARKED', kind = excluded.kind, error = excluded.error,
        traceback = excluded.traceback, code_version = excluded.code_version,
        updated_at = clock_timestamp(),
        attempts = projection_dead_letters.attempts + (excluded.kind <> 'behind')::int"""

_LEAVE_OUT = """
    INSERT INTO projection_dead_letters (id, projection_name, generation, partition_key, position,
        event_id, event_type, status, kind, code_version, attempts, skipped_by, skip_reason)
    VALUES (%(id)s, %(name)s, %(generation)s, %(key)s, %(position)s, %(event_id)s, %(event_type)s,
        'SKIPPED', %(kind)s, %(code_version)s, 0, %(who)s, %(reason)s)
    ON CONFLICT (projection_name, generation, position) DO UPDATE
    SET status = 'SKIPPED', kind = excluded.kind, skipped_by = excluded.skipped_by,
        skip_reason = excluded.skip_reason, updated_at = clock_timestamp()"""
_CARRY = """
    INSERT INTO projection_dead_letters (id, projection_name, generation, partition_key, position,
        event_id, event_type, status, kind, error, traceback, code_version, attempts, parked_at)
    SELECT %(new_id)s, projection_name, %(generation)s, partition_key, position, event_id,
        event_type, status, kind, error, traceback, code_version, attempts, parked_at
    FROM projection_dead_letters WHERE id = %(id)s"""


def park(
    connection: psycopg.Connection[Any],
    projection: Projection,
    generation: int,
    letters: Sequence[NewLetter],
) -> None:
    """Parks events, or notes what another try of them came to, inside the caller's transaction."""
    if letters:
        connection.execute(
            _INSERT,
            {
                "name": projection.name,
                "generation": generation,
                "code_version": projection.version,
                "ids": [uuid7() for _ in letters],
                "keys": [letter.partition_key for letter in letters],
                "positions": [letter.recorded.position for letter in letters],
                "event_ids": [letter.recorded.id for letter in letters],
                "event_types": [letter.recorded.event_type for letter in letters],
                "kinds": [letter.kind.value for letter in letters],
                "errors": [_storable(letter.error)[:ERROR_CHARACTERS] for letter in letters],
                "tracebacks": [
                    letter.traceback and _storable(letter.traceback)[-TRACEBACK_CHARACTERS:]
                    for letter in letters
                ],
            },
        )


def held_back(
    connection: psycopg.Connection[Any], name: str, generation: int, position: int
) -> HeldBack:
    """What must not be folded into this build, which is at `position`."""
    held = HeldBack(skipped=skipped(connection, name))
    for key, first in connection.execute(
        """SELECT partition_key, min(position) FROM projection_dead_letters
           WHERE projection_name = %s AND generation = %s AND status = 'PARKED'
           GROUP BY partition_key""",
        [name, generation],
    ):
        if first <= position:
            held.parked_keys.add(key)
        else:
            held.stopped_at = first
    return held


def skipped(connection: psycopg.Connection[Any], name: str) -> frozenset[int]:
    """Positions of the events that operators have skipped, in whichever build."""
    rows = connection.execute(
        """SELECT position FROM projection_dead_letters
           WHERE projection_name = %s AND status = 'SKIPPED'""",
        [name],
    )
    return frozenset(position for (position,) in rows)


def folded_by(connection: psycopg.Connection[Any], name: str, position: int) -> bool:
    """Whether a build that stands at `position` has, like the live one, folded events that were
    passed over since."""
    return bool(
        connection.execute(
            """SELECT FROM projection_dead_letters
               JOIN event_projections USING (projection_name, generation)
               WHERE projection_name = %s AND projection_dead_letters.status = 'SKIPPED'
                   AND kind = 'folded' AND position <= %s""",
            [name, position],
        ).rowcount
    )


def parked_live(connection: psycopg.Connection[Any], name: str) -> frozenset[int]:
    """Positions of the events that the live build lacks, up to where it is."""
    rows = connection.execute(
        """SELECT position FROM projection_dead_letters AS letter
           JOIN event_projections AS live USING (projection_name, generation)
           WHERE projection_name = %s AND letter.status = 'PARKED'
               AND position <= last_processed_position""",
        [name],
    )
    return frozenset(position for (position,) in rows)


def carry_over(connection: psycopg.Connection[Any], name: str, before: int, now: int) -> None:
    """What the live build had parked, the build that replaces it lacks as well; whatever was known
    of it from another time is not true any more. Inside the caller's transaction."""
    connection.execute(
        """DELETE FROM projection_dead_letters
           WHERE projection_name = %s AND generation = %s AND status <> 'SKIPPED'""",
        [name, now],
    )
    ids = connection.execute(
        """SELECT id FROM projection_dead_letters
           WHERE projection_name = %s AND generation = %s AND status = 'PARKED'""",
        [name, before],
    ).fetchall()
    for (letter_id,) in ids:
        connection.execute(_CARRY, {"id": letter_id, "new_id": uuid7(), "generation": now})


def find(
    connection: psycopg.Connection[Any],
    *,
    name: str | None = None,
    key: str | None = None,
    letter_id: UUID | None = None,
    statuses: Iterable[str] = (PARKED,),
) -> list[DeadLetter]:
    """Those of the live builds, in order of projection, key and position."""
    with connection.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(
            f"""SELECT {_COLUMNS} FROM projection_dead_letters
                WHERE (status = 'SKIPPED' OR {_OF_LIVE}) AND status = ANY(%(statuses)s)
                    AND projection_name = coalesce(%(name)s, projection_name)
                    AND partition_key = coalesce(%(key)s, partition_key)
                    AND id = coalesce(%(id)s, id)
                ORDER BY projection_name, partition_key, position""",
            {"statuses": list(statuses), "name": name, "key": key, "id": letter_id},
        ).fetchall()


def event_of(connection: psycopg.Connection[Any], letter: DeadLetter) -> dict[str, Any]:
    """The event as it is in the log, whether or not it decodes."""
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(
            """SELECT stream_id, event_version, occurred_at, recorded_at, event_data AS data,
                   metadata
               FROM event_store WHERE position = %s""",
            [letter.position],
        ).fetchone()
    return row or {}


def applied(
    connection: psycopg.Connection[Any], name: str, generation: int, positions: Sequence[int]
) -> None:
    """Another try of these worked."""
    if positions:
        connection.execute(
            """UPDATE projection_dead_letters
               SET status = 'APPLIED', attempts = attempts + 1, updated_at = clock_timestamp()
               WHERE projection_name = %s AND generation = %s AND position = ANY(%s)
                   AND status = 'PARKED'""",
            [name, generation, list(positions)],
        )


def skip(connection: psycopg.Connection[Any], letter_id: UUID, *, who: str, reason: str) -> bool:
    """Notes that the event shall never be folded. False if it is not parked."""
    return bool(
        connection.execute(
            """UPDATE projection_dead_letters
               SET status = 'SKIPPED', skipped_by = %s, skip_reason = %s,
                   updated_at = clock_timestamp()
               WHERE id = %s AND status = 'PARKED'""",
            [who, reason, letter_id],
        ).rowcount
    )


def leave_out(
    connection: psycopg.Connection[Any],
    projection: Projection,
    generation: int,
    event: Placed,
    kind: Kind,
    *,
    who: str,
    reason: str,
) -> None:
    """Notes that an event which is not parked shall never be folded, inside the caller's
    transaction."""
    connection.execute(
        _LEAVE_OUT,
        {
            "id": uuid7(),
            "name": projection.name,
            "generation": generation,
            "key": str(event.stream_id),
            "position": event.position,
            "event_id": event.id,
            "event_type": event.event_type,
            "kind": kind.value,
            "code_version": projection.version,
            "who": who,
            "reason": reason,
        },
    )


def _storable(error: str) -> str:
    return error.replace("\x00", "\\x00")

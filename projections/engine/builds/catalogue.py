"""What is known of the builds beside the live one: the table projection_generations.

    NEXT        a rebuild under way; becomes the live generation, or is dropped
    PREVIOUS    the generation that was live before; stands still at its position. SWAPPING as
                long as public views show it to transactions that began before the swap
    RETIRED     a generation that nobody can return to any more; dropped as soon as possible
    PAST        the read model as of some position, in a schema of its own, to look at

A build's position moves in the transaction that writes its rows. So at whatever point a process
or the server ends, the two fit each other, and the build can be resumed.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from ledger.kernel.errors import LedgerError
from ledger.subscriptions.sessions import lives
from projections.engine.builds import generations, parts
from projections.engine.projection import Projection

NEXT, PREVIOUS, RETIRED, PAST = "NEXT", "PREVIOUS", "RETIRED", "PAST"
FOLDING, INDEXING, COMPARING, SWAPPING, COMPLETE = (
    "FOLDING",
    "INDEXING",
    "COMPARING",
    "SWAPPING",
    "COMPLETE",
)


class BuildGone(LedgerError):
    """The build was removed or moved on by somebody else."""


class SchemaTaken(LedgerError):
    """A build cannot have the schema that it was given."""


@dataclass(frozen=True)
class KeptBuild:
    """A build, as its row says. `position` is what its rows contain; `reached` is how far it is
    where its parts (parts.py) are at several positions. `running`: a rebuild, verification or
    rollback of the projection is under way at this moment."""

    projection_name: str
    schema: str
    purpose: str
    phase: str
    generation: int | None
    code_version: int
    position: int
    last_event_id: UUID | None
    handled: int
    reached: int
    target_position: int
    rate_per_second: Decimal | None
    started_at: datetime
    updated_at: datetime
    running: bool

    @property
    def indexed(self) -> bool:
        return self.phase not in (FOLDING, INDEXING)


SESSION_LIVES = lives("builder.session_pid", "builder.session_start")
"""Of a row of projection_builders, called `builder`."""
_COLUMNS = f"""
    projection_name, schema_name AS schema, purpose, phase, generation, code_version,
    last_processed_position AS position, last_processed_event_id AS last_event_id,
    total_events_processed AS handled,
    coalesce((SELECT avg(parts.last_processed_position)::bigint
              FROM projection_build_parts AS parts
              WHERE parts.projection_name = projection_generations.projection_name
                  AND parts.schema_name = projection_generations.schema_name),
             last_processed_position) AS reached,
    target_position, rate_per_second, started_at, updated_at,
    EXISTS (SELECT FROM public.projection_builders AS builder
            WHERE builder.projection_name = projection_generations.projection_name
                AND {SESSION_LIVES}) AS running"""
_INSERT = f"""
    INSERT INTO projection_generations (projection_name, schema_name, purpose, phase, generation,
        code_version, last_processed_position, last_processed_event_id, total_events_processed,
        target_position)
    VALUES (%(name)s, %(schema)s, %(purpose)s, %(phase)s, %(generation)s, %(version)s,
        %(position)s, %(event_id)s, %(handled)s, %(target)s)
    RETURNING {_COLUMNS}"""
_ADVANCE = """
    UPDATE projection_generations
    SET last_processed_position = %(to)s, total_events_processed = %(handled)s,
        last_processed_event_id = coalesce(%(event_id)s, last_processed_event_id),
        target_position = %(target)s, rate_per_second = %(rate)s, updated_at = clock_timestamp()
    WHERE projection_name = %(name)s AND schema_name = %(schema)s
        AND last_processed_position = %(position)s"""


def listed(
    connection: psycopg.Connection[Any], name: str | None = None, purpose: str | None = None
) -> list[KeptBuild]:
    """The builds there are: of one projection, for one purpose, or all."""
    with connection.cursor(row_factory=class_row(KeptBuild)) as cursor:
        return cursor.execute(
            f"""SELECT {_COLUMNS} FROM projection_generations
                WHERE (%(name)s::text IS NULL OR projection_name = %(name)s)
                    AND (%(purpose)s::text IS NULL OR purpose = %(purpose)s)
                ORDER BY projection_name, started_at""",
            {"name": name, "purpose": purpose},
        ).fetchall()


def find(
    connection: psycopg.Connection[Any], projection: Projection, purpose: str
) -> KeptBuild | None:
    """The projection's one build for this purpose, NEXT or PREVIOUS."""
    return next(iter(listed(connection, projection.name, purpose)), None)


def next_generation(connection: psycopg.Connection[Any], name: str, live: int) -> int:
    """A number that no generation has, not even one that waits for being dropped."""
    numbers = [kept.generation or 0 for kept in listed(connection, name)]
    return max([live, *numbers]) + 1


def begin(
    connection: psycopg.Connection[Any], projection: Projection, generation: int, *, target: int
) -> KeptBuild:
    """Empty tables for the next generation. Nobody else may read them before it is live: only then
    they have its row-level security."""
    schema = generations.schema_of(projection.name, generation)
    with connection.transaction():
        # A schema of this name that no row knows of.
        generations.drop(connection, projection, schema)
        generations.create_tables(connection, projection, schema)
        return _insert(connection, projection, schema, NEXT, generation=generation, target=target)


def begin_past(
    connection: psycopg.Connection[Any], projection: Projection, schema: str, target: int
) -> KeptBuild:
    """Empty tables for the read model as of position `target`. Several projections may share a
    schema. Raises SchemaTaken."""
    with connection.transaction():
        others = connection.execute(
            "SELECT projection_name FROM projection_generations "
            "WHERE schema_name = %s AND purpose = 'PAST'",
            [schema],
        ).fetchall()
        exists = connection.execute("SELECT to_regnamespace(%s)", [f'"{schema}"']).fetchone()
        command = f"ledgerctl projections rebuild {projection.name} --to-position {target} --drop"
        if (projection.name,) in others:
            raise SchemaTaken(
                f"schema {schema} has {projection.name} already: query it, or remove it with "
                f"{command}"
            )
        if not others and exists is not None and exists[0] is not None:
            raise SchemaTaken(
                f"schema {schema} is there and was not made by {command.removesuffix(' --drop')}: "
                "rename it first"
            )
        generations.create_tables(connection, projection, schema)
        generations.grant(connection, projection, schema)
        live = connection.execute(
            "SELECT generation FROM event_projections WHERE projection_name = %s",
            [projection.name],
        ).fetchone()
        if live is not None:
            live_schema = generations.schema_of(projection.name, live[0])
            generations.copy_access(connection, projection, live_schema, schema, replace=False)
        return _insert(connection, projection, schema, PAST, target=target)


def _insert(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    purpose: str,
    *,
    generation: int | None = None,
    target: int = 0,
) -> KeptBuild:
    parameters = {
        "name": projection.name,
        "schema": schema,
        "purpose": purpose,
        "phase": FOLDING,
        "generation": generation,
        "version": projection.version,
        "position": 0,
        "event_id": None,
        "handled": 0,
        "target": target,
    }
    with connection.cursor(row_factory=class_row(KeptBuild)) as cursor:
        row = cursor.execute(_INSERT, parameters).fetchone()
    assert row is not None
    return row


def keep_previous(
    connection: psycopg.Connection[Any],
    name: str,
    *,
    generation: int,
    code_version: int,
    position: int,
    event_id: UUID | None,
    handled: int,
) -> None:
    """Keeps what was live until now as what rollback returns to, inside the caller's
    transaction. What was kept as that before is retired."""
    connection.execute(
        "UPDATE projection_generations SET purpose = 'RETIRED', updated_at = clock_timestamp() "
        "WHERE projection_name = %s AND purpose = 'PREVIOUS'",
        [name],
    )
    connection.execute(
        _INSERT,
        {
            "name": name,
            "schema": generations.schema_of(name, generation),
            "purpose": PREVIOUS,
            "phase": SWAPPING,
            "generation": generation,
            "version": code_version,
            "position": position,
            "event_id": event_id,
            "handled": handled,
            "target": position,
        },
    )


def forget(connection: psycopg.Connection[Any], kept: KeptBuild) -> None:
    """Removes the row, and only that: the build is live, or its tables are gone."""
    connection.execute(
        "DELETE FROM projection_generations WHERE projection_name = %s AND schema_name = %s",
        [kept.projection_name, kept.schema],
    )


def advance(
    connection: psycopg.Connection[Any],
    kept: KeptBuild,
    *,
    to: int,
    handled: int,
    event_id: UUID | None,
    target: int,
    rate: float,
) -> KeptBuild:
    """Moves the build's position, inside the transaction that writes its rows. Raises
    BuildGone."""
    parameters = {
        "name": kept.projection_name,
        "schema": kept.schema,
        "position": kept.position,
        "to": to,
        "handled": handled,
        "event_id": event_id,
        "target": target,
        "rate": Decimal(f"{rate:.2f}"),
    }
    if connection.execute(_ADVANCE, parameters).rowcount != 1:
        raise BuildGone(f"the build of {kept.projection_name} in {kept.schema} was removed")
    return replace(
        kept,
        position=to,
        handled=handled,
        last_event_id=event_id or kept.last_event_id,
        reached=to,
        target_position=target,
    )


def show_filling(
    connection: psycopg.Connection[Any], kept: KeptBuild, *, target: int, rate: float
) -> None:
    """Says where several processes are on their way to, and how fast."""
    connection.execute(
        "UPDATE projection_generations SET target_position = %s, rate_per_second = %s, "
        "updated_at = clock_timestamp() WHERE projection_name = %s AND schema_name = %s",
        [target, Decimal(f"{rate:.2f}"), kept.projection_name, kept.schema],
    )


def filled(
    connection: psycopg.Connection[Any], projection: Projection, kept: KeptBuild, to: int
) -> KeptBuild:
    """All parts have reached `to`: from here on the build is one."""
    with connection.transaction():
        handled = parts.finish(connection, kept.projection_name, kept.schema)
        last = connection.execute(
            """SELECT id FROM event_store WHERE position <= %s AND event_type = ANY(%s)
               ORDER BY position DESC LIMIT 1""",
            [to, projection.event_types],
        ).fetchone()
        return advance(
            connection,
            kept,
            to=to,
            handled=handled,
            event_id=last[0] if last else None,
            target=to,
            rate=0.0,
        )


def enter(connection: psycopg.Connection[Any], kept: KeptBuild, phase: str) -> KeptBuild:
    """Says what the build is at now. It survives a crash of the server, and with it everything
    that was committed before: a swap then has little left to bring to the disk."""
    with connection.transaction():
        connection.execute("SELECT public.commit_durably()")
        connection.execute(
            "UPDATE projection_generations SET phase = %s, updated_at = clock_timestamp() "
            "WHERE projection_name = %s AND schema_name = %s",
            [phase, kept.projection_name, kept.schema],
        )
    return replace(kept, phase=phase)


def completed(connection: psycopg.Connection[Any], kept: KeptBuild, handled: int) -> KeptBuild:
    """Says, inside the caller's transaction, that the build has what the live one has parked: it
    cannot be compared and gone on with any more."""
    connection.execute(
        "UPDATE projection_generations SET phase = %s, total_events_processed = %s, "
        "updated_at = clock_timestamp() WHERE projection_name = %s AND schema_name = %s",
        [COMPLETE, handled, kept.projection_name, kept.schema],
    )
    return replace(kept, phase=COMPLETE, handled=handled)


def remove(connection: psycopg.Connection[Any], projection: Projection, kept: KeptBuild) -> None:
    """Drops the build's tables and its row."""
    with connection.transaction():
        generations.drop(connection, projection, kept.schema)
        forget(connection, kept)

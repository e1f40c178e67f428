"""Making the read models that are not there yet, and taking over those of older versions.

Each projection gets its definition, from which operators have builds made (generations.py). Each
missing one gets its row in event_projections, the tables of generation 1, the public views and the
grants, all in one transaction under a lock: any number of processes may do this at once, and a read
model is there whole or not at all.

In older versions projectors and operators owned the tables and the views, and could put code into
them. They become the owner of the log's; what somebody put into them is refused by name
(takeover.py).
"""

from typing import Any

import psycopg

from projections import settings
from projections.engine.access import takeover
from projections.engine.builds import candidate, generations
from projections.engine.builds.generations import schema_of
from projections.engine.connection import connect
from projections.engine.projection import Projection
from projections.registry import all_projections

_LOCK = "LOCK TABLE public.read_model_definitions IN SHARE UPDATE EXCLUSIVE MODE"
"""The owner's alone: it needs the right to change the table."""
_OPEN_TABLES = """
    SELECT 1 FROM pg_class AS c
    WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p') AND NOT relrowsecurity
        AND relname = ANY (%s)
        AND to_regclass(relnamespace::regnamespace || '.visible_' || relname) IS NULL"""
LOCK_TIMEOUT_SECONDS = 60
"""Another's installation takes a second or two."""


def install(database_url: str) -> None:
    """Makes what is missing; changes no row that is there."""
    with (
        connect(database_url, "projections install", by_key=False) as connection,
        connection.transaction(),
    ):
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
        connection.execute(_LOCK)
        connection.execute("SELECT public.commit_durably()")
        projections = all_projections(settings.load())
        takeover.take_over(connection, projections)
        for projection in projections:
            _install(connection, projection)
        takeover.refuse_foreign_views(connection)


def _install(connection: psycopg.Connection[Any], projection: Projection) -> None:
    generations.define(connection, projection)
    inserted = connection.execute(
        """INSERT INTO public.event_projections (projection_name, code_version, generation)
           VALUES (%s, %s, 1) ON CONFLICT (projection_name) DO NOTHING""",
        [projection.name, projection.version],
    ).rowcount
    if not inserted:
        _close(connection, projection)
        return
    schema = schema_of(projection.name, 1)
    generations.create_tables(connection, projection, schema)
    generations.create_indexes(connection, projection, schema)
    generations.grant(connection, projection, schema)
    generations.point_views(connection, projection, schema)


def _close(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """A read model that an older version made without row-level security, or whose views belong to
    somebody else."""
    schema = schema_of(projection.name, candidate.live(connection, projection).generation)
    names = [table.name for table in projection.tables]
    if connection.execute(_OPEN_TABLES, [f'"{schema}"', names]).fetchone() is not None:
        generations.grant(connection, projection, schema)
    takeover.take_over_views(connection, projection, schema)

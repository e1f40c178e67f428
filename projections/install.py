"""Making the read models that are not there yet, and giving those of older versions their rights.

Each missing projection gets its row in event_projections, the tables of generation 1, the
public views and the grants, all in one transaction under a lock: any number of processes may
do this at once, and a read model is there whole or not at all.
"""

from typing import Any

import psycopg

from projections import settings
from projections.engine.access import rights
from projections.engine.builds import candidate, generations
from projections.engine.builds.generations import schema_of
from projections.engine.connection import connect
from projections.engine.projection import Projection
from projections.registry import all_projections

_LOCK = "SELECT pg_advisory_xact_lock(hashtext('projections install'))"


def install(database_url: str) -> None:
    """Makes what is missing; changes no row that is there."""
    with (
        connect(database_url, "projections install", by_key=False) as connection,
        connection.transaction(),
    ):
        connection.execute("SET LOCAL synchronous_commit = on")
        connection.execute(_LOCK)
        rights.let_operators_build(connection)
        for projection in all_projections(settings.load()):
            _install(connection, projection)


def _install(connection: psycopg.Connection[Any], projection: Projection) -> None:
    inserted = connection.execute(
        """INSERT INTO event_projections (projection_name, code_version, generation)
           VALUES (%s, %s, 1) ON CONFLICT (projection_name) DO NOTHING""",
        [projection.name, projection.version],
    ).rowcount
    if not inserted:
        _give_rights(connection, projection)
        return
    schema = schema_of(projection.name, 1)
    generations.create_tables(connection, projection, schema)
    generations.create_indexes(connection, projection, schema)
    generations.grant(connection, projection, schema)
    generations.point_views(connection, projection, schema)
    rights.give_views(connection, projection)


def _give_rights(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """To a read model that an older version made without row-level security."""
    schema = schema_of(projection.name, candidate.live(connection, projection).generation)
    if rights.are_given(connection, schema):
        return
    rights.give(connection, projection, schema)
    rights.give_views(connection, projection)

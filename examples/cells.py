"""Read models of several ledgers, held together in a Citus cluster: a proof of concept.

Each ledger (a cell) is whole by itself, and knows nothing of this. A follower for each cell and
read model reads the cell's log, folds it with the read model's own fold, and writes the rows and
its place into the cluster in one transaction there: what the engine does on one connection
(projections/engine/live/worker.py), on two.

    distribute    a read model's tables, from the same definitions as a ledger's, spread over the
                  cluster's machines by the account that rows are about
    follow        what is new of a cell; whoever was overtaken writes nothing

An account is in one cell for ever, so its rows are one cell's alone and lie on one machine.
Positions are each cell's own: a table that has only the position as its key gets the account in
front of it.

    python -m examples.cells CLUSTER_URL NAME=CELL_URL NAME=CELL_URL …

brings READ_MODELS up to date and prints how far each cell is.
"""

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from ledger.eventstore import reader
from projections.engine.builds.generations import definition_of
from projections.engine.live import source
from projections.engine.live.build import Build
from projections.engine.projection import Projection, Table
from projections.read_models import accounts, balances, transactions

READ_MODELS = (accounts.PROJECTION, balances.PROJECTION, transactions.PROJECTION)
BATCH_POSITIONS = 2_000
ROWS_IN_MEMORY = 10_000
BY = "account_id"
"""What rows are distributed by."""

_PLACES = """
    CREATE TABLE IF NOT EXISTS public.cell_places (
        cell text, read_model text, position bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (cell, read_model))"""
_BEGIN = "INSERT INTO public.cell_places (cell, read_model) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_PLACE = "SELECT position FROM public.cell_places WHERE cell = %s AND read_model = %s"
_ADVANCE = """
    UPDATE public.cell_places SET position = %(to)s
    WHERE cell = %(cell)s AND read_model = %(read_model)s AND position = %(at)s"""


class Overtaken(RuntimeError):
    """Somebody else follows this cell for this read model."""


class Place(NamedTuple):
    """How far a read model has followed a cell."""

    cell: str
    read_model: str
    position: int


def distribute(cluster: psycopg.Connection[Any], projection: Projection) -> None:
    """Makes the read model's tables in a schema of its name and spreads them over the cluster,
    unless they are there."""
    cluster.execute(_PLACES)
    schema = sql.Identifier(projection.name)
    there = cluster.execute("SELECT to_regnamespace(%s)", [projection.name]).fetchone()
    if there != (None,):
        return
    with cluster.transaction():
        # Definitions first, in the coordinator alone; each table is spread by the next statement.
        cluster.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
        cluster.execute(sql.SQL("SET LOCAL search_path = {}").format(schema))
        cluster.execute(definition_of(projection).tables.encode())
        for table in projection.tables:
            name = sql.Identifier(projection.name, table.name)
            if BY not in table.key:
                _key_by_account(cluster, projection, table)
            cluster.execute("SELECT create_distributed_table(%s, %s)", [name.as_string(), BY])


def _key_by_account(
    cluster: psycopg.Connection[Any], projection: Projection, table: Table[Any]
) -> None:
    """What is unique over a cluster has in its key what rows are distributed by."""
    assert table.insert_only, f"{table.name} is looked up by a key without the account"
    columns = sql.SQL(", ").join(map(sql.Identifier, (BY, *table.key)))
    cluster.execute(
        sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}, ADD PRIMARY KEY ({})").format(
            sql.Identifier(projection.name, table.name),
            sql.Identifier(f"{table.name}_pkey"),
            columns,
        )
    )


def follow(
    cell: psycopg.Connection[Any],
    cluster: psycopg.Connection[Any],
    name: str,
    projection: Projection,
) -> Place:
    """Brings the read model to where the cell is. Raises Overtaken, with nothing of the batch
    written."""
    cluster.execute(_BEGIN, [name, projection.name])
    row = cluster.execute(_PLACE, [name, projection.name]).fetchone()
    assert row is not None
    at, head = int(row[0]), reader.head(cell)
    build = Build(projection, projection.name, cluster, rows_in_memory=ROWS_IN_MEMORY, empty=False)
    while at < head:
        to = min(at + BATCH_POSITIONS, head)
        events = source.read(cell, after=at, up_to=to, event_types=projection.event_types)
        build.fold(events)
        with cluster.transaction():
            place = {"cell": name, "read_model": projection.name, "at": at, "to": to}
            if cluster.execute(_ADVANCE, place).rowcount != 1:
                raise Overtaken(f"{projection.name} of {name} is not at {at} any more")
            build.write()
        build.settle()
        at = to
    return Place(name, projection.name, at)


def follow_all(cluster_url: str, cells: dict[str, str]) -> Iterator[Place]:
    """Brings every read model to where each cell is."""
    with psycopg.connect(cluster_url, autocommit=True) as cluster:
        for projection in READ_MODELS:
            distribute(cluster, projection)
        for name, url in cells.items():
            with psycopg.connect(url, autocommit=True) as cell:
                for projection in READ_MODELS:
                    yield follow(cell, cluster, name, projection)


if __name__ == "__main__":
    for place in follow_all(sys.argv[1], dict(one.split("=", 1) for one in sys.argv[2:])):
        print(*place)

"""Whether anybody may still see the database as it was before some moment, and who.

PostgreSQL knows that better than any list of sessions, of which a role sees its own alone: VACUUM
removes a deleted row when nobody can see it any more. So a row is made and deleted in a table of
ours (`mark`), and as long as it cannot be removed (`are_newer`), somebody may be looking at what
there was before. That counts everybody who reads here: a transaction in a query or holding a
snapshot or a cursor, one that imported an exported snapshot from it, a replication slot, a standby
that sends feedback. And transactions that wrote before and are not over, because PostgreSQL does
not tell what snapshots taken meanwhile see.

A standby that sends no feedback is not waited for here, but there: removing the row is in what it
replays, and PostgreSQL lets it wait for whoever may see the row, or ends their query with an error
(max_standby_streaming_delay), before it replays anything that comes after.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from projections.engine.builds.generations import qualified

MARKS = "generation_marks"
"""The schema of the marks, each with the name of its build's schema (sql/roles)."""
_OWNER = "ledger_operator"
"""Who owns the marks, and can put code upon them: nobody else touches them (`_as_owner`)."""
_SIZE = "SELECT pg_relation_size(to_regclass(%s))"
_IN_THE_WAY = """
    SELECT who, application, seconds FROM public.readers_in_the_way(
        (SELECT xmin FROM pg_class WHERE oid = to_regclass(%s)),
        ARRAY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name))"""


def mark(connection: psycopg.Connection[Any], projection_name: str, schema: str) -> None:
    """Marks this moment for the build in `schema`, unless there is a mark that somebody is older
    than. The table stays as long as the build: a dump that has just begun may want it."""
    table = sql.Identifier(MARKS, schema)
    with _as_owner(connection):
        with connection.transaction():
            if not is_marked(connection, schema):
                connection.execute(
                    "SELECT public.mark_generation(%s, %s)", [projection_name, schema]
                )
            if _size(connection, schema) == 0:
                # It also writes the table's row in pg_class, which tells `in_the_way` the moment.
                alter = sql.SQL("ALTER TABLE {} SET (autovacuum_enabled = off)")
                connection.execute(alter.format(table))
                connection.execute(sql.SQL("INSERT INTO {} VALUES (true)").format(table))
        # In a transaction of its own: what one transaction makes and deletes nobody ever sees.
        connection.execute(sql.SQL("DELETE FROM {}").format(table))


def is_marked(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether there is a mark, be everybody newer or not."""
    return _size(connection, schema) is not None


def are_newer(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether every snapshot there is was taken after the mark of `schema`. False, too, while a
    dump has the table, because the file cannot be cut off then. Outside of a transaction, as
    VACUUM must be."""
    table = sql.Identifier(MARKS, schema)
    with _as_owner(connection):
        # None is left, unless whoever marked was killed before it could delete.
        connection.execute(sql.SQL("DELETE FROM {}").format(table))
        connection.execute(
            sql.SQL("VACUUM (TRUNCATE, INDEX_CLEANUP off, PROCESS_TOAST off) {}").format(table)
        )
        return _size(connection, schema) == 0


@contextmanager
def _as_owner(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """With an operator's rights and no others, whoever we are."""
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(_OWNER)))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("RESET ROLE")


def in_the_way(
    connection: psycopg.Connection[Any], schema: str, relations: Sequence[str]
) -> list[str]:
    """Who is older than the mark of `schema`, if there is one, or holds it or one of the relations,
    which are named with their schemas."""
    table = qualified(MARKS, schema)
    found = connection.execute(_IN_THE_WAY, [table, [table, *relations]])
    return [_said(*row) for row in found.fetchall()]


def listed(who: Sequence[str]) -> str:
    """The same, inside a message."""
    return f" ({'; '.join(who)})" if who else ""


def _said(who: str, application: str | None, seconds: float | None) -> str:
    named = f" ({application})" if application else ""
    return f"{who}{named}" + ("" if seconds is None else f", for {seconds:,.0f} s")


def _size(connection: psycopg.Connection[Any], schema: str) -> int | None:
    row = connection.execute(_SIZE, [qualified(MARKS, schema)]).fetchone()
    return None if row is None else row[0]

"""Where a read model's tables are.

The tables of projection P lie in the schema `P_<generation>`, made from sql/read_models/P.sql
and P.indexes.sql. The public name of a table is a view in schema public over the generation
that event_projections names as the live one. A rebuild makes the next generation beside it and
then replaces the views: who reads, and whatever is built upon the views, keeps the names.

A transaction that began long ago looks up a view as it is now, but sees only the rows there were
when it began: none, in tables that were filled since. So a swap points the views to both
generations, of which each reader gets the one that was live as of its own snapshot
(sql/functions/live_generation.sql). They are pointed to the live one alone when nobody is left to
whom the other is (swap.py).

The views run with the rights of who reads them, so privileges and row-level security are those
of the tables, in every generation alike.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from projections.engine import rights
from projections.engine.projection import Projection

READERS = rights.READERS

_SHOWN = """
    SELECT DISTINCT t.relname FROM pg_depend AS d
    JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class AS v ON v.oid = r.ev_class AND v.relname = t.relname
    WHERE t.relnamespace = to_regnamespace(%s) AND v.relnamespace = 'public'::regnamespace"""


class SqlFilesMissing(Exception):
    """The installation lacks the SQL files of read models."""


class ViewNotReplaceable(Exception):
    """A public view cannot take the shape of the new tables."""


class GenerationShown(Exception):
    """A generation that public views show cannot be dropped."""


@dataclass(frozen=True)
class Turn:
    """From which generation of a projection to which its views are being pointed."""

    projection_name: str
    before: int
    after: int


def schema_of(projection_name: str, generation: int) -> str:
    return f"{projection_name}_{generation}"


def qualified(schema: str, name: str) -> str:
    """A table's name as text, for PostgreSQL to look up."""
    return f'"{schema}"."{name}"'


def read_models_directory() -> Path:
    """Where the SQL of read models is: inside the installed package, or in a checkout."""
    root = Path(__file__).resolve().parents[2]
    for candidate in (root / "ledger" / "_sql" / "read_models", root / "sql" / "read_models"):
        if candidate.is_dir():
            return candidate
    raise SqlFilesMissing(
        f"no sql/read_models beneath {root}: the installation is incomplete. "
        "Install trading-ledger again."
    )


def create_tables(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    *,
    logged: bool = True,
    exists: bool = False,
) -> None:
    """Makes the schema (unless it `exists`) with the projection's tables, without secondary
    indexes. `logged` tables survive a crash; a comparison's need not."""
    if not exists:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
    _run_in(connection, schema, f"{projection.name}.sql")
    if not logged:
        for table in projection.tables:
            connection.execute(
                sql.SQL("ALTER TABLE {} SET UNLOGGED").format(sql.Identifier(schema, table.name))
            )


def create_indexes(
    connection: psycopg.Connection[Any], projection: Projection, schema: str
) -> None:
    """Makes the secondary indexes, if they are not there, and tells the planner about the
    tables."""
    if not _has_indexes(connection, projection, schema):
        _run_in(connection, schema, f"{projection.name}.indexes.sql")
    analyze(connection, projection, schema)


def _has_indexes(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> bool:
    """All of them are made in one transaction, so one tells of all."""
    return bool(
        connection.execute(
            """SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid
               WHERE c.relnamespace = to_regnamespace(%s) AND c.relname = ANY(%s)
                   AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)""",
            [f'"{schema}"', [table.name for table in projection.tables]],
        ).fetchone()
        is not None
    )


def analyze(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Tells the planner about the tables."""
    for table in projection.tables:
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table.name)))


def grant(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Gives the tables to their owner, and everybody their rights on them (rights.py)."""
    rights.give(connection, projection, schema)


def check_views(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Finds out before a build, not after it, whether the public views can show its tables.
    Raises ViewNotReplaceable."""
    for table in projection.public_tables:
        shown, new = (
            columns_of(connection, "public", table.name),
            columns_of(connection, schema, table.name),
        )
        if list(shown.items()) != list(new.items())[: len(shown)]:
            raise _not_replaceable(table.name, f"it shows {', '.join(shown)}")


def point_views(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    turn: Turn | None = None,
) -> None:
    """Lets the public views show the tables in `schema`; with a `turn`, to those to whom its
    generation is live, and to others the one before. A view that is there keeps its owner, its
    privileges, its options and what is built upon it. Raises ViewNotReplaceable."""
    for table in projection.public_tables:
        view = sql.Identifier("public", table.name)
        is_new = not columns_of(connection, "public", table.name)
        kinds = columns_of(connection, schema, table.name)
        shown = {name: kinds[name] for name in table.columns}
        _replace_view(connection, schema, table.name, shown, turn)
        if is_new:
            for role in (*READERS, rights.OWNER):
                _grant(connection, "SELECT ON", [view], role)


def point_views_back(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    turn: Turn | None = None,
) -> None:
    """The same for an earlier build, maybe of other code: a column that its tables do not have
    is shown as null, because PostgreSQL does not let a view lose columns."""
    for table in projection.public_tables:
        if not columns_of(connection, schema, table.name):
            continue  # a table that the earlier code did not have; its view stays as it is
        shown = columns_of(connection, "public", table.name)
        _replace_view(connection, schema, table.name, shown, turn)


def _replace_view(
    connection: psycopg.Connection[Any],
    schema: str,
    name: str,
    shown: dict[str, str],
    turn: Turn | None,
) -> None:
    """Lets one public view show these columns of the table `name` in `schema`. Raises
    ViewNotReplaceable."""
    found = connection.execute(
        "SELECT reloptions FROM pg_class WHERE oid = to_regclass(%s)", [f'public."{name}"']
    ).fetchone()
    options = (found[0] if found else None) or ["security_invoker=true"]
    query = _rows_of(connection, schema, name, shown)
    if turn is not None:
        query = _rows_of_turn(connection, turn, name, shown)
    try:
        connection.execute(
            sql.SQL("CREATE OR REPLACE VIEW {} WITH ({}) AS {}").format(
                sql.Identifier("public", name), sql.SQL(", ").join(map(sql.SQL, options)), query
            )
        )
    except (psycopg.errors.InvalidTableDefinition, psycopg.errors.WrongObjectType) as error:
        raise _not_replaceable(name, error.diag.message_primary or "") from error


def _rows_of_turn(
    connection: psycopg.Connection[Any], turn: Turn, name: str, shown: dict[str, str]
) -> sql.Composable:
    """The condition names no column, so PostgreSQL asks it once and then runs one of the two."""
    schemas = {
        generation: schema_of(turn.projection_name, generation)
        for generation in (turn.before, turn.after)
    }
    parts = [
        sql.SQL("{} WHERE public.live_generation({}) = {}").format(
            _rows_of(connection, schema, name, shown),
            sql.Literal(turn.projection_name),
            sql.Literal(generation),
        )
        for generation, schema in schemas.items()
        if columns_of(connection, schema, name)  # not every code has every table
    ]
    return sql.SQL(" UNION ALL ").join(parts)


def _rows_of(
    connection: psycopg.Connection[Any], schema: str, name: str, shown: dict[str, str]
) -> sql.Composable:
    there = columns_of(connection, schema, name)
    columns = [
        sql.Identifier(column)
        if column in there
        else sql.SQL("NULL::{} AS {}").format(sql.SQL(kind), sql.Identifier(column))
        for column, kind in shown.items()
    ]
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(columns), sql.Identifier(schema, name)
    )


def columns_of(connection: psycopg.Connection[Any], schema: str, name: str) -> dict[str, str]:
    """The columns of a table or view with their types, in order; none if it is not there."""
    return dict(
        connection.execute(
            """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
               WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
               ORDER BY attnum""",
            [f'"{schema}"."{name}"'],
        ).fetchall()
    )


def _not_replaceable(name: str, reason: str) -> ViewNotReplaceable:
    return ViewNotReplaceable(
        f"view public.{name} cannot show the new columns ({reason}). PostgreSQL lets a view only "
        "gain columns at its end: put new columns last in sql/read_models, or drop the view and "
        "what depends on it first."
    )


def shown(connection: psycopg.Connection[Any], schema: str) -> list[str]:
    """Those tables in `schema` that public views of the same name show."""
    return [name for (name,) in connection.execute(_SHOWN, [f'"{schema}"'])]


def drop(connection: psycopg.Connection[Any], schema: str) -> None:
    """Drops a schema of tables, if it exists. Raises GenerationShown rather than take a public view
    along."""
    if names := shown(connection, schema):
        raise GenerationShown(f"public views show tables of schema {schema}: {', '.join(names)}")
    connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _run_in(connection: psycopg.Connection[Any], schema: str, file_name: str) -> None:
    script = (read_models_directory() / file_name).read_text(encoding="utf-8")
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))
        # Bytes, because this is a whole script from a file of ours and takes no parameters.
        connection.execute(script.encode())
        connection.execute("SET LOCAL search_path TO DEFAULT")


def _grant(
    connection: psycopg.Connection[Any], what: str, objects: list[sql.Identifier], role: str
) -> None:
    for name in objects:
        connection.execute(
            sql.SQL("GRANT {} {} TO {}").format(
                sql.SQL(what),
                name,
                sql.Identifier(role),
            )
        )

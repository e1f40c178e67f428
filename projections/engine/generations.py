"""Where a read model's tables are.

The tables of projection P lie in the schema `P_<generation>`, made from sql/read_models/P.sql
and P.indexes.sql. The public name of a table is a view in schema public over the generation
that event_projections names as the live one. A rebuild makes the next generation beside it and
then replaces the views: who reads, and whatever is built upon the views, keeps the names.

The views run with the rights of who reads them, so privileges and row-level security are those
of the tables, in every generation alike.
"""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from projections.engine import rights
from projections.engine.projection import Projection

READERS = rights.READERS


class SqlFilesMissing(Exception):
    """The installation lacks the SQL files of read models."""


class ViewNotReplaceable(Exception):
    """A public view cannot take the shape of the new tables."""


def schema_of(projection_name: str, generation: int) -> str:
    return f"{projection_name}_{generation}"


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
    connection: psycopg.Connection[Any], projection: Projection, schema: str, *, logged: bool = True
) -> None:
    """Makes the schema with the projection's tables, without secondary indexes. `logged`
    tables survive a crash; a comparison's need not."""
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
    """Makes the secondary indexes, and tells the planner about the tables."""
    _run_in(connection, schema, f"{projection.name}.indexes.sql")
    for table in projection.tables:
        connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(schema, table.name)))


def grant(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Gives the tables to their owner, and everybody their rights on them (rights.py)."""
    rights.give(connection, projection, schema)


def point_views(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Lets the public views show the tables in `schema`. Raises ViewNotReplaceable."""
    for table in projection.public_tables:
        view = sql.Identifier("public", table.name)
        columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
        try:
            connection.execute(
                sql.SQL(
                    "CREATE OR REPLACE VIEW {} WITH (security_invoker = true) AS SELECT {} FROM {}"
                ).format(view, columns, sql.Identifier(schema, table.name))
            )
        except (psycopg.errors.InvalidTableDefinition, psycopg.errors.WrongObjectType) as error:
            raise ViewNotReplaceable(
                f"view public.{table.name} cannot show the new columns "
                f"({error.diag.message_primary}). PostgreSQL lets a view only gain columns at its "
                "end: put new columns last in sql/read_models, or drop the view and what depends "
                "on it first."
            ) from error
        for role in (*READERS, rights.OWNER):
            _grant(connection, "SELECT ON", [view], role)


def drop(connection: psycopg.Connection[Any], schema: str) -> None:
    """Drops a schema of tables, if it exists."""
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

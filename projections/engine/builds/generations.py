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

Schemas, tables and views all belong to the owner of the log. It installs the definition of each
read model (`define`); who may make builds then has them made from it by functions with the owner's
rights (sql/functions/create_generation.sql and its neighbours), and can put nothing of their own
into them.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ledger.kernel.errors import LedgerError
from projections.engine.access import rights
from projections.engine.projection import Projection

READERS = rights.READERS

_SHOWN = """
    SELECT DISTINCT v.relname FROM pg_depend AS d
    JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND t.oid = d.refobjid
    JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
    JOIN pg_class AS v ON v.oid = r.ev_class AND t.relname IN (v.relname, 'visible_' || v.relname)
    WHERE t.relnamespace = to_regnamespace(%s) AND v.relnamespace = 'public'::regnamespace"""


class SqlFilesMissing(LedgerError):
    """The installation lacks the SQL files of read models."""


class NotDefined(LedgerError):
    """The database does not know what this code's builds are made of."""


class ViewNotReplaceable(LedgerError):
    """A public view cannot take the shape of the new tables."""


class GenerationShown(LedgerError):
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
    root = Path(__file__).resolve().parents[3]
    for candidate in (root / "ledger" / "_sql" / "read_models", root / "sql" / "read_models"):
        if candidate.is_dir():
            return candidate
    raise SqlFilesMissing(
        f"no sql/read_models beneath {root}: the installation is incomplete. "
        "Install trading-ledger again."
    )


@dataclass(frozen=True)
class Definition:
    """What a read model's builds are made of, as this code has it."""

    tables: str
    indexes: str
    access: str
    table_names: list[str]
    public_names: list[str]

    @property
    def checksum(self) -> str:
        """Names this content."""
        parts = (self.tables, self.indexes, self.access, *self.table_names, "", *self.public_names)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def definition_of(projection: Projection) -> Definition:
    """Raises SqlFilesMissing."""

    def text(name: str) -> str:
        return (read_models_directory() / name).read_text(encoding="utf-8")

    return Definition(
        tables=text(f"{projection.name}.sql"),
        indexes=text(f"{projection.name}.indexes.sql"),
        access=rights.script(projection),
        table_names=[table.name for table in projection.tables],
        public_names=[table.name for table in projection.public_tables],
    )


def define(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """Says, as the owner of the log, what builds of the projection are made of. What other versions
    of the code are made of stays: they may still run."""
    found = definition_of(projection)
    connection.execute(
        """INSERT INTO public.read_model_definitions (projection_name, checksum, tables, indexes,
               access, table_names, public_names)
           VALUES (%(name)s, %(checksum)s, %(tables)s, %(indexes)s, %(access)s, %(table_names)s,
               %(public_names)s)
           ON CONFLICT DO NOTHING""",
        vars(found) | {"name": projection.name, "checksum": found.checksum},
    )


def create_tables(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    *,
    logged: bool = True,
) -> None:
    """Makes the schema, unless it is there, and in it the projection's tables without secondary
    indexes. `logged` tables survive a crash; a comparison's need not. Raises NotDefined."""
    _call(connection, "create_generation", projection.name, _checksum(projection), schema, logged)


def create_indexes(
    connection: psycopg.Connection[Any], projection: Projection, schema: str
) -> None:
    """Makes the secondary indexes, if they are not there, and tells the planner about the
    tables. Raises NotDefined."""
    _call(connection, "index_generation", projection.name, _checksum(projection), schema)


def analyze(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Tells the planner about the tables."""
    _call(connection, "analyze_generation", projection.name, schema)


def grant(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Gives everybody their rights on the tables (rights.py). Raises NotDefined."""
    _call(connection, "give_generation", projection.name, _checksum(projection), schema)


def copy_access(
    connection: psycopg.Connection[Any],
    projection: Projection,
    live_schema: str,
    schema: str,
    *,
    replace: bool,
) -> None:
    """Gives the tables in `schema` the access of those of the same name in `live_schema`, inside
    the caller's transaction: privileges (of schema, tables and columns) and row-level security are
    properties of tables, and a rebuild makes other tables. So they are copied as they are at the
    moment of the swap: a right that was taken away during a rebuild, or after the generation that
    one returns to, stays taken away. Policies that only `schema` has, or has of the same name, come
    with its code and stay, unless `replace`: then those of the live tables are all there are."""
    _call(connection, "copy_access", projection.name, live_schema, schema, replace)


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
    privileges, its options and what is built upon it. Raises ViewNotReplaceable, NotDefined."""
    _show(connection, projection, schema, turn, back=False)


def point_views_back(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    turn: Turn | None = None,
) -> None:
    """The same for an earlier build, maybe of other code: a column that its tables do not have
    is shown as null, because PostgreSQL does not let a view lose columns; a table that they lack
    has a view that stays as it is."""
    _show(connection, projection, schema, turn, back=True)


def _show(
    connection: psycopg.Connection[Any],
    projection: Projection,
    schema: str,
    turn: Turn | None,
    *,
    back: bool,
) -> None:
    assert turn is None or schema == schema_of(turn.projection_name, turn.after)
    before = None if turn is None else turn.before
    checksum = _checksum(projection)
    try:
        _call(connection, "show_generation", projection.name, checksum, schema, back, before)
    except (psycopg.errors.InvalidTableDefinition, psycopg.errors.WrongObjectType) as error:
        names = " or ".join(table.name for table in projection.public_tables)
        raise _not_replaceable(names, error.diag.message_primary or "") from error


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


def drop(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Drops a build's schema, if it exists; of a schema that several share, its tables. Raises
    GenerationShown rather than take a public view along."""
    try:
        with connection.transaction():
            _call(connection, "drop_generation", projection.name, schema)
    except psycopg.errors.DependentObjectsStillExist as error:
        raise GenerationShown(f"{error.diag.message_primary}") from error


def _call(connection: psycopg.Connection[Any], function: str, *arguments: object) -> None:
    places = sql.SQL(", ").join([sql.Placeholder()] * len(arguments))
    try:
        connection.execute(
            sql.SQL("SELECT {}({})").format(sql.Identifier("public", function), places), arguments
        )
    except psycopg.errors.UndefinedObject as error:
        raise NotDefined(
            f"{error.diag.message_primary}: the database was migrated by other code. Run: "
            "ledgerctl migrate"
        ) from error


def _checksum(projection: Projection) -> str:
    return definition_of(projection).checksum

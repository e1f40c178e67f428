"""Who sees and changes the rows of a build: said once, from what the tables are.

    owner      the owner of the log, of schemas, tables and views alike: whoever owns a table can
               put code into it that runs with the rights of its readers
    projector  reads and writes every row, as do operators, its members
    auditors   read every table
    users      read the public tables, and of them only the rows whose `user_id` is theirs; every
               row of a `shared` table; no row of a public table that is neither

Row-level security is on for every table, so a table whose author thought of nothing shows a user
nothing. It is a property of the tables, because the public views run with the rights of who reads
them (security_invoker): a build has it before its first reader, whatever is swapped afterwards.
The predicate compares a column of the row itself, which an index finds; equality of uuids is
leakproof, so conditions of the user's own on ids, texts and times use indexes as well, and no
function of theirs sees a row that is not theirs.

A time series that is a hypertable of TimescaleDB can have no row-level security: it is granted only
to those who see every row, and its readers read a view with the same predicate (give_series.sql).
"""

from collections.abc import Iterable
from typing import Any

from projections.engine.projection import Projection, Table

READERS = ("ledger_auditor", "ledger_operator", "ledger_user")
"""Roles that may read the public views."""


def script(projection: Projection) -> str:
    """Gives the tables in the schema that it is run in their row-level security, and everybody
    their rights on them. Run again it changes nothing."""
    return "\n".join(
        f"{statement};"
        for table in projection.tables
        for statement in (_of_series(table) if table.series else _of_table(table))
    )


def _of_series(table: Table[Any]) -> Iterable[str]:
    as_table = ";\n".join(_of_table(table))
    readers = ", ".join(("ledger_projector", *(() if table.private else READERS)))
    yield (
        f"SELECT public.give_series(current_schema(), '{table.name}', $table${as_table}$table$, "
        f"'{readers}', '{_visible(table) or 'false'}')"
    )


def _of_table(table: Table[Any]) -> Iterable[str]:
    return (statement.format(name=table.name) for statement in _statements(table))


def _statements(table: Table[Any]) -> Iterable[str]:
    yield "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY"
    yield "GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO ledger_projector"
    yield "DROP POLICY IF EXISTS written_rows ON {name}"
    yield (
        "CREATE POLICY written_rows ON {name} TO ledger_projector USING (true) WITH CHECK (true)"
    )
    yield "GRANT SELECT ON {name} TO ledger_auditor"
    yield "DROP POLICY IF EXISTS all_rows ON {name}"
    yield "CREATE POLICY all_rows ON {name} FOR SELECT TO ledger_auditor USING (true)"
    yield "DROP POLICY IF EXISTS own_rows ON {name}"
    if table.private:
        return
    yield "GRANT SELECT ON {name} TO ledger_user, ledger_operator"
    visible = _visible(table)
    if visible is not None:
        yield f"CREATE POLICY own_rows ON {{name}} FOR SELECT TO ledger_user USING ({visible})"


def _visible(table: Table[Any]) -> str | None:
    """Which rows users see; None if none."""
    if table.private:
        return None
    if "user_id" in table.columns:
        return "user_id = public.app_user_id()"
    return "true" if table.shared else None

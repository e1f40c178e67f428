"""Who sees and changes the rows of a build: said once, from what the tables are.

    owner      ledger_projector, so that its workers may COPY into tables with row-level security
    auditors   read every table
    operators  are members of ledger_projector (sql/roles): they build, swap and drop
    users      read the public tables, and of them only the rows whose `user_id` is theirs; every
               row of a `shared` table; no row of a public table that is neither

Row-level security is on for every table, so a table whose author thought of nothing shows a user
nothing. It is a property of the tables, because the public views run with the rights of who reads
them (security_invoker): a build has it before its first reader, whatever is swapped afterwards.
The predicate compares a column of the row itself, which an index finds; equality of uuids is
leakproof, so conditions of the user's own on ids, texts and times use indexes as well, and no
function of theirs sees a row that is not theirs.
"""

from typing import Any

import psycopg
from psycopg import sql

from projections.engine.projection import Projection, Table

READERS = ("ledger_auditor", "ledger_operator", "ledger_user")
"""Roles that may read the public views."""
OWNER = "ledger_projector"
"""Owns the tables and their schemas."""
VIEW_OWNER = "ledger_operator"
"""Owns the public views, which a swap replaces: the workers cannot point them elsewhere."""

_UNFINISHED = """
    SELECT count(*) FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace(%(schema)s) AND c.relkind = 'r'
        AND (NOT c.relrowsecurity OR c.relowner <> %(owner)s::regrole)"""


def give(connection: psycopg.Connection[Any], projection: Projection, schema: str) -> None:
    """Gives the tables in `schema` to their owner, with the rights of everybody else. The caller
    owns them, and is a member of the new owner."""
    place, owner = sql.Identifier(schema), sql.Identifier(OWNER)
    connection.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(place, owner))
    readers = sql.SQL(", ").join(map(sql.Identifier, READERS))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(place, readers))
    for table in projection.tables:
        name = sql.Identifier(schema, table.name)
        for statement in (
            "ALTER TABLE {name} ENABLE ROW LEVEL SECURITY",
            "GRANT SELECT ON {name} TO ledger_auditor",
            "DROP POLICY IF EXISTS all_rows ON {name}",
            "CREATE POLICY all_rows ON {name} FOR SELECT TO ledger_auditor USING (true)",
            "DROP POLICY IF EXISTS own_rows ON {name}",
            *_of_users(table),
            "ALTER TABLE {name} OWNER TO {owner}",
        ):
            connection.execute(sql.SQL(statement).format(name=name, owner=owner))


def give_views(connection: psycopg.Connection[Any], projection: Projection) -> None:
    """Gives the public views to who may replace them."""
    for table in projection.public_tables:
        connection.execute(
            sql.SQL("ALTER VIEW {} OWNER TO {}").format(
                sql.Identifier("public", table.name), sql.Identifier(VIEW_OWNER)
            )
        )


def are_given(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether the tables in `schema` have what `give` gives: those of older versions have not."""
    names = {"schema": f'"{schema}"', "owner": OWNER}
    return connection.execute(_UNFINISHED, names).fetchone() == (0,)


def let_operators_build(connection: psycopg.Connection[Any]) -> None:
    """Lets operators make schemas in this database. Here and not in sql/roles, because a right on
    a database is lost when it is restored or copied under another name: `ledgerctl migrate` puts
    it right although no file of it has changed."""
    connection.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(VIEW_OWNER)
        )
    )


def _of_users(table: Table[Any]) -> list[str]:
    if table.private:
        return []
    statements = ["GRANT SELECT ON {name} TO ledger_user, ledger_operator"]
    if "user_id" in table.columns:
        visible = "user_id = public.app_user_id()"
    elif table.shared:
        visible = "true"
    else:
        return statements
    statements.append(
        f"CREATE POLICY own_rows ON {{name}} FOR SELECT TO ledger_user USING ({visible})"
    )
    return statements

"""Making read models of older versions the owner of the log's.

In those versions `ledger_projector` owned the tables and `ledger_operator` the views, and an owner
can put code into what others read: a trigger, a rule, a default, a policy, a view's query. So,
before they change hands, whatever of that kind our SQL does not make is refused by name: the owner
of the log decides about it. Views are then written anew, so nothing is left of what they said.
"""

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from ledger.kernel.errors import LedgerError
from projections.engine.builds import generations
from projections.engine.projection import Projection


class ForeignCode(LedgerError):
    """What is in a read model and was not made by the ledger would run with its readers' rights."""


_OWNER = "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.event_store'::regclass"
_OTHERS_VIEW = """
    SELECT 1 FROM pg_class WHERE oid = to_regclass(%s) AND pg_get_userbyid(relowner) <> %s"""
_FOREIGN_VIEWS = """
    SELECT 'public.' || relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'v'
        AND pg_get_userbyid(relowner) = 'ledger_operator'"""
_SCHEMAS = """
    SELECT nspname FROM pg_namespace
    WHERE nspname ~ %s AND (pg_get_userbyid(nspowner) <> %s OR EXISTS (
        SELECT FROM pg_class WHERE relnamespace = pg_namespace.oid AND relkind IN ('r', 'p')
            AND pg_get_userbyid(relowner) <> %s))"""
_TABLES = """
    SELECT relname, relrowsecurity FROM pg_class
    WHERE relnamespace = to_regnamespace(%s) AND relkind IN ('r', 'p')"""
_WRITTEN_ROWS = (
    ("DROP POLICY IF EXISTS written_rows", ""),
    ("CREATE POLICY written_rows", "TO ledger_projector USING (true) WITH CHECK (true)"),
)
# Expressions of ours call nothing; one that calls something may run any statement.
_CALLS = r"""[\w"]\("""
_FOREIGN = """
    WITH place AS (SELECT to_regnamespace(%(place)s) AS oid), tables AS (
        SELECT c.* FROM pg_class AS c, place
        WHERE c.relnamespace = place.oid AND c.relkind IN ('r', 'p')
            AND pg_get_userbyid(c.relowner) <> %(owner)s)
    SELECT 'function ' || p.oid::regprocedure FROM pg_proc AS p, place
        WHERE p.pronamespace = place.oid
    UNION ALL SELECT 'operator ' || o.oid::regoperator FROM pg_operator AS o, place
        WHERE o.oprnamespace = place.oid
    UNION ALL SELECT 'type ' || t.oid::regtype FROM pg_type AS t, place
        WHERE t.typnamespace = place.oid AND t.typtype IN ('d', 'e', 'r')
    UNION ALL SELECT 'relation ' || c.oid::regclass FROM pg_class AS c, place
        WHERE c.relnamespace = place.oid AND c.relkind NOT IN ('r', 'p', 'i', 'I', 't')
    UNION ALL SELECT 'trigger ' || t.tgname || ' on ' || t.tgrelid::regclass
        FROM pg_trigger AS t JOIN tables ON tables.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL SELECT 'rule ' || r.rulename || ' on ' || r.ev_class::regclass
        FROM pg_rewrite AS r JOIN tables ON tables.oid = r.ev_class
    UNION ALL SELECT 'default of a column of ' || d.adrelid::regclass
        FROM pg_attrdef AS d JOIN tables ON tables.oid = d.adrelid
    UNION ALL SELECT 'policy ' || p.polname || ' on ' || p.polrelid::regclass
        FROM pg_policy AS p JOIN tables ON tables.oid = p.polrelid
        WHERE coalesce(pg_get_expr(p.polqual, p.polrelid), 'true') NOT IN
                ('true', '(user_id = app_user_id())', '(user_id = public.app_user_id())')
            OR coalesce(pg_get_expr(p.polwithcheck, p.polrelid), 'true') <> 'true'
    UNION ALL SELECT 'constraint ' || k.conname || ' on ' || k.conrelid::regclass
        FROM pg_constraint AS k JOIN tables ON tables.oid = k.conrelid
        WHERE k.contype = 'c' AND pg_get_expr(k.conbin, k.conrelid) ~ %(calls)s
    UNION ALL SELECT 'index ' || i.indexrelid::regclass
        FROM pg_index AS i JOIN tables ON tables.oid = i.indrelid
        WHERE concat(pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid))
            ~ %(calls)s"""


def take_over(connection: psycopg.Connection[Any], projections: Iterable[Projection]) -> None:
    """Inside the caller's transaction. Nothing if all is the owner's. Raises ForeignCode."""
    names = "|".join(projection.name for projection in projections)
    owner = _value(connection, _OWNER)
    pattern = f"^(past_[0-9]+|({names})_([0-9]+|[a-z]+))$"
    schemas = [name for (name,) in connection.execute(_SCHEMAS, [pattern, owner, owner]).fetchall()]
    for schema in schemas:
        _refuse_foreign(connection, schema, owner)
    for schema in schemas:
        _take(connection, schema, owner)


def take_over_views(connection: psycopg.Connection[Any], projection: Projection, live: str) -> None:
    """Writes the public views anew over the live generation, if they are not the owner's."""
    owner = _value(connection, _OWNER)
    theirs = [
        table.name
        for table in projection.public_tables
        if connection.execute(
            _OTHERS_VIEW,
            [f'public."{table.name}"', owner],
        ).fetchone()
    ]
    for name in theirs:
        connection.execute(
            sql.SQL("ALTER VIEW {} OWNER TO {}").format(
                sql.Identifier("public", name), sql.Identifier(owner)
            )
        )
    if theirs:
        generations.point_views_back(connection, projection, live)


def refuse_foreign_views(connection: psycopg.Connection[Any]) -> None:
    """Once ours are taken over: other views that operators own. Raises ForeignCode."""
    found = [name for (name,) in connection.execute(_FOREIGN_VIEWS)]
    if found:
        raise ForeignCode(
            f"operators own {', '.join(found)}, and could put code into what others read there: "
            "look at them, and drop them or give them to the owner of the log (ALTER VIEW … OWNER "
            "TO). Then run: ledgerctl migrate"
        )


def _refuse_foreign(connection: psycopg.Connection[Any], schema: str, owner: str) -> None:
    parameters = {"place": f'"{schema}"', "owner": owner, "calls": _CALLS}
    found = [name for (name,) in connection.execute(_FOREIGN, parameters)]
    if found:
        raise ForeignCode(
            f"in schema {schema} there is what the ledger did not make: {', '.join(found)}. It "
            "would run with the rights of whoever reads the read model: look at it, and drop it. "
            f"What is right so, give to the owner of the log with its table: ALTER TABLE … OWNER "
            f"TO {owner}. Then run: ledgerctl migrate"
        )


def _take(connection: psycopg.Connection[Any], schema: str, owner: str) -> None:
    place, new_owner = sql.Identifier(schema), sql.Identifier(owner)
    connection.execute(sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(place, new_owner))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO ledger_projector").format(place))
    for name, secured in connection.execute(_TABLES, [f'"{schema}"']).fetchall():
        statements = [
            "ALTER TABLE {table} OWNER TO {owner}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO ledger_projector",
        ]
        if secured:
            statements += [f"{statement} ON {{table}} {rest}" for statement, rest in _WRITTEN_ROWS]
        for statement in statements:
            table = sql.Identifier(schema, name)
            connection.execute(sql.SQL(statement).format(table=table, owner=new_owner))


def _value(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])

"""What every `ledgerctl migrate` puts right about who may do what with the database as a whole.

Not in sql/roles, because it must hold before the first file is applied (`close`), or is lost when a
database is restored or copied under another name although no file has changed (`settle`).

    close    nobody but owners makes anything in schema public, where names are looked up, and
             nothing is there already that somebody else made: a function of theirs could stand in
             for one of PostgreSQL's and would run with the rights of whoever calls it
    settle   only members of our roles may connect; only those that fold make temporary tables; all
             functions and tables, partitions of the log among them, are the owner of the log's
"""

from typing import Any

import psycopg
from psycopg import sql

from ledger.kernel.errors import LedgerError

CONNECTING = (
    "ledger_writer",
    "ledger_projector",
    "ledger_sealer",
    "ledger_auditor",
    "ledger_operator",
    "ledger_user",
    "ledger_monitor",
    "ledger_scheduler",
    "ledger_http",
)
"""Roles whose members may connect."""
_TEMPORARY = "ledger_projector"
"""Sends changed rows through temporary tables; operators are its members."""

# Of PUBLIC, and of roles that are neither superusers nor the owner of the log, nor us.
_MAKERS = """
    SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END
    FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
    WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
        AND pg_get_userbyid(a.grantee) <> current_user
        AND a.grantee NOT IN (SELECT relowner FROM pg_class
                              WHERE oid = to_regclass('public.event_store'))"""
_FOREIGN = """
    WITH ours AS (
        SELECT oid FROM pg_roles WHERE rolsuper OR rolname IN ('pg_database_owner', current_user)
        UNION SELECT relowner FROM pg_class WHERE oid = to_regclass('public.event_store')
        UNION SELECT datdba FROM pg_database WHERE datname = current_database()
    )
    SELECT 'function ' || oid::regprocedure || ' of ' || pg_get_userbyid(proowner) FROM pg_proc
        WHERE pronamespace = to_regnamespace('public') AND proowner NOT IN (SELECT oid FROM ours)
    UNION ALL SELECT 'operator ' || oid::regoperator || ' of ' || pg_get_userbyid(oprowner)
        FROM pg_operator
        WHERE oprnamespace = to_regnamespace('public') AND oprowner NOT IN (SELECT oid FROM ours)
    UNION ALL SELECT 'type ' || t.oid::regtype || ' of ' || pg_get_userbyid(typowner)
        FROM pg_type AS t LEFT JOIN pg_class AS c ON c.oid = t.typrelid
        WHERE typnamespace = to_regnamespace('public') AND typowner NOT IN (SELECT oid FROM ours)
            AND typelem = 0 AND (typrelid = 0 OR c.relkind = 'c')
    UNION ALL SELECT 'relation ' || c.oid::regclass || ' of ' || pg_get_userbyid(relowner)
        FROM pg_class AS c
        WHERE relnamespace = to_regnamespace('public') AND relkind IN ('r', 'v', 'm', 'p', 'f')
            AND relowner NOT IN (SELECT oid FROM ours)
            AND (relkind <> 'v' OR pg_get_userbyid(relowner) <> 'ledger_operator'
                OR EXISTS (SELECT FROM pg_class AS shadowed WHERE shadowed.relname = c.relname
                           AND shadowed.relnamespace = to_regnamespace('pg_catalog')))"""
_FUNCTIONS = """
    SELECT p.oid::regprocedure::text, pg_get_userbyid(e.relowner)
    FROM pg_proc AS p, pg_class AS e
    WHERE p.pronamespace = to_regnamespace('public') AND e.oid = to_regclass('public.event_store')
        AND p.proowner <> e.relowner AND p.proname = ANY(%s)
        AND pg_has_role(current_user, p.proowner, 'USAGE')"""
_TABLES = """
    SELECT c.relname, pg_get_userbyid(e.relowner) FROM pg_class AS c, pg_class AS e
    WHERE c.relnamespace = to_regnamespace('public') AND c.relkind = 'r'
        AND e.oid = to_regclass('public.event_store') AND c.relowner <> e.relowner
        AND (c.relname = ANY(%s)
            OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = e.oid))
        AND pg_has_role(current_user, c.relowner, 'USAGE')"""


class ForeignObjects(LedgerError):
    """Somebody who does not own the log made something where its names are looked up."""


def close(connection: psycopg.Connection[Any]) -> None:
    """On a connection that looks names up in pg_catalog alone. Raises ForeignObjects."""
    with connection.transaction():
        for (role,) in connection.execute(_MAKERS).fetchall():
            connection.execute(
                sql.SQL("REVOKE CREATE ON SCHEMA public FROM {}").format(
                    sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
                )
            )
    found = [name for (name,) in connection.execute(_FOREIGN)]
    if found:
        raise ForeignObjects(
            f"in schema public there is what neither the owner of the log nor a superuser made: "
            f"{', '.join(found)}. It could run with the rights of others: look at it, and drop it "
            "or make it the owner's (ALTER … OWNER TO). Then run: ledgerctl migrate"
        )


def settle(connection: psycopg.Connection[Any], functions: list[str], tables: list[str]) -> None:
    """After all files are applied; `functions` and `tables` are those that they make."""
    with connection.transaction():
        database = sql.Identifier(connection.info.dbname)
        roles = sql.SQL(", ").join(map(sql.Identifier, CONNECTING))
        for statement in (
            "REVOKE CREATE, CONNECT, TEMPORARY ON DATABASE {database} FROM PUBLIC",
            "REVOKE CREATE, TEMPORARY ON DATABASE {database} FROM {roles}",
            "GRANT CONNECT ON DATABASE {database} TO {roles}",
            "GRANT TEMPORARY ON DATABASE {database} TO {temporary}",
        ):
            connection.execute(
                sql.SQL(statement).format(
                    database=database, roles=roles, temporary=sql.Identifier(_TEMPORARY)
                )
            )
        for function, owner in connection.execute(_FUNCTIONS, [functions]).fetchall():
            connection.execute(
                sql.SQL("ALTER FUNCTION {} OWNER TO {}").format(
                    sql.SQL(function), sql.Identifier(owner)
                )
            )
        for table, owner in connection.execute(_TABLES, [tables]).fetchall():
            connection.execute(
                sql.SQL("ALTER TABLE {} OWNER TO {}").format(
                    sql.Identifier("public", table), sql.Identifier(owner)
                )
            )

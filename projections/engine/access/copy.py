"""Who may do what with a build's tables: the same as with the live ones.

Owners, privileges (of schemas, tables and columns) and row-level security are properties of
tables, and a rebuild makes other tables. So they are copied from the live tables, as they are at
the moment of the swap: a right that was taken away during a rebuild, or after the generation
that one returns to, stays taken away.

A policy may name other tables of its own generation; it is made to name those of the new one.
"""

import re
from collections import defaultdict
from typing import Any, NamedTuple, TypeAlias

import psycopg
from psycopg import sql

_SCHEMA_GRANTS = """
    SELECT NULL, NULL, CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,
        a.privilege_type, a.is_grantable
    FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
    WHERE n.nspname = %(schema)s AND a.grantee <> n.nspowner"""
_TABLE_GRANTS = """
    SELECT c.relname, NULL, CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END,
        a.privilege_type, a.is_grantable
    FROM pg_class AS c, aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
    WHERE c.relnamespace = to_regnamespace(%(name)s) AND c.relkind = 'r'
        AND a.grantee <> c.relowner"""
_COLUMN_GRANTS = """
    SELECT c.relname, t.attname, CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee)
        END, a.privilege_type, a.is_grantable
    FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid, aclexplode(t.attacl) AS a
    WHERE c.relnamespace = to_regnamespace(%(name)s) AND c.relkind = 'r'"""
_TABLES = """
    SELECT c.relname, pg_get_userbyid(c.relowner), c.relrowsecurity, c.relforcerowsecurity,
        ARRAY(SELECT attname::text FROM pg_attribute
              WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
    FROM pg_class AS c
    WHERE c.relnamespace = to_regnamespace(%(name)s) AND c.relkind = 'r'"""
_POLICIES = """
    SELECT c.relname, p.polname, p.polpermissive, p.polcmd::text,
        ARRAY(SELECT CASE r WHEN 0 THEN NULL ELSE pg_get_userbyid(r)::text END
              FROM unnest(p.polroles) AS r),
        pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
    FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid
    WHERE c.relnamespace = to_regnamespace(%(name)s)"""
_OF_COMMAND = {"*": "ALL", "r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}

Right: TypeAlias = tuple[str | None, str | None, str | None, str]
"""(table or None for the schema, column or None, role or None for PUBLIC, privilege)."""


class _Table(NamedTuple):
    owner: str
    enabled: bool
    forced: bool
    columns: list[str]


class _Policy(NamedTuple):
    permissive: bool
    command: str
    roles: list[str | None]
    using: str | None
    check: str | None


class _Access(NamedTuple):
    """What the catalogs say of a schema. `rights`: whether each may be passed on."""

    tables: dict[str, _Table]
    rights: dict[Right, bool]
    policies: dict[str, dict[str, _Policy]]


def copy(
    connection: psycopg.Connection[Any], live_schema: str, schema: str, *, replace: bool
) -> None:
    """Gives the tables in `schema` the access of those of the same name in `live_schema`, inside
    the caller's transaction. Policies that only `schema` has, or has of the same name, come with
    its code and stay, unless `replace`: then those of the live tables are all there are."""
    live, ours = _access(connection, live_schema), _access(connection, schema)
    statements = [
        *_owners(live, ours, schema),
        *_rights(live, ours, schema),
        *_row_security(live, ours, live_schema, schema, replace=replace),
    ]
    for statement in statements:
        connection.execute(statement)


def _access(connection: psycopg.Connection[Any], schema: str) -> _Access:
    names = {"schema": schema, "name": f'"{schema}"'}
    tables = {row[0]: _Table(*row[1:]) for row in connection.execute(_TABLES, names)}
    rights: dict[Right, bool] = {}
    for query in (_SCHEMA_GRANTS, _TABLE_GRANTS, _COLUMN_GRANTS):
        for table, column, role, privilege, grantable in connection.execute(query, names):
            rights[table, column, role, privilege] = grantable
    policies: dict[str, dict[str, _Policy]] = defaultdict(dict)
    for row in connection.execute(_POLICIES, names):
        policies[row[0]][row[1]] = _Policy(*row[2:])
    return _Access(tables, rights, policies)


def _owners(live: _Access, ours: _Access, schema: str) -> list[sql.Composed]:
    return [
        sql.SQL("ALTER TABLE {} OWNER TO {}").format(
            sql.Identifier(schema, name), sql.Identifier(live.tables[name].owner)
        )
        for name, table in ours.tables.items()
        if name in live.tables and table.owner != live.tables[name].owner
    ]


def _rights(live: _Access, ours: _Access, schema: str) -> list[sql.Composed]:
    def fits(right: Right) -> bool:
        table, column = right[:2]
        if table is None:
            return True
        return (
            table in live.tables
            and table in ours.tables
            and (column is None or column in ours.tables[table].columns)
        )

    statements = []
    for right, grantable in live.rights.items():
        if fits(right) and ours.rights.get(right) is not grantable:
            if right in ours.rights and not grantable:
                statements.append(_change("REVOKE GRANT OPTION FOR", "FROM", right, schema))
            else:
                option = " WITH GRANT OPTION" if grantable else ""
                statements.append(_change("GRANT", "TO", right, schema, option))
    statements += [
        _change("REVOKE", "FROM", right, schema)
        for right in ours.rights
        if fits(right) and right not in live.rights
    ]
    return statements


def _change(verb: str, preposition: str, right: Right, schema: str, end: str = "") -> sql.Composed:
    table, column, role, privilege = right
    return sql.SQL("{} {}{} ON {} {} {} {}" + end).format(
        sql.SQL(verb),
        sql.SQL(privilege),
        sql.SQL("") if column is None else sql.SQL(" ({})").format(sql.Identifier(column)),
        sql.SQL("SCHEMA") if table is None else sql.SQL("TABLE"),
        sql.Identifier(schema) if table is None else sql.Identifier(schema, table),
        sql.SQL(preposition),
        _role(role),
    )


def _role(role: str | None) -> sql.Composable:
    return sql.SQL("PUBLIC") if role is None else sql.Identifier(role)


def _row_security(
    live: _Access, ours: _Access, live_schema: str, schema: str, *, replace: bool
) -> list[sql.Composed]:
    statements = []
    for name, table in ours.tables.items():
        if name not in live.tables:
            continue
        identifier = sql.Identifier(schema, name)
        there = ours.policies.get(name, {})
        if replace:
            statements += [
                sql.SQL("DROP POLICY {} ON {}").format(sql.Identifier(policy), identifier)
                for policy in there
            ]
        statements += [
            _create_policy(policy_name, identifier, policy, live_schema, schema)
            for policy_name, policy in live.policies.get(name, {}).items()
            if replace or policy_name not in there
        ]
        of_live = live.tables[name]
        for wanted, has, on, off in (
            (of_live.enabled, table.enabled, "ENABLE", "DISABLE"),
            (of_live.forced, table.forced, "FORCE", "NO FORCE"),
        ):
            if wanted != has and (wanted or replace):
                statements.append(
                    sql.SQL("ALTER TABLE {} {} ROW LEVEL SECURITY").format(
                        identifier, sql.SQL(on if wanted else off)
                    )
                )
    return statements


def _create_policy(
    name: str, table: sql.Identifier, policy: _Policy, live_schema: str, schema: str
) -> sql.Composed:
    def expression(keyword: str, text: str | None) -> sql.Composed:
        if text is None:
            return sql.Composed([])
        own = re.compile(rf'(?<![\w"$])(?:{re.escape(live_schema)}|"{re.escape(live_schema)}")\.')
        moved = own.sub(sql.Identifier(schema).as_string() + ".", text)
        return sql.SQL(" {} ({})").format(sql.SQL(keyword), sql.SQL(moved))

    return sql.SQL("CREATE POLICY {} ON {} AS {} FOR {} TO {}{}{}").format(
        sql.Identifier(name),
        table,
        sql.SQL("PERMISSIVE" if policy.permissive else "RESTRICTIVE"),
        sql.SQL(_OF_COMMAND[policy.command]),
        sql.SQL(", ").join(map(_role, policy.roles)),
        expression("USING", policy.using),
        expression("WITH CHECK", policy.check),
    )

"""Being somebody else in the database: a role, or a login that is a member of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from ledger.operate.roles import with_login

ROLES = (
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

ADVISORY_LOCKS = (
    "SELECT pg_advisory_lock(hashtext('event_store'), 1)",
    "SELECT pg_advisory_lock(hashtext('schema_migrations'))",
    "SELECT pg_advisory_lock(hashtext('projections install'))",
    "SELECT pg_advisory_lock(hashtext('command_partitions'))",
    "SELECT pg_advisory_lock(hashtext('projections balances'))",
)
"""Those that held something up once, and are nobody's any more."""


@contextmanager
def acting_as(
    database_url: str, role: str, user_id: UUID | None = None
) -> Iterator[psycopg.Connection[Any]]:
    """A connection that works as the role, in autocommit."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        if user_id is not None:
            connection.execute(
                "SELECT set_config('app.current_user_id', %s, false)", [str(user_id)]
            )
        yield connection


@contextmanager
def login_of(database_url: str, *roles: str) -> Iterator[str]:
    """The URL of a login, no superuser, that is a member of these roles alone."""
    login = f"login_{uuid4().hex}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(login)))
        for role in roles:
            connection.execute(
                sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(login))
            )
        try:
            yield with_login(database_url, login)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(login)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))

"""Which role each part of the ledger works as: the least that lets it do its work.

    commands      ledger_writer        appends events and outcomes, sees no read model
    projections   ledger_projector     reads the log, writes read models, cannot append
    seals, publisher                   as projections: they keep a place in the log as well
    queries       ledger_auditor       reads
    terminal      ledger_operator      `ledgerctl projections`
                  ledger_auditor       `ledgerctl query`, which only reads

A login that is a member of its role and nothing more is used as it is. A login that could do
anything (a superuser, or the owner of the log) works as the role instead: the whole connection
begins as it (`role` in its options), whatever opens it. A login that is neither is refused with
what it lacks. The embedded PostgreSQL has a login for each service.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from ledger.operate.schema import connect

WRITER = "ledger_writer"
PROJECTOR = "ledger_projector"
AUDITOR = "ledger_auditor"
OPERATOR = "ledger_operator"

_OF_SERVICE = {"commands": WRITER, "queries": AUDITOR}
_OF_OTHER_SERVICES = PROJECTOR
"""Services of other packages read the log and write what they make of it."""
_OF_COMMAND = {"query": AUDITOR}

_STANDING = """
    SELECT current_user,
        rolsuper OR owner IS NOT NULL AND pg_has_role(current_user, owner, 'USAGE'),
        CASE WHEN to_regrole(%(role)s) IS NOT NULL
            THEN pg_has_role(current_user, to_regrole(%(role)s), 'USAGE') END
    FROM pg_roles LEFT JOIN (
        SELECT relowner AS owner FROM pg_class WHERE oid = to_regclass('public.event_store')) AS log
        ON true
    WHERE rolname = current_user"""


class RoleMissing(Exception):
    """The login of a database URL may not do what it is used for."""


def of_service(name: str) -> str:
    """The role of `ledgerctl serve NAME`."""
    return _OF_SERVICE.get(name, _OF_OTHER_SERVICES)


def as_service(database_url: str, name: str) -> str:
    """The URL with which a service has its role's rights and no others. Raises RoleMissing, or
    psycopg.OperationalError when the server cannot be reached."""
    role = of_service(name)
    with connect(database_url) as connection:
        login, could_do_anything, has_role = _standing(connection, role)
    if has_role is None:
        return database_url  # not migrated: the service says so itself
    if not has_role:
        raise RoleMissing(
            f"the login {login} may not work as {role}, which `ledgerctl serve {name}` needs. As "
            f"the database's owner: GRANT {role} TO {login}"
        )
    return acting_as(database_url, role) if could_do_anything else database_url


def of_command(name: str) -> str:
    """The role of `ledgerctl NAME` of another package: an operator, so that whatever is made
    belongs to all operators, unless it only reads."""
    return _OF_COMMAND.get(name, OPERATOR)


def at_terminal(database_url: str, role: str = OPERATOR) -> str:
    """The URL for a person at the terminal: with the role, if the login can have it. Others see
    what their own roles let them see."""
    with connect(database_url) as connection:
        has_role = _standing(connection, role)[2]
    return acting_as(database_url, role) if has_role else database_url


def step_down(connection: psycopg.Connection[Any], role: str) -> None:
    """For a command that needs no more than `role`: who could do anything does it as that role.
    Nothing for others, and before the first migration."""
    _, could_do_anything, has_role = _standing(connection, role)
    if could_do_anything and has_role:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))


def acting_as(database_url: str, role: str) -> str:
    """The URL with connections that begin as `role`."""
    parts = urlsplit(database_url)
    option = quote(f"-c role={role}", safe="")
    words = [word for word in parts.query.split("&") if word]
    given = [word for word in words if word.startswith("options=")]
    kept = [word for word in words if word not in given]
    # Of several, libpq takes the last; the others would be lost.
    options = f"{given[-1]}%20{option}" if given else f"options={option}"
    return urlunsplit(parts._replace(query="&".join([*kept, options])))


def make_logins(database_url: str, services: Iterable[str]) -> dict[str, str]:
    """On an embedded PostgreSQL, which knows its logins by who gets to its socket: a login for
    each service, a member of its role. Returns their URLs."""
    urls = {}
    with connect(database_url) as connection:
        for name in services:
            login = f"ledger_{name}"
            if connection.execute("SELECT to_regrole(%s)", [login]).fetchone() == (None,):
                connection.execute(
                    sql.SQL("CREATE ROLE {} LOGIN IN ROLE {}").format(
                        sql.Identifier(login), sql.Identifier(of_service(name))
                    )
                )
            urls[name] = with_login(database_url, login)
    return urls


def with_login(database_url: str, login: str) -> str:
    """The URL with another login, of a server that asks it for no password."""
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _standing(connection: psycopg.Connection[Any], role: str) -> tuple[str, bool, bool | None]:
    """The login; whether it could do anything; whether it has the role, None without a role."""
    row = connection.execute(_STANDING, {"role": role}).fetchone()
    assert row is not None
    return row[0], row[1], row[2]

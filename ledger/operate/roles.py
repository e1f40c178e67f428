"""Which role each part of the ledger works as: the least that lets it do its work.

    programs    each as the role that it registers (`ledger/programs/registry.py`):
                ledger_writer     appends events and outcomes, sees no read model
                ledger_projector  reads the log, writes read models or its own place, cannot append
                ledger_sealer     reads the log, writes seals and its own place, nothing else
                ledger_auditor    reads
                ledger_scheduler      reads, and writes how far it is with what is due
    terminal    ledger_operator   `ledgerctl projections`, `ledgerctl commands`
                ledger_sealer     `ledgerctl audit seal`
                ledger_auditor    all that only reads

A login that is a member of its role and nothing more is used as it is. A login that could do
anything (a superuser, or the owner of the log) works as the role instead: the whole connection
begins as it (`role` in its options), whatever opens it. A login that is neither is refused with
what it lacks. The embedded PostgreSQL has a login for each program.

Which of them a login is, is asked on a connection that looks names up in pg_catalog alone: a
superuser asks it, and nobody's function may answer.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from psycopg import sql

from ledger.kernel.errors import LedgerError
from ledger.operate.database import connect
from ledger.operate.database_url import acting_as, catalog_only, confined

WRITER = "ledger_writer"
PROJECTOR = "ledger_projector"
SEALER = "ledger_sealer"
AUDITOR = "ledger_auditor"
OPERATOR = "ledger_operator"
SCHEDULER = "ledger_scheduler"

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

_OTHER_ROLES = """
    SELECT pg_get_userbyid(roleid) FROM pg_auth_members
    WHERE member = to_regrole(%s) AND pg_get_userbyid(roleid) <> %s"""


class RoleMissing(LedgerError):
    """The login of a database URL may not do what it is used for."""


def as_role(database_url: str, role: str, needed_by: str) -> str:
    """The URL with which a program has its role's rights and no others. Raises RoleMissing, or
    psycopg.OperationalError when the server cannot be reached."""
    login, could_do_anything, has_role = _standing(database_url, role)
    if has_role is None:
        return confined(database_url)  # not migrated: the program says so itself
    if not has_role:
        raise RoleMissing(
            f"the login {login} may not work as {role}, which `{needed_by}` needs. As "
            f"the database's owner: GRANT {role} TO {login}"
        )
    return acting_as(database_url, role) if could_do_anything else confined(database_url)


def of_command(name: str) -> str:
    """The role of `ledgerctl NAME` of another package: an operator, unless it only reads."""
    return _OF_COMMAND.get(name, OPERATOR)


def at_terminal(database_url: str, role: str = OPERATOR) -> str:
    """The URL for a person at the terminal: with the role, if the login can have it. Others see
    what their own roles let them see."""
    has_role = _standing(database_url, role)[2]
    return acting_as(database_url, role) if has_role else confined(database_url)


def stepping_down(database_url: str, role: str = AUDITOR) -> str:
    """The URL for a command that needs no more than `role`: who could do anything does it as that
    role. Nothing for others, and before the first migration."""
    _, could_do_anything, has_role = _standing(database_url, role)
    if could_do_anything and has_role:
        return acting_as(database_url, role)
    return confined(database_url)


def make_logins(database_url: str, roles: Mapping[str, str]) -> dict[str, str]:
    """On an embedded PostgreSQL, which knows its logins by who gets to its socket: a login for
    each program, a member of its role and of no other. Returns their URLs."""
    urls = {}
    with connect(catalog_only(database_url), "logins") as connection:
        for name, role in roles.items():
            login = f"ledger_{name}"
            if connection.execute("SELECT to_regrole(%s)", [login]).fetchone() == (None,):
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(login)))
            others = connection.execute(_OTHER_ROLES, [login, role]).fetchall()
            changes = [("REVOKE {} FROM {}", other) for (other,) in others]
            for change, of_role in [*changes, ("GRANT {} TO {}", role)]:
                connection.execute(
                    sql.SQL(change).format(sql.Identifier(of_role), sql.Identifier(login))
                )
            urls[name] = with_login(database_url, login)
    return urls


def with_login(database_url: str, login: str) -> str:
    """The URL with another login, of a server that asks it for no password."""
    parts = urlsplit(database_url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}"))


def _standing(database_url: str, role: str) -> tuple[str, bool, bool | None]:
    """The login; whether it could do anything; whether it has the role, None without a role."""
    with connect(catalog_only(database_url), "roles") as connection:
        row: Any = connection.execute(_STANDING, {"role": role}).fetchone()
    assert row is not None
    return row[0], row[1], row[2]

"""How a session begins, whatever the server, the database, the login or the shell say otherwise.

    pinned    all settings that the meaning of a statement depends on
    refused   a server that is too old, a database that is not UTF8, a session in which triggers do
              not fire, one that does not work as the role that its URL asks for
    poolers   one between may have dropped what the URL asks for (`options`): it is asked for again,
              and then looked at. One that hands sessions on between transactions is refused: what
              is set would be others', LISTEN and prepared statements would be lost

Nothing here is believed because it was asked for: what the session is, it says itself.
"""

import shlex
import threading
from collections.abc import Generator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import psycopg
from psycopg import ConnectionInfo

from ledger.kernel.errors import LedgerError

OLDEST_POSTGRES = 150_000
"""The oldest server version that is tested, as `server_version_num` writes it."""
PINNED = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "bytea_output": "hex",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
}
"""Settings of every session of ours. Time limits, and whether it may only read, stay as the
database or the login has them: they change no meaning."""
LOOKS_AT_POOLER = 8
"""How often two connections tell which session of the server they have. One that is handed on
meets both of them within the first looks, as poolers hand out what was given back last."""
LOOK_SECONDS = 10.0
"""A pooler that has no session left by then has too few for the ledger."""

Query = tuple[str, tuple[Any, ...]]
Row = tuple[Any, ...]

_PIN = """
    SELECT pg_catalog.count(pg_catalog.set_config(pinned.name, pinned.value, false))
    FROM ROWS FROM (pg_catalog.unnest(%s::text[]), pg_catalog.unnest(%s::text[]))
        AS pinned (name, value)"""
_LOOK = """
    SELECT current_user::text, pg_catalog.pg_backend_pid(),
        pg_catalog.current_setting('session_replication_role')"""
_PID = "SELECT pg_catalog.pg_backend_pid()"
_looked_at: set[str] = set()
"""URLs of poolers that keep a session for each connection, as this process has seen."""
_one_looks = threading.Lock()


class UnsupportedPostgres(LedgerError):
    """The server, the database or what lies between is not what the ledger can work with."""


def beginning(info: ConnectionInfo, database_url: str) -> Generator[Query, Row, bool]:
    """Yields what is to be asked, takes the answers; whether there is a pooler between. Raises
    UnsupportedPostgres."""
    _check_server(info)
    yield _PIN, (list(PINNED), list(PINNED.values()))
    user, pid, replication_role = yield _LOOK, ()
    asked = asked_for(database_url)
    is_pooled: bool = pid != info.backend_pid
    if is_pooled and asked:
        yield _PIN, (list(asked), list(asked.values()))
        user, pid, replication_role = yield _LOOK, ()
    if user != asked.get("role", user):
        raise UnsupportedPostgres(
            f"the session works as {user} and not as {asked['role']}, which it was asked to: a "
            "pooler between drops that. Connect directly, or give each service a login of its own."
        )
    if replication_role != "origin":
        raise UnsupportedPostgres(
            f"session_replication_role is {replication_role} for {user}: the triggers that guard "
            f"the log would not fire. ALTER ROLE {user} RESET session_replication_role"
        )
    return is_pooled


def refuse_shared_sessions(database_url: str) -> None:
    """Raises UnsupportedPostgres if the pooler between hands sessions of the server on between
    transactions. Looks at a pooler once."""
    with _one_looks:
        if database_url in _looked_at:
            return
        found: list[set[int] | Exception] = []
        looking = threading.Thread(target=_look, args=(database_url, found), daemon=True)
        looking.start()
        looking.join(LOOK_SECONDS)
        if not found or not isinstance(found[0], set):
            reason = "it gave none within 10 seconds" if not found else str(found[0]).strip()
            raise UnsupportedPostgres(
                f"the pooler at {_place(database_url)} has no two sessions for this login "
                f"({reason}). Give it more: pool_size at least 30."
            )
        if found[0]:
            raise UnsupportedPostgres(
                f"the pooler at {_place(database_url)} hands a session of the server to others "
                "between transactions (pool_mode = transaction or statement): settings, "
                "notifications and prepared statements would be lost or be others'. Set pool_mode "
                "= session, or connect directly."
            )
        _looked_at.add(database_url)


def _look(database_url: str, found: list[set[int] | Exception]) -> None:
    """The sessions of the server that both of two connections had."""
    try:
        with (
            psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as one,
            psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as other,
        ):
            had: tuple[set[int], set[int]] = (set(), set())
            for _ in range(LOOKS_AT_POOLER):
                for connection, pids in zip((one, other), had, strict=True):
                    pids.update(row[0] for row in connection.execute(_PID))
            found.append(had[0] & had[1])
    except psycopg.Error as error:
        found.append(error)


def explained(error: psycopg.OperationalError) -> Exception:
    """The error of connecting, or what it means where a pooler refuses what every URL has."""
    if "unsupported startup parameter" not in str(error):
        return error
    return UnsupportedPostgres(
        f"a pooler between refuses what the ledger's sessions begin with ({str(error).strip()}). "
        "Set there ignore_startup_parameters = options,extra_float_digits: the ledger sets and "
        "checks it by itself."
    )


def pinned_options() -> str:
    """What is pinned, as `options` of a connection that others open for us."""
    escaped = {name: value.replace(" ", r"\ ") for name, value in PINNED.items()}
    return " ".join(f"-c {name}={value}" for name, value in escaped.items())


def asked_for(database_url: str) -> dict[str, str]:
    """The settings that a URL asks for, `options=-c name=value`, the role last."""
    query = dict(parse_qsl(database_url.partition("?")[2]))
    settings: dict[str, str] = {}
    for word in shlex.split(query.get("options", "").replace("-c ", "-c")):
        name, given, value = word.removeprefix("-c").removeprefix("--").partition("=")
        if given:
            settings[name.strip()] = value
    if "role" in settings:
        settings["role"] = settings.pop("role")
    return settings


def _check_server(info: ConnectionInfo) -> None:
    if info.server_version < OLDEST_POSTGRES:
        raise UnsupportedPostgres(
            f"the server is PostgreSQL {info.server_version // 10_000}; "
            f"{OLDEST_POSTGRES // 10_000} or later is needed."
        )
    encoding = info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise UnsupportedPostgres(
            f"the database {info.dbname} keeps texts as {encoding}, which cannot keep all that is "
            "sent. Make one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
        )


def _place(database_url: str) -> str:
    return urlsplit(database_url).netloc.rpartition("@")[2] or "the local socket"

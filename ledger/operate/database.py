"""The one way to connect to PostgreSQL.

    connect         for one thread
    connect_async   for an event loop
    pool            several, for an event loop

Each begins with what must hold before the first statement: names are looked up in pg_catalog first
(`database_url.py`), TLS and the role are in the URL that `servers.py` and `roles.py` give out,
statements commit by themselves unless a transaction is begun, texts are UTF-8, a server that
vanished is noticed, and pg_stat_activity shows what the session is for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from ledger.kernel.errors import LedgerError
from ledger.operate.database_url import settled

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool

OLDEST_POSTGRES = 150_000
"""The oldest server version that is tested, as `server_version_num` writes it."""
CONNECT_TIMEOUT_SECONDS = 5
"""Long enough for a busy server, short enough to try a restarted one again soon."""
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 4, 2, 3
"""A server that vanished is noticed after ten seconds of silence, not after two hours."""
POOL_TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection of a pool."""
MOST_NAME_BYTES = 63
"""PostgreSQL cuts longer names off, and says so at each connection."""

OF_WHAT_IS_ASKED = (
    psycopg.DataError,
    errors.DataCorrupted,
    errors.IndexCorrupted,
    errors.InternalError_,
)
"""Errors that are those of a row that is read or written: to wait for the database does not help,
and what has nothing to do with the row goes on."""


class UnsupportedPostgres(LedgerError):
    """The server is older than any version this is tested with."""


def connect(
    database_url: str, purpose: str, *, timeout: int = CONNECT_TIMEOUT_SECONDS
) -> psycopg.Connection[Any]:
    """A connection in autocommit mode. Raises UnsupportedPostgres, or psycopg.OperationalError when
    the server cannot be reached."""
    connection = psycopg.connect(settled(database_url), **_options(purpose, timeout))
    try:
        _check_version(connection.info.server_version)
    except UnsupportedPostgres:
        connection.close()
        raise
    return connection


async def connect_async(database_url: str, purpose: str) -> psycopg.AsyncConnection[Any]:
    """As `connect`."""
    options = _options(purpose, CONNECT_TIMEOUT_SECONDS)
    connection = await psycopg.AsyncConnection.connect(settled(database_url), **options)
    try:
        _check_version(connection.info.server_version)
    except UnsupportedPostgres:
        await connection.close()
        raise
    return connection


def pool(
    database_url: str, purpose: str, *, size: int
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Up to `size` connections, not opened yet."""
    from psycopg_pool import AsyncConnectionPool

    return AsyncConnectionPool(
        settled(database_url),
        kwargs=_options(purpose, CONNECT_TIMEOUT_SECONDS),
        min_size=1,
        max_size=size,
        timeout=POOL_TIMEOUT_SECONDS,
        open=False,
    )


def _options(purpose: str, timeout: int) -> dict[str, Any]:
    return {
        "autocommit": True,
        "connect_timeout": timeout,
        "client_encoding": "utf8",  # texts in binary COPY are
        "application_name": f"ledger {purpose}"[:MOST_NAME_BYTES],
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
    }


def _check_version(version: int) -> None:
    if version < OLDEST_POSTGRES:
        raise UnsupportedPostgres(
            f"the server is PostgreSQL {version // 10_000}; "
            f"{OLDEST_POSTGRES // 10_000} or later is needed."
        )

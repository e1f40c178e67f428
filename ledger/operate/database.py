"""The one way to connect to PostgreSQL.

    connect         for one thread
    connect_async   for an event loop
    pool            several, for an event loop
    thread_pool     several, for threads

Each begins with what must hold before the first statement: names are looked up in pg_catalog first
(`database_url.py`), TLS and the role are in the URL that `servers.py` and `roles.py` give out,
statements commit by themselves unless a transaction is begun, a server that vanished is noticed,
and pg_stat_activity shows what the session is for. What a statement means depends on nothing that
others set (`database_session.py`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import errors

from ledger.operate import database_session
from ledger.operate.database_session import UnsupportedPostgres
from ledger.operate.database_url import settled

if TYPE_CHECKING:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool

__all__ = [
    "OF_WHAT_IS_ASKED",
    "UnsupportedPostgres",
    "connect",
    "connect_async",
    "pool",
    "thread_pool",
]

CONNECT_TIMEOUT_SECONDS = 5
"""Long enough for a busy server, short enough to try a restarted one again soon."""
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 4, 2, 3
"""A server that vanished is noticed after ten seconds of silence, not after two hours."""
POOL_TIMEOUT_SECONDS = 5.0
"""Longest wait for a connection of a pool, and how long the pool itself tries to make one, with
longer and longer pauses, before the next who wants one has it begin anew: a database that is back
is used at once, however long it was away."""
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


def connect(
    database_url: str, purpose: str, *, timeout: int = CONNECT_TIMEOUT_SECONDS
) -> psycopg.Connection[Any]:
    """A connection in autocommit mode. Raises UnsupportedPostgres, or psycopg.OperationalError when
    the server cannot be reached."""
    url = settled(database_url)
    try:
        connection = psycopg.connect(url, **_options(purpose, timeout))
    except psycopg.OperationalError as error:
        raise database_session.explained(error) from error
    try:
        _begin_in_thread(connection, url)
    except BaseException:
        connection.close()
        raise
    return connection


def _begin_in_thread(connection: psycopg.Connection[Any], url: str) -> None:
    steps = database_session.beginning(connection.info, url)
    try:
        query = next(steps)
        while True:
            query = steps.send(_row(connection.execute(*query).fetchone()))
    except StopIteration as end:
        if end.value:
            database_session.refuse_shared_sessions(url)


async def connect_async(database_url: str, purpose: str) -> psycopg.AsyncConnection[Any]:
    """As `connect`."""
    url = settled(database_url)
    options = _options(purpose, CONNECT_TIMEOUT_SECONDS)
    try:
        connection = await psycopg.AsyncConnection.connect(url, **options)
    except psycopg.OperationalError as error:
        raise database_session.explained(error) from error
    try:
        await _begin(connection, url)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _begin(connection: psycopg.AsyncConnection[Any], url: str) -> None:
    steps = database_session.beginning(connection.info, url)
    try:
        query = next(steps)
        while True:
            cursor = await connection.execute(*query)
            query = steps.send(_row(await cursor.fetchone()))
    except StopIteration as end:
        if end.value:
            await asyncio.to_thread(database_session.refuse_shared_sessions, url)


def pool(
    database_url: str, purpose: str, *, size: int
) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Up to `size` connections, not opened yet."""
    from psycopg_pool import AsyncConnectionPool

    url = settled(database_url)
    return AsyncConnectionPool(
        url,
        kwargs=_options(purpose, CONNECT_TIMEOUT_SECONDS),
        configure=lambda connection: _begin(connection, url),
        min_size=1,
        max_size=size,
        timeout=POOL_TIMEOUT_SECONDS,
        reconnect_timeout=POOL_TIMEOUT_SECONDS,
        open=False,
    )


def thread_pool(
    database_url: str, purpose: str, *, size: int
) -> ConnectionPool[psycopg.Connection[Any]]:
    """As `pool`, for threads."""
    from psycopg_pool import ConnectionPool

    url = settled(database_url)
    return ConnectionPool(
        url,
        kwargs=_options(purpose, CONNECT_TIMEOUT_SECONDS),
        configure=lambda connection: _begin_in_thread(connection, url),
        min_size=1,
        max_size=size,
        timeout=POOL_TIMEOUT_SECONDS,
        reconnect_timeout=POOL_TIMEOUT_SECONDS,
        open=False,
    )


def _options(purpose: str, timeout: int) -> dict[str, Any]:
    return {
        "autocommit": True,
        "connect_timeout": timeout,
        "client_encoding": "utf8",  # before the first statement, too
        "application_name": f"ledger {purpose}"[:MOST_NAME_BYTES],
        "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
        "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
        "keepalives_count": KEEPALIVE_COUNT,
    }


def _row(found: Any) -> tuple[Any, ...]:
    assert found is not None
    row: tuple[Any, ...] = found
    return row

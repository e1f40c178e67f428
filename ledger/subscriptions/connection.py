"""Connections of subscriptions: one for each thread, in autocommit, transactions made explicitly,
and made again for as long as it takes."""

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg

from ledger.subscriptions.retry import Backoff

CONNECT_TIMEOUT_SECONDS = 5
"""Long enough for a busy server, short enough to try a restarted one again soon."""
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 4, 2, 3
"""A server that vanished is noticed after ten seconds of silence, not after two hours."""

Connect: TypeAlias = Callable[[str, str], psycopg.Connection[Any]]
"""(the database's URL, what the connection is for) -> a connection in autocommit."""


def connect(database_url: str, purpose: str) -> psycopg.Connection[Any]:
    """A connection that its server knows by its purpose."""
    return psycopg.connect(
        database_url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=f"ledger {purpose}"[:63],
        keepalives_idle=KEEPALIVE_IDLE_SECONDS,
        keepalives_interval=KEEPALIVE_INTERVAL_SECONDS,
        keepalives_count=KEEPALIVE_COUNT,
    )


def until_stopped(
    work: Callable[[psycopg.Connection[Any]], None],
    database_url: str,
    purpose: str,
    *,
    stop: threading.Event,
    on_trouble: Callable[[Exception], None],
    backoff: Backoff | None = None,
    connect: Connect = connect,
    tries_again: type[Exception] | tuple[type[Exception], ...] = psycopg.Error,
) -> None:
    """Calls `work` with a connection, and with a new one whenever it raises one of `tries_again`,
    less and less often; until stopped. Work that goes well resets the `backoff`."""
    backoff = backoff or Backoff()
    while not stop.is_set():
        try:
            with connect(database_url, purpose) as connection:
                work(connection)
        except tries_again as error:
            if not stop.is_set():
                on_trouble(error)
                backoff.wait(stop)

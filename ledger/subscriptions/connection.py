"""Connections of subscriptions: one for each thread, in autocommit, transactions made explicitly,
and made again for as long as it takes."""

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg

from ledger.operate.database import connect
from ledger.subscriptions.retry import Backoff

Connect: TypeAlias = Callable[[str, str], psycopg.Connection[Any]]
"""(the database's URL, what the connection is for) -> a connection in autocommit."""


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

"""The connection that questions are asked on: one snapshot of everything, and no writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.operate.schema import CONNECT_TIMEOUT_SECONDS

FETCH_ROWS = 1_000
"""Rows that a streamed answer holds in memory at once."""


@contextmanager
def reading(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection inside a read-only transaction: all that is read on it is of one moment."""
    with psycopg.connect(database_url, connect_timeout=CONNECT_TIMEOUT_SECONDS) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        yield connection
        connection.rollback()

"""The connection that questions are asked on: one snapshot of everything, and no writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from ledger.operate.database import connect

FETCH_ROWS = 1_000
"""Rows that a streamed answer holds in memory at once."""


@contextmanager
def reading(database_url: str, purpose: str = "question") -> Iterator[psycopg.Connection[Any]]:
    """A connection inside a read-only transaction: all that is read on it is of one moment."""
    with connect(database_url, purpose) as connection:
        of_one_moment(connection)
        yield connection
        connection.rollback()


def of_one_moment(connection: psycopg.Connection[Any]) -> None:
    """Begins a read-only transaction with whatever is read next."""
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.read_only = True
    connection.autocommit = False

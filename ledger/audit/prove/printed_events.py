"""Events streamed as PostgreSQL prints them, for hashing and for export.

A cursor on the server hands them over some thousands at once, so that neither side needs memory for
more. Times are printed in UTC and ISO style, whatever the session is set to.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from ledger.audit.prove.canonical import COLUMNS, Row
from ledger.eventstore.reader import where_kept

FETCH_ROWS = 500
"""Rows fetched at once: some hundred kilobytes, and 32 MB if all were as long as commands can be.
Shorter ranges need no cursor on the server."""

_PRINTED = ", ".join(f"{column}::text" for column in COLUMNS)
_STATEMENT = f"""
    SELECT {_PRINTED} FROM event_store
    WHERE position >= %(first)s AND position <= %(last)s ORDER BY event_store.position"""
_BY_ID = f"""
    SELECT {_PRINTED} FROM event_store
    WHERE id = %(id)s AND {where_kept("public.archived_events AS kept WHERE kept.id = %(id)s")}"""
_THESE = f"SELECT {_PRINTED} FROM event_store WHERE position = ANY(%(positions)s)"
_AS_PRINTED = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'"


def rows(connection: psycopg.Connection[Any], first: int, last: int) -> Iterator[Row]:
    """The events at `first` to `last`, in position order. Inside a transaction of the caller."""
    connection.execute(_AS_PRINTED)
    values = {"first": first, "last": last}
    if last - first < FETCH_ROWS:
        yield from connection.execute(_STATEMENT, values).fetchall()
        return
    with connection.cursor(name=f"rows_{time.monotonic_ns()}") as cursor:
        cursor.itersize = FETCH_ROWS
        cursor.execute(_STATEMENT, values)
        yield from cursor


def row_of(connection: psycopg.Connection[Any], event_id: object) -> Row | None:
    """One event by its id. Inside a transaction of the caller."""
    connection.execute(_AS_PRINTED)
    return connection.execute(_BY_ID, {"id": event_id}).fetchone()


def rows_at(connection: psycopg.Connection[Any], positions: Sequence[int]) -> dict[int, Row]:
    """The events at some positions. Inside a transaction of the caller."""
    connection.execute(_AS_PRINTED)
    found = connection.execute(_THESE, {"positions": list(positions)}).fetchall()
    return {int(row[0]): row for row in found}

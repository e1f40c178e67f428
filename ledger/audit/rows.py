"""Events streamed as PostgreSQL prints them, for hashing and for export.

COPY is the fastest way out of the database and needs no memory on either side. Times are printed in
UTC and ISO style, whatever the session is set to.
"""

from collections.abc import Iterator
from typing import Any, cast

import psycopg

from ledger.audit.canonical import COLUMNS, Row

_STATEMENT = f"""
    COPY (SELECT {", ".join(COLUMNS)} FROM event_store
          WHERE position >= %(first)s AND position <= %(last)s ORDER BY position) TO STDOUT"""
_BY_ID = (
    f"SELECT {', '.join(f'{column}::text' for column in COLUMNS)} FROM event_store WHERE id = %s"
)
_AS_PRINTED = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'"


def rows(connection: psycopg.Connection[Any], first: int, last: int) -> Iterator[Row]:
    """The events at `first` to `last`, in position order. Inside a transaction of the caller."""
    connection.execute(_AS_PRINTED)
    with (
        connection.cursor() as cursor,
        cursor.copy(_STATEMENT, {"first": first, "last": last}) as copy,
    ):
        yield from cast(Iterator[Row], copy.rows())


def row_of(connection: psycopg.Connection[Any], event_id: object) -> Row | None:
    """One event by its id. Inside a transaction of the caller."""
    connection.execute(_AS_PRINTED)
    return connection.execute(_BY_ID, [event_id]).fetchone()

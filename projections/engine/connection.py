"""Connections of projections: those of any subscription, made for folding."""

from typing import Any

import psycopg

from ledger.operate import database

# Read models are made from the log, and rows and checkpoint commit together: losing the last
# moments in a crash of the server only means folding them again. So no commit waits for a disk.
# UTC, because that is the zone whose times Python makes and formats without looking it up.
_FOR_FOLDING = "SET synchronous_commit = off; SET timezone = 'UTC'"
# A batch touches few rows by their keys. Plans that read whole tables look cheap to a planner
# that has not seen the table grow.
_BY_KEY = "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off"


def connect(database_url: str, purpose: str, *, by_key: bool = True) -> psycopg.Connection[Any]:
    """A connection for folding. `by_key`: it only ever looks rows up by their keys."""
    connection = database.connect(database_url, purpose)
    connection.execute(_FOR_FOLDING)
    if by_key:
        connection.execute(_BY_KEY)
    return connection

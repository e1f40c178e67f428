"""The incarnations of the log, as the log itself tells them."""

from typing import Any

import psycopg

from ledger.kernel.incarnation import Lineage

_LINEAGE = """
    SELECT id, "after" FROM public.log_incarnations ORDER BY begun_position, begun_by NULLS FIRST"""


def lineage(connection: psycopg.Connection[Any]) -> Lineage:
    """Of the log as it is now; empty while it is."""
    return Lineage.of(connection.execute(_LINEAGE).fetchall())

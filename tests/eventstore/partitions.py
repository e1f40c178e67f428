"""Small partitions for tests, as a log has them that was begun with them."""

from typing import Any

import psycopg

EVENTS = 1_000
"""In one partition: the fewest that one can have."""


def begin_small(connection: psycopg.Connection[Any], last: int = EVENTS) -> int:
    """The first partition of a log that has no other ends at `last`, and all after it have as many
    positions; returns `last`."""
    with connection.transaction():
        connection.execute("ALTER TABLE event_store DETACH PARTITION event_store_1")
        connection.execute(
            "ALTER TABLE event_store ATTACH PARTITION event_store_1 "
            f"FOR VALUES FROM (MINVALUE) TO ({last + 1})".encode()
        )
        connection.execute("UPDATE event_partitions SET last_position = %s", (last,))
    return last


def bounds(connection: psycopg.Connection[Any]) -> list[tuple[int, int, int | None]]:
    """First and last position of each partition, and how far it is filled."""
    return connection.execute(
        "SELECT first_position, last_position, appended_to FROM event_partitions ORDER BY 1"
    ).fetchall()

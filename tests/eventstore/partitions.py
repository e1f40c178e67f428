"""Small partitions for tests, as a log has them that was begun with them."""

from typing import Any

import psycopg

EVENTS = 1_000
"""In one partition: the fewest that one can have."""


def begin_small(connection: psycopg.Connection[Any]) -> None:
    """The first partition of an empty log, and so all after it, have no more than EVENTS."""
    with connection.transaction():
        connection.execute("ALTER TABLE event_store DETACH PARTITION event_store_1")
        connection.execute(
            "ALTER TABLE event_store ATTACH PARTITION event_store_1 "
            f"FOR VALUES FROM (MINVALUE) TO ({EVENTS + 1})".encode()
        )
        connection.execute("UPDATE event_partitions SET last_position = %s", (EVENTS,))


def bounds(connection: psycopg.Connection[Any]) -> list[tuple[int, int, int | None]]:
    """First and last position of each partition, and how far it is filled."""
    return connection.execute(
        "SELECT first_position, last_position, appended_to FROM event_partitions ORDER BY 1"
    ).fetchall()

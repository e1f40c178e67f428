"""States of long streams, kept beside the log so that loading a stream reads only its tail.

A snapshot is a cache: any may be deleted, and one whose `topic` names another shape than the
reader's is ignored. It is written after the events it stands for are committed.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

import psycopg


class Snapshot(NamedTuple):
    """`state` is JSON text; `topic` names the aggregate and the version of its state's shape."""

    stream_id: UUID
    event_version: int
    topic: str
    state: str


_LATEST = """
    SELECT DISTINCT ON (stream_id) stream_id, event_version, topic, state::text
    FROM aggregate_snapshots WHERE stream_id = ANY(%s) AND topic = ANY(%s)
    ORDER BY stream_id, event_version DESC"""

_SAVE = """
    INSERT INTO aggregate_snapshots (stream_id, event_version, topic, state)
    VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""


def latest(
    connection: psycopg.Connection[Any], stream_ids: Sequence[UUID], topics: Sequence[str]
) -> list[Snapshot]:
    """The newest snapshot of each stream that has one of a given topic."""
    if not stream_ids:
        return []
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_LATEST, (list(stream_ids), list(topics)))
        return [Snapshot(*row) for row in cursor]


def save(connection: psycopg.Connection[Any], snapshots: Sequence[Snapshot]) -> None:
    """Writes the snapshots in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_SAVE, snapshots)

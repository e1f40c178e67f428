"""States of long streams, kept beside the log so that loading a stream reads only its tail.

A snapshot is a cache: any may be deleted, and one whose `topic` names another shape than the
reader's is ignored. It is written after the events it stands for are committed.

Who can write the cache cannot make the ledger believe it: the event that a state follows has the
digest of the state in its metadata (`state`), where it is as append-only and sealed as the event. A
snapshot is used only if it has that digest. One whose event is archived is not used.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import orjson
import psycopg


class AggregateSnapshot(NamedTuple):
    """`state` is JSON text; `topic` names the aggregate and the version of its state's shape."""

    stream_id: UUID
    event_version: int
    topic: str
    state: str

    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the topic, a line feed, and the state with its keys sorted:
        the database keeps what a JSON text says, not the text."""
        state = orjson.dumps(orjson.loads(self.state), option=orjson.OPT_SORT_KEYS)
        return sha256(self.topic.encode() + b"\n" + state).hexdigest()


class KeptSnapshot(NamedTuple):
    """A snapshot as it is kept, with the digest that its event has of it."""

    snapshot: AggregateSnapshot
    recorded: str

    def holds(self) -> bool:
        """Whether it is the state that was recorded."""
        try:
            return self.snapshot.digest() == self.recorded
        except orjson.JSONDecodeError:  # a number that no state of ours has
            return False


_NEWEST = """
    SELECT s.stream_id, s.event_version, s.topic, s.state::text, s.recorded
    FROM unnest(%s::uuid[]) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT kept.*, event.metadata->>'state' AS recorded
        FROM public.aggregate_snapshots AS kept
        JOIN public.event_store AS event USING (stream_id, event_version)
        WHERE kept.stream_id = wanted.id AND kept.topic = ANY(%s) AND event.metadata ? 'state'
            AND event.position >= log_kept_from()
        ORDER BY kept.event_version DESC LIMIT 1) AS s"""
_STREAMS = "SELECT DISTINCT stream_id FROM public.aggregate_snapshots ORDER BY 1"

_SAVE = """
    INSERT INTO public.aggregate_snapshots (stream_id, event_version, topic, state)
    VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"""
_DELETE_OLDER = """
    DELETE FROM public.aggregate_snapshots AS old WHERE old.stream_id = %(stream)s
        AND old.event_version < (
            SELECT kept.event_version FROM public.aggregate_snapshots AS kept
            WHERE kept.stream_id = %(stream)s ORDER BY kept.event_version DESC OFFSET 1 LIMIT 1)"""
_DELETE = "DELETE FROM public.aggregate_snapshots WHERE stream_id = %s AND event_version = %s"


def newest(
    connection: psycopg.Connection[Any], stream_ids: Sequence[UUID], topics: Sequence[str]
) -> Iterator[KeptSnapshot]:
    """The newest snapshot of each stream that has one of a given topic whose event tells of it."""
    if not stream_ids:
        return
    with connection.cursor(binary=True) as cursor:
        cursor.execute(_NEWEST, (list(stream_ids), list(topics)))
        for *snapshot, recorded in cursor:
            yield KeptSnapshot(AggregateSnapshot(*snapshot), recorded)


def streams(connection: psycopg.Connection[Any]) -> list[UUID]:
    """The streams that have snapshots."""
    return [row[0] for row in connection.execute(_STREAMS)]


def save(connection: psycopg.Connection[Any], snapshots: Sequence[AggregateSnapshot]) -> None:
    """Writes the snapshots in one transaction. Of each stream the newest two are kept: where one is
    damaged there is another."""
    streams = [{"stream": snapshot.stream_id} for snapshot in snapshots]
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(_SAVE, snapshots)
        cursor.executemany(_DELETE_OLDER, streams)


def delete(connection: psycopg.Connection[Any], snapshot: AggregateSnapshot) -> None:
    """Deletes one."""
    connection.execute(_DELETE, (snapshot.stream_id, snapshot.event_version))

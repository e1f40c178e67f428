"""Cached states against the log: is each newest snapshot what the events of its stream make?

`aggregate_snapshots` is a cache. What in it is not as its event says is never used, so a difference
does no harm by itself; but somebody made it. A snapshot that its event tells of and that the events
do not make is the mark of an event that was not decided by the ledger.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg

from ledger.audit.prove.verdict import Finding
from ledger.eventstore import repairs, snapshots
from ledger.eventstore.reader import COLUMNS, RecordedEvent, where_streams_are
from ledger.eventstore.snapshots import AggregateSnapshot, KeptSnapshot
from ledger.kernel.money import exact
from ledger.write.aggregates import state_text
from ledger.write.deciders import AGGREGATES

FETCH_EVENTS = 2_000
"""Events of a stream fetched at once: a few megabytes."""
STREAMS_AT_ONCE = 500
"""Snapshots read by one query."""

_EVENTS = f"""
    SELECT {COLUMNS} FROM public.event_store
    WHERE stream_id = %(stream)s AND event_version <= %(version)s
        AND {where_streams_are("ARRAY[%(stream)s::uuid]")}
    ORDER BY event_version"""


def verify_states(
    connection: psycopg.Connection[Any], streams: Sequence[UUID] | None = None
) -> tuple[int, list[Finding]]:
    """How many snapshots were checked, and what was found: of all streams that have some, without
    `streams`. Inside a transaction of the caller."""
    wanted = snapshots.streams(connection) if streams is None else streams
    topics = [kind.topic for kind in AGGREGATES.values()]
    checked, found = 0, list[Finding]()
    for start in range(0, len(wanted), STREAMS_AT_ONCE):
        some = wanted[start : start + STREAMS_AT_ONCE]
        for kept in list(snapshots.newest(connection, some, topics)):
            checked += 1
            found += _differences(connection, kept)
    return checked, found


def _differences(connection: psycopg.Connection[Any], kept: KeptSnapshot) -> Iterator[Finding]:
    version, position, folded = 0, 0, None
    kind = next(kind for kind in AGGREGATES.values() if kind.topic == kept.snapshot.topic)
    name = f"the cached state of stream {kept.snapshot.stream_id} at version "
    name += str(kept.snapshot.event_version)
    stream = kept.snapshot.stream_id
    passed_over = repairs.read(connection, [stream]).get(stream, repairs.NONE).passed_over
    try:
        with exact():
            for event in _events(connection, kept.snapshot):
                if event.event_version in passed_over:
                    continue
                position, version = event.position, event.event_version
                folded = kind.evolve(folded, event.decoded(), event.stream_id)
    except psycopg.Error:
        raise  # it says nothing about the log
    except Exception as error:  # noqa: BLE001 - whatever an altered log holds, it is what is said
        message = f"{name} cannot be made: version {version} does not follow ({error})"
        yield Finding(position, "changed", message)
        return
    made = kept.snapshot._replace(state=state_text(folded)).digest()
    if made != kept.recorded:
        message = f"{name} is not the one that its event tells of: the events make another"
        yield Finding(position, "changed", message)
    elif not kept.holds():
        message = f"{name} was changed: it is not used, and can be deleted from aggregate_snapshots"
        yield Finding(position, "changed", message)


def _events(
    connection: psycopg.Connection[Any], snapshot: AggregateSnapshot
) -> Iterator[RecordedEvent]:
    with connection.cursor(name=f"state_{snapshot.stream_id.hex}") as cursor:
        cursor.itersize = FETCH_EVENTS
        wanted = {"stream": snapshot.stream_id, "version": snapshot.event_version}
        cursor.execute(_EVENTS, wanted, binary=True)
        for row in cursor:
            yield RecordedEvent(*row)

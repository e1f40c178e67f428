"""What operators did to streams that could not be read, as the log tells of it.

Decisions ask for the repairs only of a stream that cannot be read without, so that nobody else
pays. Questions about the past ask for those of the streams that they read.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from ledger.eventstore.reader import RecordedEvent
from ledger.eventstore.store import load_streams
from ledger.nouns.streams.events import StreamEventPassedOver, StreamGapAccepted, repairs_of


class Repairs(NamedTuple):
    """Of one stream, by the versions of its events."""

    passed_over: frozenset[int] = frozenset()
    after_a_gap: frozenset[int] = frozenset()


NONE = Repairs()


def counted(
    connection: psycopg.Connection[Any],
    streams: Collection[UUID],
    events: Iterable[RecordedEvent],
) -> Iterator[RecordedEvent]:
    """Those of the events of these streams that decisions are made with."""
    done = read(connection, streams)
    if not done:
        return iter(events)
    return (
        event
        for event in events
        if event.event_version not in done.get(event.stream_id, NONE).passed_over
    )


def read(connection: psycopg.Connection[Any], streams: Collection[UUID]) -> dict[UUID, Repairs]:
    """The repairs of each of the streams that has any."""
    repaired = {repairs_of(stream_id): stream_id for stream_id in streams}
    found = {}
    for stream, recorded in load_streams(connection, dict.fromkeys(repaired, 0)).items():
        done = [event.decoded() for event in recorded]
        if done:
            found[repaired[stream]] = Repairs(
                frozenset(e.event_version for e in done if isinstance(e, StreamEventPassedOver)),
                frozenset(e.event_version for e in done if isinstance(e, StreamGapAccepted)),
            )
    return found

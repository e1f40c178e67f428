"""What operators did to streams that could not be read, as the log tells of it.

Only a stream that cannot be read without is asked for its repairs, so that nobody else pays.
"""

from collections.abc import Collection
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from ledger.eventstore.store import load_streams
from ledger.nouns.streams.events import StreamEventPassedOver, StreamGapAccepted, repairs_of


class Repairs(NamedTuple):
    """Of one stream, by the versions of its events."""

    passed_over: frozenset[int] = frozenset()
    after_a_gap: frozenset[int] = frozenset()


NONE = Repairs()


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

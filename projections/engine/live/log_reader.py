"""The newest events, read and decoded once for all workers of a process that fold them."""

from typing import Any, NamedTuple

import msgspec
import psycopg

from ledger.kernel.event import Event
from ledger.nouns import EVENTS
from ledger.nouns.streams.events import StreamEventPassedOver
from ledger.subscriptions.shared_log import SharedLog, server_of
from ledger.subscriptions.wakeup import Bell
from projections.engine.live import source
from projections.engine.live.source import LogEvent
from projections.engine.projection import Projection


class SharedEvent(LogEvent, frozen=True, gc=False):
    """An event that several workers fold."""

    stream_type: str
    event: Event | None = None

    def decoded(self) -> Event:
        """As of any recorded event, but decoded only once. Two threads may do it at the same
        time, with equal results."""
        event = self.event
        if event is None:
            # Not through super(): a frozen struct with slots is made anew by its metaclass.
            event = LogEvent.decoded(self)
            msgspec.structs.force_setattr(self, "event", event)
        return event


class EventsRead(NamedTuple):
    """`up_to`: how far it goes, to where it was if nothing is new. `events`: those up to there that
    concern the projection: of the types that it folds, or of types that this code does not know in
    streams of which it folds something. `repairs`: what tells that events are passed over."""

    up_to: int
    events: list[LogEvent]
    repairs: list[LogEvent]


def shared_log(bell: Bell) -> SharedLog[SharedEvent]:
    """For the workers that the `bell` wakes."""
    return SharedLog(bell, _read)


class LogReader:
    """One worker's way to the newest events."""

    def __init__(self, shared: SharedLog[SharedEvent], connection: psycopg.Connection[Any]) -> None:
        self._shared = shared
        self._connection = connection
        self._server = server_of(connection)

    def read(self, projection: Projection, *, after: int, most: int) -> EventsRead:
        """What is new."""
        events = self._shared.read(self._connection, self._server, after=after, most=most)
        if not events:
            return EventsRead(after, [], [])
        known, stream_types = projection.fold_of, projection.stream_types
        concerned, repairs = list[LogEvent](), list[LogEvent]()
        for event in events:
            if event.event_type in known or (
                event.event_type not in EVENTS and event.stream_type in stream_types
            ):
                concerned.append(event)
            elif event.event_type == StreamEventPassedOver.type:
                repairs.append(event)
        return EventsRead(events[-1].position, concerned, repairs)


def _read(connection: psycopg.Connection[Any], after: int, most: int) -> list[SharedEvent]:
    return [SharedEvent(*row) for row in source.read_next(connection, after=after, most=most)]

"""One build of a read model: its tables in a schema, its rows in memory, one connection.

A batch, live or in a rebuild:

    fold(events)     decodes them all, loads the rows they look up, folds one after the other
    write()          inside the caller's transaction, which also moves the checkpoint
    settle()         after the commit

If anything raises in between, the build in memory no longer says what is in the database:
drop it and open another.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

import psycopg

from ledger.eventstore.codec import UnknownEventType
from ledger.kernel.errors import LedgerError
from ledger.kernel.event import Event
from ledger.kernel.money import exact
from projections.engine.live import source
from projections.engine.live.rows import RowSet
from projections.engine.live.source import LogEvent
from projections.engine.live.writer import Writer
from projections.engine.projection import Key, Projection, Recorded, Table


class FoldFailed(LedgerError):
    """An event that the projection cannot handle: it does not decode, or its fold raised."""

    def __init__(
        self, projection: str, recorded: LogEvent, error: Exception, kind: str = "fold"
    ) -> None:
        self.recorded = recorded
        self.kind = kind
        self.reason = f"{type(error).__name__}: {error}"
        super().__init__(
            f"{projection} cannot handle {recorded.event_type} {recorded.id} at position "
            f"{recorded.position} (stream {recorded.stream_id}): {self.reason}"
        )


class Build:
    """Tables of `projection` in `schema`, as the connection's transactions see them."""

    def __init__(
        self,
        projection: Projection,
        schema: str,
        connection: psycopg.Connection[Any],
        *,
        rows_in_memory: int,
        empty: bool,
    ) -> None:
        self.projection = projection
        self.schema = schema
        self.connection = connection
        self._rows = RowSet(
            projection.tables, limit=rows_in_memory, complete=empty, earlier=self._earlier
        )
        self._writer = Writer(connection, schema, projection.tables)
        if not empty:
            self._writer.load_resident(self._rows)

    def fold(
        self, recorded_events: Sequence[LogEvent], events: Sequence[Event] | None = None
    ) -> None:
        """Changes the rows in memory. `events`: the same ones decoded, by callers that have
        them already. Raises FoldFailed."""
        if events is None:
            events = decoded(self.projection.name, recorded_events)
        if any(not rows.complete for rows in self._rows.values()):
            self._load(zip(recorded_events, events, strict=True))
        fold_of, rows = self.projection.fold_of, self._rows
        recorded = None
        with exact():
            try:
                for recorded, event in zip(recorded_events, events, strict=True):
                    fold_of[recorded.event_type](recorded, event, rows)
            except Exception as error:
                # Whatever a fold raises is said of the event it was given.
                assert recorded is not None
                raise FoldFailed(self.projection.name, recorded, error) from error

    def room_for(self, recorded_events: Sequence[LogEvent], most_rows: int) -> int:
        """How many of the events to fold before what they change is written: all but where some
        change many rows; one at least."""
        wide = self.projection.wide_types
        if not wide:
            return len(recorded_events)
        left, begun = most_rows, 0
        for place, recorded in enumerate(recorded_events):
            begun += recorded.event_version == 1
            changed = wide.get(recorded.event_type)
            if changed is not None:
                left -= changed(self._rows, begun)
                if left < 0 and place:
                    return place
        return len(recorded_events)

    def fold_those_of_its(
        self,
        recorded_events: Sequence[LogEvent],
        events: Sequence[Event],
        places: Mapping[str, Sequence[int]],
    ) -> int:
        """Folds those of the events that its projection handles, and tells how many these are.
        For callers that read once for several projections; `places` is where each type is."""
        runs = (places.get(event_type, ()) for event_type in self.projection.event_types)
        chosen = sorted(chain.from_iterable(runs))
        self.fold([recorded_events[place] for place in chosen], [events[place] for place in chosen])
        return len(chosen)

    @property
    def unwritten(self) -> int:
        """Rows, new and changed, that wait to be written."""
        return sum(rows.unwritten for rows in self._rows.values())

    def write(self) -> None:
        """Writes what the folds changed, inside the caller's transaction."""
        if self.projection.finish is not None:
            with exact():
                self.projection.finish(self._rows)
        self._writer.write(self._rows)

    def settle(self) -> None:
        """What was written is committed."""
        self._writer.settle(self._rows)

    def _earlier(self, recorded: Recorded) -> Sequence[tuple[Recorded, Event]]:
        events = source.read_earlier(
            self.connection,
            recorded,
            event_types=self.projection.event_types,
            projection_name=self.projection.name,
        )
        return [(event, event.decoded()) for event in events]

    def _load(self, pairs: Iterable[tuple[LogEvent, Event]]) -> None:
        wanted: dict[Table[Any], dict[Key, None]] = {}
        keys = self.projection.keys
        for recorded, event in pairs:
            try:
                for table, key in keys(recorded, event):
                    wanted.setdefault(table, {})[key] = None
            except Exception as error:  # as of a fold: `keys` is the projection's code, too
                raise FoldFailed(self.projection.name, recorded, error) from error
        for table, of_table in wanted.items():
            rows = self._rows[table]
            if not rows.complete and (missing := rows.missing(of_table)):
                self._writer.load(rows, missing)


def decoded(projection_name: str, recorded_events: Sequence[LogEvent]) -> list[Event]:
    """The domain events of what was recorded. Raises FoldFailed."""
    events: list[Event] = []
    try:
        for recorded in recorded_events:
            events.append(recorded.decoded())  # noqa: PERF401 - the failing one is named
    except Exception as error:  # an upcaster may raise anything
        kind = "unknown type" if isinstance(error, UnknownEventType) else "decode"
        raise FoldFailed(projection_name, recorded_events[len(events)], error, kind) from error
    return events

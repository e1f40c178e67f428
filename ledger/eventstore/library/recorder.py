"""`event_store` as a recorder of the `eventsourcing` library.

With `PERSISTENCE_MODULE=ledger.eventstore` that library's applications, aggregates, snapshots
and subscriptions work on the ledger's own table:

    StoredEvent.originator_id        stream_id (a UUID)
    StoredEvent.topic                event_type; its first word is the stream_type
    StoredEvent.originator_version   event_version
    StoredEvent.state                event_data: JSON, because the log is to be queried
    Notification.id                  position

The library lets an application number its aggregates from 0. The log numbers every stream from
1 without a gap, so events of such a stream are stored one higher, and say so in their metadata
(`first_version`). Versions that would leave a gap are refused.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Thread
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    ListenNotifySubscription,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Subscription,
)
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from psycopg import errors, sql
from psycopg.rows import TupleRow, tuple_row
from uuid_utils.compat import uuid7

from ledger.eventstore.reader import NOTIFY_CHANNEL, where_streams_are
from ledger.eventstore.store import NewEvent, VersionConflict, begin_append, copy_events

_NUMBERED_FROM_ZERO = '{"first_version": 0}'
_NUMBERED_FROM_ONE = "{}"

_LIBRARY_VERSION = (
    "event_version - CASE WHEN metadata @> '{\"first_version\": 0}' THEN 1 ELSE 0 END"
)

# The bounds on event_version itself are what the index serves; they are one too wide for
# streams numbered from 0, which the exact bounds then cut.
_SELECT_EVENTS = f"""
    SELECT stream_id, {_LIBRARY_VERSION}, event_type, event_data::text FROM event_store
    WHERE stream_id = %(stream_id)s AND {where_streams_are("ARRAY[%(stream_id)s::uuid]")}
      AND event_version > %(gt)s AND event_version <= %(lte)s + 1
      AND {_LIBRARY_VERSION} > %(gt)s AND {_LIBRARY_VERSION} <= %(lte)s
    ORDER BY event_version"""

_SELECT_NOTIFICATIONS = f"""
    SELECT position, stream_id, {_LIBRARY_VERSION}, event_type, event_data::text FROM event_store
    WHERE position >= %(first)s AND position <= coalesce(%(stop)s, 9223372036854775807)
      AND (%(topics)s::text[] IS NULL OR event_type = ANY(%(topics)s))
    ORDER BY position LIMIT %(limit)s"""

_SELECT_SNAPSHOTS = """
    SELECT stream_id, event_version, topic, state::text FROM aggregate_snapshots
    WHERE stream_id = %(stream_id)s AND event_version > %(gt)s AND event_version <= %(lte)s
    ORDER BY event_version"""

_BEFORE_ALL_VERSIONS = -1
_AFTER_ALL_VERSIONS = 2**31 - 2

_STREAM_ENDS = f"""
    SELECT DISTINCT ON (stream_id) stream_id, event_version, metadata @> '{{"first_version": 0}}'
    FROM event_store WHERE stream_id = ANY(%(ids)s) AND {where_streams_are("%(ids)s")}
    ORDER BY stream_id, event_version DESC"""


def _as_stream_id(originator_id: UUID | str) -> UUID:
    try:
        return originator_id if isinstance(originator_id, UUID) else UUID(originator_id)
    except ValueError as error:
        raise DataError(
            f"originator id {originator_id!r} is not a UUID: event_store.stream_id is one"
        ) from error


def _as_json(state: bytes, what: str) -> str:
    """The state as JSON text of an object."""
    try:
        if isinstance(json.loads(state), dict):
            return state.decode()
    except ValueError:
        pass
    raise DataError(
        f"the state of {what} is not a JSON object: configure no cipher and no compressor, "
        "and a transcoder that writes JSON"
    )


def _as_state(text: str) -> bytes:
    """JSON text of the database as the library's transcoder writes it, without blanks."""
    return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False).encode()


def _stream_type(topic: str) -> str:
    """`order.filled` → `order`; `shop.domain:Basket.ItemAdded` → `Basket`."""
    return topic.rpartition(":")[2].partition(".")[0] or topic


def _range(
    originator_id: UUID | str, gt: int | None, lte: int | None, limit: int | None
) -> dict[str, Any]:
    return {
        "stream_id": _as_stream_id(originator_id),
        "gt": _BEFORE_ALL_VERSIONS if gt is None else gt,
        "lte": _AFTER_ALL_VERSIONS if lte is None else lte,
        "limit": limit,
    }


def _stored_events(cursor: psycopg.Cursor[TupleRow]) -> list[StoredEvent]:
    return [
        StoredEvent(
            originator_id=stream_id, originator_version=version, topic=topic, state=_as_state(data)
        )
        for stream_id, version, topic, data in cursor
    ]


@contextmanager
def _tuples(datastore: PostgresDatastore) -> Iterator[psycopg.Cursor[TupleRow]]:
    with datastore.get_connection() as connection, connection.cursor(row_factory=tuple_row) as cur:
        yield cur


class LedgerAggregateRecorder(AggregateRecorder):
    """Streams of `event_store`, without telling positions."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        self._insert(stored_events, **kwargs)
        return None

    def _insert(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> list[int]:
        with (
            self.datastore.get_connection() as connection,
            connection.transaction(),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            self._insert_beside(cursor, **kwargs)
            try:
                appended = begin_append(cursor, len(stored_events))
                copy_events(cursor, _new_events(cursor, stored_events), appended)
            except VersionConflict as conflict:
                raise IntegrityError(str(conflict)) from conflict
        return list(range(appended.head + 1, appended.head + 1 + len(stored_events)))

    def _insert_beside(self, cursor: psycopg.Cursor[Any], **kwargs: Any) -> None:
        """What else is written in the transaction of the events."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        statement = _SELECT_EVENTS + (" DESC" if desc else " ASC") + " LIMIT %(limit)s"
        with _tuples(self.datastore) as cursor:
            cursor.execute(statement, _range(originator_id, gt, lte, limit))
            return _stored_events(cursor)


def _new_events(
    cursor: psycopg.Cursor[Any], stored_events: Sequence[StoredEvent]
) -> list[NewEvent]:
    """The events as rows of the log. Raises IntegrityError where a version is not the next of
    its stream. A writer that races us past this check meets the table's unique key."""
    ids = [_as_stream_id(event.originator_id) for event in stored_events]
    cursor.execute(_STREAM_ENDS, {"ids": list(set(ids))})
    ends: dict[UUID, tuple[int, bool]] = {row[0]: (row[1], row[2]) for row in cursor}
    now = datetime.now(UTC)
    new_events = []
    for stream_id, event in zip(ids, stored_events, strict=True):
        last, from_zero = ends.get(stream_id, (0, event.originator_version == 0))
        version = event.originator_version + from_zero
        if version != last + 1:
            raise IntegrityError(
                f"version {event.originator_version} of stream {stream_id} is not the next: "
                f"the stream's last is {last - from_zero if last else 'none'}"
            )
        ends[stream_id] = (version, from_zero)
        new_events.append(
            NewEvent(
                id=uuid7(),
                stream_id=stream_id,
                stream_type=_stream_type(event.topic),
                event_type=event.topic,
                event_version=version,
                data=_as_json(event.state, f"{event.topic!r} of stream {stream_id}").encode(),
                metadata=_NUMBERED_FROM_ZERO if from_zero else _NUMBERED_FROM_ONE,
                correlation_id=None,
                causation_id=None,
                user_id=None,
                occurred_at=now,
            )
        )
    return new_events


class LedgerApplicationRecorder(LedgerAggregateRecorder, ApplicationRecorder):
    """The whole log: streams, and all events in position order."""

    channel_name = NOTIFY_CHANNEL

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        return self._insert(stored_events, **kwargs)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        first = 1 if start is None else start + (not inclusive_of_start)
        parameters = {"first": first, "stop": stop, "topics": list(topics) or None, "limit": limit}
        with _tuples(self.datastore) as cursor:
            cursor.execute(_SELECT_NOTIFICATIONS, parameters)
            return [
                Notification(
                    id=position,
                    originator_id=stream_id,
                    originator_version=version,
                    topic=topic,
                    state=_as_state(data),
                )
                for position, stream_id, version, topic, data in cursor
            ]

    def max_notification_id(self) -> int | None:
        with _tuples(self.datastore) as cursor:
            row = cursor.execute(
                "SELECT max(position) FROM event_store WHERE position >= log_kept_from()"
            ).fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        return LedgerSubscription(self, gt, topics)


class LedgerSubscription(ListenNotifySubscription[LedgerApplicationRecorder]):
    """Woken by NOTIFY; looks by itself every `POLL_SECONDS` in case one was lost."""

    POLL_SECONDS = 0.1

    def __init__(
        self, recorder: LedgerApplicationRecorder, gt: int | None, topics: Sequence[str]
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._listen_thread = Thread(target=self._listen, daemon=True)
        self._listen_thread.start()

    def __exit__(self, *args: object, **kwargs: Any) -> None:
        try:
            super().__exit__(*args, **kwargs)
        finally:
            self._listen_thread.join()

    def _listen(self) -> None:
        try:
            with self._recorder.datastore.get_connection() as connection:
                connection.execute(
                    sql.SQL("LISTEN {}").format(sql.Identifier(self._recorder.channel_name))
                )
                while not self._has_been_stopped and not self._thread_error:
                    for _ in connection.notifies(timeout=self.POLL_SECONDS, stop_after=1):
                        pass
                    self._has_been_notified.set()
        except BaseException as error:  # noqa: BLE001 - raised again to who reads on
            if self._thread_error is None:
                self._thread_error = error
            self.stop()


class LedgerProcessRecorder(LedgerApplicationRecorder, PostgresTrackingRecorder, ProcessRecorder):
    """Events and the tracking of another application's, in one transaction."""

    def __init__(self, datastore: PostgresDatastore, *, tracking_table_name: str) -> None:
        PostgresTrackingRecorder.__init__(self, datastore, tracking_table_name=tracking_table_name)

    def _insert_beside(self, cursor: psycopg.Cursor[Any], **kwargs: Any) -> None:
        tracking = kwargs.get("tracking")
        if tracking is not None:
            self._insert_tracking(cursor, tracking=tracking)


class LedgerSnapshotRecorder(AggregateRecorder):
    """The library's snapshots, in `aggregate_snapshots`."""

    def __init__(self, datastore: PostgresDatastore) -> None:
        self.datastore = datastore

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,  # noqa: ARG002 - the library's signature
    ) -> Sequence[int] | None:
        rows = [
            (
                _as_stream_id(event.originator_id),
                event.originator_version,
                event.topic,
                _as_json(event.state, "a snapshot"),
            )
            for event in stored_events
        ]
        with self.datastore.get_connection() as connection, connection.transaction():
            try:
                connection.cursor().executemany(
                    "INSERT INTO aggregate_snapshots (stream_id, event_version, topic, state)"
                    " VALUES (%s, %s, %s, %s)",
                    rows,
                )
            except errors.UniqueViolation as conflict:
                raise IntegrityError(str(conflict)) from conflict
        return None

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        statement = _SELECT_SNAPSHOTS + (" DESC" if desc else " ASC") + " LIMIT %(limit)s"
        with _tuples(self.datastore) as cursor:
            cursor.execute(statement, _range(originator_id, gt, lte, limit))
            return _stored_events(cursor)

"""The log in partitions is one log: what is unique is so over all of them, and it never ends."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors
from uuid_utils.compat import uuid7

from ledger.eventstore import reader, store
from ledger.eventstore.store import NewEvent, VersionConflict
from ledger.programs.log_room import make_room, register_streams
from tests.audit import history
from tests.eventstore.partitions import EVENTS, begin_small, bounds

Connection = psycopg.Connection[Any]


@pytest.fixture
def log(database_url: str) -> Iterator[Connection]:
    """A log in three partitions, the last one not full."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        begin_small(connection)
        history.append(connection, EVENTS - 10)
        history.append(connection, 20)
        history.append(connection, EVENTS)
        yield connection


def new(stream_id: UUID, version: int, event_id: UUID | None = None) -> NewEvent:
    event = history.new_event(stream_id, version)
    return event if event_id is None else event._replace(id=event_id)


append = history.append_these


def last_version(connection: Connection, stream_id: UUID) -> int:
    return store.load_streams(connection, {stream_id: 0})[stream_id][-1].event_version


def stream_of(connection: Connection, position: int) -> UUID:
    (event,) = reader.read(connection, after=position - 1, up_to=position)
    return event.stream_id


def test_an_append_that_finds_no_room_makes_it(log: Connection) -> None:
    assert bounds(log) == [
        (1, EVENTS, EVENTS),
        (EVENTS + 1, 2 * EVENTS, 2 * EVENTS),
        (2 * EVENTS + 1, 3 * EVENTS, 2 * EVENTS + 10),
    ]
    history.append(log, 3 * EVENTS)  # more than fit into the next
    assert bounds(log)[-1] == (5 * EVENTS + 1, 6 * EVENTS, 5 * EVENTS + 10)


def test_positions_and_streams_are_read_as_if_there_were_no_partitions(log: Connection) -> None:
    head = reader.head(log)
    events = reader.read(log, after=0, up_to=head)
    assert [event.position for event in events] == list(range(1, 2 * EVENTS + 11))
    stream = stream_of(log, 1)
    versions = [event.event_version for event in store.load_streams(log, {stream: 0})[stream]]
    assert versions == list(range(1, len(versions) + 1))
    assert len(versions) == sum(event.stream_id == stream for event in events)


def test_a_version_that_another_partition_has_is_a_conflict(log: Connection) -> None:
    stream = stream_of(log, 1)
    idle = uuid7()
    append(log, new(idle, 1), new(idle, 2))
    history.append(log, 2 * EVENTS)
    for version in (1, 2):
        with pytest.raises(VersionConflict, match=rf"\(.*{idle}.*\).*already exists"):
            append(log, new(uuid7(), 1), new(idle, version))
    append(log, new(idle, 3))
    history.append(log, EVENTS)
    append(log, new(idle, 4), new(idle, 5))
    for version in (3, 4, 5):
        with pytest.raises(VersionConflict):
            append(log, new(idle, version))
    assert last_version(log, idle) == 5
    append(log, new(stream, last_version(log, stream) + 1))


@pytest.mark.parametrize("entered", [False, True])
def test_a_stream_begins_once_whether_or_not_full_partitions_are_entered(
    database_url: str, log: Connection, entered: bool
) -> None:
    fresh = uuid7()
    append(log, new(fresh, 1))
    history.append(log, EVENTS)
    if entered:
        assert [register_streams(database_url) for _ in range(4)] == [
            1,
            EVENTS + 1,
            2 * EVENTS + 1,
            None,
        ]
    begun = [stream_of(log, 1), stream_of(log, EVENTS + 500), fresh]
    for stream in begun:
        with pytest.raises(VersionConflict, match=rf"\(.*{stream}, 1\) already exists"):
            append(log, new(uuid7(), 1), new(stream, 1))
    append(log, new(uuid7(), 1))
    ((last,),) = log.execute("SELECT max(first_position) FROM event_streams").fetchall() or ((0,),)
    assert (last is not None) is entered


def test_a_stream_that_was_cut_off_can_begin_anew_in_partitions_that_were_entered(
    database_url: str, log: Connection
) -> None:
    fresh = uuid7()
    append(log, new(fresh, 1))
    history.append(log, EVENTS)
    while register_streams(database_url) is not None:
        pass
    log.execute("SET session_replication_role = replica")
    log.execute("DELETE FROM event_store WHERE position > %s", (2 * EVENTS + 5,))
    log.execute("SET session_replication_role = DEFAULT")
    append(log, new(fresh, 1))
    history.append(log, EVENTS)
    assert register_streams(database_url) == 2 * EVENTS + 1
    with pytest.raises(VersionConflict):
        append(log, new(fresh, 1))


def test_an_id_that_another_partition_has_is_a_conflict_whatever_kind_it_is(
    log: Connection,
) -> None:
    (first,) = reader.read(log, after=0, up_to=1)
    random = uuid4()
    append(log, new(uuid7(), 1, random))
    history.append(log, 2 * EVENTS)
    for taken in (first.id, random):
        with pytest.raises(VersionConflict, match="already exists"):
            append(log, new(uuid7(), 1, uuid4()), new(uuid7(), 1, taken))
    append(log, new(uuid7(), 1, uuid4()), new(uuid7(), 1))


def test_the_next_partition_is_made_when_half_of_the_last_is_full(
    database_url: str, log: Connection
) -> None:
    assert make_room(database_url, 5 * EVENTS) is None
    history.append(log, EVENTS // 2)
    assert make_room(database_url, 5 * EVENTS) == 3 * EVENTS + 1
    assert make_room(database_url, 5 * EVENTS) is None
    assert bounds(log)[-1] == (3 * EVENTS + 1, 8 * EVENTS, None)
    history.append(log, 4 * EVENTS)
    with pytest.raises(errors.CheckViolation, match="at least 1000"):
        make_room(database_url, 999)


def test_who_appends_does_not_go_through_the_partitions_before(log: Connection) -> None:
    looked_at = """SELECT coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0)
        FROM pg_stat_all_tables WHERE relname = 'event_store_1'"""
    log.execute("VACUUM ANALYZE event_store")
    log.execute("SELECT pg_stat_force_next_flush()")
    ((before,),) = log.execute(looked_at).fetchall()
    for _ in range(20):
        append(log, *(new(uuid7(), 1) for _ in range(10)))
    log.execute("SELECT pg_stat_force_next_flush()")
    ((after,),) = log.execute(looked_at).fetchall()
    assert after - before < 100


def test_a_partition_is_as_append_only_as_the_log(log: Connection) -> None:
    for table in ("event_store_1", f"event_store_{EVENTS + 1}"):
        for statement in (
            f"UPDATE {table} SET event_type = 'x'",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
        ):
            with pytest.raises(errors.InsufficientPrivilege, match="append-only"):
                log.execute(statement.encode())
        for role in ("ledger_writer", "ledger_projector", "ledger_operator", "ledger_sealer"):
            with log.transaction(force_rollback=True):
                log.execute(f"SET LOCAL ROLE {role}".encode())
                with pytest.raises(errors.InsufficientPrivilege):
                    log.execute(f"INSERT INTO {table} DEFAULT VALUES".encode())
    rights = log.execute(
        "SELECT relacl::text FROM pg_class WHERE relname = %s", (f"event_store_{EVENTS + 1}",)
    ).fetchone()
    assert rights is not None
    assert "ledger_auditor=r/" in rights[0]
    assert "ledger_writer" not in rights[0]


def test_a_log_whose_end_was_cut_off_goes_on(log: Connection) -> None:
    begun_there = stream_of(log, 2 * EVENTS + 5)
    before = last_version(log, begun_there)
    fresh = uuid7()
    append(log, new(fresh, 1))
    log.execute("SET session_replication_role = replica")
    log.execute("DELETE FROM event_store WHERE position > %s", (EVENTS + 500,))
    log.execute("SET session_replication_role = DEFAULT")
    append(log, new(fresh, 1))
    assert reader.head(log) == EVENTS + 501
    history.append(log, 2 * EVENTS)
    assert last_version(log, begun_there) > before // 2
    with pytest.raises(VersionConflict):
        append(log, new(fresh, 1))

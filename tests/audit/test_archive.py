"""An archived partition is in files, and the log is what it was: read, proved, appended to."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from benchmarks.event_mix import EventMix, append_mix
from ledger.audit import archive as archiving
from ledger.audit.archive import CannotArchive
from ledger.audit.ask.events import EventCriteria, find
from ledger.audit.ask.explain import explain_balance
from ledger.audit.ask.explain_order import explain_order
from ledger.audit.ask.statement import statement
from ledger.audit.prove import seals
from ledger.audit.prove.proofs import prove
from ledger.audit.prove.verify import verify
from ledger.eventstore import incarnations, reader, store
from ledger.eventstore.codec import encode
from ledger.eventstore.moments import position_at
from ledger.eventstore.session import reading
from ledger.eventstore.store import VersionConflict
from ledger.nouns.log.events import STREAM_ID, STREAM_TYPE, LogRecovered
from ledger.programs import recovery
from projections.read_models import balances
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.audit import history
from tests.eventstore.partitions import EVENTS, begin_small, bounds
from tests.projections import harness
from tests.projections.workers import caught_up, running

Connection = psycopg.Connection[Any]
ARCHIVED = int(os.environ.get("LEDGER_TEST_ROUNDS", "2"))
"""Partitions that are archived where the log is asked and folded; with more than two, as many are
not, and every read model is made anew."""
CONTENT = "SELECT e.*::text FROM event_store AS e ORDER BY position"


@pytest.fixture
def log(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A sealed log in three partitions, the last one not full."""
    monkeypatch.setattr(archiving, "FILE_EVENTS", EVENTS // 2)
    with psycopg.connect(database_url, autocommit=True) as connection:
        begin_small(connection)
        for count in (EVENTS, EVENTS, 100):
            history.append(connection, count)
        history.seal(connection, block_events=300)
        yield connection


def quiet(_doing: str, _events: int) -> None:
    pass


def archive(connection: Connection, directory: Path) -> archiving.Archive:
    return archiving.create(connection, directory, "tests", quiet)


def test_the_log_is_the_same_with_its_old_partitions_in_files_and_with_them_back(
    log: Connection, database_url: str, server_directory: Path
) -> None:
    before = log.execute(CONTENT).fetchall()
    first, second = archive(log, server_directory), archive(log, server_directory)
    assert (first.first_position, second.last_position) == (1, 2 * EVENTS)
    assert bounds(log) == [(2 * EVENTS + 1, 3 * EVENTS, 2 * EVENTS + 100)]
    assert log.execute(CONTENT).fetchall() == before
    assert verify(log, trusted=history.TRUSTED).holds
    assert archiving.check(first, history.TRUSTED) == ()
    with pytest.raises(CannotArchive, match="nothing to archive yet"):
        archive(log, server_directory)

    for expected in (second, first):
        assert archiving.restore(log, database_url, "tests", quiet) == expected
        assert log.execute(CONTENT).fetchall() == before
        assert verify(log, trusted=history.TRUSTED).holds
    with pytest.raises(CannotArchive, match="nothing is archived"):
        archiving.restore(log, database_url, "tests", quiet)
    assert log.execute("SELECT count(*) FROM archived_events").fetchone() == (0,)
    assert archive(log, server_directory)._replace(archived_at=first.archived_at) == first


def test_streams_go_on_and_stay_unique_over_the_archive(
    log: Connection, server_directory: Path
) -> None:
    idle = uuid7()
    (event,) = reader.read(log, after=0, up_to=1)
    stream, taken = event.stream_id, event.id
    versions = len(store.load_streams(log, {stream: 0})[stream])
    archive(log, server_directory)
    assert [event.event_version for event in store.load_streams(log, {stream: 0})[stream]] == [
        *range(1, versions + 1)
    ]
    assert prove(log, taken)["event"]["position"] == 1
    begun = history.new_event(idle, 1)
    with pytest.raises(VersionConflict):
        history.append_these(log, begun, history.new_event(stream, 1))
    with pytest.raises(VersionConflict):
        history.append_these(log, begun, history.new_event(uuid7(), 1)._replace(id=taken))
    history.append_these(log, begun, history.new_event(stream, versions + 1))
    assert len(reader.read(log, after=0, up_to=reader.head(log))) == reader.head(log)


def recovered(connection: Connection, after: int) -> UUID:
    """The id of a recovery's event that was appended."""
    told = LogRecovered(previous=None, after=after, commands_up_to=1, actor="ada", reason="test")
    version = connection.execute(
        "SELECT count(*) FROM event_store WHERE stream_id = %s", (STREAM_ID,)
    ).fetchone()
    assert version is not None
    event = history.new_event(STREAM_ID, version[0] + 1)._replace(
        stream_type=STREAM_TYPE, event_type=LogRecovered.type, data=encode(told)
    )
    history.append_these(connection, event)
    return event.id


def test_the_lives_of_the_log_are_known_when_they_began_in_what_is_archived(
    log: Connection, database_url: str, server_directory: Path
) -> None:
    begun = recovered(log, 2 * EVENTS + 90)
    history.append(log, EVENTS)  # the partition with the recovery is full
    history.seal(log, block_events=300)
    before = incarnations.lineage(log)
    assert [one.id for one in before][1:] == [begun]
    kept = seals.head(log)
    placed = [archive(log, server_directory) for _ in range(3)]
    for path in (one for place in placed[:2] for one in place.directory.glob("*.csv")):
        path.chmod(0o600)
        path.write_bytes(b"")  # nobody reads what has no recovery
    assert incarnations.lineage(log) == before
    assert log.execute("SELECT count(*) FROM log_incarnations").fetchone() == (2,)
    again = recovered(log, reader.head(log))
    assert [one.id for one in incarnations.lineage(log)] == [*(one.id for one in before), again]
    assert recovery._newest_recovery(log)[0] == again
    assert kept is not None
    assert recovery._unexplained(kept, log) is None


def test_what_appends_and_loads_streams_opens_no_file(
    log: Connection, server_directory: Path
) -> None:
    placed = archive(log, server_directory)
    for path in placed.directory.glob("*.csv"):
        path.unlink()
    ((stream,),) = log.execute("SELECT stream_id FROM archived_events LIMIT 1").fetchall()
    known = log.execute(
        "SELECT max(event_version) FROM event_store WHERE stream_id = %s AND position >= %s",
        (stream, EVENTS + 1),
    ).fetchone()
    assert known is not None
    fresh = uuid7()
    history.append_these(log, history.new_event(fresh, 1), history.new_event(stream, known[0] + 1))
    loaded = store.load_streams(log, {fresh: 0, uuid7(): 0, stream: known[0]})
    assert [len(events) for events in loaded.values()] == [1, 0, 1]
    with pytest.raises(psycopg.errors.UndefinedFile, match=r"1\.csv"):
        store.load_streams(log, {stream: 0})  # rather than half of it


@pytest.mark.parametrize("name", ["1.csv", "events.parquet", "manifest.json"])
def test_a_file_that_was_altered_is_found(
    log: Connection, database_url: str, server_directory: Path, name: str
) -> None:
    placed = archive(log, server_directory)
    path = placed.directory / name
    path.chmod(0o600)
    content = path.read_bytes()
    changed = content.replace(b"12.50", b"92.50", 1)
    path.write_bytes(changed if changed != content else content[:-9] + b"X" + content[-8:])
    if name != "1.csv":
        assert archiving.check(placed)
        return
    verdict = verify(log, trusted=history.TRUSTED)
    assert not verdict.holds
    assert (verdict.findings[0].position, verdict.findings[0].tampering) == (1, "changed")
    with pytest.raises(CannotArchive, match="not what was sealed"):
        archiving.restore(log, database_url, "tests", quiet)


def test_what_is_said_of_an_archive_cannot_be_changed_unseen(
    log: Connection, server_directory: Path
) -> None:
    archive(log, server_directory)
    history.seal(log)
    assert verify(log, trusted=history.TRUSTED).holds
    for forbidden in ("DELETE FROM event_archives", "TRUNCATE event_archives"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            log.execute(forbidden.encode())
    log.execute("SET session_replication_role = replica")
    log.execute("UPDATE event_archives SET archived_by = 'nobody'")
    verdict = verify(log, trusted=history.TRUSTED)
    assert "the archive number 1 is not what was recorded" in str(verdict.findings)


def test_nothing_is_archived_before_it_is_sealed_or_while_somebody_reads(
    log: Connection, database_url: str, server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "LOCK_SECONDS", 0.1)
    history.append(log, 2 * EVENTS)
    with psycopg.connect(database_url) as somebody:
        somebody.execute("SELECT FROM event_store LIMIT 1")
        with pytest.raises(CannotArchive, match="run this again"):
            archive(log, server_directory)
        assert reader.head(log) == 4 * EVENTS + 100
    archive(log, server_directory)
    archive(log, server_directory)
    with pytest.raises(CannotArchive, match=f"sealed up to {2 * EVENTS + 100} only"):
        archive(log, server_directory)


def test_whoever_asks_or_folds_the_log_gets_the_same_from_the_archive(
    database_url: str, server_directory: Path
) -> None:
    projections = all_projections(ProjectionSettings())
    with psycopg.connect(database_url, autocommit=True) as connection:
        begin_small(connection)
        events = (2 * ARCHIVED if ARCHIVED > 2 else ARCHIVED) * EVENTS + 100
        append_mix(connection, EventMix(accounts=3), events)
        history.seal(connection, block_events=500)
        with running(database_url, projections):
            caught_up(database_url)
        before = answers(database_url)
        for _ in range(ARCHIVED):
            archive(connection, server_directory)
        assert answers(database_url) == before
        assert verify(connection, trusted=history.TRUSTED).holds
    for projection in projections if ARCHIVED > 2 else (balances.PROJECTION,):
        harness.check_rebuild(database_url, projection)


def answers(database_url: str) -> list[Any]:
    """What there is to ask of the log, about things of its beginning."""
    with reading(database_url) as connection:
        early = reader.read(connection, after=0, up_to=700)
        account = next(event for event in early if event.stream_type == "account").stream_id
        order = next(event for event in reversed(early) if event.stream_type == "order")
        middle, late = early[500], reader.read(connection, after=1_500, up_to=1_600)[0]
        explained = explain_balance(connection, account, "USDT")
        shown = statement(connection, account, middle.recorded_at, late.recorded_at)
        criteria = [
            EventCriteria(stream_id=account, after=300, before=1_800),
            EventCriteria(account_id=account),
            EventCriteria(event_id=order.id),
            EventCriteria(event_types=("order.cancelled",)),
            EventCriteria(correlation_id=order.correlation_id),
            EventCriteria(user_id=early[-1].user_id),
            EventCriteria(occurred_from=middle.occurred_at, occurred_to=late.occurred_at),
            EventCriteria(recorded_from=middle.recorded_at),
            EventCriteria(contains={"account_id": str(account)}, after=200),
        ]
        return [
            early,
            *(list(find(connection, one)) for one in criteria),
            *(list(find(connection, one, newest_first=True, limit=50)) for one in criteria),
            list(explained.lines(connection)),
            explained.equal,
            explain_order(connection, order.stream_id),
            list(shown.entries(connection)),
            position_at(connection, middle.recorded_at),
        ]

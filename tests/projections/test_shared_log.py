"""Workers of a process read the newest events once, together."""

from datetime import UTC, datetime

import psycopg
import pytest

from ledger.subscriptions import shared_log
from ledger.subscriptions.wakeup import Bell
from projections.engine.connection import connect
from projections.engine.live.log_reader import LogReader
from projections.engine.live.log_reader import shared_log as shared_by
from projections.read_models import balances, instruments
from tests.projections import log as events
from tests.projections.log import Log, opened_log

HERE = datetime(2026, 1, 1, tzinfo=UTC)
ELSEWHERE = datetime(2026, 1, 2, tzinfo=UTC)


def _deposit(log: Log, times: int = 1) -> int:
    position = 0
    for _ in range(times):
        position = log.account(events.deposited("USDT", "5"))
    return position


def test_what_one_worker_read_and_decoded_the_others_take(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
    shared = shared_by(Bell())
    with connect(database_url, "one") as one, connect(database_url, "other") as other:
        up_to, of_one, _ = LogReader(shared, one).read(balances.PROJECTION, after=0, most=100)
        second = LogReader(shared, other)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("ALTER TABLE event_store RENAME TO hidden")
            try:
                assert second.read(balances.PROJECTION, after=0, most=100) == (up_to, of_one, [])
                assert second.read(instruments.PROJECTION, after=0, most=100) == (up_to, [], [])
                _, of_other, _ = second.read(balances.PROJECTION, after=0, most=100)
            finally:
                connection.execute("ALTER TABLE hidden RENAME TO event_store")
    assert up_to == 2
    assert [event.event_type for event in of_one] == ["account.deposited"]
    assert of_one[0].decoded() is of_other[0].decoded()


def test_a_worker_far_behind_reads_by_itself_and_misses_nothing(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_log, "KEPT_POSITIONS", 3)
    with opened_log(database_url) as log, connect(database_url, "test") as connection:
        shared = shared_by(Bell())
        head = _deposit(log, 8)
        newest = shared.read(connection, HERE, after=0, most=100)
        behind = shared.read(connection, HERE, after=2, most=4)
        near = shared.read(connection, HERE, after=head - 2, most=100)
    assert [event.position for event in newest] == list(range(1, head + 1))
    assert [event.position for event in behind] == [3, 4, 5, 6]
    assert [event.position for event in near] == [head - 1, head]
    assert near[0] is newest[-2]


def test_an_empty_look_is_not_repeated_until_the_bell_rings(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_log, "FRESH_SECONDS", 3_600.0)
    bell = Bell()
    shared = shared_by(bell)
    with opened_log(database_url) as log, connect(database_url, "test") as connection:
        head = _deposit(log)
        assert len(shared.read(connection, HERE, after=0, most=100)) == 1
        assert shared.read(connection, HERE, after=head, most=100) == []
        _deposit(log)
        assert shared.read(connection, HERE, after=head, most=100) == []
        bell.ring()
        assert len(shared.read(connection, HERE, after=head, most=100)) == 1


def test_events_of_one_server_are_not_given_to_workers_of_another(database_url: str) -> None:
    shared = shared_by(Bell())
    with opened_log(database_url) as log, connect(database_url, "test") as connection:
        _deposit(log, 2)
        (first, _) = shared.read(connection, HERE, after=0, most=100)
        (again, _) = shared.read(connection, ELSEWHERE, after=0, most=100)
    assert again == first
    assert again is not first


def test_who_waits_too_long_for_another_reads_itself(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_log, "PATIENCE_SECONDS", 0.01)
    shared = shared_by(Bell())
    with opened_log(database_url) as log, connect(database_url, "test") as connection:
        head = _deposit(log, 2)
        with shared._lock:  # as one has it whose connection hangs
            found = shared.read(connection, HERE, after=0, most=100)
    assert [event.position for event in found] == [1, head]

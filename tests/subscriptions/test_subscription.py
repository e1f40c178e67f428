"""A subscription of its own: a name and a function, followed through everything that goes wrong."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from ledger.eventstore.reader import RecordedEvent
from ledger.operate.database import connect
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, find
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.lease import LeaseOptions
from ledger.subscriptions.subscription import Handle, Subscription
from projections.engine import pause, status
from projections.engine.operator_events import Deed
from tests.programs.publishing import Log
from tests.programs.services import rows
from tests.subscriptions import noting

PATIENCE_SECONDS = 20.0

Start = Callable[[], subprocess.Popen[bytes]]


@pytest.fixture
def log(database_url: str) -> Log:
    with psycopg.connect(database_url) as connection:
        connection.execute(noting.TABLE)
    return Log(database_url)


@pytest.fixture
def start(database_url: str) -> Iterator[Start]:
    """Starts the subscription as a process."""
    started: list[subprocess.Popen[bytes]] = []

    def start_one() -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.subscriptions.noting", database_url]
        started.append(subprocess.Popen(command, stderr=subprocess.DEVNULL))
        return started[-1]

    yield start_one
    for process in started:
        process.kill()
        process.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def noted(database_url: str) -> list[tuple[int, int]]:
    """What was noted in which process, in the order of the notes."""
    return [
        (position, pid)
        for position, pid in rows(database_url, "SELECT position, pid FROM noted ORDER BY number")
    ]


def state(database_url: str) -> tuple[Any, ...]:
    found = rows(
        database_url,
        "SELECT status, last_processed_position, error_message FROM event_projections "
        f"WHERE projection_name = '{noting.NAME}'",
    )
    return tuple(found[0]) if found else ("MISSING", 0, None)


@contextmanager
def subscribed(
    database_url: str, handle: Handle, *, lease_seconds: float = 0.6, **options: Any
) -> Iterator[None]:
    """A subscription at work in this process."""
    stop = threading.Event()
    subscription = Subscription(
        noting.NAME,
        handle,
        database_url=database_url,
        stop=stop,
        lease=LeaseOptions(lease_seconds),
        **options,
    )
    thread = threading.Thread(target=subscription.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_one_is_killed_another_takes_over_at_once_and_no_event_is_handled_twice(
    log: Log, start: Start
) -> None:
    first = start()
    log.grow(3_000)
    until(lambda: len(noted(log.database_url)) > 0)
    second = start()
    log.grow(20)
    first.kill()
    first.wait()
    killed_at = time.monotonic()
    log.grow(20)
    until(lambda: bool(noted(log.database_url)) and noted(log.database_url)[-1][1] == second.pid)
    assert time.monotonic() - killed_at < lease.LEASE_SECONDS, "not only after the lease"
    until(lambda: state(log.database_url)[1] == log.head)
    assert [position for position, _ in noted(log.database_url)] == list(range(1, log.head + 1))


def test_who_was_taken_over_without_noticing_leaves_nothing_of_its_batch(log: Log) -> None:
    log.grow(5)

    def handle(connection: psycopg.Connection[Any], events: Sequence[RecordedEvent]) -> None:
        noting.handle(connection, events)
        with connect(log.database_url, "other") as other:  # while it is at it
            other.execute("UPDATE event_projections SET epoch = epoch + 1, owner = 'other'")
            other.execute("UPDATE projection_leases SET leased_until = 'infinity'")
        handled.set()

    handled = threading.Event()
    # The checkpoint's row is held while a batch is handled: this one believes that it is.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "hold", lambda *_: None)
        with subscribed(log.database_url, handle, lease_seconds=60):
            assert handled.wait(PATIENCE_SECONDS)
    assert noted(log.database_url) == []
    assert state(log.database_url)[1] == 0


def test_a_batch_that_was_committed_unheard_of_is_not_applied_again(log: Log) -> None:
    """The connection broke with the commit under way: the owner still believes in the old place."""
    log.grow(5)
    with connect(log.database_url, "test") as connection:
        checkpoint.install(connection, noting.NAME)
        held = checkpoint.read(connection, noting.NAME)
        assert held is not None
        moved = checkpoint.advance(connection, held, to=3, handled=3, event_id=None, rate=None)
        with pytest.raises(checkpoint.Fenced):
            checkpoint.hold(connection, held)
        with pytest.raises(checkpoint.Fenced):
            checkpoint.advance(connection, held, to=3, handled=3, event_id=None, rate=None)
        assert checkpoint.advance(
            connection, moved, to=5, handled=2, event_id=None, rate=None
        ) == replace(moved, position=5)


def test_one_that_is_paused_goes_on_when_it_is_resumed(log: Log) -> None:
    with subscribed(log.database_url, noting.handle):
        head = log.grow(5)
        until(lambda: state(log.database_url)[:2] == ("RUNNING", head))
        with connect(log.database_url, "operator") as operator:
            pause.pause(operator, [noting.NAME], Deed("olga", "too loud"))
            assert state(log.database_url)[:2] == ("PAUSED", head)
            log.grow(5)
            pause.resume(operator, [noting.NAME], Deed("olga"))
        until(lambda: state(log.database_url)[:2] == ("RUNNING", log.head))
    assert [position for position, _ in noted(log.database_url)] == list(range(1, log.head + 1))


def test_operators_see_it_beside_the_read_models_and_know_its_service(log: Log) -> None:
    with connect(log.database_url, "test") as connection:
        checkpoint.install(connection, noting.NAME)
        services = {row.projection_name: row.service for row in status.read(connection)}
        assert services[noting.NAME] == noting.NAME
        assert services["balances"] == "projections"
        read_models = [name for name, service in services.items() if service == "projections"]
        places = Places(Settings(), log.database_url)
        for name in read_models:
            assert not find("projections").ready(places), f"nobody keeps {name}"
            assert lease.claim(connection, name, "somebody", lease_seconds=60)
        assert find("projections").ready(places), "read models are kept, whoever else is not"
        assert not find("publisher").ready(places)


def test_what_cannot_be_handled_is_said_and_tried_again_whole(log: Log) -> None:
    mended = threading.Event()

    def handle(connection: psycopg.Connection[Any], events: Sequence[RecordedEvent]) -> None:
        noting.handle(connection, events)
        if not mended.is_set():
            raise ValueError("no such channel")

    log.grow(10)
    with subscribed(log.database_url, handle):
        until(lambda: state(log.database_url) == ("ERROR", 0, "ValueError: no such channel"))
        assert noted(log.database_url) == []
        mended.set()
        until(lambda: state(log.database_url) == ("RUNNING", 10, None))
    assert state(log.database_url)[0] == "STOPPED"
    assert [position for position, _ in noted(log.database_url)] == list(range(1, 11))


def test_only_the_events_asked_for_come_and_a_new_one_begins_where_it_is_told(log: Log) -> None:
    log.grow(50)
    begin = 20
    with subscribed(
        log.database_url, noting.handle, event_types=["account.deposited"], begin_after=begin
    ):
        until(lambda: state(log.database_url)[1] == log.head)
    wanted = rows(
        log.database_url,
        "SELECT position FROM event_store WHERE event_type = 'account.deposited' "
        f"AND position > {begin} ORDER BY position",
    )
    assert [position for position, _ in noted(log.database_url)] == [row[0] for row in wanted]

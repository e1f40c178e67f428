"""The sealer: when a block is sealed, by whom, and what it does not seal."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import nats
import psycopg
import pytest

from ledger.audit.prove import seals
from ledger.audit.prove.sealer import (
    CannotSeal,
    Sealer,
    SealerOptions,
    place,
    seal_all,
    seal_block,
)
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verify import verify
from ledger.bus.seal_stream import SEALS_SUBJECT
from ledger.operate.database import connect
from ledger.operate.settings import load
from ledger.programs import seals as seal_service
from ledger.programs.registry import Places
from ledger.subscriptions import checkpoint, lease
from ledger.subscriptions.checkpoint import Checkpoint, Fenced
from tests.audit import history

BY_COUNT = SealerOptions(block_events=8, block_age_seconds=3600, key=history.KEY)
BY_AGE = SealerOptions(block_events=1_000, block_age_seconds=0.01, key=history.KEY)
PATIENCE_SECONDS = 20.0


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@contextmanager
def sealing(database_url: str, options: SealerOptions) -> Iterator[list[Seal]]:
    """A sealer at work, and the heads that it told of."""
    stop, told = threading.Event(), list[Seal]()

    def note(head: Seal | None) -> None:
        if head is not None and head not in told:
            told.append(head)

    sealer = Sealer(database_url, options, stop=stop, on_head=note)
    thread = threading.Thread(target=sealer.run)
    thread.start()
    try:
        yield told
    finally:
        stop.set()
        thread.join()


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def status(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    row = connection.execute(
        """SELECT status, last_processed_position, owner IS NOT NULL, error_message
           FROM event_projections WHERE projection_name = 'seals'"""
    ).fetchone()
    assert row is not None
    return tuple(row)


def claimed(connection: psycopg.Connection[Any], owner: str) -> Checkpoint | None:
    place(connection)
    return lease.claim(connection, seals.PROJECTION, owner, lease_seconds=60)


def owned(connection: psycopg.Connection[Any]) -> bool:
    found = checkpoint.read(connection, seals.PROJECTION)
    return found is not None and found.owner is not None


def test_full_blocks_are_sealed_and_the_rest_is_said_to_wait(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    history.append(connection, 20)
    with sealing(database_url, BY_COUNT) as told:
        wait_until(lambda: len(told) == 2)
        assert status(connection) == ("RUNNING", 16, True, None)
        waiting = seals.unsealed(connection)
        assert waiting.events == 4
        assert 0 < waiting.seconds < PATIENCE_SECONDS
    assert status(connection) == ("STOPPED", 16, False, None)
    assert [(seal.first_position, seal.last_position) for seal in told] == [(1, 8), (9, 16)]
    assert verify(connection, trusted=history.TRUSTED).holds


def test_what_has_waited_long_enough_is_sealed_though_its_block_is_not_full(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    history.append(connection, 3)
    with sealing(database_url, BY_AGE) as told:
        wait_until(lambda: len(told) == 1)
        history.append(connection, 2)
        wait_until(lambda: len(told) == 2)
    assert told[1].last_position == 5
    assert told[1].previous_hash == told[0].hash


def test_of_several_sealers_one_works_and_another_goes_on_when_it_ends(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    with sealing(database_url, BY_COUNT) as later:
        wait_until(lambda: owned(connection))
        with sealing(database_url, BY_COUNT) as waits:
            history.append(connection, 16)
            wait_until(lambda: len(later) == 2)
            assert waits == []
    with sealing(database_url, BY_COUNT) as second:
        history.append(connection, 8)
        wait_until(lambda: bool(second) and second[-1].last_position == 24)
    assert verify(connection, trusted=history.TRUSTED).holds


def test_a_person_can_seal_beside_the_service(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    with sealing(database_url, BY_COUNT) as told:
        history.append(connection, 3)
        wait_until(lambda: owned(connection))
        assert [seal.last_position for seal in seal_all(connection, BY_COUNT)] == [3]
        history.append(connection, 8)
        wait_until(lambda: bool(told) and told[-1].first_position == 4)
        assert told[-1].last_position == 11


def test_a_sealer_that_was_overtaken_seals_nothing(connection: psycopg.Connection[Any]) -> None:
    history.append(connection, 16)
    first = claimed(connection, "first")
    assert first is not None
    assert claimed(connection, "second") is None, "the first one is alive"
    connection.execute("UPDATE projection_leases SET leased_until = '-infinity'")
    second = claimed(connection, "second")
    assert second is not None
    with pytest.raises(Fenced):
        seal_block(connection, first, BY_COUNT)
    assert seals.head(connection) is None
    assert seal_block(connection, second, BY_COUNT) is not None


def test_a_sealer_that_was_killed_is_followed_before_its_lease_is_over(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    history.append(connection, 8)
    killed = connect(database_url, "seals")
    assert claimed(killed, "killed") is not None
    with sealing(database_url, BY_COUNT) as told:
        killed.close()
        closed_at = time.monotonic()
        wait_until(lambda: len(told) == 1)
        assert time.monotonic() - closed_at < BY_COUNT.lease.lease_seconds


def test_a_paused_sealer_seals_nothing(connection: psycopg.Connection[Any]) -> None:
    history.append(connection, 8)
    place(connection)
    connection.execute("UPDATE event_projections SET status = 'PAUSED'")
    with pytest.raises(Fenced):
        list(seal_all(connection, BY_COUNT))
    assert claimed(connection, "anybody") is None
    assert seals.head(connection) is None


def test_without_the_key_in_force_nothing_is_sealed_and_with_it_it_goes_on(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    history.append(connection, 8)
    history.seal(connection)
    history.append(connection, 8)
    with sealing(database_url, SealerOptions(block_events=8, block_age_seconds=3600)):
        wait_until(lambda: status(connection)[0] == "ERROR")
        assert "this one would be made without a key" in status(connection)[3]
    assert seals.numbered(connection, 2) is None
    with sealing(database_url, BY_COUNT):
        wait_until(lambda: status(connection)[:2] == ("RUNNING", 16))
    assert verify(connection, trusted=history.TRUSTED).holds


def test_where_the_sealers_place_was_lost_the_seals_tell_it(
    connection: psycopg.Connection[Any],
) -> None:
    """As in a database of which only the log and the seals were restored."""
    history.append(connection, 8)
    history.seal(connection)
    connection.execute("DELETE FROM event_projections WHERE projection_name = 'seals'")
    assert verify(connection, trusted=history.TRUSTED).holds
    history.append(connection, 8)
    history.seal(connection)
    assert verify(connection, trusted=history.TRUSTED).holds


def test_a_log_with_a_gap_is_not_sealed(
    database_url: str, connection: psycopg.Connection[Any]
) -> None:
    history.append(connection, 8)
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM event_store WHERE position = 3")
    with pytest.raises(CannotSeal, match="no event at position 3"):
        list(seal_all(connection, BY_COUNT))
    with sealing(database_url, BY_COUNT):
        wait_until(lambda: status(connection)[0] == "ERROR")
        assert "no event at position 3" in status(connection)[3]
    assert seals.head(connection) is None


def test_a_log_that_was_cut_off_is_not_sealed_over(connection: psycopg.Connection[Any]) -> None:
    history.append(connection, 8)
    history.seal(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM event_store WHERE position > 6")
    with pytest.raises(CannotSeal, match="ends at position 6, but it is sealed up to 8"):
        history.seal(connection)
    connection.execute("DELETE FROM event_seals")
    history.append(connection, 8)
    with pytest.raises(CannotSeal, match="seals were removed"):
        history.seal(connection)


def test_seals_refuse_to_be_changed(connection: psycopg.Connection[Any]) -> None:
    history.append(connection, 1)
    history.seal(connection)
    for statement in (
        b"UPDATE event_seals SET sealed_at = now()",
        b"DELETE FROM event_seals",
        b"TRUNCATE event_seals",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
            connection.execute(statement)


def test_the_sealer_needs_no_more_than_its_role_and_nobody_else_can_seal(
    connection: psycopg.Connection[Any],
) -> None:
    history.append(connection, 9)
    connection.execute("SET ROLE ledger_sealer")
    assert len(history.seal(connection)) == 2
    connection.execute("RESET ROLE")
    history.append(connection, 1)
    connection.execute("SET ROLE ledger_auditor")
    assert verify(connection, trusted=history.TRUSTED).holds
    for role in ("ledger_auditor", "ledger_projector", "ledger_operator", "ledger_writer"):
        connection.execute(f"SET ROLE {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            history.seal(connection)


@pytest.mark.parametrize("role", ["ledger_projector", "ledger_operator"])
def test_nobody_else_moves_or_holds_the_sealers_row(
    connection: psycopg.Connection[Any], role: str
) -> None:
    history.append(connection, 9)
    history.seal(connection)
    assert claimed(connection, "sealer") is not None
    connection.execute(f"SET ROLE {role}".encode())
    for statement in (
        "UPDATE event_projections SET last_processed_position = 0",
        "SELECT FROM event_projections WHERE projection_name = 'seals' FOR UPDATE",
    ):
        connection.execute(statement.encode())
    with suppress(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE projection_leases SET leased_until = NULL, owner = 'nobody'")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("UPDATE event_projections SET projection_name = 'seals'")
    connection.execute("RESET ROLE")
    found = connection.execute(
        "SELECT last_processed_position FROM event_projections WHERE projection_name = 'seals'"
    ).fetchone()
    assert found == (9,)
    lease_of_sealer = connection.execute(
        "SELECT owner, leased_until > now() FROM projection_leases WHERE projection_name = 'seals'"
    ).fetchone()
    assert lease_of_sealer == ("sealer", True)


async def test_new_heads_are_published(
    database_url: str,
    nats_url: str,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LEDGER_NATS_URL", nats_url)
    monkeypatch.setenv("LEDGER_SEAL_BLOCK_AGE_SECONDS", "0.01")
    listener = await nats.connect(nats_url)
    heads = await listener.subscribe(SEALS_SUBJECT)
    await listener.flush()
    stop = threading.Event()
    service = threading.Thread(
        target=seal_service.PROGRAM.run, args=(Places(load(), database_url), stop)
    )
    service.start()
    try:
        history.append(connection, 5)
        message = await heads.next_msg(PATIENCE_SECONDS)
    finally:
        stop.set()
        service.join()
        await listener.close()
    head = seals.from_document(message.data)
    assert head == seals.head(connection)
    assert verify(connection, kept=[head]).holds

"""What doctor says of the seals: late, failed, unsigned, and heads that are not kept."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from nats.js import api

from ledger.audit.prove import seals
from ledger.bus.connection import connect_once
from ledger.bus.seal_stream import SEALS_SUBJECT, ensure_seals_stream, seals_of
from ledger.bus.security import BusSecurity
from ledger.operate import seals_examination
from ledger.operate.settings import Settings
from ledger.subscriptions import checkpoint, lease
from tests.audit import history


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def examined(connection: psycopg.Connection[Any], **settings: Any) -> tuple[str, str]:
    found = seals_examination.of_database(connection, Settings(**settings))
    return found.status, found.message


def test_signed_seals_in_time_are_well_and_unsigned_ones_are_not(
    connection: psycopg.Connection[Any],
) -> None:
    history.append(connection, 8)
    history.seal(connection, None)
    status, message = examined(connection)
    assert status == "warn"
    assert "not signed" in message
    history.append(connection, 8)
    history.seal(connection)
    status, message = examined(connection)
    assert status == "ok"
    assert message == "sealed up to position 16, 0 events wait, the oldest for 0 s"


def test_events_that_nobody_seals_are_a_failure_and_so_is_a_sealer_that_cannot(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    history.append(connection, 8)
    history.seal(connection)
    history.append(connection, 1)
    assert examined(connection)[0] == "ok"
    monkeypatch.setattr(seals_examination, "LATE_SECONDS", -10.0)
    status, message = examined(connection)
    assert status == "fail"
    assert "1 events wait" in message
    mine = lease.claim(connection, seals.PROJECTION, "somebody", lease_seconds=60)
    assert mine is not None
    checkpoint.fail(connection, mine, "the log has a gap")
    status, message = examined(connection)
    assert status == "fail"
    assert "the log has a gap" in message


async def test_heads_that_are_not_kept_or_could_be_deleted_are_said(nats_url: str) -> None:
    settings = Settings(seal_heads_limit_bytes=1024**2)
    connection = await connect_once(nats_url, "test", security=BusSecurity())
    try:
        jetstream = seals_of(connection)
        assert "no stream" in (await seals_examination.of_bus(connection)).message
        await ensure_seals_stream(jetstream, settings)
        assert "no head is kept" in (await seals_examination.of_bus(connection)).message
        await jetstream.publish(SEALS_SUBJECT, b"x" * 50_000)
        assert (await seals_examination.of_bus(connection)).status == "ok"
        for _ in range(17):
            await jetstream.publish(SEALS_SUBJECT, b"x" * 50_000)
        found = await seals_examination.of_bus(connection)
        assert (found.status, "bytes are taken" in found.message) == ("warn", True)
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("age", "allowed", "said"),
    [(5_000, False, "no head was published since"), (5, True, "can be deleted")],
)
def test_silence_and_a_stream_that_forgets_are_failures(age: int, allowed: bool, said: str) -> None:
    config = api.StreamConfig(name="LEDGER_SEALS", deny_delete=not allowed, deny_purge=True)
    state = api.StreamState(messages=1, bytes=1, first_seq=1, last_seq=1, consumer_count=0)
    newest = datetime.now(UTC) - timedelta(seconds=age)
    found = seals_examination.of_stream(config, state, newest)
    assert found.status == "fail"
    assert said in found.message

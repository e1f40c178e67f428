"""LEDGER_SEALS: heads on a bus with users and TLS, and what nobody can take away from it."""

import threading
from pathlib import Path
from typing import Any

import nats
import nats.js.errors
import psycopg
import pytest

from ledger.audit.prove import seals
from ledger.bus.connection import connect_once
from ledger.bus.seal_stream import (
    SEALS_STREAM,
    SEALS_SUBJECT,
    NoRoomForHeads,
    ensure_seals_stream,
    kept_at,
    newest_kept,
    seals_of,
)
from ledger.bus.security import BusSecurity
from ledger.operate.settings import Settings, load
from ledger.programs import seals as seal_service
from ledger.programs.registry import Places
from tests.audit import history
from tests.bus.secured import SecuredBus
from tests.programs.services import ANSWER_SECONDS


async def test_heads_are_kept_on_a_bus_with_users(
    database_url: str, server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = SecuredBus(server_directory)
    ours = bus.add_user("ledger", "ledger")
    monkeypatch.setenv("LEDGER_NATS_URL", bus.url)
    monkeypatch.setenv("LEDGER_NATS_USER", "ledger")
    monkeypatch.setenv("LEDGER_NATS_NKEY_SEED_FILE", str(ours.nkey_seed_file))
    monkeypatch.setenv("LEDGER_NATS_TLS_CA_FILE", str(ours.tls_ca_file))
    monkeypatch.setenv("LEDGER_SEAL_BLOCK_AGE_SECONDS", "0.01")
    with bus.running(), psycopg.connect(database_url, autocommit=True) as database:
        history.append(database, 5)
        listener = await connect_once(bus.url, "test", security=ours)
        heads = await listener.subscribe(SEALS_SUBJECT)
        await listener.flush()
        stop = threading.Event()
        service = threading.Thread(
            target=seal_service.PROGRAM.run, args=(Places(load(), database_url), stop)
        )
        service.start()
        try:
            message = await heads.next_msg(ANSWER_SECONDS)
            assert seals.from_document(message.data) == seals.head(database)
        finally:
            stop.set()
            service.join()
        kept = await newest_kept(seals_of(listener))
        await listener.close()
    assert kept is not None
    assert kept.body == message.data


async def test_what_is_kept_cannot_be_deleted_or_pushed_out(nats_url: str) -> None:
    connection = await connect_once(nats_url, "test", security=BusSecurity())
    try:
        jetstream = seals_of(connection)
        with pytest.raises(NoRoomForHeads, match="LEDGER_SEAL_HEADS_LIMIT_BYTES"):
            await ensure_seals_stream(jetstream, Settings(seal_heads_limit_bytes=2**60))
        await ensure_seals_stream(jetstream, Settings(seal_heads_limit_bytes=1024**2))
        await jetstream.publish(SEALS_SUBJECT, b"the first")
        refused: Any = pytest.raises(nats.js.errors.APIError)
        with refused:
            await jetstream.purge_stream(SEALS_STREAM)
        with refused:
            await jetstream.delete_msg(SEALS_STREAM, 1)
        stream = (await jetstream.stream_info(SEALS_STREAM)).config
        stream.deny_delete = stream.deny_purge = False
        with refused:
            await jetstream.update_stream(stream)
        with refused:
            for _ in range(100):
                await jetstream.publish(SEALS_SUBJECT, b"x" * 60_000)
        first = await kept_at(jetstream, 1)
        assert first is not None
        assert first.body == b"the first"
    finally:
        await connection.close()

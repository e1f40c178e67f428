"""What somebody can forge who has the owner's login and a key that was rotated out.

Such a person changes an event and makes the seals anew with the ledger's own programs, so that
everything fits. None of that is ever said to be unaltered, and whoever has the key in force or a
head that was kept sees it: in the database and in an export of it.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.export.export import export
from ledger.audit.export.reader import UnreadableExport
from ledger.audit.export.verify import verify_export
from ledger.audit.prove import key_changes, seals
from ledger.audit.prove.sealer import CannotSeal
from ledger.audit.prove.seals import Seal, from_document
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verify import verify
from ledger.bus.connection import connect_once
from ledger.bus.seal_stream import newest_kept, seals_of
from ledger.bus.security import BusSecurity
from ledger.operate.embedded.servers import EmbeddedNats
from ledger.operate.settings import load
from ledger.programs import seals as seal_service
from ledger.programs.registry import Places
from tests.audit import history
from tests.audit.test_sealer import BY_COUNT, sealing, status, wait_until

Connection = psycopg.Connection[Any]

OLD = history.KEY
NEW = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
FRESH = Ed25519PrivateKey.from_private_bytes(bytes(range(2, 34)))
"""The forger's own."""
OLD_PUBLIC, NEW_PUBLIC = (key.public_key().public_bytes_raw() for key in (OLD, NEW))
ROTATED = 40
"""The last position under a seal of the old key."""
EVENTS = 64

KEYS = {
    "the key in force": [TrustedKey(NEW_PUBLIC)],
    "both keys": [TrustedKey(OLD_PUBLIC), TrustedKey(NEW_PUBLIC)],
    "both keys with their ranges": [
        TrustedKey(OLD_PUBLIC, 1, ROTATED),
        TrustedKey(NEW_PUBLIC, ROTATED + 1),
    ],
}


class Ledger(NamedTuple):
    """A history under two keys, the heads that were kept of it, and a superuser's connection for
    which no trigger fires."""

    connection: Connection
    heads: list[Seal]


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, ROTATED)
        heads = history.seal(connection, OLD)
        heads.append(key_changes.rotate(connection, OLD, NEW, "the yearly change"))
        history.append(connection, EVENTS - ROTATED)
        heads += history.seal(connection, NEW)
        connection.execute("SET session_replication_role = replica")
        yield Ledger(connection, heads)


# --- the forgeries ---------------------------------------------------------------------------


def change(connection: Connection) -> None:
    connection.execute(
        """UPDATE event_store SET event_data = jsonb_set(event_data, '{amount}', '"1000000"')
           WHERE position = 20"""
    )


def unsealed_again(connection: Connection) -> None:
    change(connection)
    connection.execute("DELETE FROM event_seals")
    connection.execute("UPDATE event_projections SET last_processed_position = 0")


def sealed_without_a_key(connection: Connection) -> None:
    unsealed_again(connection)
    history.seal(connection, None)


def sealed_in_larger_blocks(connection: Connection) -> None:
    unsealed_again(connection)
    history.seal(connection, None, block_events=50)


def sealed_with_the_old_key(connection: Connection) -> None:
    unsealed_again(connection)
    history.seal(connection, OLD)


def sealed_with_a_fresh_key(connection: Connection) -> None:
    unsealed_again(connection)
    history.seal(connection, FRESH)


def rotated_to_a_fresh_key(connection: Connection) -> None:
    sealed_with_the_old_key(connection)
    key_changes.rotate(connection, OLD, FRESH, "the yearly change")


def stated_as_lost(connection: Connection) -> None:
    sealed_with_the_old_key(connection)
    key_changes.replace_lost(connection, FRESH, "the disk broke")


def rotated_and_back(connection: Connection) -> None:
    """The true change of keys is kept, and everything after it made anew with the old key."""
    connection.execute("DELETE FROM event_seals WHERE last_position > %s", [ROTATED])
    connection.execute(
        "UPDATE event_store SET event_type = 'forged' WHERE position = %s", [ROTATED + 3]
    )
    before = seals.head(connection)
    assert before is not None
    with connection.transaction():
        forged = seals.signed(
            Seal(
                before.number + 1,
                seals.FORMAT,
                ROTATED + 1,
                EVENTS,
                b"\x01" * 32,
                before.hash,
                OLD_PUBLIC,
                before.sealed_at,
                b"",
                None,
            ),
            OLD,
        )
        connection.execute(
            """INSERT INTO event_seals (number, format, first_position, last_position, root,
                   previous_hash, public_key, sealed_at, hash, signature, leaf_hashes)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [*(getattr(forged, name) for name in forged.__struct_fields__[:10]),
             b"\x01" * 32 * (EVENTS - ROTATED)],
        )  # fmt: skip


def continued_without_the_change(connection: Connection) -> None:
    """As if the keys had never been changed: the old one signs from there on."""
    connection.execute("DELETE FROM event_seals WHERE first_position > %s", [ROTATED])
    connection.execute(
        "UPDATE event_store SET event_type = 'forged' WHERE position = %s", [ROTATED + 3]
    )
    connection.execute("UPDATE event_projections SET last_processed_position = %s", [ROTATED])
    history.seal(connection, OLD)


FORGERIES: tuple[Callable[[Connection], None], ...] = (
    change,
    sealed_without_a_key,
    sealed_in_larger_blocks,
    sealed_with_the_old_key,
    sealed_with_a_fresh_key,
    rotated_to_a_fresh_key,
    stated_as_lost,
    rotated_and_back,
    continued_without_the_change,
)


# --- what must show --------------------------------------------------------------------------


def test_the_true_history_holds_on_the_word_of_each_key_and_of_each_head(ledger: Ledger) -> None:
    connection, heads = ledger
    assert verify(connection).standing == "consistent"
    for trusted in KEYS.values():
        assert verify(connection, trusted=trusted).held_to == EVENTS
    for head in heads:
        assert verify(connection, kept=[head]).held_to == head.last_position
        assert verify(connection, trusted=KEYS["both keys"], kept=[head]).held_to == EVENTS
    assert verify(connection, kept=heads).held_to == EVENTS
    assert verify(connection, first=50, last=60, trusted=KEYS["both keys"]).standing == "held"
    assert verify(connection, trusted=[TrustedKey(OLD_PUBLIC)]).held_to == EVENTS, (
        "the old key signed the new one"
    )


@pytest.mark.parametrize("forge", FORGERIES)
def test_no_forgery_is_said_to_be_unaltered_and_each_is_found_from_outside(
    ledger: Ledger, forge: Callable[[Connection], None], tmp_path: Path
) -> None:
    connection, heads = ledger
    forge(connection)
    assert verify(connection).standing in ("consistent", "altered")
    for name, trusted in KEYS.items():
        assert verify(connection, trusted=trusted).standing == "altered", name
    assert verify(connection, kept=heads[-1:]).standing == "altered"
    assert verify(connection, kept=heads).standing == "altered"

    export(connection, tmp_path / "out", "jsonl")
    assert verify_export(tmp_path / "out").standing in ("consistent", "altered")
    for name, trusted in KEYS.items():
        assert verify_export(tmp_path / "out", trusted=trusted).standing == "altered", name
    for kept in (heads[-1:], heads):
        assert verify_export(tmp_path / "out", kept=kept).standing == "altered"


def test_a_cut_off_end_is_found_by_a_head_and_held_only_up_to_the_cut(
    ledger: Ledger, tmp_path: Path
) -> None:
    connection, heads = ledger
    connection.execute("DELETE FROM event_store WHERE position > 48")
    connection.execute("DELETE FROM event_seals WHERE last_position > 48")
    connection.execute("UPDATE event_projections SET last_processed_position = 48")
    found = verify(connection, kept=heads).first
    assert found is not None
    assert (found.position, found.tampering) == (49, "truncated")
    assert verify(connection, trusted=KEYS["the key in force"]).held_to == 48
    export(connection, tmp_path / "out", "jsonl")
    assert verify_export(tmp_path / "out", kept=heads).held_to == 48
    with pytest.raises(UnreadableExport, match="no head that was kept is in the export"):
        verify_export(tmp_path / "out", kept=heads[-1:])


def test_an_empty_ledger_holds_on_nobodys_word(ledger: Ledger) -> None:
    connection, heads = ledger
    connection.execute("TRUNCATE event_seals, event_store")
    connection.execute("UPDATE event_projections SET last_processed_position = 0")
    assert verify(connection, trusted=KEYS["the key in force"]).standing == "consistent"
    assert verify(connection, kept=heads[:1]).standing == "altered"


def test_the_first_bad_position_lies_behind_the_last_head_that_fits(ledger: Ledger) -> None:
    """Also when the forger made fewer seals than there were."""
    connection, heads = ledger
    sealed_in_larger_blocks(connection)
    found = verify(connection, kept=heads[-1:]).first
    assert found is not None
    assert (found.position, found.tampering) == (1, "re-sealed")
    assert f"positions 1-{EVENTS}" in found.message


def test_a_lost_key_is_stated_and_the_new_one_taken_from_an_auditor_who_brings_it(
    ledger: Ledger,
) -> None:
    connection, heads = ledger
    lost = key_changes.replace_lost(connection, FRESH, "the disk broke")
    history.append(connection, 8)
    history.seal(connection, FRESH)
    fresh = TrustedKey(FRESH.public_key().public_bytes_raw())
    for trusted in KEYS.values():
        verdict = verify(connection, trusted=trusted)
        assert verdict.standing == "altered"
        assert verdict.losses == (lost,)
    verdict = verify(connection, trusted=KEYS["the key in force"])
    assert verdict.first is not None
    assert "was lost" in verdict.first.message
    assert verify(connection).standing == "consistent"
    assert verify(connection, trusted=[fresh]).held_to == EVENTS + 8
    assert verify(connection, trusted=[*KEYS["both keys"], fresh]).held_to == EVENTS + 8
    kept = [*heads, lost]
    assert verify(connection, trusted=KEYS["both keys"], kept=kept).held_to == EVENTS + 8


def test_a_key_never_comes_back_and_signs_nothing_after_its_change(ledger: Ledger) -> None:
    connection, _ = ledger
    for again in (OLD, NEW):
        with pytest.raises(CannotSeal, match="never comes back"):
            key_changes.rotate(connection, NEW, again, "back")
    with pytest.raises(CannotSeal, match="the key in force is"):
        key_changes.rotate(connection, OLD, FRESH, "stolen")
    history.append(connection, 8)
    for key in (OLD, FRESH, None):
        with pytest.raises(CannotSeal, match="LEDGER_SEAL_KEY_FILE to the key in force"):
            history.seal(connection, key)
    assert history.seal(connection, NEW)


# --- the sealer itself -----------------------------------------------------------------------


def test_a_sealer_at_work_does_not_seal_an_altered_history_anew(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 16)
        history.seal(connection, OLD)
        with sealing(database_url, BY_COUNT):
            wait_until(lambda: has_owner(connection))
            connection.execute("SET session_replication_role = replica")
            unsealed_again(connection)
            wait_until(lambda: "no longer in event_seals" in (status(connection)[3] or ""))
            assert status(connection)[0] == "ERROR"
        assert seals.head(connection) is None


async def test_nor_does_one_that_was_started_anew_once_heads_are_kept(
    database_url: str, nats_server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LEDGER_NATS_URL", nats_server.url)
    monkeypatch.setenv("LEDGER_SEAL_BLOCK_AGE_SECONDS", "0.01")
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 16)
        with serving(database_url):
            wait_until(lambda: seals.head(connection) is not None)
            # It publishes what it has before it ends.
        true = seals.head(connection)
        connection.execute("SET session_replication_role = replica")
        unsealed_again(connection)
        with serving(database_url):
            wait_until(lambda: "no longer in event_seals" in (status(connection)[3] or ""))
        assert seals.head(connection) is None, "nothing was signed"
    bus = await connect_once(nats_server.url, "test", security=BusSecurity())
    last = await newest_kept(seals_of(bus))
    await bus.close()
    assert last is not None
    assert from_document(last.body) == true, "nothing of the other history was published"


@contextmanager
def serving(database_url: str) -> Iterator[None]:
    """`ledgerctl serve seals` in a thread."""
    stop = threading.Event()
    thread = threading.Thread(
        target=seal_service.PROGRAM.run, args=(Places(load(), database_url), stop)
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def has_owner(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT owner IS NOT NULL FROM event_projections WHERE projection_name = 'seals'"
    ).fetchone()
    return row == (True,)

"""Changes of history by a superuser with the triggers disabled: none of what is sealed escapes."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import sql
from psycopg.types.json import Jsonb

from ledger.audit.prove import seals
from ledger.audit.prove.canonical import COLUMNS, leaf_hash
from ledger.audit.prove.merkle import root
from ledger.audit.prove.printed_events import rows
from ledger.audit.prove.verdict import Finding, Verdict
from ledger.audit.prove.verify import verify
from tests.audit import history

EVENTS = 120
"""Fifteen whole blocks, and what is appended after the last seal."""
UNSEALED = 5
ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "300"))

Connection = psycopg.Connection[Any]


@pytest.fixture
def ledger(database_url: str) -> Iterator[Connection]:
    """A sealed history, and a superuser's connection for which no trigger fires."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, EVENTS)
        history.seal(connection)
        history.append(connection, UNSEALED)
        connection.execute("SET session_replication_role = replica")
        yield connection


@contextmanager
def undone(connection: Connection) -> Iterator[None]:
    with connection.transaction(force_rollback=True):
        yield


def verdict(connection: Connection, **options: Any) -> Verdict:
    return verify(connection, trusted=history.TRUSTED, **options)


def first(connection: Connection, **options: Any) -> Finding:
    found = verdict(connection, **options).first
    assert found is not None
    return found


# --- the changes -----------------------------------------------------------------------------


def change_a_column(connection: Connection, chance: random.Random) -> str:
    column = chance.choice(COLUMNS)
    position = chance.randint(1, EVENTS)
    expression: sql.Composable = sql.SQL(chance.choice(CHANGES[column]))
    before = _event(connection, position)
    connection.execute(
        sql.SQL("UPDATE event_store SET {} = {} WHERE position = %s").format(
            sql.Identifier(column), expression
        ),
        [position],
    )
    # NULL for what is NULL already is no change.
    return column if _event(connection, position) != before else ""


CHANGES = {
    "position": ["position + 1000", "999999"],
    "id": ["gen_random_uuid()"],
    "stream_id": ["gen_random_uuid()"],
    "stream_type": ["'order'", "stream_type || ' '", "upper(stream_type)"],
    "event_type": ["'account.withdrawn'", "event_type || 'x'"],
    "event_version": ["event_version + 1000"],
    "event_data": [
        """jsonb_set(event_data, '{amount}', '"12.51"')""",
        """jsonb_set(event_data, '{amount}', '12.50')""",
        """jsonb_set(event_data, '{deep,0,a}', '1.0')""",
        """jsonb_set(event_data, '{deep,0,a}', '"1"')""",
        """jsonb_set(event_data, '{ok}', 'false')""",
        """jsonb_set(event_data, '{note}', 'null')""",
        """event_data - 'note'""",
        """event_data || '{"late": true}'""",
        """'{}'""",
    ],
    "metadata": ["'{}'", """metadata || '{"source": "others"}'""", """metadata - 'command_id'"""],
    "correlation_id": ["NULL", "gen_random_uuid()"],
    "causation_id": ["NULL", "gen_random_uuid()", "id"],
    "user_id": ["NULL", "gen_random_uuid()"],
    "occurred_at": ["occurred_at + interval '1 microsecond'", "'infinity'", "'0044-03-15 BC'"],
    "recorded_at": ["recorded_at - interval '1 microsecond'", "occurred_at"],
}


def delete_an_event(connection: Connection, chance: random.Random) -> str:
    connection.execute("DELETE FROM event_store WHERE position = %s", [chance.randint(1, EVENTS)])
    return "deleted"


def delete_and_close_the_gap(connection: Connection, chance: random.Random) -> str:
    position = chance.randint(1, EVENTS)
    connection.execute("DELETE FROM event_store WHERE position = %s", [position])
    _shift(connection, position, -1)
    return "deleted, closed"


def insert_an_event(connection: Connection, chance: random.Random) -> str:
    position = chance.randint(1, EVENTS)
    _shift(connection, position - 1, 1)
    connection.execute(
        """INSERT INTO event_store (position, id, stream_id, stream_type, event_type,
               event_version, event_data, occurred_at)
           VALUES (%s, gen_random_uuid(), gen_random_uuid(), 'account', 'account.opened', 1, %s,
               now())""",
        [position, Jsonb({"name": "forged"})],
    )
    return "inserted"


def swap_two_events(connection: Connection, chance: random.Random) -> str:
    one, other = chance.sample(range(1, EVENTS + 1), 2)
    for was, becomes in ((one, 1_000_000), (other, one), (1_000_000, other)):
        connection.execute(
            "UPDATE event_store SET position = %s WHERE position = %s", [becomes, was]
        )
    return "swapped"


def truncate_the_log(connection: Connection, chance: random.Random) -> str:
    position = chance.randint(0, EVENTS - 1)
    connection.execute("DELETE FROM event_store WHERE position > %s", [position])
    return "truncated"


def delete_a_stream(connection: Connection, chance: random.Random) -> str:
    connection.execute(
        """DELETE FROM event_store WHERE stream_id =
               (SELECT stream_id FROM event_store WHERE position = %s)""",
        [chance.randint(1, EVENTS)],
    )
    return "stream"


def delete_seals(connection: Connection, chance: random.Random) -> str:
    number = chance.randint(1, EVENTS // history.BLOCK)
    operator = chance.choice(("=", ">="))
    connection.execute(f"DELETE FROM event_seals WHERE number {operator} %s".encode(), [number])
    return "seal deleted"


def change_a_seal(connection: Connection, chance: random.Random) -> str:
    connection.execute(
        sql.SQL("UPDATE event_seals SET {} WHERE number = %s").format(
            sql.SQL(
                chance.choice(
                    (
                        "number = 1000",
                        "format = 'ledger-seal/2'",
                        "first_position = first_position + 1, "
                        "leaf_hashes = substr(leaf_hashes, 33)",
                        "last_position = last_position - 1, "
                        "leaf_hashes = substr(leaf_hashes, 1, length(leaf_hashes) - 32)",
                        "root = sha256(root)",
                        "previous_hash = sha256(previous_hash)",
                        "public_key = sha256(public_key)",
                        "sealed_at = sealed_at - interval '1 microsecond'",
                        "hash = sha256(hash)",
                        "signature = set_byte(signature, 3, 255 - get_byte(signature, 3))",
                        "public_key = NULL, signature = NULL",
                        "leaf_hashes = set_byte(leaf_hashes, 40, 255 - get_byte(leaf_hashes, 40))",
                    )
                )
            )
        ),
        [chance.randint(1, EVENTS // history.BLOCK)],
    )
    return "seal changed"


def reseal(connection: Connection, chance: random.Random) -> str:
    """An event is changed, and everything from its seal on made anew: with the old signatures, with
    another key, or without one."""
    position = chance.randint(1, EVENTS)
    connection.execute(
        "UPDATE event_store SET event_data = event_data || %s WHERE position = %s",
        [Jsonb({"amount": "99"}), position],
    )
    how = chance.choice(("signatures kept", "another key", "no key"))
    seal_anew(connection, position, how)
    return f"re-sealed, {how}"


def seal_anew(connection: Connection, position: int, how: str) -> None:
    other = Ed25519PrivateKey.generate() if how == "another key" else None
    previous = None
    with connection.transaction():
        all_seals = list(seals.all_seals(connection))
    for seal in all_seals:
        if seal.last_position < position:
            previous = seal.hash
            continue
        leaves = [
            leaf_hash(row) for row in _events(connection, seal.first_position, seal.last_position)
        ]
        key = seal.public_key
        if how != "signatures kept":
            key = other.public_key().public_bytes_raw() if other else None
        new = seals.Seal(
            number=seal.number,
            format=seal.format,
            first_position=seal.first_position,
            last_position=seal.last_position,
            root=root(leaves),
            previous_hash=previous or seals.NO_HASH,
            public_key=key,
            sealed_at=seal.sealed_at,
            hash=b"",
            signature=None,
            journal_last=seal.journal_last,
            journal_root=seal.journal_root,
        )
        new = seals.signed(new, other)
        signature = seal.signature if how == "signatures kept" else new.signature
        connection.execute(
            """UPDATE event_seals SET root = %s, previous_hash = %s, public_key = %s, hash = %s,
                   signature = %s, leaf_hashes = %s WHERE number = %s""",
            [new.root, new.previous_hash, key, new.hash, signature, b"".join(leaves), new.number],
        )
        previous = new.hash


def _shift(connection: Connection, after: int, by: int) -> None:
    """Moves all later events; in two steps, because positions are unique."""
    connection.execute(
        "UPDATE event_store SET position = position + 500000 WHERE position > %s", [after]
    )
    connection.execute(
        "UPDATE event_store SET position = position - 500000 + %s WHERE position > 500000", [by]
    )


def _event(connection: Connection, position: int) -> list[Any]:
    return _events(connection, position, position)


def _events(connection: Connection, first: int, last: int) -> list[Any]:
    with connection.transaction():
        return list(rows(connection, first, last))


TAMPERING: tuple[Callable[[Connection, random.Random], str], ...] = (
    *(change_a_column,) * 8,  # as often as all others together
    delete_an_event,
    delete_and_close_the_gap,
    insert_an_event,
    swap_two_events,
    truncate_the_log,
    delete_a_stream,
    delete_seals,
    change_a_seal,
    reseal,
)


# --- what must show --------------------------------------------------------------------------


def test_every_change_of_sealed_history_shows_and_untouched_history_holds(
    ledger: Connection,
) -> None:
    chance = random.Random(4)
    done: Counter[str] = Counter()
    while done.total() < ROUNDS:
        tamper = chance.choice(TAMPERING)
        with undone(ledger):
            what = tamper(ledger, chance)
            if what:
                done[what] += 1
                assert not verdict(ledger).holds, what
    assert verdict(ledger).holds
    if ROUNDS >= 1000:
        assert set(COLUMNS) <= set(done), "every column has had its turn"


@pytest.mark.parametrize(
    ("tamper", "tampering"),
    [
        ("UPDATE event_store SET user_id = gen_random_uuid() WHERE position = 60", "changed"),
        ("DELETE FROM event_store WHERE position = 60", "removed"),
        ("DELETE FROM event_store WHERE position >= 60", "truncated"),
    ],
)
def test_the_first_bad_position_is_named_with_what_fits(
    ledger: Connection, tamper: str, tampering: str
) -> None:
    ledger.execute(tamper.encode())
    found = first(ledger)
    assert (found.position, found.tampering) == (60, tampering)


def test_an_event_put_in_or_taken_out_is_told_from_changes_of_all_later_ones(
    ledger: Connection,
) -> None:
    class Fixed(random.Random):
        def randint(self, a: int, b: int) -> int:
            return 60

    for tamper, tampering in (
        (insert_an_event, "inserted"),
        (delete_and_close_the_gap, "removed"),
    ):
        with undone(ledger):
            tamper(ledger, Fixed())
            found = first(ledger)
            assert (found.position, found.tampering) == (60, tampering)


def test_events_that_changed_places_are_told_across_blocks(ledger: Connection) -> None:
    class Fixed(random.Random):
        def sample(self, *_: Any, **__: Any) -> list[Any]:
            return [100, 20]

    swap_two_events(ledger, Fixed())
    found = first(ledger)
    assert (found.position, found.tampering) == (20, "reordered")
    assert "sealed at position 100" in found.message


@pytest.mark.parametrize("how", ["signatures kept", "another key", "no key"])
def test_seals_made_anew_without_the_key_are_told(ledger: Connection, how: str) -> None:
    ledger.execute("UPDATE event_store SET event_type = 'forged' WHERE position = 60")
    seal_anew(ledger, 60, how)
    found = first(ledger)
    assert (found.position, found.tampering) == (57, "re-sealed")


def test_a_cut_off_end_shows_only_against_a_head_kept_outside(ledger: Connection) -> None:
    kept = seals.head(ledger)
    assert kept is not None
    ledger.execute("DELETE FROM event_store WHERE position > 80")
    ledger.execute("DELETE FROM event_seals WHERE last_position > 80")
    ledger.execute("UPDATE event_projections SET last_processed_position = 80")
    assert verdict(ledger).holds
    found = first(ledger, kept=[kept])
    assert (found.position, found.tampering) == (81, "truncated")


def test_all_made_anew_shows_without_a_key_against_a_head_kept_outside(ledger: Connection) -> None:
    kept = seals.head(ledger)
    assert kept is not None
    ledger.execute("UPDATE event_store SET event_type = 'forged' WHERE position = 60")
    seal_anew(ledger, 1, "no key")
    assert verify(ledger).standing == "consistent"
    found = verify(ledger, kept=[kept]).first
    assert found is not None
    assert found.tampering == "re-sealed"


def test_a_gap_and_a_wrong_version_show_before_they_are_sealed(ledger: Connection) -> None:
    with undone(ledger):
        ledger.execute("DELETE FROM event_store WHERE position = %s", [EVENTS + 2])
        found = first(ledger)
        assert (found.position, found.tampering) == (EVENTS + 2, "removed")
    with undone(ledger):
        ledger.execute(
            "UPDATE event_store SET event_version = 900 WHERE position = %s", [EVENTS + 2]
        )
        assert first(ledger).position == EVENTS + 2

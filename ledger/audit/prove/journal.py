"""The journal of the records beside the log, as seals see it.

`record_journal` has an entry for each statement that wrote outcomes, failed commands or unreadable
messages: their keys, and the digests of their contents. A seal stands for the entries since the
seal before it by the root of a Merkle tree over them. An entry's leaf is the SHA-256 of a zero byte
and the RFC 8785 text of one JSON object with its columns: digests in hexadecimal, the time in
seconds since 1970.
"""

import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import psycopg

from ledger.audit.prove.canonical import jcs
from ledger.audit.prove.merkle import root
from ledger.kernel.errors import LedgerError

MOST_ENTRIES = 10_000
"""Entries under one seal. There are fewer, one for each batch of commands, unless the sealer was
away."""
FETCH_ENTRIES = 200
"""Entries fetched at once: each has as many digests as its batch had commands."""


class JournalEntry(NamedTuple):
    """A row of record_journal. `recorded_at` is in seconds since 1970, as PostgreSQL prints it."""

    number: int
    table_name: str
    change: str
    keys: list[str]
    digests: list[bytes | None]
    recorded_at: str
    login: str

    def leaf_hash(self) -> bytes:
        digests = [digest.hex() if digest is not None else None for digest in self.digests]
        return sha256(b"\x00" + jcs(self._asdict() | {"digests": digests})).digest()


class JournalBlock(NamedTuple):
    """The entries that a seal stands for: up to which, and the root over them."""

    last: int
    root: bytes


class Waiting(NamedTuple):
    """Entries that are not sealed yet: how many, and since how many seconds the oldest waits."""

    entries: int
    seconds: float


class MissingEntry(LedgerError):
    """There is no entry with the number `missing`, though there are, or were, later ones."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"entry {missing} of record_journal is missing")
        self.missing = missing


_ENTRIES = """
    SELECT number, table_name, change, keys, digests, extract(epoch FROM recorded_at)::text, login
    FROM public.record_journal WHERE number > %s AND number <= %s ORDER BY number"""
_WAITING = """
    SELECT coalesce(max(number), 0) - %(sealed)s, coalesce((
        SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8
        FROM public.record_journal WHERE number > %(sealed)s ORDER BY number LIMIT 1), 0)
    FROM public.record_journal"""


def entries(connection: psycopg.Connection[Any], after: int, last: int) -> Iterator[JournalEntry]:
    """The entries after a number up to another, in order. Inside a transaction of the caller."""
    with connection.cursor(name=f"journal_{time.monotonic_ns()}") as cursor:
        cursor.itersize = FETCH_ENTRIES
        cursor.execute(_ENTRIES, [after, last])
        for row in cursor:
            yield JournalEntry(*row)


def waiting(connection: psycopg.Connection[Any], sealed: int) -> Waiting:
    """What is there beyond the entries that are sealed; fewer than none where some are gone."""
    row = connection.execute(_WAITING, {"sealed": sealed}).fetchone()
    assert row is not None
    return Waiting(int(row[0]), max(float(row[1]), 0.0))


def next_block(connection: psycopg.Connection[Any], sealed: int) -> JournalBlock:
    """The entries beyond those that are sealed, at most MOST_ENTRIES; the root of none is that of
    the empty tree. Raises MissingEntry. Inside a transaction of the caller."""
    entries_waiting = waiting(connection, sealed).entries
    if entries_waiting < 0:
        raise MissingEntry(sealed)
    last = sealed + min(entries_waiting, MOST_ENTRIES)
    leaves: list[bytes] = []
    for entry in entries(connection, sealed, last):
        if entry.number != sealed + len(leaves) + 1:
            break
        leaves.append(entry.leaf_hash())
    if len(leaves) != last - sealed:
        raise MissingEntry(sealed + len(leaves) + 1)
    return JournalBlock(last, root(leaves))

"""Verification: is the log what was sealed, and are the seals those that were made?

    seals      each one's hash and signature, and that it hashes the one before   (seal_chain.py)
    outside    the heads that were kept are among them (kept_heads.py), and the keys that were given
               vouch for them (key_chain.py); the sealer's own progress is theirs
    blocks     every event read and hashed, roots compared                        (blocks.py)
    beyond     positions without a gap in what is not sealed yet
    streams    versions without a gap in each stream, counted by the database in bounded memory
    records    what is kept beside the log, where all of it is verified                 (records.py)
    verdict    the first bad position, and what kind of tampering fits             (tampering.py)

All of it looks at one moment of the database. Blocks are independent of each other:
`verify_database` checks them with several processes on one snapshot, `verify` on the connection of
its caller.
"""

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus

from ledger.audit.prove import kept_heads, seals, tampering
from ledger.audit.prove.blocks import BlocksCheck, Difference, check_blocks
from ledger.audit.prove.kept_heads import HeadComparison, Restoration
from ledger.audit.prove.records import verify_records
from ledger.audit.prove.seal_chain import ChainCheck
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Finding, Verdict
from ledger.eventstore import reader
from ledger.eventstore.reader import where_streams_are
from ledger.eventstore.session import of_one_moment
from ledger.nouns.log.events import STREAM_ID
from ledger.operate.database import connect
from ledger.subscriptions import checkpoint

SEALS_AT_ONCE = 32
"""Seals whose events are read by one query, and the unit of work of a process."""
PARALLEL_FROM_SEALS = 4 * SEALS_AT_ONCE
"""Below this a second process would take longer to start than to help."""
MOST_DIFFERENCES = 10_000
"""Differences kept for telling what was done."""

Progress = Callable[[int], None]
"""Told of how many further events have been checked."""
_BlockChecks = Callable[[list[range]], Iterator[BlocksCheck]]

_BEYOND = """
    SELECT count(*), coalesce(max(position), 0), count(*) FILTER (WHERE position < 1)
    FROM event_store WHERE position > %(sealed)s OR position < 1"""
_GAP_BEYOND = """
    SELECT before + 1 FROM (SELECT position, lag(position, 1, %(sealed)s::bigint)
        OVER (ORDER BY position) AS before FROM event_store WHERE position > %(sealed)s) AS log
    WHERE position <> before + 1 ORDER BY position LIMIT 1"""
# Versions are to rise by one with position: gaps, doubles and swaps within a stream all show. A gap
# that an operator accepted is in the log as that.
_VERSIONS = """
    SELECT position, stream_id, event_version, before FROM (
        SELECT position, stream_id, event_version, lag(event_version) OVER stream AS before
        FROM event_store WHERE position BETWEEN %(first)s AND %(last)s
        WINDOW stream AS (PARTITION BY stream_id ORDER BY position)) AS log
    WHERE (event_version <> before + 1
            OR before IS NULL AND event_version <> 1 AND %(first)s <= 1)
        AND position NOT IN (
            SELECT (event_data->>'position')::bigint FROM public.event_store
            WHERE event_type = 'stream.gap_accepted' AND stream_type = 'stream')
    ORDER BY position LIMIT 1"""
_RESTORATIONS = f"""
    SELECT (event_data->>'after')::bigint, coalesce((event_data->>'seals')::bigint, 0), recorded_at,
        event_data->>'actor', event_data->>'reason'
    FROM event_store WHERE stream_id = %(log)s AND event_type = 'log.recovered'
        AND {where_streams_are("ARRAY[%(log)s::uuid]")}
    ORDER BY event_version"""
_PARTS = """
    SELECT min(number), max(number) FROM (
        SELECT number, (row_number() OVER (ORDER BY number) - 1) / %(size)s AS part
        FROM event_seals WHERE number >= %(first)s AND first_position <= %(end)s) AS numbered
    GROUP BY part ORDER BY part"""


def verify_database(
    database_url: str,
    *,
    first: int = 1,
    last: int | None = None,
    trusted: Sequence[TrustedKey] = (),
    kept: Iterable[Seal] = (),
    processes: int | None = None,
    report: Progress | None = None,
) -> Verdict:
    """Verifies with as many processes as there are cores. See `verify`."""
    with _at_one_moment(database_url) as connection:
        row = connection.execute("SELECT pg_export_snapshot()").fetchone()
        assert row is not None
        with _pool(database_url, row[0], processes or os.cpu_count() or 1) as pool:

            def check(numbers: list[range]) -> Iterator[BlocksCheck]:
                if len(numbers) * SEALS_AT_ONCE < PARALLEL_FROM_SEALS:
                    return _check_here(connection, numbers)
                return pool.map(_check_there, numbers)

            return _verify(connection, first, last, trusted, kept, check, report)


def verify(
    connection: psycopg.Connection[Any],
    *,
    first: int = 1,
    last: int | None = None,
    trusted: Sequence[TrustedKey] = (),
    kept: Iterable[Seal] = (),
    report: Progress | None = None,
) -> Verdict:
    """Verifies the log from position `first` to `last` (the whole blocks that they are in; without
    them, everything). `trusted` are the public keys that the auditor was given, `kept` heads that
    were kept outside, oldest first."""

    def check(numbers: list[range]) -> Iterator[BlocksCheck]:
        return _check_here(connection, numbers)

    idle = connection.info.transaction_status == TransactionStatus.IDLE
    with connection.transaction():
        if idle:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _verify(connection, first, last, trusted, kept, check, report)


def _verify(
    connection: psycopg.Connection[Any],
    first: int,
    last: int | None,
    trusted: Sequence[TrustedKey],
    kept: Iterable[Seal],
    check: _BlockChecks,
    report: Progress | None,
) -> Verdict:
    head = seals.head(connection)
    log_end = reader.head(connection)
    sealed_end = head.last_position if head else 0
    end = max(log_end, sealed_end) if last is None else last
    begin = seals.seal_of(connection, first) if first > 1 else None
    outside = _held_outside(connection, kept, log_end)
    before = _before(connection, begin)
    changes = seals.key_changes(connection, before.number) if before else ()
    chain = ChainCheck(trusted, before, changes, outside.newest)
    chain.take(seals.all_seals(connection, begin.number if begin else 1))
    chain.finish()
    found = [*chain.findings, *outside.findings]
    found += _against_progress(connection, sealed_end)
    events, block_findings = _blocks(connection, begin, min(end, sealed_end), check, report)
    found += block_findings
    if end > sealed_end or first <= 1:
        found += _beyond(connection, sealed_end)
    found += _versions(connection, first, end, any(one.tampering == "removed" for one in found))
    records = verify_records(connection) if first <= 1 and last is None else None
    found += records.findings if records is not None else ()
    return Verdict(
        first_position=begin.first_position if begin else min(first, end),
        last_position=end,
        events=events,
        seals=chain.seals,
        signed_seals=chain.signed,
        public_keys=chain.public_keys,
        losses=chain.losses,
        signed_to=chain.signed_to,
        kept_head=outside.newest,
        head=head,
        unsealed=seals.unsealed(connection),
        findings=tuple(sorted(found, key=lambda finding: finding.position)),
        records=records,
    )


def _before(connection: psycopg.Connection[Any], begin: Seal | None) -> Seal | None:
    """The seal before the first one that is checked."""
    if begin is None or begin.first_position == 1:
        return None
    before = seals.numbered(connection, begin.number - 1)
    return before or seals.seal_of(connection, begin.first_position - 1)


def _blocks(
    connection: psycopg.Connection[Any],
    begin: Seal | None,
    end: int,
    check: _BlockChecks,
    report: Progress | None,
) -> tuple[int, list[Finding]]:
    first = begin.number if begin else 0
    values = {"size": SEALS_AT_ONCE, "first": first, "end": end}
    parts = [range(low, high + 1) for low, high in connection.execute(_PARTS, values)]
    events = 0
    differences: list[Difference] = []
    found: list[Finding] = []
    for part in check(parts):
        events += part.events
        differences += part.differences[: MOST_DIFFERENCES - len(differences)]
        found += [
            Finding(
                block.first,
                "changed",
                f"the leaf hashes kept with seal {block.number} are not those of its root",
            )
            for block in part.bad_leaf_lists
        ]
        found += [
            Finding(
                block.first,
                "changed",
                f"the events {block.first}-{block.last} do not hash to the root of seal "
                f"{block.number}",
            )
            for block in part.bad_roots
        ]
        if report is not None:
            report(part.events)
    head = seals.head(connection)
    sealed_end = head.last_position if head else 0
    return events, found + tampering.findings(differences, sealed_end, reader.head(connection))


def _held_outside(
    connection: psycopg.Connection[Any], kept: Iterable[Seal], log_end: int
) -> HeadComparison:
    def hash_of(number: int) -> bytes | None:
        seal = seals.numbered(connection, number)
        return seal.hash if seal else None

    restorations = [
        Restoration(*row) for row in connection.execute(_RESTORATIONS, {"log": STREAM_ID})
    ]
    return kept_heads.compare(kept, hash_of, log_end, restorations)


def _against_progress(connection: psycopg.Connection[Any], sealed_end: int) -> list[Finding]:
    sealer = checkpoint.read(connection, seals.PROJECTION)
    reached = sealer.position if sealer else sealed_end
    if reached > sealed_end:
        message = f"the sealer had reached position {reached}, but the seals end at {sealed_end}"
        return [Finding(sealed_end + 1, "truncated", message)]
    if reached < sealed_end:
        message = f"there are seals up to {sealed_end}, but the sealer had reached {reached} only"
        return [Finding(reached + 1, "inserted", message)]
    return []


def _beyond(connection: psycopg.Connection[Any], sealed_end: int) -> list[Finding]:
    """What can be said of events that are not sealed: that none is missing between them."""
    row = connection.execute(_BEYOND, {"sealed": sealed_end}).fetchone()
    assert row is not None
    count, log_end, below = row
    found = []
    if below:
        found.append(Finding(0, "inserted", f"{below} events have positions below 1"))
    if count - below != max(log_end - sealed_end, 0):
        gap = connection.execute(_GAP_BEYOND, {"sealed": sealed_end}).fetchone()
        position = int(gap[0]) if gap else sealed_end + 1
        found.append(Finding(position, "removed", "there is a gap in the events not sealed yet"))
    return found


def _versions(
    connection: psycopg.Connection[Any], first: int, last: int, removed: bool
) -> list[Finding]:
    """`removed` tells that events are missing from the log, which may be what the gap is."""
    row = connection.execute(_VERSIONS, {"first": first, "last": last}).fetchone()
    if row is None:
        return []
    position, stream_id, version, before = row
    if before is None:
        message = f"stream {stream_id} begins with version {version}: its beginning is missing"
    else:
        message = f"version {version} of stream {stream_id} follows its version {before}"
    gap = version > (before or 0)
    if gap and removed:
        return [Finding(position, "removed", message)]
    if gap:
        message += ": no event is missing from the log, so it was inserted with a gap"
    return [Finding(position, "inserted", message)]


def _check_here(connection: psycopg.Connection[Any], numbers: list[range]) -> Iterator[BlocksCheck]:
    for part in numbers:
        yield check_blocks(connection, part.start, part.stop - 1)


# --- several processes on one snapshot ------------------------------------------------------

_of_this_process: psycopg.Connection[Any] | None = None


@contextmanager
def _at_one_moment(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(database_url, "verify") as connection:
        of_one_moment(connection)
        yield connection


@contextmanager
def _pool(database_url: str, snapshot: str, processes: int) -> Iterator[ProcessPoolExecutor]:
    pool = ProcessPoolExecutor(
        processes,
        # Not forked: the caller may have threads and connections, which do not survive it.
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_join_snapshot,
        initargs=(database_url, snapshot),
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _join_snapshot(database_url: str, snapshot: str) -> None:
    global _of_this_process
    connection = connect(database_url, "verify")
    of_one_moment(connection)
    connection.execute(b"SET TRANSACTION SNAPSHOT '" + snapshot.encode() + b"'")
    _of_this_process = connection


def _check_there(numbers: range) -> BlocksCheck:
    assert _of_this_process is not None
    return check_blocks(_of_this_process, numbers.start, numbers.stop - 1)

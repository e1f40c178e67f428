"""Verification of the records beside the log: outcomes, failed commands, unreadable messages, and
what was archived.

    journal   the entries under each seal hash to its root, none is missing            (journal.py)
    rows      each row has the content that was entered last, each row that was entered is there,
              and none is there that was not entered
    states    each cached state is what the events of its stream make                   (states.py)
    deeds     what was taken away was taken away by the rules: FAILED outcomes when an operator had
              their command retried, others when they were a day old or older

Digests are computed here from the rows, never by what the database may have been told to compute.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from ledger.audit.prove import journal, seals
from ledger.audit.prove.journal import JournalEntry
from ledger.audit.prove.merkle import root
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.states import verify_states
from ledger.audit.prove.verdict import Finding, RecordsCheck, Tampering

MOST_FINDINGS = 20
"""Findings of each kind: who reads them needs the first and an impression, not each."""

_CONTENT = {
    "command_inbox": """'command_inbox/1', command_id, command_type, subject, source, sender,
        user_id, pg_catalog.encode(fingerprint, 'hex'), status, code, outcome::text,
        extract(epoch FROM decided_at)::text""",
    "failed_commands": """'failed_commands/1', id, command_id, command_type, source, subject,
        pg_catalog.encode(fingerprint, 'hex'), pg_catalog.encode(body, 'hex'), code, message, tries,
        extract(epoch FROM failed_at)::text, status, extract(epoch FROM settled_at)::text,
        settled_by, login, reason""",
    "unreadable_messages": """'unreadable_messages/1', id,
        extract(epoch FROM received_at)::text, subject, reason, pg_catalog.encode(body, 'hex'),
        body_bytes""",
    "event_archives": """'event_archives/1', id, first_position, last_position, directory,
        pg_catalog.encode(manifest, 'hex'), extract(epoch FROM archived_at)::text, archived_by,
        extract(epoch FROM restored_at)::text, restored_by""",
}
"""What of a row is hashed, in the order of its JSON array: as in public.record_digest."""
_KEYS = {"command_inbox": "command_id", **dict.fromkeys(_CONTENT.keys() - {"command_inbox"}, "id")}
_NAMES = {
    "command_inbox": "the outcome of command",
    "failed_commands": "the failed command number",
    "unreadable_messages": "the unreadable message number",
    "event_archives": "the archive number",
}
_GONE = "('RETRIED', 'FORGOTTEN')"

_ENTERED = """
    public.record_journal AS j,
    unnest(j.keys, j.digests) WITH ORDINALITY AS e (key, digest, place)"""


def _rows_statement(table: str) -> str:
    return f"""
    WITH entered AS (
        SELECT DISTINCT ON (e.key) e.key, e.digest, j.number, j.change FROM {_ENTERED}
        WHERE j.table_name = '{table}' ORDER BY e.key, j.number DESC, e.place DESC),
    found AS (
        SELECT {_KEYS[table]}::text AS key, pg_catalog.sha256(pg_catalog.convert_to(
            pg_catalog.jsonb_build_array({_CONTENT[table]})::text, 'UTF8')) AS digest
        FROM public.{table})
    SELECT coalesce(entered.key, found.key), entered.number, found.key IS NOT NULL,
        coalesce(entered.change IN {_GONE}, false)
    FROM entered FULL JOIN found ON found.key = entered.key
    WHERE entered.key IS NULL OR (found.key IS NULL) <> (entered.change IN {_GONE})
        OR found.digest <> entered.digest
    ORDER BY entered.number, 1 LIMIT {MOST_FINDINGS}"""


def _doubles_statement(table: str) -> str:
    key = _KEYS[table]
    return f"""
    SELECT {key}::text FROM public.{table} GROUP BY {key} HAVING count(*) > 1
    ORDER BY 1 LIMIT {MOST_FINDINGS}"""


# What may follow what in the history of one record.
_DEEDS = f"""
    SELECT table_name, key, number, change, before FROM (
        SELECT j.table_name, e.key, j.number, j.change, e.digest, j.recorded_at,
            lag(j.change) OVER record AS before, lag(e.digest) OVER record AS digest_before,
            lag(j.recorded_at) OVER record AS recorded_before,
            (SELECT min(number) FROM public.record_journal WHERE change <> 'FOUND') AS began
        FROM {_ENTERED}
        WINDOW record AS (PARTITION BY j.table_name, e.key ORDER BY j.number, e.place)) AS history
    WHERE NOT coalesce(CASE change
        WHEN 'FOUND' THEN before IS NULL AND (number < began OR began IS NULL)
        WHEN 'KEPT' THEN before IS NULL
            AND table_name IN ('failed_commands', 'unreadable_messages')
        WHEN 'ARCHIVED' THEN before IS NULL AND table_name = 'event_archives'
        WHEN 'RESTORED' THEN before = 'ARCHIVED' AND table_name = 'event_archives'
        WHEN 'SETTLED' THEN before IN ('FOUND', 'KEPT') AND table_name = 'failed_commands'
        WHEN 'FORGOTTEN' THEN digest = digest_before AND (before = 'FOUND'
            OR before = CASE table_name WHEN 'command_inbox' THEN 'RECORDED'
                    WHEN 'unreadable_messages' THEN 'KEPT' END
                AND recorded_at - recorded_before > interval '23:59')
        ELSE table_name = 'command_inbox' AND CASE change
            WHEN 'RETRIED' THEN before IN ('FOUND', 'FAILED') AND digest = digest_before
            ELSE before IS NULL OR before IN {_GONE} END
        END, false)
    ORDER BY number, key LIMIT {MOST_FINDINGS}"""
_RETRIED_BY_NOBODY = f"""
    SELECT e.key, min(j.number) FROM {_ENTERED} WHERE j.change = 'RETRIED'
    GROUP BY e.key HAVING count(*) > (
        SELECT count(*) FROM public.failed_commands AS f
        WHERE f.command_id::text = e.key AND f.status = 'RETRIED')
    ORDER BY 2, 1 LIMIT {MOST_FINDINGS}"""
_COUNTS = """
    SELECT (SELECT count(*) FROM public.command_inbox),
        (SELECT count(*) FROM public.failed_commands),
        (SELECT count(*) FROM public.unreadable_messages),
        coalesce(sum(cardinality(keys)) FILTER (WHERE change = 'FORGOTTEN'), 0)
    FROM public.record_journal"""


def verify_records(connection: psycopg.Connection[Any]) -> RecordsCheck:
    """Checks all records beside the log, inside a transaction of the caller."""
    blocks = [seal for seal in seals.all_seals(connection) if seal.journal_root is not None]
    found = [*_entries(connection, blocks)]
    places = [(seal.journal_last or 0, seal.last_position) for seal in blocks]
    for kind in (_rows, _deeds):
        found += [
            Finding(_position(places, number), tampering, message)
            for number, tampering, message in kind(connection)
        ]
    cached_states, of_states = verify_states(connection)
    row = connection.execute(_COUNTS).fetchone()
    assert row is not None
    waiting = journal.waiting(connection, seals.journaled(connection)).entries
    return RecordsCheck(
        outcomes=int(row[0]),
        failed_commands=int(row[1]),
        unreadable_messages=int(row[2]),
        forgotten=int(row[3]),
        unsealed_entries=max(waiting, 0),
        cached_states=cached_states,
        findings=(*found, *of_states),
    )


def _position(places: list[tuple[int, int]], number: int | None) -> int:
    """About where in the log an entry was made: the last position under its seal."""
    last = places[-1][1] if places else 0
    if number is None:
        return last
    return next((position for entry, position in places if entry >= number), last)


# --- the journal ------------------------------------------------------------------------------


def _entries(connection: psycopg.Connection[Any], blocks: list[Seal]) -> Iterator[Finding]:
    """The journal against the seals, in one pass; and gaps in what is not sealed yet."""
    end = journal.waiting(connection, 0).entries
    sealed = (blocks[-1].journal_last or 0) if blocks else 0
    rows = journal.entries(connection, -(2**62), max(end, sealed))
    entry = next(rows, None)
    expected = 1
    for seal in blocks:
        first, last = expected, seal.journal_last or 0
        missing: int | None = None
        leaves = []
        while entry is not None and entry.number <= last:
            if entry.number != expected and missing is None:
                missing = expected
            leaves.append(entry.leaf_hash())
            expected = entry.number + 1
            entry = next(rows, None)
        if missing is None and expected <= last:
            missing = expected
        if missing is not None:
            message = f"entry {missing} of record_journal is missing, which seal {seal.number} has"
            yield Finding(seal.first_position, "removed", message)
        elif root(leaves) != seal.journal_root:
            message = f"the entries {first}-{last} of record_journal are not those that were sealed"
            yield Finding(seal.first_position, "changed", f"{message} with seal {seal.number}")
        expected = last + 1
    if entry is not None and not _follow(expected, entry, rows):
        message = "an entry of record_journal is missing, which was not sealed yet"
        yield Finding(blocks[-1].last_position if blocks else 0, "removed", message)


def _follow(expected: int, entry: JournalEntry | None, rows: Iterator[JournalEntry]) -> bool:
    while entry is not None and entry.number == expected:
        entry, expected = next(rows, None), expected + 1
    return entry is None


# --- the rows ---------------------------------------------------------------------------------

_Found = tuple[int | None, Tampering, str]
"""Number of the journal's entry, if there is one; what fits; what to say."""


def _rows(connection: psycopg.Connection[Any]) -> Iterator[_Found]:
    for table, name in _NAMES.items():
        for key, number, there, gone in connection.execute(_rows_statement(table).encode()):
            what = f"{name} {key}"
            if number is None:
                yield None, "inserted", f"{what} was never entered in record_journal: it was put in"
            elif gone:
                yield number, "inserted", f"{what} is there again without having been recorded"
            elif there:
                yield number, "changed", f"{what} is not what was recorded (entry {number})"
            else:
                yield number, "removed", f"{what} is missing (entry {number})"
        for (key,) in connection.execute(_doubles_statement(table).encode()):
            yield None, "inserted", f"{name} {key} is there more than once"


def _deeds(connection: psycopg.Connection[Any]) -> Iterator[_Found]:
    for table, key, number, change, before in connection.execute(_DEEDS.encode()):
        name = _NAMES.get(table, f"the record of {table}")
        follows = f"{change} follows {before}" if before else f"{change} is its first entry"
        message = f"{name} {key} has a history that there is not: {follows} (entry {number})"
        yield number, "changed", message
    for key, number in connection.execute(_RETRIED_BY_NOBODY.encode()):
        message = f"the outcome of command {key} was taken away, but nobody had it retried"
        yield number, "removed", message

"""The numbers that PostgreSQL has, and the words that belong to them."""

import time
from datetime import UTC, datetime
from typing import Any, NamedTuple

import psycopg

from ledger.operate.database import connect
from ledger.vitals.measure import Sample

TIMEOUT_SECONDS = 2
"""A database that does not answer by then is told as away; Prometheus waits ten by default."""

REASON_CHARACTERS = 300
"""Of what a program says of its trouble: a line or two."""

_VITALS = "SELECT name, label, value FROM public.vitals()"
_HEAD = "SELECT value FROM public.vitals() WHERE name = 'head_position'"
_CLOCK = "SELECT clock_timestamp()"
_BLOCKERS = """
    SELECT format('session %s (%s, %s, %s) has %s on %s since %s', pid, coalesce(login, '?'),
        coalesce(nullif(application, ''), 'no application'), coalesce(state, '?'), lock, relation,
        to_char(transaction_start, 'YYYY-MM-DD HH24:MI:SS TZ'))
    FROM public.append_blockers()
    WHERE transaction_start < clock_timestamp() - interval '2 seconds'"""
_TROUBLES = """
    SELECT left(trouble, %s) FROM public.command_workers
    WHERE trouble IS NOT NULL AND until > clock_timestamp()"""
_HELD = """
    SELECT format('%s %s at version %s', coalesce(stream_type, 'stream'), stream_id,
        coalesce(event_version::text, 'nobody can say'))
    FROM public.held_streams ORDER BY held_since LIMIT 3"""
_NOT_DONE = """
    SELECT format('%s: %s', job, coalesce(error, 'no clock is at work')) FROM public.clock_jobs
    WHERE next_due < clock_timestamp() - interval '15 seconds' ORDER BY next_due LIMIT 3"""
_LISTENING = """
    SELECT format('session %s (%s, %s, database %s) in a transaction for %s s', pid,
        coalesce(login, '?'), coalesce(nullif(application, ''), 'no application'),
        coalesce(database, '?'), seconds::bigint)
    FROM public.long_transactions() WHERE pg_notification_queue_usage() > 0"""
_ERRORS = """
    SELECT projection_name, left(CASE
        WHEN status = 'PAUSED'
            THEN format('paused by %%s%%s', coalesce(paused_by, 'nobody'), ': ' || pause_reason)
        WHEN status = 'ERROR' THEN error_message
        WHEN p.owner IS NULL THEN 'nobody works on it'
        ELSE format('%%s has been silent for %%s s', p.owner,
            extract(epoch FROM clock_timestamp() - lease.renewed_at)::bigint) END, %s)
    FROM public.event_projections AS p LEFT JOIN public.projection_leases AS lease
        USING (projection_name)
    WHERE status IN ('ERROR', 'PAUSED') OR p.owner IS NULL
        OR lease.leased_until < clock_timestamp()"""


def ask(database_url: str) -> list[Sample]:
    """Raises psycopg.Error when the database does not answer in time."""
    with connect(database_url, "vitals", timeout=TIMEOUT_SECONDS) as connection:
        connection.execute(
            "SELECT set_config('statement_timeout', %s, false)", [f"{TIMEOUT_SECONDS}s"]
        )
        samples = [Sample(*row) for row in connection.execute(_VITALS)]
        return [*samples, Sample("database_clock_offset_seconds", "", clock_offset(connection))]


def head(database_url: str) -> float:
    """The last position of the log. Raises psycopg.Error."""
    with connect(database_url, "vitals", timeout=TIMEOUT_SECONDS) as connection:
        row = connection.execute(_HEAD).fetchone()
    return float(row[0]) if row else 0.0


class Reasons(NamedTuple):
    """What the numbers do not say: who is in the way of appends, what command services say of
    their trouble, what keeps who follows the log from going on, by name; and, by the measure,
    which streams are held, and which sessions may keep the queue of notifications full."""

    of_commands: list[str]
    of_followers: dict[str, str]
    of_measures: dict[str, list[str]]


NO_REASONS = Reasons([], {}, {})


def reasons(database_url: str) -> Reasons:
    """As whoever asks may see them: ledger_monitor, ledger_projector, ledger_auditor and
    ledger_operator. Raises
    psycopg.Error."""
    with connect(database_url, "vitals", timeout=TIMEOUT_SECONDS) as connection:
        rows = connection.execute(_BLOCKERS).fetchall()
        rows += connection.execute(_TROUBLES, [REASON_CHARACTERS]).fetchall()
        of_measures = {
            name: [text for (text,) in connection.execute(statement).fetchall()]
            for name, statement in (
                ("streams_held", _HELD),
                ("clock_behind_seconds", _NOT_DONE),
                ("notification_queue_ratio", _LISTENING),
            )
        }
        errors = connection.execute(_ERRORS, [REASON_CHARACTERS]).fetchall()
    return Reasons(
        [text for (text,) in rows],
        {name: text for name, text in errors if text is not None},
        of_measures,
    )


def clock_offset(connection: psycopg.Connection[Any]) -> float:
    """How many seconds the database's clock and ours are apart."""
    before = time.time()
    row = connection.execute(_CLOCK).fetchone()
    assert row is not None
    theirs: datetime = row[0]
    ours = datetime.fromtimestamp((before + time.time()) / 2, UTC)
    return abs((theirs - ours).total_seconds())

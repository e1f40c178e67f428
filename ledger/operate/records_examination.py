"""What `ledgerctl doctor` asks of what is kept beside the log: whether it is guarded, and whether
cached states are those that the log makes."""

from typing import Any

import psycopg

from ledger.audit.prove.states import verify_states
from ledger.operate.check_result import CheckResult

CACHED_STATES = 20
"""Cached states that are made again, the newest ones: enough to notice a cache that is wrong."""
LONGEST_STATE_EVENTS = 20_000
"""Events of a stream that are folded for it, in a fifth of a second."""
RECORD_TRIGGERS = (
    ("command_inbox", "command_inbox_is_append_only"),
    ("command_inbox", "command_inbox_is_journaled"),
    ("command_inbox", "command_inbox_keeps_what_it_lost"),
    ("failed_commands", "failed_commands_is_append_only"),
    ("failed_commands", "failed_commands_is_journaled"),
    ("failed_commands", "failed_commands_journals_deeds"),
    ("unreadable_messages", "unreadable_messages_is_append_only"),
    ("unreadable_messages", "unreadable_messages_is_journaled"),
    ("unreadable_messages", "unreadable_messages_keeps_what_it_lost"),
    ("event_archives", "event_archives_is_append_only"),
    ("event_archives", "event_archives_is_journaled"),
    ("event_archives", "event_archives_journals_deeds"),
    ("record_journal", "record_journal_is_append_only"),
)
"""Every trigger on these tables."""

_MAY_READ = "SELECT has_table_privilege('public.aggregate_snapshots', 'SELECT')"


def guarded(connection: psycopg.Connection[Any]) -> CheckResult:
    """Whether the database refuses to change records, and enters them in their journal."""
    rows = connection.execute(
        """SELECT expected.name FROM unnest(%s::text[], %s::text[]) AS expected (relation, name)
           LEFT JOIN pg_trigger ON tgrelid = to_regclass('public.' || relation) AND tgname = name
               AND tgenabled IN ('O', 'A')
           WHERE tgname IS NULL""",
        [[relation for relation, _ in RECORD_TRIGGERS], [name for _, name in RECORD_TRIGGERS]],
    ).fetchall()
    if not rows:
        return CheckResult(
            "records", "ok", "outcomes and other records are entered in their journal"
        )
    missing = ", ".join(row[0] for row in rows)
    return CheckResult(
        "records",
        "fail",
        f"triggers are missing or disabled: {missing}. Records can be changed, or are not sealed",
        "Find out who did it and why, enable them again (ALTER TABLE … ENABLE TRIGGER …), then: "
        "ledgerctl audit verify",
    )


def cached_states(connection: psycopg.Connection[Any]) -> CheckResult:
    """Whether the newest cached states are what the log makes; `audit verify` compares all."""
    if connection.execute(_MAY_READ).fetchone() != (True,):
        message = "not compared: this login may not read aggregate_snapshots"
        return CheckResult("states", "warn", message, "Ask with a login of ledger_auditor.")
    rows = connection.execute(
        """SELECT stream_id FROM public.aggregate_snapshots GROUP BY stream_id
           HAVING max(event_version) <= %s ORDER BY max(taken_at) DESC LIMIT %s""",
        [LONGEST_STATE_EVENTS, CACHED_STATES],
    ).fetchall()
    with connection.transaction():
        checked, found = verify_states(connection, [row[0] for row in rows])
    if not found:
        message = f"{checked} of the cached states were made again from the log, all equal"
        return CheckResult("states", "ok", message)
    return CheckResult(
        "states",
        "fail",
        found[0].message,
        "It is not used. Find out who did it and why; ledgerctl audit verify compares all.",
    )

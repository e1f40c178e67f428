"""Who holds up an append, told in the log; and what may be ended of it.

    a worker waits for the append lock, or for a row, for LOCK_SECONDS and gives up
    looks       says in the log who is in the way: session, application, since when
    looks again after the next wait: a session that is still in the same transaction, and has
                either stopped in the middle or is not one that appends, is ended

So an operator's transaction that stays open, or a worker that hangs, holds up commands for two such
waits. An administrator who changes a table is only named (sql/functions/append_blockers.sql).
"""

from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg import errors

from ledger.kernel.time import time_text

LOCK_SECONDS = 2.5
"""How long a commit waits for a lock. Those before it take milliseconds each, on a busy disk tens
of them; whoever is in the way for longer has stopped."""
MOST_WAITS = 12
"""Waits for one batch before it is given back to the caller, who tries it again: half a minute,
longer than a table's change should take."""

_log = structlog.get_logger(__name__)

_LOOK = """
    SELECT pid, login, application, state, transaction_start, query_start, relation, lock, may_end
    FROM public.append_blockers()"""
_END = "SELECT public.end_append_blocker(%s, %s)"


class Blockers:
    """Of one batch that waits."""

    def __init__(self) -> None:
        self._seen: set[tuple[int, datetime | None]] = set()

    def look(self, connection: psycopg.Connection[Any]) -> None:
        """After a wait in vain, outside a transaction. Raises psycopg.OperationalError."""
        seen = set()
        for row in connection.execute(_LOOK).fetchall():
            pid, login, application, state, transaction_start, query_start, relation, lock, ends = (
                row
            )
            seen.add((pid, transaction_start))
            _log.warning(
                "append_waits",
                seconds=LOCK_SECONDS,
                session=pid,
                login=login,
                application=application,
                state=state,
                transaction_since=transaction_start and time_text(transaction_start),
                query_since=query_start and time_text(query_start),
                holds=f"{lock} on {relation}",
            )
            if ends and (pid, transaction_start) in self._seen:
                _end(connection, pid, transaction_start)
        if not seen:
            _log.warning("append_waits", seconds=LOCK_SECONDS, session=None)
        self._seen = seen


def _end(connection: psycopg.Connection[Any], pid: int, transaction_start: datetime | None) -> None:
    try:
        ended = connection.execute(_END, (pid, transaction_start)).fetchone() == (True,)
    except errors.InsufficientPrivilege as error:
        _log.error(
            "append_blocker_not_ended",
            session=pid,
            reason=str(error).strip(),
            remedy="end it, and GRANT pg_signal_backend, pg_read_all_stats to the log's owner",
        )
    else:
        _log.warning("append_blocker_ended", session=pid, ended=ended)

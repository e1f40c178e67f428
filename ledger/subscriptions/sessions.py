"""Whether a session at the database, noted by its number and when it began, is still there.

A process that is killed ends its sessions, which the server knows at once; one whose machine
vanished keeps them until the keepalives of TCP give up. Numbers are used again, so the time belongs
to a session's name; who may not see when a session began takes its number for it.
"""

from typing import LiteralString


def lives(pid: LiteralString, start: LiteralString) -> LiteralString:
    """SQL, true if the session of these columns is there."""
    return f"""EXISTS (
    SELECT FROM pg_catalog.pg_stat_activity AS session WHERE session.pid = {pid}
        AND coalesce(session.backend_start = {start}, true))"""


MINE: LiteralString = """
    SELECT pid, backend_start FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()"""
"""This session, as `lives` knows it again."""

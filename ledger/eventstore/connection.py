"""One connection to PostgreSQL that is opened when it is needed and again after a failure."""

from collections.abc import Callable
from typing import Any, TypeVar

import psycopg

from ledger.operate.database import connect

Result = TypeVar("Result")

STALLED_SECONDS = 5
"""A worker that stops in the middle of a transaction, which takes milliseconds, is ended by the
server, so that the others do not wait for its locks."""
LOCK_SECONDS = 3
"""How long to wait for a lock of another worker: less than a lease, so that the next try comes in
time."""
_BOUNDS = f"""
    SELECT set_config('idle_in_transaction_session_timeout', '{STALLED_SECONDS}s', false),
        set_config('lock_timeout', '{LOCK_SECONDS}s', false)"""


class OneConnection:
    """For one thread at a time."""

    def __init__(self, database_url: str, purpose: str) -> None:
        self._url = database_url
        self._purpose = purpose
        self._open: psycopg.Connection[Any] | None = None

    def run(self, work: Callable[[psycopg.Connection[Any]], Result]) -> Result:
        """The result of `work`. Raises psycopg.Error; the next call then uses a new connection."""
        try:
            if self._open is None:
                self._open = connect(self._url, self._purpose)
                self._open.execute(_BOUNDS)
            return work(self._open)
        except psycopg.Error:
            self.close()
            raise

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

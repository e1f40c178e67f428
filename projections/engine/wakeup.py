"""Waking workers when events are appended.

One connection listens for all workers of a process and rings a bell that they wait on. A lost
notification costs at most one poll interval, because every wait ends by then. A lost
connection is opened again for as long as it takes; the bell rings after that, for what came in
between.
"""

import threading

import psycopg
import structlog
from psycopg import sql

from ledger.eventstore.reader import NOTIFY_CHANNEL
from projections.engine.backoff import Backoff
from projections.engine.connection import connect

_LOOK_UP_SECONDS = 1.0
"""How often the listener looks whether it should stop, and whether its connection is alive."""

log = structlog.get_logger()


class Bell:
    """Rung when there may be new events."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()

    def wait(self, seen: int, timeout: float) -> int:
        """Waits until the bell has rung since `seen`, or the timeout; returns what to pass as
        `seen` the next time."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != seen, timeout)
            return self._rings


class Listener:
    """Rings the bell at every notification, until stopped."""

    def __init__(self, database_url: str, bell: Bell, stop: threading.Event) -> None:
        self._database_url = database_url
        self._bell = bell
        self._stop = stop

    def run(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                self._listen(backoff)
            except psycopg.OperationalError as error:
                log.warning("projections.listener_lost", error=str(error).strip())
                backoff.wait(self._stop)

    def _listen(self, backoff: Backoff) -> None:
        with connect(self._database_url, "projections listener") as connection:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(NOTIFY_CHANNEL)))
            backoff.reset()
            self._bell.ring()
            while not self._stop.is_set():
                for _ in connection.notifies(timeout=_LOOK_UP_SECONDS, stop_after=1):
                    self._bell.ring()

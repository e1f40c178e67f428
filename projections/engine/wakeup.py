"""Waking workers: when events are appended, and when an operator has said something.

One connection listens for all workers of a process and rings the bell that they wait on. A lost
notification costs at most one poll interval, because every wait ends by then. A lost
connection is opened again for as long as it takes; both bells ring after that, for what came in
between.
"""

import threading

import psycopg
import structlog
from psycopg import sql

from ledger.eventstore.reader import NOTIFY_CHANNEL
from projections.engine.backoff import Backoff
from projections.engine.connection import connect

CONTROL_CHANNEL = "ledger_projections"
"""Told when an operator pauses or resumes a projection; the payload is its name."""
_LOOK_UP_SECONDS = 1.0
"""How often the listener looks whether it should stop, and whether its connection is alive."""

log = structlog.get_logger()


class Bell:
    """Rung when there may be something to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0

    @property
    def rings(self) -> int:
        """How often it has rung."""
        return self._rings

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
    """Rings until stopped: `bell` at every notification, `control` at those of operators."""

    def __init__(
        self, database_url: str, stop: threading.Event, *, bell: Bell, control: Bell
    ) -> None:
        self._database_url = database_url
        self._bell = bell
        self._control = control
        self._stop = stop

    def run(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                self._listen(backoff)
            except psycopg.Error as error:
                log.warning("projections.listener_lost", error=str(error).strip())
                backoff.wait(self._stop)

    def _listen(self, backoff: Backoff) -> None:
        with connect(self._database_url, "projections listener") as connection:
            for channel in (CONTROL_CHANNEL, NOTIFY_CHANNEL):
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            backoff.reset()
            self._control.ring()
            self._bell.ring()
            while not self._stop.is_set():
                for notification in connection.notifies(timeout=_LOOK_UP_SECONDS, stop_after=1):
                    if notification.channel == CONTROL_CHANNEL:
                        self._control.ring()
                    self._bell.ring()

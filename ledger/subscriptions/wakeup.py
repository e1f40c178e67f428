"""Waking whoever follows the log: when events are appended, and when an operator or an owner that
leaves has said something.

One connection listens for all subscriptions of a process and rings the bell that they wait on. A
lost notification costs at most one poll interval, because every wait ends by then. A lost
connection is opened again for as long as it takes; both bells ring after that, for what came in
between.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import structlog
from psycopg import sql

from ledger.eventstore.reader import NOTIFY_CHANNEL
from ledger.subscriptions.connection import until_stopped
from ledger.subscriptions.retry import Backoff

CONTROL_CHANNEL = "ledger_projections"
"""Told when an operator pauses or resumes a subscription, or its owner releases it; the payload is
its name."""
_LOOK_UP_SECONDS = 1.0
"""How often the listener looks whether it should stop, and whether its connection is alive."""

log = structlog.get_logger()


class Bell:
    """Rung, from any thread, when there may be something to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rings = 0
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    @property
    def rings(self) -> int:
        """How often it has rung."""
        return self._rings

    def ring(self) -> None:
        with self._condition:
            self._rings += 1
            self._condition.notify_all()
            for loop, rung in self._waiting:
                loop.call_soon_threadsafe(rung.set)

    def wait(self, seen: int, timeout: float) -> int:
        """Waits until the bell has rung since `seen`, or the timeout; returns what to pass as
        `seen` the next time."""
        with self._condition:
            self._condition.wait_for(lambda: self._rings != seen, timeout)
            return self._rings

    async def rung(self, seen: int, timeout: float) -> int:
        """As `wait`, in an asyncio program."""
        me = (asyncio.get_running_loop(), asyncio.Event())
        with self._condition:
            if self._rings != seen:
                return self._rings
            self._waiting.add(me)
        try:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(me[1].wait(), timeout)
        finally:
            with self._condition:
                self._waiting.discard(me)
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
        self._backoff = Backoff()

    def run(self) -> None:
        until_stopped(
            self._listen,
            self._database_url,
            "listener",
            stop=self._stop,
            backoff=self._backoff,
            on_trouble=_say_lost,
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Listens, in a thread of its own, as long as the block lasts."""
        # Nobody need wait for it: it has nothing to finish, and looks up within a second.
        threading.Thread(target=self.run, name="listener", daemon=True).start()
        try:
            yield
        finally:
            self._stop.set()

    def _listen(self, connection: psycopg.Connection[Any]) -> None:
        for channel in (CONTROL_CHANNEL, NOTIFY_CHANNEL):
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._backoff.reset()
        self._control.ring()
        self._bell.ring()
        while not self._stop.is_set():
            for notification in connection.notifies(timeout=_LOOK_UP_SECONDS, stop_after=1):
                if notification.channel == CONTROL_CHANNEL:
                    self._control.ring()
                self._bell.ring()


def _say_lost(error: Exception) -> None:
    log.warning("subscriptions.listener_lost", error=str(error).strip())

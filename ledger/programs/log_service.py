"""The frame of a program that follows the log, remembers what it made of it, and says commands.

    claimed     what was remembered up to the place is read again
    handle      the events are folded into a copy of it; what follows from them is decided before
                the place moves on with the copy, so an event is handled wholly or again
    meanwhile   whatever else an owner has to do

It begins at the head: what happened before its time, it looks at as it is by then, if at all.
Every command has an id made of what it follows from, so it may be said any number of times. A
command that cannot be sent leaves the place where it is, and the subscription says what is in the
way.
"""

import copy
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Generic

import psycopg
import structlog

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.command import Outcome
from ledger.kernel.consequence import Said
from ledger.programs.log_commands import LogCommands
from ledger.programs.registry import Places
from ledger.subscriptions import memory as memories
from ledger.subscriptions.memory import Memory
from ledger.subscriptions.subscription import Subscription

_log = structlog.get_logger(__name__)


class LogService(ABC, Generic[Memory]):
    """Of the subscription `name`, as the service `source`, until `stop`."""

    def __init__(
        self,
        places: Places,
        stop: threading.Event,
        *,
        name: str,
        source: str,
        event_types: Sequence[str],
        memory: type[Memory],
    ) -> None:
        self._places = places
        self._stop = stop
        self._name = name
        self._source = source
        self._memory = memory()
        self._commands = LogCommands(places, source)
        self._subscription = Subscription(
            name,
            self._handle,
            database_url=places.database_url,
            stop=stop,
            event_types=event_types,
            begin_after=None,
            claimed=self._claimed,
            meanwhile=self._meanwhile,
        )

    def run(self) -> None:
        """Returns when `stop` is set."""
        try:
            self._subscription.run()
        finally:
            self._commands.close()

    def _claimed(self, connection: psycopg.Connection[Any]) -> None:
        """As the owner from now on."""
        self._memory = memories.read(connection, self._name, type(self._memory))

    @abstractmethod
    def _fold(self, memory: Memory, events: Sequence[RecordedEvent]) -> None:
        """Changes what is remembered, and says what follows from the events."""

    @abstractmethod
    def _meanwhile(self, connection: psycopg.Connection[Any]) -> None:
        """After each batch, and while nothing happens."""

    def _handle(self, connection: psycopg.Connection[Any], events: Sequence[RecordedEvent]) -> None:
        memory = copy.deepcopy(self._memory)
        self._fold(memory, events)
        memories.write(connection, self._name, memory)
        self._memory = memory

    def _say(self, said: Iterable[Said]) -> list[Outcome]:
        """Has it decided. Raises LedgerUnavailable, OutcomeTimeout."""
        commands = list(said)
        outcomes = self._commands.decided(commands)
        for one, outcome in zip(commands, outcomes, strict=True):
            if not outcome.accepted:
                _log.info(
                    "log_service.not_said",
                    service=self._source,
                    command_id=str(one.command_id),
                    command=type(one.data).__name__,
                    code=outcome.code,
                )
        return outcomes

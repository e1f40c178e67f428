"""Commands of a program that follows the log: sent together, decided before it goes on.

Whoever says something again says it under the same id, so what is in doubt is said again. One
connection, made when there is something to say, and made anew after it was lost.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from ledger.client.submission import LedgerUnavailable, OutcomeTimeout
from ledger.kernel.command import CommandData, Outcome
from ledger.programs.registry import Places
from ledger.sync import LedgerClient

DECIDED_SECONDS = 15.0
"""How long a decision is waited for: far above a commit, and below what makes a lease look idle."""


class Sendable(Protocol):
    """A command, under the id that it always has, and what it follows from."""

    @property
    def command_id(self) -> UUID: ...
    @property
    def data(self) -> CommandData: ...
    @property
    def cause(self) -> UUID | None: ...
    @property
    def correlation(self) -> UUID | None: ...


class LogCommands:
    """`source` is the service that says it."""

    def __init__(self, places: Places, source: str) -> None:
        self._places = places
        self._source = source
        self._client: LedgerClient | None = None

    def decided(self, commands: Iterable[Sendable]) -> list[Outcome]:
        """What became of each, in order. Raises LedgerUnavailable, OutcomeTimeout."""
        found: Sequence[Sendable] = list(commands)
        if not found:
            return []
        client = self._connected()
        try:
            sent = [
                client.send(
                    one.data,
                    command_id=one.command_id,
                    causation_id=one.cause,
                    correlation_id=one.correlation,
                    timeout=DECIDED_SECONDS,
                )
                for one in found
            ]
            return [one.result() for one in sent]
        except (LedgerUnavailable, OutcomeTimeout):
            self.close()
            raise

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self) -> LedgerClient:
        if self._client is None:
            self._client = LedgerClient.connect(
                self._places.nats_url, source=self._source, security=self._places.security
            )
        return self._client

"""A command on its way, and what its sender is told when it does not arrive."""

import asyncio
from collections.abc import Generator
from typing import Any
from uuid import UUID

from ledger.kernel.command import Outcome
from ledger.kernel.errors import LedgerError

DEADLINE_SECONDS = 60.0
"""After this the sender is told that there is no outcome yet: longer than a restart of anything."""


class LedgerUnavailable(LedgerError):
    """The bus cannot be reached, or does not take commands."""


class OutcomeTimeout(LedgerError):
    """The bus has the command, but there is no outcome yet."""

    def __init__(self, command_id: UUID | None, seconds: float) -> None:
        super().__init__(
            f"command {command_id} was received, but has no outcome after {seconds:g} s. It may "
            "still be decided: ask for its outcome, or send it again with the same id, which can "
            "have no second effect. Check that `ledgerctl serve commands` runs."
        )
        self.command_id = command_id


class Sent:
    """A command on its way. Await it for its outcome; `received` for the bus to have it.

    The other attributes are the client's.
    """

    def __init__(self, given_id: object, subject: str, body: bytes, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        self._given_id = given_id
        self.subject = subject
        self.body = body
        self.timeout = timeout
        self.deadline = loop.time() + timeout
        self.pause = 0.0
        self.next_look = 0.0
        self.trouble = "it did not answer"
        self.confirmed = False
        self.outcome: asyncio.Future[Outcome] = loop.create_future()
        self._receipt: asyncio.Future[None] | None = None
        """Made when somebody waits for it, which few do."""

    @property
    def command_id(self) -> UUID | None:
        """None when the sender gave something that is no id."""
        try:
            return UUID(str(self._given_id))
        except ValueError:
            return None

    def __await__(self) -> Generator[Any, None, Outcome]:
        # Shielded: a caller that stops waiting does not end the command for others who wait.
        return asyncio.shield(self.outcome).__await__()

    def __str__(self) -> str:
        return f"command {self.command_id}" if self.command_id else "the command"

    async def received(self) -> None:
        """Returns when the bus has stored the command. Raises LedgerUnavailable."""
        if self.confirmed:
            return
        if self.outcome.done():
            self.outcome.result()
        if self._receipt is None:
            self._receipt = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._receipt)

    def look_in(self, pause: float) -> None:
        """The command is looked after when `pause` has passed without an answer."""
        self.pause = pause
        self.next_look = asyncio.get_running_loop().time() + pause

    def confirm(self) -> bool:
        """The bus has it. False if that was known."""
        known, self.confirmed = self.confirmed, True
        if self._receipt is not None and not self._receipt.done():
            self._receipt.set_result(None)
        return not known

    def fail(self, error: Exception) -> None:
        """Tells the error to whoever waits."""
        if self._receipt is not None and not self._receipt.done():
            self._receipt.set_exception(error)
            self._receipt.exception()
        if not self.outcome.done():
            self.outcome.set_exception(error)

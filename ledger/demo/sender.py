"""How the demo's services send commands: with LedgerClient, every tenth command twice, and with
books about what was answered.

A resend is the same message, id and body. Half of them go out at once behind the first, as after
a timeout that was too short; the others when the first is answered, as after a crash. Either way
the outcome must be the first one's. What the services write down here is what the ledger's own
books are compared with.
"""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from ledger.bus.envelope import subject_of
from ledger.client.client import LedgerClient, Sent
from ledger.kernel.command import Outcome

RESEND_EVERY = 10


def _now() -> datetime:
    return datetime.now(UTC)


class Resent(msgspec.Struct):
    """A command that was sent twice, and how many events its outcome named."""

    command_id: UUID
    events: int


class Tally(msgspec.Struct):
    """What one service sent, and what it was answered."""

    source: str
    messages: int = 0
    """Everything that was sent, resends included."""
    commands: int = 0
    """Different command ids."""
    by_type: dict[str, int] = msgspec.field(default_factory=Counter)
    by_status: dict[str, int] = msgspec.field(default_factory=Counter)
    """Outcomes of the first sending."""
    by_code: dict[str, int] = msgspec.field(default_factory=Counter)
    resent: list[Resent] = []
    answered_differently: list[str] = []
    """Resends whose outcome was another than the first."""


class Pending:
    """A command on its way."""

    def __init__(self, sender: "ServiceSender", message: dict[str, Any], sent: Sent) -> None:
        self._sender = sender
        self._message = message
        self._sent = sent
        self.repeated: Sent | None = None
        self.repeat_afterwards = False

    async def outcome(self) -> Outcome:
        """Its outcome; for one that is sent twice, when both are answered."""
        first = await self._sent
        self._sender.note(first)
        if self.repeat_afterwards:
            self.repeated = await self._sender.repeat(self._message)
        if self.repeated is not None:
            self._sender.note_repeated(self._message, first, await self.repeated)
        return first


class ServiceSender:
    """Sends one service's commands. `tally` is the service's books."""

    def __init__(
        self, client: LedgerClient, source: str, now: Callable[[], datetime] = _now
    ) -> None:
        self._client = client
        self.now = now
        """The time of its messages."""
        self.tally = Tally(source)

    async def submit(
        self, command_type: str, data: dict[str, Any], subject: str | None = None
    ) -> Outcome:
        """Sends a command and awaits its outcome."""
        return await (await self.send(command_type, data, subject)).outcome()

    async def send(
        self, command_type: str, data: dict[str, Any], subject: str | None = None
    ) -> Pending:
        """Sends a command; its outcome can be awaited later."""
        self.tally.commands += 1
        message = self._message(command_type, data, subject)
        pending = await self._first(message)
        turn = self.tally.commands // RESEND_EVERY
        if self.tally.commands % RESEND_EVERY == 0:
            if turn % 2:
                pending.repeated = await self.repeat(message)
            else:
                pending.repeat_afterwards = True
        return pending

    async def reuse_id(
        self, used: UUID, command_type: str, data: dict[str, Any], account_id: str
    ) -> Outcome:
        """Sends another command under an id that is used: a mistake."""
        message = self._message(command_type, data, account_id) | {"id": str(used)}
        return await (await self._first(message)).outcome()

    async def repeat(self, message: dict[str, Any]) -> Sent:
        self.tally.messages += 1
        return await self._client.send_envelope(message)

    def note(self, outcome: Outcome) -> None:
        self.tally.by_status[outcome.status] += 1
        if outcome.code is not None:
            self.tally.by_code[outcome.code] += 1

    def note_repeated(self, message: dict[str, Any], first: Outcome, second: Outcome) -> None:
        self.tally.resent.append(Resent(UUID(message["id"]), len(first.events)))
        # The client may itself have repeated the first one, so either can be the replayed one.
        plain = {"replayed": False}
        if msgspec.structs.replace(first, **plain) != msgspec.structs.replace(second, **plain):
            self.tally.answered_differently.append(message["id"])

    async def _first(self, message: dict[str, Any]) -> Pending:
        self.tally.messages += 1
        self.tally.by_type[message["type"]] += 1
        return Pending(self, message, await self._client.send_envelope(message))

    def _message(
        self, command_type: str, data: dict[str, Any], subject: str | None
    ) -> dict[str, Any]:
        return {
            "id": str(uuid7()),
            "type": command_type,
            "subject": subject or subject_of(command_type, data),
            "time": self.now(),
            "data": data,
        }

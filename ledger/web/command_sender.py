"""Commands of who is signed in, sent over the bus as all others are.

The bus vouches for us as the sender; who of ours it was is the command's `source` (`web:olga`), its
`actor` where it has one, and its `userid` for those who have accounts of their own: the ledger
refuses it for any other.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ledger.bus.security import BusSecurity
from ledger.client.client import LedgerClient
from ledger.client.submission import LedgerUnavailable, OutcomeTimeout, Sent
from ledger.kernel.command import UNKNOWN, Outcome
from ledger.nouns import COMMAND_DATA
from ledger.operate.servers import find_nats
from ledger.operate.settings import Settings
from ledger.web.person import Person

SOURCE = "web"
"""What the sources of commands begin with."""
CONNECT_SECONDS = 2.0
"""How long a command waits for the bus to be there: whoever waits for an answer is a person."""
DECIDED_BY_SECONDS = 60.0
"""How long a command is looked after that was sent, also when nobody waits for its answer."""


class CommandSender:
    """One connection to the bus, made when it is needed. Of one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client: LedgerClient | None = None
        self._connecting = asyncio.Lock()
        self._unawaited: set[asyncio.Task[Outcome]] = set()

    async def send(
        self,
        person: Person,
        command_type: str,
        data: Mapping[str, Any],
        *,
        account_id: UUID | None,
        command_id: UUID,
        wait_seconds: float,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
    ) -> Outcome:
        """The outcome, UNKNOWN if there is none in time: it is looked after all the same. Raises
        LedgerUnavailable, CommandNotSendable, NotPermitted."""
        client = await self._connected()
        sent = await client.send_envelope(
            message(
                person, command_type, data, account_id, command_id, correlation_id, causation_id
            ),
            timeout=DECIDED_BY_SECONDS,
        )
        task = asyncio.ensure_future(_outcome(sent))
        self._unawaited.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=wait_seconds)
        if done:
            with contextlib.suppress(OutcomeTimeout):
                return task.result()
        return Outcome(command_id=command_id, status=UNKNOWN)

    async def outcome(self, command_id: UUID) -> Outcome:
        """The outcome of a command that was sent. Raises LedgerUnavailable."""
        client = await self._connected()
        return await client.outcome(command_id, timeout=CONNECT_SECONDS)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        for task in list(self._unawaited):
            task.cancel()

    def _ended(self, task: asyncio.Task[Outcome]) -> None:
        self._unawaited.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited was told

    async def _connected(self) -> LedgerClient:
        async with self._connecting:
            if self._client is None:
                self._client = await LedgerClient.connect(
                    find_nats(self._settings),
                    source=SOURCE,
                    security=BusSecurity.of(self._settings),
                    connect_timeout=CONNECT_SECONDS,
                )
        return self._client


async def _outcome(sent: Sent) -> Outcome:
    return await sent


def message(
    person: Person,
    command_type: str,
    data: Mapping[str, Any],
    account_id: UUID | None,
    command_id: UUID,
    correlation_id: UUID | None = None,
    causation_id: UUID | None = None,
) -> dict[str, Any]:
    """The CloudEvent of a person's command."""
    model = COMMAND_DATA.get(command_type)
    whole = dict(data)
    if model is not None and "actor" in model.model_fields:
        whole["actor"] = person.name
    if model is not None and account_id is not None:
        field = model.model_fields.get("account_id")
        if field is not None and field.is_required():
            whole.setdefault("account_id", str(account_id))
    given = {
        "subject": None if account_id is None else str(account_id),
        "correlationid": correlation_id,
        "causationid": causation_id,
        "userid": person.user_id,
    }
    return {
        "id": str(command_id),
        "type": command_type,
        "source": f"{SOURCE}:{person.name}",
        "time": datetime.now(UTC),
        "data": whole,
        **{name: value for name, value in given.items() if value is not None},
    }


__all__ = ["CommandSender", "LedgerUnavailable", "message"]

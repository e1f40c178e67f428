"""Sending events to JetStream so that their order is certain.

A batch is stored whole, directly behind the message it names, or not at all. Where the server
takes no batches, each event names the one before it, which is as certain and slower.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Self
from uuid import uuid4

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ledger.bus import wire
from ledger.bus.events import published
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.errors import LedgerError
from ledger.kernel.incarnation import UNKNOWN, Lineage

CONFIRMATION_TIMEOUT_SECONDS = 5.0
"""After this a batch that was not confirmed counts as lost and the place is looked up again. A
server that syncs to a slow disk may need a second."""
BATCHES_SINCE = (2, 14)
"""The server version from which atomic batches may carry message ids."""
FOLLOWS = "Nats-Expected-Last-Sequence"
_WRONG_LAST_SEQUENCE, _DUPLICATES = 10071, 10201

_log = structlog.get_logger(__name__)


class NotStored(LedgerError):
    """Events were refused or not confirmed: where the stream is has to be looked up."""


class Sender:
    """Sends for one connection, inside its block."""

    def __init__(self, connection: Client) -> None:
        self._nats = connection
        self._replies = connection.new_inbox()
        self._subscription: Subscription | None = None
        self._awaited: dict[str, asyncio.Future[bytes]] = {}
        version = connection.connected_server_version
        self._batches = (version.major, version.minor) >= BATCHES_SINCE

    async def __aenter__(self) -> Self:
        self._subscription = await self._nats.subscribe(f"{self._replies}.*", cb=self._answered)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    async def send(
        self, events: Sequence[RecordedEvent], *, follows: int, lineage: Lineage = UNKNOWN
    ) -> asyncio.Task[None]:
        """Sends the events of a log with this lineage, which go directly behind the message with
        the sequence number `follows`. The task that is returned ends when they are stored, or
        raises NotStored."""
        if self._batches and len(events) > 1:
            answer = await self._send_batch(events, follows, lineage)
            return asyncio.create_task(self._stored([(answer, follows + len(events))]))
        answers = await self._send_each(events, follows, lineage)
        return asyncio.create_task(
            self._stored([(answer, follows + n) for n, answer in enumerate(answers, 1)])
        )

    async def _send_batch(
        self, events: Sequence[RecordedEvent], follows: int, lineage: Lineage
    ) -> asyncio.Future[bytes]:
        batch_id = uuid4().hex
        answer = self._await_answer(batch_id)
        for number, event in enumerate(events, 1):
            subject, body, headers = published(event, lineage=lineage)
            headers |= wire.batch_headers(batch_id, number, of=len(events))
            if number == 1:
                headers[FOLLOWS] = str(follows)
            reply = f"{self._replies}.{batch_id}" if number == len(events) else ""
            await self._nats.publish(subject, body, reply=reply, headers=headers)
        return answer

    async def _send_each(
        self, events: Sequence[RecordedEvent], follows: int, lineage: Lineage
    ) -> list[asyncio.Future[bytes]]:
        answers = []
        for number, event in enumerate(events):
            subject, body, headers = published(event, lineage=lineage)
            token = f"{event.position}-{uuid4().hex}"
            headers[FOLLOWS] = str(follows + number)
            answers.append(self._await_answer(token))
            await self._nats.publish(
                subject, body, reply=f"{self._replies}.{token}", headers=headers
            )
        return answers

    def _await_answer(self, token: str) -> asyncio.Future[bytes]:
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[token] = answer
        answer.add_done_callback(lambda _: self._awaited.pop(token, None))
        return answer

    async def _answered(self, message: Msg) -> None:
        answer = self._awaited.get(message.subject.rpartition(".")[2])
        if answer is not None and not answer.done():
            answer.set_result(message.data)

    async def _stored(self, answers: Sequence[tuple[asyncio.Future[bytes], int]]) -> None:
        """Returns when each answer says that the message got its sequence number."""
        futures = [answer for answer, _ in answers]
        try:
            done, _ = await asyncio.wait(futures, timeout=CONFIRMATION_TIMEOUT_SECONDS)
        finally:
            for answer in futures:
                answer.cancel()
        if len(done) < len(futures):
            raise NotStored(f"{len(futures) - len(done)} confirmations did not come in time")
        for answer, sequence in answers:
            self._check(answer.result(), sequence)

    def _check(self, data: bytes, sequence: int) -> None:
        answer: dict[str, Any] = orjson.loads(data) if data else {}
        error = answer.get("error") or ({} if data else {"description": "there is no stream"})
        if error:
            if self._batches and error.get("err_code") not in (_WRONG_LAST_SEQUENCE, _DUPLICATES):
                _log.info("batches_refused", error=error.get("description"))
                self._batches = False
            raise NotStored(str(error.get("description", error)))
        if answer.get("seq") != sequence or answer.get("duplicate"):
            raise NotStored(f"message {sequence} was stored as {answer.get('seq')}")

"""Sending events to JetStream so that their order is certain.

A batch is stored whole, directly behind the message it names, or not at all. Where the server
takes no batches, each event names the one before it, which is as certain and slower.

Message ids are a second line only. A server that lost its newest messages knows their ids for a
while all the same, and takes none of them again: they are sent without.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self
from uuid import uuid4

import nats.errors
import orjson
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from ledger.bus import wire
from ledger.bus.atomic_batch import (
    CONFIRMATION_TIMEOUT_SECONDS,
    DUPLICATES,
    MESSAGE_IDS_SINCE,
    WRONG_LAST_SEQUENCE,
    Confirmations,
    Outgoing,
    batch,
    refusal,
    takes_batches,
)
from ledger.bus.events import MESSAGE_ID, published
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.errors import LedgerError
from ledger.kernel.incarnation import Lineage

FOLLOWS = "Nats-Expected-Last-Sequence"

_log = structlog.get_logger(__name__)


class NotStored(LedgerError):
    """Events were refused or not confirmed: where the stream is has to be looked up."""


class Sender:
    """Sends for one connection, inside its block."""

    def __init__(self, connection: Client) -> None:
        self._nats = connection
        self._replies = connection.new_inbox()
        self._subscription: Subscription | None = None
        self._confirmations = Confirmations()
        self._batches = takes_batches(connection, MESSAGE_IDS_SINCE)
        self._ids = True

    async def __aenter__(self) -> Self:
        self._subscription = await self._nats.subscribe(f"{self._replies}.*", cb=self._answered)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()

    async def send(
        self, events: Sequence[RecordedEvent], *, follows: int, lineage: Lineage
    ) -> asyncio.Task[None]:
        """Sends the events of a log with this lineage, which go directly behind the message with
        the sequence number `follows`. The task that is returned ends when they are stored, or
        raises NotStored."""
        outgoing = [Outgoing(*published(event, lineage=lineage)) for event in events]
        if not self._ids:
            for _, _, headers in outgoing:
                del headers[MESSAGE_ID]
        if self._batches and len(events) > 1:
            subject, body, headers = outgoing[0]
            outgoing[0] = Outgoing(subject, body, {**headers, FOLLOWS: str(follows)})
            token = uuid4().hex
            answers = [(self._confirmations.expect(token), follows + len(events))]
            messages = batch(outgoing, reply=f"{self._replies}.{token}")
        else:
            answers, messages = [], []
            for before, (subject, body, headers) in enumerate(outgoing, follows):
                token = uuid4().hex
                answers.append((self._confirmations.expect(token), before + 1))
                messages.append(
                    wire.message(
                        subject,
                        body,
                        reply=f"{self._replies}.{token}",
                        headers={**headers, FOLLOWS: str(before)},
                    )
                )
        await wire.send(self._nats, messages)
        return asyncio.create_task(self._stored(answers))

    async def _answered(self, message: Msg) -> None:
        self._confirmations.answered(message.subject.rpartition(".")[2], message.data)

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
        self._ids = True

    def _check(self, data: bytes, sequence: int) -> None:
        error = refusal(data)
        answer = orjson.loads(data) if data else {}
        if answer.get("duplicate") or (error and error.get("err_code") == DUPLICATES):
            _log.warning("events_were_lost", reason="the server knows their ids and has them not")
            self._ids = False
        if error:
            if self._batches and error.get("err_code") not in (WRONG_LAST_SEQUENCE, DUPLICATES):
                _log.info("batches_refused", error=error.get("description"))
                self._batches = False
            raise NotStored(str(error.get("description", error)))
        if answer.get("seq") != sequence or answer.get("duplicate"):
            raise NotStored(f"message {sequence} was stored as {answer.get('seq')}")

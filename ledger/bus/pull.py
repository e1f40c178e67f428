"""The messages of a pull consumer, as they come: what is there is handed over at once.

The library's own `fetch` waits for a batch to be full or for its time to end, once a first message
has come late: a second of delay for a lone command. Here one request for a batch is always open to
each consumer, so that the next messages arrive while the ones before are in work; never more than
a batch and MAX_REQUEST_BYTES of each are requested, and that while less than a batch is waiting.
The rest stays with the server.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Self

import nats.errors
import orjson
from nats.aio.subscription import Subscription
from nats.js import api

from ledger.bus import connection as bus
from ledger.bus import wire
from ledger.bus.wire import Message

REQUEST_SECONDS = 30.0
"""How long the server keeps a request open. It ends earlier when its batch is full, and counts as
lost when nothing was heard of it after that and a second."""
MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""Bytes requested at once, or twice the server's largest message if that is more: the worker's
memory must not be the sender's to fill."""

_TIME_IS_OVER = (api.StatusCode.REQUEST_TIMEOUT, api.StatusCode.NO_MESSAGES)
_IS_FULL = ("MaxBytes", "Batch Completed")


class _Request:
    """The open request to one consumer. `due` messages of it are still to come."""

    def __init__(self, consumer: str, subject: str, inbox: str) -> None:
        self.consumer = consumer
        self.subject = subject
        self.inbox = inbox
        self.due = 0
        self.ends = 0.0


class Pull:
    """Open requests to consumers, and what came of them."""

    def __init__(
        self,
        connection: bus.Connection,
        stream: str,
        consumers: Sequence[str],
        batch: int,
    ) -> None:
        self._connection = connection
        self._batch = batch
        next_of = f"{connection.api_prefix}.CONSUMER.MSG.NEXT.{stream}"
        self._requests = [
            _Request(consumer, f"{next_of}.{consumer}", connection.new_inbox())
            for consumer in consumers
        ]
        self._subscriptions: list[Subscription] = []
        self._arrived = asyncio.Event()
        self._ended = False
        self.waiting: deque[Message] = deque()
        """Messages that are here and not taken."""
        self.lost: str | None = None
        """Why nothing will come any more: a consumer is gone, or JetStream is."""

    async def __aenter__(self) -> Self:
        for request in self._requests:
            take = partial(self._receive, request)
            subscription = await wire.subscribe(self._connection, request.inbox, take)
            self._subscriptions.append(subscription)
        return self

    async def __aexit__(self, *_: object) -> None:
        for subscription in self._subscriptions:
            with contextlib.suppress(nats.errors.Error):
                await wire.unsubscribe(self._connection, subscription)

    async def take(self, timeout: float) -> list[Message]:
        """The messages that are here, at most a batch; waits for a first one, and returns none
        when none comes in time or at the end."""
        await self._ask()
        if not self.waiting and not self._ended:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                # Not wait_for: up to Python 3.11 it forgets that its task was cancelled when what
                # it waits for happens at the same moment.
                async with asyncio.timeout(timeout):
                    await self._arrived.wait()
        taken = [self.waiting.popleft() for _ in range(min(self._batch, len(self.waiting)))]
        await self._ask()
        return taken

    def end(self) -> None:
        """Nobody waits for messages any more."""
        self._ended = True
        self._arrived.set()

    async def _ask(self) -> None:
        now = asyncio.get_running_loop().time()
        for request in self._requests:
            open_still = request.due > 0 and now < request.ends + 1
            if open_still or len(self.waiting) >= self._batch:
                continue
            request.due = self._batch
            request.ends = now + REQUEST_SECONDS
            wanted = {
                "batch": request.due,
                "expires": int(REQUEST_SECONDS * 1e9),
                "max_bytes": max(MAX_REQUEST_BYTES, 2 * self._connection.max_payload),
            }
            await self._connection.publish(
                request.subject, orjson.dumps(wanted), reply=request.inbox
            )

    def _receive(self, request: _Request, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.reply:
                request.due -= 1
                self.waiting.append(message)
            else:
                self._note_end(request, *message.status)
        self._arrived.set()

    def _note_end(self, request: _Request, status: str, reason: str) -> None:
        """The server says that the request has ended: by its time, its bytes, or for good."""
        request.due = 0
        if status not in _TIME_IS_OVER and not any(text in reason for text in _IS_FULL):
            self.lost = reason or f"status {status}"

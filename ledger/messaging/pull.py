"""The messages of a pull consumer, as they come: what is there is handed over at once.

The library's own `fetch` waits for a batch to be full or for its time to end, once a first message
has come late: a second of delay for a lone command. Here one request for a batch is always open,
so that the next messages arrive while the ones before are in work; never more than a batch and
MAX_REQUEST_BYTES are requested or waiting, the rest stays with the server.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Self

import nats.errors
import orjson
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js import api

from ledger.messaging import bulk
from ledger.messaging.bulk import Message

REQUEST_SECONDS = 30.0
"""How long the server keeps a request open. It ends earlier when its batch is full, and counts as
lost when nothing was heard of it after that and a second."""
MAX_REQUEST_BYTES = 32 * 1024 * 1024
"""Bytes requested at once, or twice the server's largest message if that is more: the worker's
memory must not be the sender's to fill."""

_TIME_IS_OVER = (api.StatusCode.REQUEST_TIMEOUT, api.StatusCode.NO_MESSAGES)
_IS_FULL = ("MaxBytes", "Batch Completed")


class Pull:
    """Open requests to a consumer, and what came of them."""

    def __init__(self, connection: Client, stream: str, consumer: str, batch: int) -> None:
        self._connection = connection
        self._subject = f"{api.DEFAULT_PREFIX}.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._batch = batch
        self._inbox = connection.new_inbox()
        self._subscription: Subscription | None = None
        self._due = 0
        self._request_ends = 0.0
        self._arrived = asyncio.Event()
        self.waiting: deque[Message] = deque()
        """Messages that are here and not taken."""
        self.lost: str | None = None
        """Why nothing will come any more: the consumer is gone, or JetStream is."""

    async def __aenter__(self) -> Self:
        self._subscription = await bulk.subscribe(self._connection, self._inbox, self._receive)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):
                await bulk.unsubscribe(self._connection, self._subscription)

    async def take(self, timeout: float) -> list[Message]:
        """The messages that are here, at most a batch; waits for a first one, and returns none
        when none comes in time."""
        await self._request()
        if not self.waiting:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._arrived.wait(), timeout)
        taken = [self.waiting.popleft() for _ in range(min(self._batch, len(self.waiting)))]
        await self._request()
        return taken

    async def _request(self) -> None:
        now = asyncio.get_running_loop().time()
        open_still = self._due > 0 and now < self._request_ends + 1
        if open_still or len(self.waiting) >= self._batch:
            return
        self._due = self._batch - len(self.waiting)
        self._request_ends = now + REQUEST_SECONDS
        request = {
            "batch": self._due,
            "expires": int(REQUEST_SECONDS * 1e9),
            "max_bytes": max(MAX_REQUEST_BYTES, 2 * self._connection.max_payload),
        }
        await self._connection.publish(self._subject, orjson.dumps(request), reply=self._inbox)

    def _receive(self, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.reply:
                self._due -= 1
                self.waiting.append(message)
            else:
                self._note_end(*message.status)
        self._arrived.set()

    def _note_end(self, status: str, reason: str) -> None:
        """The server says that the request has ended: by its time, its bytes, or for good."""
        self._due = 0
        if status not in _TIME_IS_OVER and not any(text in reason for text in _IS_FULL):
            self.lost = reason or f"status {status}"

"""Messages into a stream at once, and what the bus says of them.

takes_batches   whether a server stores a batch whole or not at all
batch           messages as they go to the socket, as one batch: the last one has it stored
Confirmations   who waits for the bus's answers, each under a token that ends its subject
refusal         why the bus has not stored what it answers
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from nats.aio.client import Client

from ledger.bus import wire

CONFIRMATION_TIMEOUT_SECONDS = 5.0
"""After this what was not confirmed counts as lost, and is looked after. A server that syncs to a
slow disk may need a second."""
BATCHES_SINCE = (2, 12)
"""The server version from which batches are taken; an older one would store them message by message
and confirm none but the last."""
MESSAGE_IDS_SINCE = (2, 14)
"""From here on they may carry message ids."""
WRONG_LAST_SEQUENCE, BATCHES_DISABLED, DUPLICATES = 10071, 10174, 10201
"""The server's codes: another message was last, the stream takes no batches, an id is known."""


class Outgoing(NamedTuple):
    """A message for a stream."""

    subject: str
    body: bytes
    headers: dict[str, str]


def takes_batches(connection: Client, since: tuple[int, int] = BATCHES_SINCE) -> bool:
    version = connection.connected_server_version
    return (version.major, version.minor) >= since


def batch(messages: Sequence[Outgoing], *, reply: str) -> list[bytes]:
    """What goes to the socket for all of them or none to be stored, in this order. The bus answers
    once, at `reply`."""
    batch_id = uuid4().hex
    made = []
    for number, (subject, body, headers) in enumerate(messages, 1):
        of_batch = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number)}
        last = number == len(messages)
        if last:
            of_batch["Nats-Batch-Commit"] = "1"
        made.append(
            wire.message(
                subject, body, reply=reply if last else "", headers={**headers, **of_batch}
            )
        )
    return made


def refusal(data: bytes) -> dict[str, Any] | None:
    """The bus's error, if it has not stored the message or batch that it answers."""
    if not data:
        return {"description": "there is no stream"}
    error: dict[str, Any] | None = orjson.loads(data).get("error")
    return error


class Confirmations:
    """What is waited for on one connection."""

    def __init__(self) -> None:
        self._awaited: dict[str, asyncio.Future[bytes]] = {}

    def expect(self, token: str) -> asyncio.Future[bytes]:
        """The answer that comes under the token, for as long as somebody waits for it: who stops
        waiting cancels it."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._awaited[token] = answer
        answer.add_done_callback(lambda _: self._forget(token, answer))
        return answer

    @contextmanager
    def expected(self, token: str) -> Iterator[asyncio.Future[bytes]]:
        """The same, inside a block."""
        answer = self.expect(token)
        try:
            yield answer
        finally:
            answer.cancel()

    def answered(self, token: str, data: bytes) -> None:
        answer = self._awaited.get(token)
        if answer is not None and not answer.done():
            answer.set_result(data)

    def give_up(self) -> None:
        """The connection was lost: nothing that is awaited comes."""
        for answer in list(self._awaited.values()):
            answer.cancel()

    def _forget(self, token: str, answer: asyncio.Future[bytes]) -> None:
        if self._awaited.get(token) is answer:
            del self._awaited[token]

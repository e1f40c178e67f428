"""Heads kept in the stream LEDGER_WITNESS of another NATS server than the ledger's."""

import asyncio
from collections.abc import Iterator

import nats.errors
import nats.js.errors
import orjson
from nats.aio.client import Client
from nats.js import JetStreamContext, api

from ledger.audit.prove.seals import Seal, from_document
from ledger.audit.witness import KeptHead, Seen
from ledger.audit.witness.targets import (
    CannotKeep,
    contradiction_document,
    kept_document,
    read_kept,
)
from ledger.bus import connection
from ledger.bus.security import BusSecurity

WITNESS_STREAM = "LEDGER_WITNESS"
HEADS_SUBJECT = "ledger.witness.heads"
CONTRADICTIONS_SUBJECT = "ledger.witness.contradictions"
RETRY_WAIT_SECONDS = 1.0
"""Between two tries to reach the server."""
TARGET_TIMEOUT_SECONDS = 15.0
"""A server that cannot be reached by then is told of at once: nothing would be kept."""


class StreamTarget:
    """The stream, made if there is none, for the length of a `with` block."""

    def __init__(self, url: str, security: BusSecurity) -> None:
        self._url = url
        self._security = security
        self._runner = asyncio.Runner()
        self._connection: Client | None = None
        self._newest: KeptHead | None = None

    def __enter__(self) -> "StreamTarget":
        try:
            self._connection = self._runner.run(self._connected())
            self._newest = self._runner.run(self._prepare())
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError) as error:
            self.__exit__()
            reason = str(error) or type(error).__name__
            raise CannotKeep(
                f"the stream {WITNESS_STREAM} of the target cannot be used ({reason}). Check that "
                "its server runs with JetStream, and that the URL and --target-seed are right."
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._connection is not None:
            self._runner.run(self._connection.close())
        self._runner.close()

    def newest(self) -> KeptHead | None:
        return self._newest

    def numbered(self, number: int) -> Seal | None:
        return next((seal for seal in self.heads() if seal.number == number), None)

    def heads(self) -> Iterator[Seal]:
        sequence = 1
        while (message := self._runner.run(self._next(sequence))) is not None:
            yield from_document(message.data or b"")
            sequence = (message.seq or sequence) + 1

    def keep(self, seal: Seal, sequence: int) -> None:
        self._publish(HEADS_SUBJECT, orjson.dumps(kept_document(seal, sequence)))
        self._newest = KeptHead(seal, sequence)

    def keep_contradiction(self, seen: Seen, message: str) -> None:
        document = orjson.dumps(contradiction_document(seen, message, self._newest))
        self._publish(CONTRADICTIONS_SUBJECT, document)

    def _publish(self, subject: str, document: bytes) -> None:
        try:
            self._runner.run(self._stream().publish(subject, document))
        except (nats.errors.Error, nats.js.errors.Error) as error:
            raise CannotKeep(f"{WITNESS_STREAM} takes no head: {error}") from error

    async def _connected(self) -> Client:
        connecting = connection.connect(
            self._url, "witness target", security=self._security, retry_wait=RETRY_WAIT_SECONDS
        )
        return await asyncio.wait_for(connecting, TARGET_TIMEOUT_SECONDS)

    async def _prepare(self) -> KeptHead | None:
        stream = self._stream()
        try:
            await stream.stream_info(WITNESS_STREAM)
        except nats.js.errors.NotFoundError:
            await stream.add_stream(
                api.StreamConfig(
                    name=WITNESS_STREAM,
                    description="Heads of a ledger's seals, kept by a witness: never deleted",
                    subjects=[HEADS_SUBJECT, CONTRADICTIONS_SUBJECT],
                    storage=api.StorageType.FILE,
                    discard=api.DiscardPolicy.NEW,
                    deny_delete=True,
                    deny_purge=True,
                    allow_direct=True,
                )
            )
        try:
            message = await stream.get_last_msg(WITNESS_STREAM, HEADS_SUBJECT)
        except nats.js.errors.NotFoundError:
            return None
        return read_kept(message.data or b"")

    async def _next(self, sequence: int) -> api.RawStreamMsg | None:
        try:
            return await self._stream().get_msg(
                WITNESS_STREAM, seq=sequence, subject=HEADS_SUBJECT, next=True
            )
        except nats.js.errors.NotFoundError:
            return None

    def _stream(self) -> JetStreamContext:
        assert self._connection is not None
        return self._connection.jetstream(timeout=connection.JETSTREAM_TIMEOUT_SECONDS)

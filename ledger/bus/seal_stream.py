"""LEDGER_SEALS: the heads of seals, kept outside of the database.

What is kept here is never taken away again: the stream refuses to delete and to purge messages, no
head becomes too old, and a full stream refuses new ones (discard new), which is noticed, instead of
dropping old ones, which whoever floods it could then make happen. On a bus with users nobody who
works for the ledger can do more than add to it (deploy/nats-secure.conf). Like the other streams it
is made once, and then the administrator's.
"""

import os
from datetime import datetime
from typing import IO, TYPE_CHECKING, NamedTuple

import nats.js.errors
import structlog
from nats.js import JetStreamContext, api

from ledger.bus.connection import JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    from ledger.operate.settings import Settings

SEALS_STREAM = "LEDGER_SEALS"
SEALS_SUBJECT = "ledger.seals"
LARGEST_HEAD_BYTES = 65_536
"""A head has some 500 bytes, one with the reason for a change of keys some more."""

_NO_ROOM = 10047
"""The server's code for a stream larger than the storage that is left."""

_log = structlog.get_logger(__name__)


class NoRoomForHeads(LedgerError):
    """The server has less storage than the stream may take."""


class KeptMessage(NamedTuple):
    """A message of the stream, and when it was kept by the server's clock."""

    sequence: int
    body: bytes
    time: datetime | None


def seals_of(connection: Connection) -> JetStreamContext:
    """JetStream where the heads are kept: on a bus with users in an account where nobody is."""
    return connection.witness(timeout=JETSTREAM_TIMEOUT_SECONDS)


async def ensure_seals_stream(jetstream: JetStreamContext, settings: "Settings") -> None:
    """Makes the stream if there is none. Raises NoRoomForHeads."""
    try:
        await jetstream.stream_info(SEALS_STREAM)
        return
    except nats.js.errors.NotFoundError:
        pass
    config = api.StreamConfig(
        name=SEALS_STREAM,
        description="Heads of the ledger's seals: never deleted",
        subjects=[SEALS_SUBJECT],
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        max_bytes=settings.seal_heads_limit_bytes,
        max_msg_size=LARGEST_HEAD_BYTES,
        deny_delete=True,
        deny_purge=True,
        allow_direct=True,
    )
    try:
        await jetstream.add_stream(config)
    except nats.js.errors.APIError as error:
        if error.err_code != _NO_ROOM:
            raise
        raise NoRoomForHeads(
            f"the NATS server has no room for {SEALS_STREAM} with {config.max_bytes} bytes: "
            f"{error.description}. Give it more storage (jetstream.max_file_store), or set "
            "LEDGER_SEAL_HEADS_LIMIT_BYTES lower."
        ) from error
    _log.info("stream_created", stream=SEALS_STREAM)


async def set_aside(jetstream: JetStreamContext, file: IO[bytes]) -> int:
    """Writes all heads to the file, one a line, and removes the stream, so that a sealer of a log
    that was restored begins another; how many there were. Only an administrator may."""
    state = (await jetstream.stream_info(SEALS_STREAM)).state
    heads = 0
    for sequence in range(state.first_seq, state.last_seq + 1):
        kept = await kept_at(jetstream, sequence)
        if kept is not None:
            file.write(kept.body.strip() + b"\n")
            heads += 1
    file.flush()
    os.fsync(file.fileno())
    await jetstream.delete_stream(SEALS_STREAM)
    return heads


async def newest_kept(jetstream: JetStreamContext) -> KeptMessage | None:
    """The last message of the stream; None while it has none."""
    state = (await jetstream.stream_info(SEALS_STREAM)).state
    if state.messages == 0:
        return None
    return await kept_at(jetstream, state.last_seq)


async def kept_at(jetstream: JetStreamContext, sequence: int) -> KeptMessage | None:
    """The message with the number; None if there is none."""
    try:
        message = await jetstream.get_msg(SEALS_STREAM, seq=sequence, direct=True)
    except nats.js.errors.NotFoundError:
        return None
    return KeptMessage(sequence, message.data or b"", message.time)

"""Makes consumers on LEDGER_EVENTS for users of the bus: such that hand out on request, no others.

A consumer with a deliver_subject has the server publish to it, with the rights of the server: to
another user's inbox or consumer, to whoever answers requests. The server lets everybody name one
who may make a consumer, and its permissions do not see into the request. So what a user asks for
comes here, on the subject that its grant was mapped to, and is passed on when it is harmless:

    ledger.consumers.LEDGER_EVENTS.<consumer>.<filter>    ──▶   $JS.API.CONSUMER.CREATE.…

The answer is the server's. On a bus without users nobody is asked for anything, and clients make
their consumers themselves.
"""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
import orjson
import structlog
from nats.aio.msg import Msg

from ledger.bus.connection import CONSUMER_GUARD, JETSTREAM_TIMEOUT_SECONDS, Connection
from ledger.bus.events import EVENTS_STREAM
from ledger.kernel.errors import LedgerError

QUEUE_GROUP = "ledger"
HARMLESS = frozenset(
    {
        *("name", "durable_name", "description", "metadata", "filter_subject"),
        *("deliver_policy", "opt_start_seq", "opt_start_time", "replay_policy", "headers_only"),
        *("ack_policy", "ack_wait", "max_deliver", "max_ack_pending", "max_waiting"),
        *("max_batch", "max_bytes", "max_expires", "inactive_threshold", "mem_storage"),
        *("num_replicas", "pause_until"),
    }
)
"""What a consumer may be made with: nothing that names a subject but the filter, which the subject
of the request has as well."""

_log = structlog.get_logger(__name__)


class Refused(LedgerError, ValueError):
    """The consumer would not be harmless, or is not the one that the subject names."""


@asynccontextmanager
async def consumers_guarded(connection: Connection) -> AsyncIterator[None]:
    """Inside the block, users get consumers. Any number of publishers share the requests."""

    told: set[str] = set()

    async def asked(request: Msg) -> None:
        with contextlib.suppress(nats.errors.Error):
            if request.reply:
                await connection.publish(request.reply, await _answer(connection, request, told))

    subscription = await connection.subscribe(f"{CONSUMER_GUARD}>", queue=QUEUE_GROUP, cb=asked)
    try:
        yield
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()


async def _answer(connection: Connection, request: Msg, told: set[str]) -> bytes:
    what = request.subject.removeprefix(CONSUMER_GUARD)
    try:
        body = checked(request.subject, request.data)
    except Refused as refused:
        consumer = what.split(".")[1:2]
        # Once for each that is granted: who asks again and again must not fill the log.
        tell = _log.debug if told.issuperset(consumer) else _log.warning
        told.update(consumer)
        tell("consumer_refused", subject=request.subject, reason=str(refused))
        return _refusal(str(refused))
    answer = await connection.request(
        f"{connection.api_prefix}.CONSUMER.CREATE.{what}", body, timeout=JETSTREAM_TIMEOUT_SECONDS
    )
    return answer.data


def checked(subject: str, body: bytes) -> bytes:
    """The request as it is passed on. Raises Refused."""
    stream, _, rest = subject.removeprefix(CONSUMER_GUARD).partition(".")
    consumer, _, wanted = rest.partition(".")
    try:
        asked: Any = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(f"the request is not JSON: {error}") from error
    asked = asked if isinstance(asked, dict) else {}
    config, named = asked.get("config"), asked.get("stream_name")
    if not isinstance(config, dict) or not stream == named == EVENTS_STREAM:
        raise Refused(f"the request is not for a consumer on {EVENTS_STREAM}")
    config = {
        name: value for name, value in config.items() if value
    }  # libraries name all there are
    unknown = config.keys() - HARMLESS
    if unknown:
        raise Refused(f"a consumer of a user takes no {min(unknown)}: it is asked for its messages")
    if {config.get("name", consumer), config.get("durable_name", consumer)} != {consumer}:
        raise Refused(f"the consumer's name is not {consumer}, which the subject names")
    if config.get("filter_subject") != wanted:
        raise Refused(f"the filter is not {wanted}, which the subject names")
    return orjson.dumps({"stream_name": stream, "config": config})


def _refusal(reason: str) -> bytes:
    error = {"code": 403, "err_code": 10000, "description": reason}
    kind = "io.nats.jetstream.api.v1.consumer_create_response"
    return orjson.dumps({"type": kind, "error": error})

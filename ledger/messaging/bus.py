"""What the ledger has on NATS: subjects, the stream of commands, its consumers, connections.

LEDGER_COMMANDS keeps what services send until the worker has decided it, and for some days after:
a database that was restored to an earlier moment gets the commands since then again from here,
and the inbox keeps those that it has from having a second effect. A full stream refuses new
commands (discard new), which the sender notices, instead of dropping the oldest, which nobody
would. It has no limit of bytes of its own: the server's limit of storage is the limit. The stream
is made once and then the operator's: replicas, limits and placement stay as `nats stream edit`
left them.

Batches are taken (`outbox.py`): a bus that syncs every message to its disk before it confirms is
only fast when it can sync many at once.

Copies of a message are not dropped by the server (no `Nats-Msg-Id`): a resend must get its answer,
and a re-used id its refusal, so both have to reach the worker. The inbox is what makes one effect.

A worker makes its consumer anew whenever it begins on a connection. Its deliveries are not
limited (max_deliver): the worker decides when to set a command aside, because the server would
only stop delivering it and tell nobody.
"""

import contextlib
import re
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext, api
from nats.js.errors import NotFoundError
from uuid_utils.compat import uuid7

from ledger.messaging.bulk import take_in_bulk
from ledger.messaging.security import BusSecurity
from ledger.settings import Settings

COMMANDS_STREAM = "LEDGER_COMMANDS"
COMMANDS_PREFIX = "ledger.commands."
COMMANDS_CONSUMER = "ledger-worker"
"""What the names of the consumers of the commands begin with."""
OUTCOMES_SUBJECT = "ledger.outcomes.get"
POSITION_OF_SUBJECT = "ledger.query.position-of"
REPLY_TO = "Ledger-Reply-To"
"""Header of a command: the subject its outcome is published to."""

PING_INTERVAL_SECONDS = 10
"""How often a silent connection is tried. After two pings without an answer it is given up, so a
server that vanished without a word is noticed in half a minute."""
CONNECT_TIMEOUT_SECONDS = 2
"""A server that does not take a connection by then is tried again or passed over."""
JETSTREAM_TIMEOUT_SECONDS = 2.0
"""A server that does not answer a request about streams by then is asked again."""
MAX_REPLY_SUBJECT_LENGTH = 255
"""Longest reply subject that is answered: inboxes have about 50 characters."""
BATCHES_IN_FLIGHT = 4
"""Batches of commands that the server hands out before the first is acknowledged: one in work and
one ready, for this worker and for another."""
SECONDS_PER_DAY = 86_400

_log = structlog.get_logger(__name__)


class UnusableSubject(ValueError):
    """Nothing can or may be published to the subject."""


Callback = Callable[[], Awaitable[None]]
_RESERVED_REPLIES = (
    "$",
    COMMANDS_PREFIX,
    "ledger.outcomes.",
    "ledger.events.",
    "ledger.query.",
    "ledger.seals",
)
_USUAL_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_USUAL_INBOX = re.compile(r"_INBOX(?:\.[A-Za-z0-9_-]+)+")


async def connect(
    url: str,
    name: str,
    *,
    retry_wait: float,
    on_disconnect: Callback | None = None,
    on_reconnect: Callback | None = None,
    on_error: Callable[[str], None] | None = None,
    security: BusSecurity | None = None,
    log: Any = _log,
) -> Client:
    """A connection that looks for its server for ever, now and whenever it is lost. `url` may name
    several servers, separated by commas. `log` is who tells of it. Raises UnusableCredentials."""

    connection = Client()
    take_in_bulk(connection)
    told: set[str] = set()

    async def failed(error: Exception) -> None:
        # Each attempt to connect that fails ends up here: one line says it as well as hundreds.
        text = str(error) or type(error).__name__
        tell = log.debug if text in told else log.warning
        told.add(text)
        if on_error is not None:
            on_error(text)
        tell("nats_error", error=text, url=url, connection=name)

    async def disconnected() -> None:
        if not connection.is_closed:  # by ourselves
            log.warning("nats_disconnected", url=url, connection=name)
        if on_disconnect is not None:
            await on_disconnect()

    async def reconnected() -> None:
        told.clear()
        log.info("nats_reconnected", url=url, connection=name)
        if on_reconnect is not None:
            await on_reconnect()

    await connection.connect(
        url.split(","),
        name=name,
        max_reconnect_attempts=-1,
        reconnect_time_wait=retry_wait,  # type: ignore[arg-type]  # it sleeps that long
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        ping_interval=PING_INTERVAL_SECONDS,
        error_cb=failed,
        disconnected_cb=disconnected,
        reconnected_cb=reconnected,
        **(security.options() if security else {}),
    )
    return connection


async def ensure_commands_stream(jetstream: JetStreamContext, settings: Settings) -> int:
    """Makes the stream of commands if there is none. Returns the number of its partitions."""
    partitions = settings.command_partitions
    try:
        existing = await jetstream.stream_info(COMMANDS_STREAM)
        return _partitions(existing.config)
    except NotFoundError:
        await jetstream.add_stream(
            api.StreamConfig(
                name=COMMANDS_STREAM,
                description="Commands to the ledger, as CloudEvents",
                subjects=[COMMANDS_PREFIX + (">" if partitions == 1 else "*")],
                subject_transform=None if partitions == 1 else _transform(partitions),
                retention=api.RetentionPolicy.LIMITS,
                storage=api.StorageType.FILE,
                discard=api.DiscardPolicy.NEW,
                max_age=settings.command_retention_days * SECONDS_PER_DAY,
                allow_atomic=True,
            )
        )
        _log.info("stream_created", stream=COMMANDS_STREAM, partitions=partitions)
        return partitions


def _transform(partitions: int) -> api.SubjectTransform:
    """Commands are stored under their partition and account; who sends knows nothing of it."""
    return api.SubjectTransform(
        src=COMMANDS_PREFIX + "*",
        dest=f"{COMMANDS_PREFIX}{{{{partition({partitions},1)}}}}.{{{{wildcard(1)}}}}",
    )


def _partitions(stream: api.StreamConfig) -> int:
    transform = stream.subject_transform
    found = _PARTITIONS.search(transform.dest) if transform and transform.dest else None
    return int(found[1]) if found else 1


_PARTITIONS = re.compile(r"partition\((\d+),")


def partition_name(consumer: str) -> str:
    """What the consumers of one partition have in common, one after the other."""
    return consumer.partition("_")[0]


def account_of(subject: str) -> str:
    """The last token of the subject that a command was sent to, which names its account."""
    token = subject.removeprefix(COMMANDS_PREFIX)
    return token.rpartition(".")[2] if token[:1].isdigit() and "." in token else token


async def begin_commands_consumer(
    jetstream: JetStreamContext, settings: Settings, partition: int, partitions: int
) -> str:
    """Makes a new consumer for a partition, to go on behind what is acknowledged, and deletes those
    before it. Returns its name, which no other ever had.

    New, because what was handed out before and not acknowledged would come again only after a
    while, behind newer commands. And with a name of its own, because a worker that hung or lost its
    lease may still ask the consumer that it knows: commands that it got from ours would be
    overtaken by those that we get. If we end between the two steps, the next worker goes on behind
    whichever of them has acknowledged the most.
    """
    partition_is = COMMANDS_CONSUMER if partitions == 1 else f"{COMMANDS_CONSUMER}-{partition}"
    before = [
        one for one in await _consumers(jetstream) if partition_name(one.name) == partition_is
    ]
    floors = [one.ack_floor.stream_seq for one in before if one.ack_floor]
    name = f"{partition_is}_{uuid7().hex}"
    await jetstream.add_consumer(
        COMMANDS_STREAM,
        api.ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=None if partitions == 1 else f"{COMMANDS_PREFIX}{partition}.*",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=max(floors, default=0) + 1,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=settings.command_ack_wait_seconds,
            max_ack_pending=settings.command_batch_size * BATCHES_IN_FLIGHT,
            max_deliver=-1,
        ),
    )
    for one in before:
        with contextlib.suppress(NotFoundError):  # another worker was faster
            await jetstream.delete_consumer(COMMANDS_STREAM, one.name)
    return name


async def _consumers(jetstream: JetStreamContext) -> list[api.ConsumerInfo]:
    """All of the commands' stream; the server tells some hundred at once."""
    found: list[api.ConsumerInfo] = []
    while page := await jetstream.consumers_info(COMMANDS_STREAM, offset=len(found)):
        found += page
    return found


def checked_reply_subject(subject: str) -> str:
    """The subject, if an outcome may be published to it.

    Raises UnusableSubject for what is no subject, and for those with which a sender would have
    the ledger speak to the server, or to itself, in its own name.
    """
    if len(subject) <= MAX_REPLY_SUBJECT_LENGTH and _USUAL_INBOX.fullmatch(subject):
        return subject
    if len(subject) > MAX_REPLY_SUBJECT_LENGTH:
        raise UnusableSubject(
            f"has {len(subject)} characters, at most {MAX_REPLY_SUBJECT_LENGTH} are possible"
        )
    if subject.startswith(_RESERVED_REPLIES):
        raise UnusableSubject("belongs to the server or to the ledger: use an inbox of your own")
    if not all(is_subject_token(token) for token in subject.split(".")):
        raise UnusableSubject("is not a subject that can be published to")
    return subject


def is_subject_token(text: str) -> bool:
    """Whether the text can stand between two dots of a subject."""
    return _USUAL_TOKEN.fullmatch(text) is not None or (
        text.isprintable()
        and bool(text)
        and text not in ("*", ">")
        and not any(character in " ." for character in text)
    )

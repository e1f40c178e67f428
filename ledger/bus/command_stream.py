"""LEDGER_COMMANDS and its consumers.

The stream keeps what services send until a worker has decided it, and for some days after: a
database that was restored to an earlier moment gets the commands since then again from here
(`ledgerctl recover`), and the inbox keeps those that it has from having a second effect. It has
room for so many bytes, and for so many commands of one sender, account and class; when that is used
up new commands are refused (discard new), which their sender notices, instead of dropping the
oldest, which nobody would. Before it comes to that, what is decided makes room (`command_room.py`).

The stream is made once and then the operator's: replicas, limits and placement stay as `nats stream
edit` left them. One of the days before commands had classes and senders gets the subjects of today,
and the limits that it lacks; what lies in it stays.

Copies of a message are not dropped by the server (no `Nats-Msg-Id`): a resend must get its answer,
and a re-used id its refusal, so both have to reach the worker. The inbox is what makes one effect.

A worker makes its consumer anew whenever it begins on a connection. Its deliveries are not
limited (max_deliver): the worker decides when to set a command aside, because the server would
only stop delivering it and tell nobody.
"""

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import nats.errors
import orjson
import structlog
from nats.js import JetStreamContext, api
from nats.js.errors import APIError, NotFoundError
from uuid_utils.compat import uuid7

from ledger.bus.command_subjects import COMMANDS, COMMANDS_PREFIX
from ledger.bus.connection import (
    COMMANDS_STREAM,
    JETSTREAM_TIMEOUT_SECONDS,
    SECONDS_PER_DAY,
    Connection,
)
from ledger.kernel.errors import LedgerError

if TYPE_CHECKING:
    from ledger.operate.settings import Settings

COMMANDS_CONSUMER = "ledger-worker"
"""What the names of the consumers of the commands begin with."""
BATCHES_IN_FLIGHT = 4
"""Batches of commands that the server hands out before the first is acknowledged: one in work and
one ready, for this worker and for another."""

_OLD_SUBJECTS_UNDIVIDED = [f"{COMMANDS_PREFIX}>"]
_OLD_SUBJECTS = [f"{COMMANDS_PREFIX}*"]
_NO_ROOM = 10047
"""The server's code for a stream larger than the storage that is left."""

_log = structlog.get_logger(__name__)


class NoRoomForCommands(LedgerError, nats.errors.Error):
    """The server has less storage than the stream may take."""


async def ensure_commands_stream(connection: Connection, settings: "Settings") -> int:
    """Makes the stream of commands if there is none, and brings one of the old subjects to those of
    today. Returns the number of its partitions. Raises NoRoomForCommands."""
    jetstream = connection.jetstream(timeout=JETSTREAM_TIMEOUT_SECONDS)
    try:
        existing = (await jetstream.stream_info(COMMANDS_STREAM)).config
    except NotFoundError:
        partitions = settings.command_partitions
        with _room_explained(settings):
            await jetstream.add_stream(_wanted(settings))
        _log.info("stream_created", stream=COMMANDS_STREAM, partitions=partitions)
        return partitions
    partitions = _partitions(existing)
    if existing.subjects in (_OLD_SUBJECTS, _OLD_SUBJECTS_UNDIVIDED):
        with _room_explained(settings):
            await _bring_to_today(connection, partitions, settings)
        _log.info("stream_subjects_changed", stream=COMMANDS_STREAM, subjects=[COMMANDS])
    return partitions


def _wanted(settings: "Settings") -> api.StreamConfig:
    divided = settings.command_partitions > 1
    transform = _transform(settings.command_partitions)
    return api.StreamConfig(
        name=COMMANDS_STREAM,
        description="Commands to the ledger, as CloudEvents",
        subjects=[COMMANDS],
        subject_transform=api.SubjectTransform(**transform) if divided else None,
        retention=api.RetentionPolicy.LIMITS,
        storage=api.StorageType.FILE,
        discard=api.DiscardPolicy.NEW,
        max_age=settings.command_retention_days * SECONDS_PER_DAY,
        allow_atomic=True,
        **_limits(settings),
    )


def _limits(settings: "Settings") -> dict[str, Any]:
    return {
        "max_bytes": settings.command_retention_bytes,
        "max_msg_size": settings.bus_message_limit_bytes,
        "max_msgs_per_subject": settings.command_retention_per_sender_commands,
        "discard_new_per_subject": True,
    }


async def _bring_to_today(connection: Connection, partitions: int, settings: "Settings") -> None:
    """Changes the subjects, and sets the limits where there were none. All else stays as it is,
    also what this version of the NATS library does not know."""
    found = await request(connection, f"STREAM.INFO.{COMMANDS_STREAM}", {})
    config: dict[str, Any] = found["config"] | {"subjects": [COMMANDS]}
    if partitions > 1:
        config["subject_transform"] = _transform(partitions)
    limits = _limits(settings)
    if all(config.get(name, -1) in (0, -1, False) for name in limits):
        config |= limits
    await request(connection, f"STREAM.UPDATE.{COMMANDS_STREAM}", config)


async def request(connection: Connection, what: str, body: dict[str, Any]) -> dict[str, Any]:
    """What JetStream answers, as it is. Raises APIError."""
    answer = await connection.request(
        f"{connection.api_prefix}.{what}", orjson.dumps(body), timeout=JETSTREAM_TIMEOUT_SECONDS
    )
    told: dict[str, Any] = orjson.loads(answer.data)
    if "error" in told:
        raise APIError.from_error(told["error"])
    return told


@contextlib.contextmanager
def _room_explained(settings: "Settings") -> Iterator[None]:
    try:
        yield
    except APIError as error:
        if error.err_code != _NO_ROOM:
            raise
        raise NoRoomForCommands(
            f"the NATS server has no room for {COMMANDS_STREAM} with "
            f"{settings.command_retention_bytes} bytes: {error.description}. Give it more storage "
            "(jetstream.max_file_store), or set LEDGER_COMMAND_RETENTION_BYTES lower."
        ) from error


def _transform(partitions: int) -> dict[str, str]:
    """Commands are stored behind their partition, which is the account's; who sends knows nothing
    of it."""
    kept = ".".join(f"{{{{wildcard({number})}}}}" for number in (1, 2, 3))
    return {
        "src": COMMANDS,
        "dest": f"{COMMANDS_PREFIX}{{{{partition({partitions},1)}}}}.{kept}",
    }


def _partitions(stream: api.StreamConfig) -> int:
    transform = stream.subject_transform
    found = _PARTITIONS.search(transform.dest) if transform and transform.dest else None
    return int(found[1]) if found else 1


_PARTITIONS = re.compile(r"partition\((\d+),")


def partition_names(stream: api.StreamConfig) -> list[str]:
    """Of all partitions of the stream."""
    partitions = _partitions(stream)
    return [_partition_name(number, partitions) for number in range(partitions)]


def _partition_name(number: int, partitions: int) -> str:
    return COMMANDS_CONSUMER if partitions == 1 else f"{COMMANDS_CONSUMER}-{number}"


def partition_name(consumer: str) -> str:
    """What the consumers of one partition have in common, one after the other."""
    return consumer.partition("_")[0]


async def begin_commands_consumer(
    jetstream: JetStreamContext, settings: "Settings", partition: int, partitions: int
) -> str:
    """Makes a new consumer for a partition, to go on behind what is acknowledged, and deletes those
    before it. Returns its name, which no other ever had.

    New, because what was handed out before and not acknowledged would come again only after a
    while, behind newer commands. And with a name of its own, because a worker that hung or lost its
    lease may still ask the consumer that it knows: commands that it got from ours would be
    overtaken by those that we get. If we end between the two steps, the next worker goes on behind
    whichever of them has acknowledged the most.
    """
    partition_is = _partition_name(partition, partitions)
    before = [one for one in await consumers(jetstream) if partition_name(one.name) == partition_is]
    floors = [one.ack_floor.stream_seq for one in before if one.ack_floor]
    first = max(floors, default=0) + 1
    return await _replace_consumer(jetstream, settings, partition, partitions, before, first)


async def rewind_consumers(jetstream: JetStreamContext, settings: "Settings", first: int) -> None:
    """Lets those partitions that are beyond message `first` begin there again."""
    partitions = _partitions((await jetstream.stream_info(COMMANDS_STREAM)).config)
    found = await consumers(jetstream)
    for partition in range(partitions):
        partition_is = _partition_name(partition, partitions)
        before = [one for one in found if partition_name(one.name) == partition_is]
        if any(one.ack_floor and one.ack_floor.stream_seq >= first for one in before):
            await _replace_consumer(jetstream, settings, partition, partitions, before, first)


async def _replace_consumer(
    jetstream: JetStreamContext,
    settings: "Settings",
    partition: int,
    partitions: int,
    before: Sequence[api.ConsumerInfo],
    first: int,
) -> str:
    name = f"{_partition_name(partition, partitions)}_{uuid7().hex}"
    await jetstream.add_consumer(
        COMMANDS_STREAM,
        api.ConsumerConfig(
            name=name,
            durable_name=name,
            filter_subject=None if partitions == 1 else f"{COMMANDS_PREFIX}{partition}.>",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
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


class Acknowledged(NamedTuple):
    """Up to which message each partition has acknowledged all; 0 where one has not begun."""

    floors: tuple[int, ...]

    @property
    def all(self) -> int:
        """Up to here every message is acknowledged."""
        return min(self.floors)

    @property
    def any(self) -> int:
        """Behind this none is."""
        return max(self.floors)

    def has(self, subject: str, sequence: int) -> bool:
        """Whether the message, which is stored under the subject, is acknowledged for sure."""
        return sequence <= self.floors[_partition_of(subject) if len(self.floors) > 1 else 0]


def _partition_of(subject: str) -> int:
    return int(subject.removeprefix(COMMANDS_PREFIX).partition(".")[0])


async def acknowledged(jetstream: JetStreamContext) -> Acknowledged:
    """What the workers have told the server to be decided. Raises NotFoundError where there is no
    stream."""
    config = (await jetstream.stream_info(COMMANDS_STREAM)).config
    reached = dict.fromkeys(partition_names(config), 0)
    for one in await consumers(jetstream):
        name = partition_name(one.name)
        if name in reached and one.ack_floor is not None:
            reached[name] = max(reached[name], one.ack_floor.stream_seq)
    return Acknowledged(tuple(reached.values()))


async def consumers(jetstream: JetStreamContext) -> list[api.ConsumerInfo]:
    """All of the commands' stream; the server tells some hundred at once."""
    found: list[api.ConsumerInfo] = []
    while page := await jetstream.consumers_info(COMMANDS_STREAM, offset=len(found)):
        found += page
    return found

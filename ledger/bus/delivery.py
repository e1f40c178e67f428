"""A message as the server handed it out, and what the server can be told of it.

Everything about a delivery is in the subject of its acknowledgement, which the server made:

    $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>
    $JS.ACK.<domain>.<account>.<stream>.<consumer>.<deliveries>. …      newer servers
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import orjson

from ledger.bus import wire
from ledger.bus.wire import Message
from ledger.kernel.command import Command, InvalidCommand

_WORDS_WITHOUT_DOMAIN = 9
_DELIVERIES_AT, _DELIVERIES_AT_WITH_DOMAIN = 4, 6
_SEQUENCE_AFTER_DELIVERIES = 1
_NUMBER_AFTER_DELIVERIES, _TIME_AFTER_DELIVERIES, _PENDING_AFTER_DELIVERIES = 2, 3, 4
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Delivery(NamedTuple):
    """A command's message and what it says. `tries` counts its deliveries, with this one."""

    message: Message
    command: Command | InvalidCommand
    tries: int


def tries(message: Message) -> int:
    """How often the message was handed out."""
    words, at = _words(message)
    return int(words[at])


def number(message: Message) -> int:
    """Which message of its consumer it is, counted from 1: a gap tells that one was lost."""
    words, at = _words(message)
    return int(words[at + _NUMBER_AFTER_DELIVERIES])


def sequence(message: Message) -> int:
    """Its number in the stream."""
    words, at = _words(message)
    return int(words[at + _SEQUENCE_AFTER_DELIVERIES])


def received_at(message: Message) -> datetime:
    """When the server received it."""
    return _EPOCH + timedelta(microseconds=_received_nanoseconds(message) // 1_000)


def age_seconds(message: Message, now: float) -> float:
    """How long ago the server received it, at a time in seconds since 1970."""
    return max(now - _received_nanoseconds(message) / 1e9, 0.0)


def still_to_come(message: Message) -> int:
    """How many messages its consumer had not handed out when it handed out this one."""
    words, at = _words(message)
    return int(words[at + _PENDING_AFTER_DELIVERIES])


def _received_nanoseconds(message: Message) -> int:
    words, at = _words(message)
    return int(words[at + _TIME_AFTER_DELIVERIES])


def _words(message: Message) -> tuple[list[str], int]:
    words = message.reply.split(".")
    with_domain = len(words) > _WORDS_WITHOUT_DOMAIN
    return words, _DELIVERIES_AT_WITH_DOMAIN if with_domain else _DELIVERIES_AT


def done(message: Message) -> bytes:
    """Tells the server that it need not hand the message out again."""
    return wire.message(message.reply, b"")


def again(message: Message, after_seconds: float = 0.0) -> bytes:
    """Asks the server to hand the message out again."""
    if not after_seconds:
        return wire.message(message.reply, b"-NAK")
    delay = orjson.dumps({"delay": int(after_seconds * 1e9)})
    return wire.message(message.reply, b"-NAK " + delay)


def in_work(message: Message) -> bytes:
    """Begins the time for the acknowledgement anew."""
    return wire.message(message.reply, b"+WPI")

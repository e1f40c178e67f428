"""Many messages at once over a connection of the NATS library.

The library handles message by message: a search by two patterns, a dictionary of headers, a queue
and a task switch for each one received; a header check, a queue and a flush for each one published.
That is more work than deciding a command. What is the same for hundreds of messages is done once
here:

    subscribe   all messages that one read of the socket brought go to `take` in one call, as they
                came: headers are bytes until somebody wants one
    send        messages made by `message` go to the socket in one write

Connecting, authentication, TLS, reconnecting and everything that is not a message stay the
library's. This place reaches behind its public face: for its parser, and for its buffer of what is
to be sent, whose bounds hold here too. The only other one is `nats_client`, for its sockets.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from nats import errors
from nats.aio.client import DEFAULT_PENDING_SIZE, Client
from nats.aio.subscription import Subscription
from nats.protocol.parser import Parser

_END = b"\r\n"
_MESSAGE = (b"MSG ", b"HMSG ")
_STATUS_AT = len(b"NATS/1.0 ")


class Message(NamedTuple):
    """A message as it came. `headers` are bytes, empty when there are none."""

    subject: str
    reply: str
    headers: bytes
    data: bytes

    def header(self, name: bytes) -> str | None:
        """The value of a header, spelled exactly so; the last one when there are several."""
        begins = self.headers.rfind(_END + name + b":")
        if begins < 0:
            return None
        begins += len(_END) + len(name) + 1
        return (
            self.headers[begins : self.headers.index(_END, begins)]
            .decode("utf-8", "replace")
            .strip()
        )

    @property
    def status(self) -> tuple[str, str]:
        """(code, description) of what the server itself says; both empty for a plain message."""
        line = self.headers[: self.headers.find(_END)][_STATUS_AT:].decode("utf-8", "replace")
        code, _, description = line.strip().partition(" ")
        return code, description


Take = Callable[[Sequence[Message]], None]


Accepts = Callable[[str, str], bool]
"""Whether a message with this subject and this reply subject is for us."""


class BulkParser(Parser):
    """Hands whole reads to those who take in bulk, all else that is accepted to the library."""

    def __init__(self, connection: Client, accepts: Accepts) -> None:
        self._accepts = accepts
        self._rest = b""
        self._takers: dict[int, Take] = {}
        super().__init__(connection)
        self._connection = connection

    def hand_over(self, subscription_id: int, take: Take) -> None:
        self._takers[subscription_id] = take

    def let_go(self, subscription_id: int) -> None:
        self._takers.pop(subscription_id, None)

    def reset(self) -> None:
        super().reset()
        self._rest = b""

    async def parse(self, data: bytes = b"") -> None:
        """Takes in what a read of the socket brought; what is not whole waits for the next."""
        read = self._rest + data
        taken: dict[int, list[Message]] = {}
        at = 0
        while (line_end := read.find(_END, at)) >= 0:
            if not read.startswith(_MESSAGE, at):  # a line by itself is the library's
                await super().parse(read[at : line_end + len(_END)])
                at = line_end + len(_END)
                continue
            whole = _message(read, at, line_end)
            if whole is None:
                break
            subscription_id, message, at = whole
            if subscription_id in self._takers:
                taken.setdefault(subscription_id, []).append(message)
            elif self._accepts(message.subject, message.reply):
                await self._connection._process_msg(
                    subscription_id,
                    message.subject.encode(),
                    message.reply.encode(),
                    message.data,
                    message.headers,
                )
        self._rest = read[at:]
        for subscription_id, messages in taken.items():
            self._takers[subscription_id](messages)


def _message(read: bytes, at: int, line_end: int) -> tuple[int, Message, int] | None:
    """The subscription, the message that begins at `at`, and where it ends; None when it is not
    here whole. Its line is `MSG subject sid [reply] bytes`, or with headers
    `HMSG subject sid [reply] header-bytes bytes`."""
    words = read[at:line_end].split()
    try:
        sizes = 2 if words[0] == b"HMSG" else 1
        begins = line_end + len(_END)
        ends = begins + int(words[-1])
        data_begins = begins + int(words[-2]) if sizes == 2 else begins
        subscription_id = int(words[2])
    except (ValueError, IndexError) as error:
        raise errors.ProtocolError("nats: malformed message line") from error
    if len(read) < ends + len(_END):
        return None
    # A subject may be any bytes: what is no text must not end the connection.
    subject = words[1].decode("utf-8", "replace")
    reply = words[3].decode("utf-8", "replace") if len(words) == 4 + sizes else ""
    message = Message(subject, reply, read[begins:data_begins], read[data_begins:ends])
    return subscription_id, message, ends + len(_END)


def take_in_bulk(connection: Client, *, accepts: Accepts) -> None:
    """Prepares a connection that is not open yet."""
    connection._ps = BulkParser(connection, accepts)


async def subscribe(connection: Client, subject: str, take: Take) -> Subscription:
    """Subscribes on a prepared connection; `take` gets what comes, in order."""
    subscription = await connection.subscribe(subject)
    _parser(connection).hand_over(subscription._id, take)
    return subscription


async def unsubscribe(connection: Client, subscription: Subscription) -> None:
    _parser(connection).let_go(subscription._id)
    await subscription.unsubscribe()


def _parser(connection: Client) -> BulkParser:
    assert isinstance(connection._ps, BulkParser), "the connection was not prepared"
    return connection._ps


def message(
    subject: str, data: bytes, *, reply: str = "", headers: Mapping[str, str] | None = None
) -> bytes:
    """A message as it goes to the socket. Subjects and headers are the caller's to check."""
    if headers is None:
        return f"PUB {subject} {reply} {len(data)}\r\n".encode() + data + _END
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    head = "".join(("NATS/1.0\r\n", *lines, "\r\n")).encode()
    size = len(head)
    return b"".join(
        (f"HPUB {subject} {reply} {size} {size + len(data)}\r\n".encode(), head, data, _END)
    )


async def send(connection: Client, messages: Sequence[bytes]) -> None:
    """Publishes what `message` made, in order. Raises what the library's `publish` does, for all
    of them or for none; waits while its buffer is full."""
    whole = b"".join(messages)
    if connection.is_closed:
        raise errors.ConnectionClosedError
    if connection.is_draining_pubs:
        raise errors.ConnectionDrainingError
    full = connection.pending_data_size + len(whole) > DEFAULT_PENDING_SIZE
    if full and not connection.is_connected:
        raise errors.OutboundBufferLimitError
    await connection._send_command(whole)
    await connection._flush_pending()

"""Messages in bulk: what is handed over is what was sent, however the socket cuts it."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats import errors
from nats.aio.client import Client

from ledger.bus import connection as bus
from ledger.bus import wire
from ledger.bus.security import BusSecurity
from ledger.bus.wire import BulkParser, Message

SUBSCRIPTION = 7
_TOKENS = st.text("abcXYZ019_-", min_size=1, max_size=8)
_SUBJECTS = st.lists(_TOKENS, min_size=1, max_size=4).map(".".join)
_MESSAGES = st.builds(
    Message,
    subject=_SUBJECTS,
    reply=st.just("") | _SUBJECTS,
    headers=st.just(b"") | st.just(b"NATS/1.0\r\nA: b\r\n\r\n"),
    data=st.binary(max_size=40) | st.just(b"MSG a 7 3\r\nPING\r\n"),
)


def _as_sent_by_the_server(message: Message) -> bytes:
    reply = f" {message.reply}" if message.reply else ""
    size = len(message.headers) + len(message.data)
    if message.headers:
        line = f"HMSG {message.subject} {SUBSCRIPTION}{reply} {len(message.headers)} {size}\r\n"
    else:
        line = f"MSG {message.subject} {SUBSCRIPTION}{reply} {size}\r\n"
    return line.encode() + message.headers + message.data + b"\r\n"


async def _parsed(reads: Sequence[bytes]) -> list[Message]:
    parser = BulkParser(Client(), lambda subject, reply: True)
    taken: list[Message] = []
    parser.hand_over(SUBSCRIPTION, taken.extend)
    for read in reads:
        await parser.parse(read)
    return taken


@given(st.lists(_MESSAGES, max_size=6), st.integers(1, 50))
async def test_messages_arrive_whole_wherever_a_read_ends(
    messages: list[Message], read_size: int
) -> None:
    sent = b"+OK\r\n".join(_as_sent_by_the_server(message) for message in messages)
    reads = [sent[at : at + read_size] for at in range(0, len(sent), read_size)]
    assert await _parsed(reads) == messages


async def test_a_subject_that_is_no_text_does_not_end_the_connection() -> None:
    (message,) = await _parsed([b"MSG ledger.commands.\xff\xfe 7 2\r\nhi\r\n"])
    assert message.data == b"hi"


@pytest.mark.parametrize("line", [b"MSG a b c\r\n", b"MSG a\r\n", b"HMSG a 7 x 5\r\n"])
async def test_a_line_that_is_none_of_the_protocol_makes_the_library_reconnect(line: bytes) -> None:
    with pytest.raises(errors.ProtocolError):
        await _parsed([line])


def test_a_header_is_read_by_its_exact_name_and_the_last_one_counts() -> None:
    message = Message("a", "", b"NATS/1.0\r\nReply: one\r\nxReply: no\r\nReply: two \r\n\r\n", b"")
    assert message.header(b"Reply") == "two"
    assert message.header(b"reply") is None
    assert message.status == ("", "")


def test_what_the_server_says_itself_has_a_status() -> None:
    message = Message("a", "", b"NATS/1.0 409 Consumer Deleted\r\nB: c\r\n\r\n", b"")
    assert message.status == ("409", "Consumer Deleted")


async def test_what_is_sent_in_bulk_arrives_in_order_with_headers_and_reply(nats_url: str) -> None:
    connection = await bus.connect(nats_url, "test", security=BusSecurity(), retry_wait=0.1)
    subscription = await connection.subscribe("here.>")
    await wire.send(
        connection,
        [
            wire.message("here.1", b"one"),
            wire.message("here.2", b"two", reply="there", headers={"Ledger-Reply-To": "me"}),
        ],
    )
    first, second = await subscription.next_msg(5), await subscription.next_msg(5)
    await connection.close()
    assert (first.subject, first.data, first.headers) == ("here.1", b"one", None)
    assert (second.data, second.reply) == (b"two", "there")
    assert second.headers == {"Ledger-Reply-To": "me"}
    with pytest.raises(errors.ConnectionClosedError):
        await wire.send(connection, [wire.message("here.3", b"")])

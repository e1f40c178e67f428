"""A connection ends when it is closed, whatever its server does and whatever it is doing itself."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

import nats.errors
import pytest

from ledger.bus import connection as bus
from ledger.bus import nats_client
from ledger.bus.security import BusSecurity
from tests.programs.services import ANSWER_SECONDS

INFO = b'INFO {"server_id":"x","version":"2.15.0","max_payload":1048576,"headers":true}\r\n'
RETRY_SECONDS = 0.002
MOMENTS = 40
"""Turns of the event loop: more than an attempt to reconnect takes."""


class Does(Enum):
    """How far a server gets with a connection."""

    NOTHING = auto()
    HANG_UP = auto()
    GREET = auto()
    GREET_AND_HANG_UP = auto()
    SERVE = auto()


HANGS_UP = (Does.HANG_UP, Does.GREET_AND_HANG_UP)


class Server:
    """Speaks as much of the protocol as it is told to."""

    def __init__(self) -> None:
        self.does = Does.SERVE
        self.served = 0
        self.url = ""
        self._open: set[asyncio.StreamWriter] = set()
        self._stalled: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served += 1
        self._open.add(writer)
        try:
            await self._speak(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
            self._open.discard(writer)

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        does = self.does
        if does not in (Does.NOTHING, Does.HANG_UP):
            writer.write(INFO)
            await writer.drain()
        if does in HANGS_UP:
            return
        while (line := await reader.readline()) and not writer.is_closing():
            while writer in self._stalled:  # noqa: ASYNC110
                await asyncio.sleep(RETRY_SECONDS)
            if does is Does.SERVE and line == b"PING\r\n":
                writer.write(b"PONG\r\n")

    def lose(self) -> None:
        """Ends the connections, from here."""
        for writer in self._open:
            writer.transport.abort()

    def stall(self) -> None:
        """Reads nothing more from the connections that there are."""
        self._stalled |= self._open

    def go_on(self) -> None:
        self._stalled.clear()

    async def until_none_is_open(self) -> None:
        async with asyncio.timeout(ANSWER_SECONDS):
            while self._open:  # noqa: ASYNC110
                await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def server() -> AsyncIterator[Server]:
    started = Server()
    listening = await asyncio.start_server(started.serve, "127.0.0.1", 0)
    started.url = f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield started
    finally:
        started.go_on()
        listening.close()
        started.lose()
        await started.until_none_is_open()


async def connect(url: str) -> bus.Connection:
    return await bus.connect(url, "test", security=BusSecurity(), retry_wait=RETRY_SECONDS)


@pytest.mark.parametrize("cancelled", [False, True])
@pytest.mark.parametrize("does", Does)
async def test_what_is_closed_while_it_reconnects_is_closed(does: Does, cancelled: bool) -> None:
    async with server() as bus_server:
        for moment in range(MOMENTS):
            bus_server.does = Does.SERVE
            connection = await connect(bus_server.url)
            bus_server.does = does
            again = bus_server.served + (2 if does in HANGS_UP else 0)
            bus_server.lose()
            async with asyncio.timeout(ANSWER_SECONDS):
                while bus_server.served < again:  # noqa: ASYNC110
                    await asyncio.sleep(0)
            for _ in range(moment):
                await asyncio.sleep(0)
            closing = asyncio.create_task(connection.close())
            if cancelled:
                await asyncio.sleep(0)
                closing.cancel()
            await asyncio.wait([closing], timeout=ANSWER_SECONDS)
            assert cancelled or closing.result() is None
            async with asyncio.timeout(ANSWER_SECONDS):
                while cancelled and not connection.is_closed:  # noqa: ASYNC110
                    await asyncio.sleep(RETRY_SECONDS)
            served = bus_server.served
            bus_server.does = Does.SERVE
            await bus_server.until_none_is_open()
            await asyncio.sleep(2 * RETRY_SECONDS)
            assert connection.is_closed
            assert bus_server.served - served <= 1, "it came back"  # one may have been on its way
        gc.collect()  # a socket that was left would warn here


@pytest.mark.parametrize("does", [Does.NOTHING, Does.GREET])
async def test_connecting_that_is_given_up_leaves_no_socket(does: Does) -> None:
    async with server() as bus_server:
        bus_server.does = does
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await connect(bus_server.url)
        await bus_server.until_none_is_open()
        with pytest.raises((TimeoutError, nats.errors.Error)):
            await bus.connect_once(bus_server.url, "test", security=BusSecurity(), timeout=0.05)
        await bus_server.until_none_is_open()


async def test_a_late_answer_to_a_ping_does_not_make_deaf() -> None:
    async with server() as bus_server:
        connection = await connect(bus_server.url)
        bus_server.stall()
        with pytest.raises(nats.errors.FlushTimeoutError):
            await connection.flush(0.05)  # type: ignore[arg-type]  # it waits that long
        bus_server.go_on()
        await connection.flush()
        await connection.close()


async def test_a_server_that_takes_nothing_more_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "PING_INTERVAL_SECONDS", 0.05)
    async with server() as bus_server:
        connection = await connect(bus_server.url)
        await fill(bus_server, connection)
        async with asyncio.timeout(ANSWER_SECONDS):
            while connection.stats["reconnects"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(RETRY_SECONDS)
        await connection.close()


async def test_closing_does_not_wait_for_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_client, "CLOSE_SECONDS", 0.05)
    async with server() as bus_server:
        connection = await connect(bus_server.url)
        await fill(bus_server, connection)
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.close()
        assert connection.is_closed


async def fill(bus_server: Server, connection: bus.Connection) -> None:
    """More is to be sent than a socket takes from who does not read."""
    bus_server.stall()
    assert connection._transport is not None
    connection._transport.write((b"PUB any 8000\r\n" + bytes(8_000) + b"\r\n") * 4_000)

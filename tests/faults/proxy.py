"""A way to PostgreSQL that can be cut at the worst moment: around a COMMIT.

It listens on a Unix socket of its own and hands every byte on in both directions. Once armed, it
ends the next connection that commits, in one of two ways that look the same to the client:

    ANSWER     the server has committed, and its answer never arrives
    QUESTION   the COMMIT never reaches the server, which rolls back
"""

import asyncio
import contextlib
from enum import Enum
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

SOCKET_NAME = ".s.PGSQL.5432"
CHUNK_BYTES = 65_536
COMMIT = b"COMMIT\x00"
"""As a client's simple or prepared statement writes it; COPY data never has a zero byte here."""


class Lost(Enum):
    """What of a COMMIT the cut takes away."""

    ANSWER = "answer"
    QUESTION = "question"


class CommitProxy:
    """Stands before the server of `database_url`; `url` is the way through it."""

    def __init__(self, database_url: str, directory: Path) -> None:
        parts = urlsplit(database_url)
        self._server = Path(parse_qs(parts.query)["host"][0]) / SOCKET_NAME
        self._own = directory / SOCKET_NAME
        directory.mkdir(exist_ok=True)
        self.url = urlunsplit(parts._replace(query=f"host={quote(str(directory))}"))
        self._armed: Lost | None = None
        self._cut = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._listener = await asyncio.start_unix_server(self._accepted, self._own)

    async def stop(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def cut_next_commit(self, lost: Lost, timeout: float) -> bool:
        """Ends the next connection that commits; whether there was one in time."""
        self._armed = lost
        self._cut.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._cut.wait()
        except TimeoutError:
            self._armed = None
            return False
        return True

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # the server is down, or we are: the client sees its connection end, as it should
        finally:
            self._open.discard(task)
            writer.close()

    async def _relay(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(self._server)
        swallow = asyncio.Event()

        async def answers() -> None:
            with contextlib.suppress(OSError):  # a server that dies resets its connections
                while (data := await server.read(CHUNK_BYTES)) and not swallow.is_set():
                    to_client.write(data)
                    await to_client.drain()

        async def questions() -> None:
            with contextlib.suppress(OSError):
                while data := await client.read(CHUNK_BYTES):
                    if self._armed is not None and COMMIT in data:
                        lost, self._armed = self._armed, None
                        self._cut.set()
                        if lost is Lost.QUESTION:
                            return
                        swallow.set()
                    to_server.write(data)
                    await to_server.drain()

        async with asyncio.TaskGroup() as both:
            first, second = both.create_task(answers()), both.create_task(questions())
            await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
            if swallow.is_set() and not first.done():
                await asyncio.wait((first,))  # the server's answer, which is what gets lost
            first.cancel()
            second.cancel()
            with contextlib.suppress(OSError):
                to_server.close()

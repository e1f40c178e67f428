"""Following by processes that are killed and that stand still."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ledger.client.client import LedgerClient
from tests.client.following import NAME, events_on, service
from tests.programs.services import ANSWER_SECONDS

LEASE_SECONDS = 1.0


class Process:
    """`tests.client.follower_process`, and what it said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.said: list[str] = []

    async def has(self, text: str) -> None:
        """Returns when it has said the line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(3 * ANSWER_SECONDS):
            while text not in self.said:
                line = await self._process.stdout.readline()
                assert line, self.said[-3:]
                self.said.append(line.decode().strip())

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def end(self) -> str:
        """Waits for its end; what it wrote to stderr."""
        _, errors = await asyncio.wait_for(self._process.communicate(), ANSWER_SECONDS)
        return errors.decode()


@asynccontextmanager
async def process(nats_url: str) -> AsyncIterator[Process]:
    module = "tests.client.follower_process"
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, nats_url, NAME, str(LEASE_SECONDS)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield Process(started)
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def test_a_process_that_stood_still_is_told_when_it_wakes(nats_url: str) -> None:
    async with events_on(nats_url) as events, process(nats_url) as still:
        await events.publish(100)
        await still.has("100")
        await asyncio.sleep(0.2)  # more than the time between two writes of the place
        still.send(signal.SIGSTOP)
        await events.publish(100)  # some of them are in its memory by then, or in its socket
        follower = await service(nats_url)
        await follower.has(200)
        assert follower.given == list(range(101, 201))
        await events.publish(50)
        still.send(signal.SIGCONT)
        await still.has("taken")
        assert still.said == [*map(str, range(1, 101)), "taken"]
        assert await still.end() == ""
        await follower.has(250)
        await follower.leave()


async def test_a_killed_process_is_gone_on_from(nats_url: str) -> None:
    async with events_on(nats_url) as events, process(nats_url) as killed:
        await events.publish(2_000)
        await killed.has("1000")
        killed.send(signal.SIGKILL)
        follower = await service(nats_url)
        await follower.has(2_000)
        assert 1 <= follower.given[0] <= 2_000
        assert follower.given == list(range(follower.given[0], 2_001))
        await follower.leave()


async def test_a_client_says_nothing_unless_it_is_asked(nats_url: str) -> None:
    """A bot's output is its own: also while there is no server."""
    script = f"""
import asyncio
from ledger.client.client import {LedgerClient.__name__}, LedgerUnavailable
async def main():
    async with await LedgerClient.connect({nats_url!r}, source="bot"):
        pass
    try:
        await LedgerClient.connect("nats://127.0.0.1:1", source="bot", connect_timeout=1)
    except LedgerUnavailable:
        pass
asyncio.run(main())
"""
    for asked in ("", "import logging; logging.basicConfig()\n"):
        bot = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", asked + script),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, errors = await asyncio.wait_for(bot.communicate(), ANSWER_SECONDS)
        assert (bot.returncode, said) == (0, b"")
        assert (b"WARNING:ledger.bus.connection:nats_error " in errors) == bool(asked)
        assert asked or not errors

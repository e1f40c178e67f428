"""Followers of one name on a real server that is killed and started, whatever they do.

`LEDGER_TEST_MACHINES=100` for many.
"""

import asyncio
import gc
import os
import shutil
import tempfile
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import nats.errors
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ledger.operate.embedded.servers import EmbeddedNats
from tests.client.following import Events, Service, events_on, service

MACHINES = int(os.environ.get("LEDGER_TEST_MACHINES", "3"))
LEASE_SECONDS = 4.0
"""Longer than two requests that time out while the other services get theirs answered."""
MOST_SERVICES = 5
END_SECONDS = MOST_SERVICES * 1.5 * LEASE_SECONDS
"""Until one is left: each may ask once more, and its wait for the silence of an owner that was
killed begins anew with it. That takes a tenth more than a lease, and a look."""


class FollowersOnAServer(RuleBasedStateMachine):
    """Nothing is lost and nothing comes out of order. What a service has done comes again only if
    it was killed; then the events since its place was written."""

    @initialize()
    def begin(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="ledger-tests-"))
        self.server = EmbeddedNats(self.directory)
        self.server.start()
        self.runner = asyncio.Runner()
        self.held = AsyncExitStack()
        self.services: list[Service] = []
        self.events: Events = self.run(self.held.enter_async_context(events_on(self.server.url)))

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def one(self, number: int) -> Service | None:
        living = [one for one in self.services if not one.ended]
        return living[number % len(living)] if living else None

    @rule(count=st.integers(1, 1_500))
    def publish(self, count: int) -> None:
        self.run(self.events.publish(count))

    @precondition(lambda self: len(self.services) < MOST_SERVICES)
    @rule(seconds=st.sampled_from([0.0, 0.01, 0.3]))
    def start(self, seconds: float) -> None:
        started = self.run(service(self.server.url, lease_seconds=LEASE_SECONDS))
        self.services.append(started)
        self.run(asyncio.sleep(seconds))

    @rule(seconds=st.sampled_from([0.01, 0.1, 0.5]))
    def work(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @rule(number=st.integers(0, 100))
    def leave(self, number: int) -> None:
        if one := self.one(number):
            self.run(one.leave())

    @rule(number=st.integers(0, 100))
    def kill(self, number: int) -> None:
        if one := self.one(number):
            self.run(one.kill())

    @rule(number=st.integers(0, 100), requests=st.integers(1, 2), served=st.booleans())
    def fail_requests(self, number: int, requests: int, served: bool) -> None:
        """The next requests of a service fail, served by the server or not."""
        if one := self.one(number):
            connection: Any = one.ledger._nats
            request = type(connection).request.__get__(connection)
            left = [requests]

            async def failing(*arguments: Any, **options: Any) -> Any:
                left[0] -= 1
                if left[0] < 0:
                    return await request(*arguments, **options)
                if served:
                    await request(*arguments, **options)
                raise nats.errors.TimeoutError

            connection.request = failing

    @rule(seconds=st.sampled_from([0.0, 0.3]))
    def restart_the_server(self, seconds: float) -> None:
        self.server.kill()
        self.run(asyncio.sleep(seconds))
        self.server.start()

    def teardown(self) -> None:
        if not hasattr(self, "runner"):
            return
        try:
            self.run(self.check())
        finally:
            self.runner.close()
            gc.collect()  # while the warnings that it brings are ours
            self.server.stop()
            shutil.rmtree(self.directory, ignore_errors=True)

    async def check(self) -> None:
        """In the end one has the name and the others are told, and everything was handled."""
        following = [one for one in self.services if not one.ended]
        following.append(await service(self.server.url, lease_seconds=LEASE_SECONDS))
        self.services.append(following[-1])
        async with asyncio.timeout(END_SECONDS):
            # Not always the newest: one before, whose request had failed, may ask once more after.
            while len(left := [one for one in following if not one.ended]) > 1:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        (last,) = left
        await last.has(await self.events.publish(1))  # what was before, others may have handled
        await last.leave()
        for one in self.services:
            if not one.ledger._nats.is_closed:
                await one.wait()
                assert one.taken
        await self.held.aclose()
        self.check_given()

    def check_given(self) -> None:
        handled = 0
        """The position up to which all are done, by those before."""
        killed = False
        working = [one for one in self.services if one.given]
        for one in sorted(working, key=lambda one: one.given[0]):
            assert one.given == list(range(one.given[0], one.given[-1] + 1)), "out of order"
            assert one.given[0] <= handled + 1, "lost"
            assert killed or one.given[0] >= handled, "handled twice"
            handled, killed = max(handled, one.given[-1]), killed or one.killed
        assert handled == self.events.head


TestFollowersOnAServer = FollowersOnAServer.TestCase
TestFollowersOnAServer.settings = settings(
    max_examples=MACHINES,
    stateful_step_count=15,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_who_comes_when_everything_is_done_gets_what_comes_then() -> None:
    following = FollowersOnAServer()
    following.begin()
    following.start(seconds=0.0)
    following.publish(count=3)
    following.work(seconds=0.5)
    following.teardown()

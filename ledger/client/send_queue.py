"""How commands get onto the bus: in the order given, as many at once as are waiting.

A bus that syncs every message to its disk before it confirms (`sync_interval: always`) takes a few
hundred messages a second one by one. NATS 2.12 stores a batch of messages atomically and syncs it
once, so what has gathered while the last group was under way goes out as one batch:

    put ──▶ waiting ──▶ a group of few: published, each confirmed by its own PubAck
                    └─▶ a group of many: one atomic batch, confirmed as a whole

One group is under way at a time, which is also what keeps the order. A few commands are not worth a
batch, for which the server makes a store on its disk and removes it again; and many groups of a
dozen keep everybody busy with groups, so the next one waits a little for company when commands come
that fast. With one command at a time this is plain publishing, and nothing waits. A stream that
takes no batches (made by an older server, or edited so) says so, and from then on every command is
published by itself.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from uuid import uuid4

import nats.errors
from nats.aio.client import Client

from ledger.bus import connection as bus
from ledger.bus import wire
from ledger.bus.atomic_batch import (
    BATCHES_DISABLED,
    CONFIRMATION_TIMEOUT_SECONDS,
    Confirmations,
    Outgoing,
    batch,
    refusal,
    takes_batches,
)
from ledger.client.submission import Sent
from ledger.kernel.logger import EventLogger

MAX_GROUP = 500
"""Commands published as one batch; the server takes at most 1000."""
MAX_GROUP_BYTES = 1_000_000
"""And their bytes: a batch is held in the server's memory until it is whole."""
MAX_SINGLE = 4
"""Commands that are published one by one: each is a sync of the bus's disk, and a batch makes five
of them and two dozen files, whatever is in it."""
PACED_GROUP = 8
"""A group larger than this, behind which others wait already, is of many commands that come evenly:
the next one waits for company, because a group costs the bus and the worker some milliseconds of
processor each, however few are in it. Who sends when the answers are there never waits."""
PACE_SECONDS = 0.01
"""From the beginning of such a group to the next, unless a whole one is waiting earlier. A command
waits half of it for company, and gains more: the processors are free for what is under way."""
_log = EventLogger(__name__)


class Outbox:
    """Publishes for one connection, while `run` runs. The bus's answers come in by `answered`."""

    def __init__(self, connection: Client, replies: str) -> None:
        self._nats = connection
        self._replies = replies
        self._waiting: deque[tuple[str, Sent]] = deque()
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        """As many as go out at once are waiting."""
        self._confirmations = Confirmations()
        self._batches = takes_batches(connection)

    def put(self, token: str, sent: Sent) -> None:
        """The command goes out in its turn. `token` ends the subject of its outcome."""
        self._waiting.append((token, sent))
        self._wake.set()
        if self.has_a_group:
            self._full.set()

    @property
    def has_a_group(self) -> bool:
        """As many as go out at once are waiting."""
        return len(self._waiting) >= MAX_GROUP

    def answered(self, token: str, data: bytes) -> None:
        """The bus confirms or refuses what was published with `token`."""
        self._confirmations.answered(token, data)

    def start_over(self) -> None:
        """Forgets what was waiting and under way: the connection was lost."""
        self._waiting.clear()
        self._confirmations.give_up()

    async def run(self) -> None:
        """Publishes group after group, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            began = loop.time()
            group = self._next_group()
            if group:
                await self._publish(group)
            else:
                self._wake.clear()
            if len(group) > PACED_GROUP and self._waiting:
                await self._gather(until=began + PACE_SECONDS)

    async def _gather(self, until: float) -> None:
        """Waits for company for the next command, unless a whole group is there."""
        self._full.clear()
        if not self.has_a_group:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._full.wait()

    def _next_group(self) -> list[tuple[str, Sent]]:
        group: list[tuple[str, Sent]] = []
        room = MAX_GROUP_BYTES
        while self._waiting and len(group) < (MAX_GROUP if self._batches else 1):
            room -= len(self._waiting[0][1].body)
            if group and room < 0:
                break
            token, sent = self._waiting.popleft()
            if not sent.outcome.done():
                group.append((token, sent))
        return group

    async def _publish(self, group: list[tuple[str, Sent]]) -> None:
        try:
            if len(group) <= MAX_SINGLE or not await self._publish_as_batch(group):
                await self._publish_each(group)
        except nats.errors.Error as error:
            for _, sent in group:
                sent.trouble = str(error)

    async def _publish_each(self, group: Sequence[tuple[str, Sent]]) -> None:
        """Each with its own confirmation, which goes to the client. A few commands are waited for,
        so that others can gather behind them; not so where there are no batches to gather for."""
        await wire.send(
            self._nats,
            [
                wire.message(
                    sent.subject,
                    sent.body,
                    reply=f"{self._replies}.received.{token}",
                    headers={bus.REPLY_TO: self._outcome_subject(token)},
                )
                for token, sent in group
            ],
        )
        if self._batches and len(group) <= MAX_SINGLE:
            with contextlib.ExitStack() as answers:
                await asyncio.wait(
                    # One that is looked after may be in it twice.
                    [
                        answers.enter_context(self._confirmations.expected(token))
                        for token in dict(group)
                    ],
                    timeout=CONFIRMATION_TIMEOUT_SECONDS,
                )

    async def _publish_as_batch(self, group: Sequence[tuple[str, Sent]]) -> bool:
        """False when the bus refused the batch and the commands are still to be published."""
        batch_token = uuid4().hex
        messages = [
            Outgoing(sent.subject, sent.body, {bus.REPLY_TO: self._outcome_subject(token)})
            for token, sent in group
        ]
        with self._confirmations.expected(batch_token) as answer:
            reply = f"{self._replies}.received.{batch_token}"
            await wire.send(self._nats, batch(messages, reply=reply))
            done, _ = await asyncio.wait([answer], timeout=CONFIRMATION_TIMEOUT_SECONDS)
            # Neither confirmed nor refused, or the connection was lost: the commands are looked
            # after one by one. A copy of one that did arrive has no second effect.
            return not done or answer.cancelled() or self._note_answer(group, answer.result())

    def _note_answer(self, group: Sequence[tuple[str, Sent]], data: bytes) -> bool:
        error = refusal(data)
        if error:
            if error.get("err_code") == BATCHES_DISABLED:
                self._batches = False
            _log.info("batch_refused", commands=len(group), error=error.get("description"))
            return False
        for _, sent in group:
            sent.confirm()
        return True

    def _outcome_subject(self, token: str) -> str:
        return f"{self._replies}.outcome.{token}"

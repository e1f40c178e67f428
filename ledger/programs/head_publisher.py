"""Publishes the newest head of the seals, to where the database's people cannot take it back.

In a thread of its own: once it has begun, the sealer never waits for NATS. A head that cannot be
published is in the database all the same, and the next one stands for it, too. The newest one is
said again from time to time, so that silence means that something is wrong and not that nothing
happened.

What was published last is told to the sealer when it begins (`on_kept`), which then says anew what
is to be published: so also a sealer that was started anew notices that the seals it goes on from
are not those that were made, and nothing of them is published.
"""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import nats.errors
import nats.js.errors
import orjson
import structlog
from nats.js import JetStreamContext

from ledger.audit.prove.seals import Seal, UnreadableSeal, from_document
from ledger.bus import connection as bus
from ledger.bus.seal_stream import (
    SEALS_STREAM,
    SEALS_SUBJECT,
    NoRoomForHeads,
    ensure_seals_stream,
    newest_kept,
    seals_of,
)
from ledger.bus.security import BusSecurity
from ledger.operate.servers import NotRunning, find_nats
from ledger.operate.settings import Settings

PAUSE_SECONDS = 10.0
"""Between two heads: what keeps them grows by five megabytes a day, however much is traded."""
REPEAT_SECONDS = 600.0
"""The newest head is published again after so long: who waits for heads knows that all is well."""
TOLD_TIMEOUT_SECONDS = 30.0
"""A sealer that begins waits so long to hear which head was published last: a bus that restarts
is back by then, and events can wait that long."""
LOOK_SECONDS = 0.5
"""How often it is looked whether there is a newer head, or the end."""

_log = structlog.get_logger(__name__)


class HeadPublisher:
    """Publishes for the length of a `with` block what `publish` is told."""

    def __init__(self, settings: Settings, on_kept: Callable[[Seal], None]) -> None:
        self._settings = settings
        self._on_kept = on_kept
        self._newest: Seal | None = None
        self._told = threading.Event()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run, name="head publisher", daemon=True)

    def __enter__(self) -> "HeadPublisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join(bus.CONNECT_TIMEOUT_SECONDS + bus.JETSTREAM_TIMEOUT_SECONDS)

    def publish(self, seal: Seal | None) -> None:
        """Publishes this head from now on, or none; from any thread."""
        self._newest = seal

    def wait_until_told(self, stop: threading.Event) -> None:
        """Returns when the sealer was told of what is kept. A bus that is away does not keep it
        from sealing for longer than TOLD_TIMEOUT_SECONDS."""
        deadline = time.monotonic() + TOLD_TIMEOUT_SECONDS
        while not self._told.wait(LOOK_SECONDS) and not stop.is_set():
            if time.monotonic() > deadline:
                _log.warning(
                    "seals.kept_heads_unknown",
                    reason="the bus does not say which head was published last: the seals that "
                    "there are cannot be held against it before the next is made",
                )
                return

    def _run(self) -> None:
        try:
            url = find_nats(self._settings)
        except NotRunning as error:
            _log.warning("seals.not_published", reason=str(error))
            self._told.set()
            return
        asyncio.run(self._publish_all(url))

    async def _publish_all(self, url: str) -> None:
        connecting = asyncio.create_task(
            bus.connect(
                url,
                "seals",
                security=BusSecurity.of(self._settings),
                retry_wait=self._settings.retry_wait_seconds,
            )
        )
        while not connecting.done() and not self._ends.is_set():
            await asyncio.wait({connecting}, timeout=LOOK_SECONDS)
        if not connecting.done():
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting
            return
        connection = connecting.result()
        try:
            await self._publish_on(connection)
        finally:
            with suppress(nats.errors.Error):
                await connection.close()

    async def _publish_on(self, connection: bus.Connection) -> None:
        jetstream = seals_of(connection)
        prepared = False
        published, at = None, -REPEAT_SECONDS
        told = ""
        while True:
            ending = self._ends.is_set()
            try:
                if not prepared:
                    await self._prepare(jetstream)
                    prepared = True
                    self._told.set()
                newest = self._newest  # only now: what was kept may have put it in doubt
                since = time.monotonic() - at
                due = since >= (REPEAT_SECONDS if newest == published else PAUSE_SECONDS)
                if newest is not None and (due or (ending and newest != published)):
                    await jetstream.publish(SEALS_SUBJECT, orjson.dumps(newest.document()))
                    published, at, told = newest, time.monotonic(), ""
            except (nats.errors.Error, nats.js.errors.Error, NoRoomForHeads) as error:
                reason = str(error) or type(error).__name__
                prepared = prepared and not isinstance(error, nats.js.errors.NoStreamResponseError)
                tell = _log.debug if reason == told else _log.warning
                tell("seals.not_published", reason=reason, stream=SEALS_STREAM)
                told = reason
            if ending:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _prepare(self, jetstream: JetStreamContext) -> None:
        """Makes the stream if there is none, and tells what was kept last."""
        await ensure_seals_stream(jetstream, self._settings)
        kept = await newest_kept(jetstream)
        if kept is None:
            return
        try:
            self._on_kept(from_document(kept.body))
        except UnreadableSeal as error:
            _log.error("seals.foreign_head", stream=SEALS_STREAM, error=str(error))

"""`ledgerctl serve seals`: the sealer, and each new head published on NATS.

The sealer works in a thread of its own and does not wait for NATS: a head that cannot be published
is in the database all the same, and the next one stands for it too. Whoever keeps what comes on
ledger.seals has the means to notice when history, seals included, is cut off or made anew.
"""

import asyncio
import threading
from contextlib import suppress

import nats.errors
import orjson
import structlog

from ledger.audit.sealer import Sealer, options_of
from ledger.audit.seals import Seal
from ledger.messaging import bus
from ledger.messaging.security import BusSecurity
from ledger.services import NotRunning, find_nats
from ledger.settings import Settings, load

SUBJECT = "ledger.seals"
"""Where new heads are published, as `ledgerctl audit seal --head` prints them."""
LOOK_SECONDS = 0.5
"""How often it is looked, until NATS is there, whether there is a newer head or the end."""

_log = structlog.get_logger(__name__)


def serve(database_url: str, stop: threading.Event) -> None:
    """Seals until `stop` is set. Raises UnusableKey or InvalidSettings."""
    settings = load()
    options = options_of(settings)
    publisher = _Publisher(settings)
    sealer = Sealer(database_url, options, stop=stop, on_seal=publisher.publish)
    with publisher:
        sealer.run()
    _log.info("seals.stopped")


class _Publisher:
    """Publishes the newest head from a thread of its own; the sealer never waits for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._waiting: asyncio.Queue[Seal | None] = asyncio.Queue()
        self._thread = threading.Thread(target=self._run, name="seal publisher", daemon=True)

    def __enter__(self) -> "_Publisher":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, None)
        self._thread.join(bus.CONNECT_TIMEOUT_SECONDS)

    def publish(self, seal: Seal) -> None:
        """From the sealer's thread."""
        self._loop.call_soon_threadsafe(self._waiting.put_nowait, seal)

    def _run(self) -> None:
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._publish_all())
        self._loop.close()

    async def _publish_all(self) -> None:
        try:
            url = find_nats(self._settings)
        except NotRunning as error:
            _log.warning("seals.not_published", reason=str(error))
            while await self._waiting.get() is not None:
                """Nobody to tell."""
            return
        connecting = asyncio.create_task(
            bus.connect(
                url,
                "seals",
                security=BusSecurity.of(self._settings),
                retry_wait=self._settings.retry_wait_seconds,
            )
        )
        while (seal := await self._newest()) is not None:
            await asyncio.wait({connecting}, timeout=LOOK_SECONDS)
            if not connecting.done():
                if self._waiting.empty():  # else the next one stands for it too
                    self._waiting.put_nowait(seal)
                continue
            with suppress(nats.errors.Error):
                await connecting.result().publish(SUBJECT, orjson.dumps(seal.document()))
        if connecting.done():
            with suppress(nats.errors.Error):
                await connecting.result().drain()
        else:
            connecting.cancel()
            with suppress(asyncio.CancelledError):
                await connecting

    async def _newest(self) -> Seal | None:
        """The newest of what waits; None when the sealer has ended."""
        seal = await self._waiting.get()
        while seal is not None and not self._waiting.empty():
            seal = self._waiting.get_nowait()
        return seal

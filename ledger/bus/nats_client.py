"""The NATS library's client, with an end to every socket and a way out of every wait for one.

Where the library itself leaves one, or waits for what will not come:

    reconnecting   A lost connection is closed in good order, which waits for what is still to be
                   sent: to a machine that vanished, a quarter of an hour. Here it is cut off.
    an attempt     to reconnect that got no further than its socket leaves it to the next one, which
                   forgets it. Here it is cut off too.
    closing        An attempt to reconnect is asked once to end. An answer at the same moment
                   outlives that (up to Python 3.11), and the closed connection comes back; or both
                   wait for the same socket, and who closes is cancelled with it. Here the attempt
                   has ended before anything else is closed.
    a ping         that nobody waits for any more is answered late. Reading fails over that, and the
                   connection is deaf until it counts as lost. Here the answer is passed over.
"""

import asyncio
from typing import Any

from nats.aio.client import Client
from nats.aio.transport import TcpTransport

END_AGAIN_SECONDS = 0.05
"""Pause before an attempt to reconnect that did not end is asked to end again."""
CLOSE_SECONDS = 5.0
"""Longest that closing waits for what is still to be sent; then it is lost, as by a server that
does not take it."""


class NatsClient(Client):
    """A client that can be closed at any time, and then is."""

    async def connect(self, *arguments: Any, **options: Any) -> None:
        """As the library's. Whoever gives up in it need not close."""
        try:
            await super().connect(*arguments, **options)
        except BaseException:
            self._cut_off()
            raise

    async def _connect_to_server(self, s: Any) -> None:
        self._cut_off()
        await super()._connect_to_server(s)

    async def _attempt_reconnect(self) -> None:
        self._cut_off()
        await super()._attempt_reconnect()

    async def _close(self, status: int, do_cbs: bool = True) -> None:
        # A task of its own: it goes on when who closes is cancelled.
        self._closing = asyncio.create_task(self._end(status, do_cbs))
        await asyncio.shield(self._closing)

    async def _end(self, status: int, do_cbs: bool) -> None:
        if not self.is_closed:
            await self._end_reconnection()
        late = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self._cut_off)
        try:
            await super()._close(status, do_cbs)
        finally:
            late.cancel()

    async def _process_pong(self) -> None:
        if self._pongs and self._pongs[0].done():  # cancelled: to answer it is an error
            self._pongs[0] = asyncio.get_running_loop().create_future()
        await super()._process_pong()

    async def _end_reconnection(self) -> None:
        ended = False
        while (task := self._reconnection_task) is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=END_AGAIN_SECONDS)
            ended = True
        if ended:
            self._cut_off()
            self._transport = None  # a wait for its end would be cancelled as the task was

    def _cut_off(self) -> None:
        """Ends the socket at once, if there is one."""
        transport = self._transport
        if isinstance(transport, TcpTransport) and transport._io_writer is not None:
            below = transport._io_writer.transport
            if getattr(below, "_ssl_protocol", below) is not None:  # TLS closed twice has no more
                below.abort()

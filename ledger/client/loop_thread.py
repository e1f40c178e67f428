"""An event loop in a thread of its own, for code that has none."""

import asyncio
import atexit
import contextlib
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

from ledger.client.submission import LedgerUnavailable

Result = TypeVar("Result")
_CLOSED = "the client is closed: connect another one"


class LoopThread:
    """Runs until `end`. Any thread may have it work; what one waits for keeps no other waiting."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ends = asyncio.Event()
        self._lock = threading.Lock()
        self._takes_work = True
        # A daemon, and ended with the program, for one which forgot to close its client.
        self._thread = threading.Thread(target=self._run, name="ledger-client", daemon=True)
        self._thread.start()
        atexit.register(self.end)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._until_ended())

    async def _until_ended(self) -> None:
        await self._ends.wait()
        with self._lock:
            self._takes_work = False
        await asyncio.sleep(0)  # what was given before begins, to be cancelled with all the rest

    def wait(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of the work; it is given up when who waits is interrupted. Raises
        LedgerUnavailable where the loop has ended, or does meanwhile."""
        with self._lock:  # work that nobody begins any more would never have a result
            if not self._takes_work:
                work.close()
                raise LedgerUnavailable(_CLOSED)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except CancelledError as error:
            raise LedgerUnavailable(_CLOSED) from error
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        """Begins work that goes on until `stop`, or until the end."""

        async def begun() -> "asyncio.Task[Result]":
            return asyncio.create_task(work)

        try:
            return self.wait(begun())
        except BaseException:
            work.close()
            raise

    def stop(self, task: "asyncio.Task[Any]") -> None:
        """Cancels the task, and returns when it has left everything in order."""
        if threading.current_thread() is self._thread:  # what forgot it was swept up here
            task.cancel()
            return

        async def stopped() -> None:
            task.cancel()
            await asyncio.wait([task])

        with contextlib.suppress(LedgerUnavailable):  # the end has stopped it
            self.wait(stopped())

    def end(self) -> None:
        """Cancels what is left, and returns when the thread has ended. Once is enough."""
        if not self._thread.is_alive():
            return
        with contextlib.suppress(RuntimeError):  # it ends already
            self._loop.call_soon_threadsafe(self._ends.set)
        if threading.current_thread() is not self._thread:
            self._thread.join()
            atexit.unregister(self.end)

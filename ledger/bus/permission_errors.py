"""What the server forbids: it says so beside the conversation, without naming the request.

A publication that is not permitted is dropped, and an error of the connection names the subject.
So who waits for an answer is told by the subject.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from ledger.kernel.errors import LedgerError

Result = TypeVar("Result")
_VIOLATION = re.compile(
    r"permissions violation for (publish|subscription) to \"([^\"]+)\"", re.IGNORECASE
)


class NotPermitted(LedgerError):
    """The NATS server does not let this user publish or read there."""

    def __init__(self, subject: str) -> None:
        super().__init__(
            f"the NATS server does not permit this user {subject}. Have an operator grant it: "
            "`ledgerctl bus user NAME --account … --may …`, and check LEDGER_NATS_USER."
        )
        self.subject = subject


class Denials:
    """The subjects that were denied to a connection."""

    def __init__(self, denied: Callable[[str], None]) -> None:
        self._denied = denied
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def note(self, error: str) -> None:
        """Looks at an error of the connection."""
        found = _VIOLATION.search(error)
        if found is None:
            return
        subject = found[2].lower()  # as the library tells it
        self._denied(subject)
        for beginning, futures in self._waiting.items():
            for future in futures if subject.startswith(beginning.lower()) else ():
                if not future.done():
                    future.set_exception(NotPermitted(subject))

    async def or_denied(self, subject: str, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`, which publishes to subjects that begin so. Raises NotPermitted as
        soon as the server denies that."""
        denial: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(subject, set()).add(denial)
        task = asyncio.create_task(work)
        try:
            await asyncio.wait((task, denial), return_when=asyncio.FIRST_COMPLETED)
            if denial.done() and not task.done():
                denial.result()
            return await task
        finally:
            task.cancel()
            denial.cancel()
            self._waiting[subject].discard(denial)
            if not self._waiting[subject]:
                del self._waiting[subject]

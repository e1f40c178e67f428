"""How often somebody may: requests a second of one session or token, wrong passwords in a while.

In memory: a server that is started again begins anew, and several each count their own.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from ledger.kernel.errors import LedgerError

MOST_KEYS = 10_000
"""Sessions, names and addresses that are counted; the one that was quiet the longest is forgotten,
so that nobody fills the memory with names."""


class TooManyRequests(LedgerError):
    """Wait `seconds` before the next."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many requests: wait {max(seconds, 0.001):.3g} s")
        self.seconds = seconds


class RequestRate:
    """So many in a second, and as many at once, for each key."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._most = max(per_second, 1.0)
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def take(self, key: str) -> None:
        """Raises TooManyRequests."""
        now = self._clock()
        with self._one_at_a_time:
            left, since = self._left.pop(key, (self._most, now))
            left = min(left + (now - since) * self._per_second, self._most)
            enough = left >= 1
            self._left[key] = (left - 1 if enough else left, now)
            if len(self._left) > MOST_KEYS:
                self._left.popitem(last=False)
        if not enough:
            raise TooManyRequests((1 - left) / self._per_second)


class FailedAttempts:
    """So many failures in a while, for each key."""

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._failed: OrderedDict[str, list[float]] = OrderedDict()
        self._one_at_a_time = threading.Lock()

    def check(self, key: str, *, times: int = 1) -> None:
        """Whether another attempt is looked at, of `times` as many. Raises TooManyRequests."""
        with self._one_at_a_time:
            recent = self._recent(key)
            if len(recent) >= self._most * times:
                raise TooManyRequests(recent[0] + self._seconds - self._clock())

    def failed(self, key: str) -> None:
        with self._one_at_a_time:
            recent = self._recent(key)
            self._failed.pop(key, None)
            self._failed[key] = [*recent, self._clock()]
            if len(self._failed) > MOST_KEYS:
                self._failed.popitem(last=False)

    def _recent(self, key: str) -> list[float]:
        since = self._clock() - self._seconds
        return [time for time in self._failed.get(key, []) if time > since]

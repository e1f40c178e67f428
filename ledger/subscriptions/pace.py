"""How fast a follower goes through the log: positions in a second of time while there is something
to do, reading and writing included. So the lag over it is when it will have caught up."""

import time
from collections.abc import Callable
from decimal import Decimal

SHARE_OF_LAST_BATCH = 0.2
"""Weight of the last batch in the rate that is shown: a few batches even it out."""
SHORTEST_SECONDS = 1e-6


class Pace:
    """Of one follower. It rests whenever it waits for events, and that time does not count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None
        self._rate: float | None = None

    def begin(self) -> None:
        """It looks for what comes next; nothing if it is on its way already."""
        if self._since is None:
            self._since = self._clock()

    def rest(self) -> None:
        """It waits."""
        self._since = None

    def passed(self, positions: int) -> Decimal | None:
        """Positions in a second, after so many more."""
        now = self._clock()
        if positions and self._since is not None:
            rate = positions / max(now - self._since, SHORTEST_SECONDS)
            before = rate if self._rate is None else self._rate
            self._rate = before + (rate - before) * SHARE_OF_LAST_BATCH
        self._since = now
        return None if self._rate is None else Decimal(f"{self._rate:.2f}")

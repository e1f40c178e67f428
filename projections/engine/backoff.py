"""Waiting longer and longer between tries of something that fails."""

import random
import threading

FIRST_SECONDS = 0.1
"""A restart of the database is often over in less than a second."""
LONGEST_SECONDS = 5.0
"""So that whoever has put the cause right does not wait long for us to notice."""


class Backoff:
    """Doubles the wait with each try, with some chance in it, so that many workers do not all
    come back at one moment."""

    def __init__(self) -> None:
        self._next = FIRST_SECONDS

    def reset(self) -> None:
        """It worked: start anew at the next failure."""
        self._next = FIRST_SECONDS

    def wait(self, stop: threading.Event) -> None:
        """Waits for the next try, or until `stop`."""
        stop.wait(self._next * random.uniform(0.7, 1.0))
        self._next = min(self._next * 2, LONGEST_SECONDS)

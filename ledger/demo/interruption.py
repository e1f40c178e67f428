"""Signals that ask to end, as an exception that unwinds everything in good order."""

import signal
from types import FrameType
from typing import NoReturn

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(KeyboardInterrupt):
    """A signal asked us to end. A KeyboardInterrupt, because that goes through an event loop."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def raise_when_interrupted() -> None:
    """From here on, signals that ask to end raise Interrupted."""
    for number in _ENDING:
        signal.signal(number, _interrupt)


def _interrupt(number: int, _: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break off the orderly stop that the first began.
    for other in _ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)

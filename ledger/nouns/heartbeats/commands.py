"""Heartbeats: the data of their commands."""

from typing import Annotated, ClassVar

from pydantic import Field

from ledger.kernel.command import CommandClass
from ledger.kernel.fields import Text, TimeOrNone, default
from ledger.nouns.limits.commands import ScopedCommandData

MIN_TIMEOUT_SECONDS = 5
"""The clock looks every five seconds."""
MAX_TIMEOUT_SECONDS = 3_600
"""Who is not heard of for an hour looks after nothing."""


class PromiseHeartbeat(ScopedCommandData):
    """`sender`, as the bus knows it, will be heard of at least every `timeout_seconds`; else the
    cancel of every open order of the scope is asked for. Promised anew, the newest holds."""

    timeout_seconds: Annotated[
        int, Field(strict=True, ge=MIN_TIMEOUT_SECONDS, le=MAX_TIMEOUT_SECONDS)
    ]
    sender: Text


class SendHeartbeat(ScopedCommandData):
    """I am there."""

    command_class: ClassVar[CommandClass] = "trade"


class MissHeartbeat(ScopedCommandData):
    """Nothing was heard in time. Sent by the clock; nothing happens where it was."""


class EndHeartbeat(ScopedCommandData):
    """Nothing is awaited any more, or, as for maintenance, not until `resumes_at`."""

    reason: Text
    resumes_at: TimeOrNone = default(None)

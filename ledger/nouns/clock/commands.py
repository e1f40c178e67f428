"""The clock: the data of its commands."""

from typing import ClassVar

from ledger.kernel.command import CommandData
from ledger.kernel.fields import Choice, IdOrNone, Time, default
from ledger.nouns.clock.events import SnapshotKind


class ClockCommandData(CommandData):
    command_class = "admin"
    occurred: ClassVar[str] = "time"

    time: Time


class TakeSnapshots(ClockCommandData):
    """What accounts are worth at a time: of all but backtests, or of the one that is named."""

    kind: Choice[SnapshotKind]
    account_id: IdOrNone = default(None)


class EndPeriods(ClockCommandData):
    """A midnight in UTC: a day is over, and maybe more."""

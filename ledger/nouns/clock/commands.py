"""The clock: the data of its commands."""

from typing import ClassVar

from ledger.kernel.command import CommandData, CommandKind
from ledger.kernel.fields import (
    Choice,
    Id,
    IdOrNone,
    SourceName,
    Time,
    ToldAmount,
    ToldAmountOrNone,
    ToldPositiveOrNone,
    default,
)
from ledger.nouns.clock.events import SnapshotKind


class ClockCommandData(CommandData, abstract=True):
    command_class = "admin"
    occurred: ClassVar[str] = "time"

    time: Time


class TakeSnapshots(ClockCommandData):
    """What accounts are worth at a time: of all but backtests, or of the one that is named."""

    kind: Choice[SnapshotKind]
    account_id: IdOrNone = default(None)


class EndPeriods(ClockCommandData):
    """A midnight in UTC: a day is over, and maybe more."""


class RecordSnapshot(ClockCommandData):
    """Fact: what another system said an account was worth, in the account's currency. Each is told
    under an id of its own, made of account, source and time."""

    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    account_id: Id
    source: SourceName
    equity: ToldAmount
    total_balance: ToldAmountOrNone = default(None)
    available_balance: ToldAmountOrNone = default(None)
    unrealized_pnl: ToldAmountOrNone = default(None)
    realized_pnl: ToldAmountOrNone = default(None)
    external_flows: ToldAmountOrNone = default(None)
    usd_rate: ToldPositiveOrNone = default(None)

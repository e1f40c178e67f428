"""The clock: what is due once happens once.

A moment that was gone through, or is older than one that was, does nothing: two clocks that
disagree about what was sent already have one effect, also when the outcomes are forgotten.
"""

from datetime import UTC, datetime, time
from uuid import UUID

from ledger.kernel.event import Event
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.clock.events import CalendarPeriod, PeriodsEnded, SnapshotKind, SnapshotsTaken
from ledger.nouns.clock.state import ClockState

_MIDNIGHT = time(tzinfo=UTC)
_FIRST_MONTHS_OF_QUARTERS = (1, 4, 7, 10)


def take_snapshots(
    state: ClockState | None, *, kind: SnapshotKind, time: datetime, account_id: UUID | None
) -> tuple[Event, ...]:
    """Due ones once for each moment; others whenever they are asked for."""
    newest = None if state is None else state.scheduled
    if kind is SnapshotKind.SCHEDULED and newest is not None and time <= newest:
        return ()
    return (SnapshotsTaken(kind=kind, time=time, account_id=account_id),)


def end_periods(state: ClockState | None, *, time: datetime) -> tuple[Event, ...]:
    """The end of a day, and of the longer periods that end with it."""
    if time.timetz() != _MIDNIGHT:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"{time.isoformat()} is no midnight in UTC",
            "periods end at midnight",
        )
    if state is not None and state.ended is not None and time <= state.ended:
        return ()
    return (PeriodsEnded(time=time, periods=tuple(_ending(time))),)


def _ending(midnight: datetime) -> list[CalendarPeriod]:
    ending = [CalendarPeriod.DAY]
    if midnight.weekday() == 0:
        ending.append(CalendarPeriod.WEEK)
    if midnight.day == 1:
        ending.append(CalendarPeriod.MONTH)
        if midnight.month in _FIRST_MONTHS_OF_QUARTERS:
            ending.append(CalendarPeriod.QUARTER)
        if midnight.month == 1:
            ending.append(CalendarPeriod.YEAR)
    return ending

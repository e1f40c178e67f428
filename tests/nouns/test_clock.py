"""What is due once happens once; which periods end when."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.clock import rules
from ledger.nouns.clock.events import CalendarPeriod, PeriodsEnded, SnapshotKind, SnapshotsTaken
from ledger.nouns.clock.state import ClockState, evolve, stream_id

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 1, tzinfo=UTC)


def take(
    state: ClockState | None, kind: SnapshotKind, time: datetime, account: UUID | None = None
) -> tuple[ClockState | None, int]:
    """The state afterwards, and how many events."""
    events = rules.take_snapshots(state, kind=kind, time=time, account_id=account)
    for event in events:
        state = evolve(state, event, stream_id(account))
    return state, len(events)


def test_a_moment_that_was_due_is_taken_once_and_no_earlier_one_after_it() -> None:
    state, count = take(None, SnapshotKind.SCHEDULED, NOON)
    assert count == 1
    assert take(state, SnapshotKind.SCHEDULED, NOON)[1] == 0
    assert take(state, SnapshotKind.SCHEDULED, NOON - timedelta(seconds=30))[1] == 0
    assert take(state, SnapshotKind.SCHEDULED, NOON + timedelta(seconds=30))[1] == 1


@pytest.mark.parametrize("kind", [one for one in SnapshotKind if one != SnapshotKind.SCHEDULED])
def test_what_is_asked_for_is_taken_at_any_time(kind: SnapshotKind) -> None:
    state, _ = take(None, SnapshotKind.SCHEDULED, NOON)
    events = rules.take_snapshots(state, kind=kind, time=NOON, account_id=None)
    assert events == (SnapshotsTaken(kind=kind, time=NOON, account_id=None),)


def test_an_account_has_a_time_of_its_own() -> None:
    account = uuid7()
    assert stream_id(account) != stream_id()
    assert stream_id(account) == stream_id(account)


@pytest.mark.parametrize(
    ("time", "longer"),
    [
        (datetime(2026, 3, 3, tzinfo=UTC), ()),
        (datetime(2026, 3, 2, tzinfo=UTC), (CalendarPeriod.WEEK,)),
        (datetime(2026, 3, 1, tzinfo=UTC), (CalendarPeriod.MONTH,)),
        (datetime(2026, 4, 1, tzinfo=UTC), (CalendarPeriod.MONTH, CalendarPeriod.QUARTER)),
        (
            datetime(2026, 1, 1, tzinfo=UTC),
            (CalendarPeriod.MONTH, CalendarPeriod.QUARTER, CalendarPeriod.YEAR),
        ),
        (datetime(2029, 1, 1, tzinfo=UTC), tuple(CalendarPeriod)[1:]),
    ],
)
def test_with_a_day_end_the_longer_periods_that_are_over(
    time: datetime, longer: tuple[CalendarPeriod, ...]
) -> None:
    (event,) = rules.end_periods(None, time=time)
    assert event == PeriodsEnded(time=time, periods=(CalendarPeriod.DAY, *longer))


def test_a_day_ends_once() -> None:
    (event,) = rules.end_periods(None, time=MIDNIGHT)
    state = evolve(None, event, stream_id())
    assert rules.end_periods(state, time=MIDNIGHT) == ()
    assert len(rules.end_periods(state, time=MIDNIGHT + timedelta(days=1))) == 1


def test_periods_end_at_midnight() -> None:
    with pytest.raises(Rejection, match="no midnight in UTC") as refused:
        rules.end_periods(None, time=NOON)
    assert refused.value.code == GeneralRejection.INVALID_COMMAND

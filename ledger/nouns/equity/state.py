"""Equity: what decisions know of what an account was worth, and how events change it."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.equity.events import (
    Baseline,
    EquityEvent,
    EquityMarked,
    LimitTripped,
    RiskMeasureRecorded,
)
from ledger.nouns.limits.terms import LimitMeasure

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a06")
MAX_REMEMBERED_IDS = 10_000
"""Ids of streams that are kept once reckoned: of the accounts in use, some 300 bytes each."""
MAX_REMEMBERED_BEGINS = 100
"""Of periods, once reckoned: a batch asks at one moment, for each of its orders."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(account_id: UUID) -> UUID:
    """The id of the stream of an account's equity: UUIDv5, the same for ever."""
    return uuid5(_NAMESPACE, str(account_id))


@lru_cache(MAX_REMEMBERED_BEGINS)
def begin_of(period: Baseline, moment: datetime) -> datetime:
    """When the period that a moment lies in began, in UTC. Of PEAK there is none."""
    day = moment.astimezone(UTC).date()
    if period is Baseline.WEEKLY:
        day -= timedelta(days=day.weekday())
    elif period is Baseline.MONTHLY:
        day = day.replace(day=1)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def end_of(period: Baseline, moment: datetime) -> datetime:
    """When the next one begins."""
    begin = begin_of(period, moment)
    if period is Baseline.WEEKLY:
        return begin + timedelta(days=7)
    if period is Baseline.MONTHLY:
        following = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
        return datetime(following.year, following.month, 1, tzinfo=UTC)
    return begin + timedelta(days=1)


class EquityMark(msgspec.Struct, frozen=True, gc=False):
    """What the account was worth, and what had come in by then."""

    at: datetime
    equity: Decimal
    flows: dict[str, Decimal]


class Trip(msgspec.Struct, frozen=True, gc=False):
    at: datetime
    until: datetime
    measured: Decimal


class ToldMeasure(msgspec.Struct, frozen=True, gc=False):
    value: Decimal
    currency: str | None
    method: str | None
    time: datetime


class EquityState(EvolvingState, gc=False, kw_only=True):
    """What decisions need to know. Periods are those of the mark's own time."""

    account_id: UUID
    marks: dict[Baseline, EquityMark] = msgspec.field(default_factory=dict)
    trips: dict[UUID, Trip] = msgspec.field(default_factory=dict)
    """By limit, the newest."""
    measures: dict[LimitMeasure, ToldMeasure] = msgspec.field(default_factory=dict)

    def mark(self, baseline: Baseline, moment: datetime) -> EquityMark | None:
        """The mark that is compared with at a moment; None where its period has none yet."""
        mark = self.marks.get(baseline)
        if mark is None or baseline is Baseline.PEAK:
            return mark
        return mark if mark.at >= begin_of(baseline, moment) else None

    def trip(self, limit_id: UUID, moment: datetime) -> Trip | None:
        """Whether the limit was reached in the period that the moment lies in."""
        trip = self.trips.get(limit_id)
        return trip if trip is not None and moment < trip.until else None


def evolve(state: EquityState | None, event: Event, stream_id: UUID) -> EquityState:
    """The state after an event."""
    if not isinstance(event, EquityEvent):
        raise TypeError(f"{type(event).__name__} is not how the equity {stream_id} can go on")
    if state is None:
        state = EquityState(account_id=event.account_id)
    match event:
        case EquityMarked():
            mark = EquityMark(event.at, event.equity, event.flows)
            for baseline in event.baselines:
                state.marks[baseline] = mark
        case LimitTripped():
            state.trips[event.limit_id] = Trip(event.at, event.until, event.measured)
        case RiskMeasureRecorded():
            known = state.measures.get(event.measure)
            if known is None or event.time >= known.time:
                state.measures[event.measure] = ToldMeasure(
                    event.value, event.currency, event.method, event.time
                )
        case _:
            raise TypeError(f"{type(event).__name__} is not of equity")
    return state


EQUITY = Aggregate("equity", EquityState, 1, evolve)

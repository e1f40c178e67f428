"""Limits: which of them are in force at a moment, made ready to be asked again and again.

What is made of a scope holds until something else is said of it, or until the time of one of its
limits comes or goes. So a decision makes it seldom, and asks it always.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from ledger.nouns.equity.events import Baseline
from ledger.nouns.limits.measures import LimitGroup, LimitInForce, grouped, in_force
from ledger.nouns.limits.state import LimitBook
from ledger.nouns.limits.terms import (
    COUNTED,
    DAILY,
    DEFAULT_WINDOW,
    OF_EVERY_ORDER,
    LimitMeasure,
    LimitTerms,
    length_of,
)


class LimitsInForce(NamedTuple):
    """`longest` is the longest window of what is counted, `baselines` are what losses are compared
    with, `of_every_order` says that one is asked of those that only reduce too. Made of `changes`
    to `book`, and good from `made_at` until `until`."""

    all: tuple[LimitInForce, ...]
    groups: tuple[LimitGroup, ...] = ()
    longest: timedelta | None = None
    baselines: frozenset[Baseline] = frozenset()
    of_every_order: bool = False
    book: LimitBook | None = None
    changes: int = 0
    made_at: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, book: LimitBook, now: datetime) -> "LimitsInForce":
        """Of one scope."""
        limits = []
        for limit in book.limits.values():
            version = limit.at(now)
            if version is not None:
                limits.append(in_force(limit.limit_id, book.scope, book.reference, version))
        windows = [
            length_of(one.terms.window or DEFAULT_WINDOW)
            for one in limits
            if one.terms.measure in COUNTED
        ]
        baselines = [baseline_of(one.terms) for one in limits]
        return cls(
            all=tuple(limits),
            groups=grouped(limits),
            longest=max(windows, default=None),
            baselines=frozenset(one for one in baselines if one is not None),
            of_every_order=any(one.terms.measure in OF_EVERY_ORDER for one in limits),
            book=book,
            changes=book.changes,
            made_at=now,
            until=min((time for time in _turns(book) if time > now), default=None),
        )

    def holds(self, book: LimitBook, now: datetime) -> bool:
        """Whether this is still what is in force of a scope."""
        return (
            self.book is book
            and self.changes == book.changes
            and (self.made_at is not None and self.made_at <= now)
            and (self.until is None or now < self.until)
        )

    def scaled(self, multiplier: Decimal | None) -> "LimitsInForce":
        limits = tuple(one.scaled(multiplier) for one in self.all)
        return self._replace(all=limits, groups=grouped(limits))

    def with_those_of(self, other: "LimitsInForce") -> "LimitsInForce":
        windows = [one for one in (self.longest, other.longest) if one is not None]
        return LimitsInForce(
            all=self.all + other.all,
            groups=self.groups + other.groups,
            longest=max(windows, default=None),
            baselines=self.baselines | other.baselines,
            of_every_order=self.of_every_order or other.of_every_order,
        )


NONE_IN_FORCE = LimitsInForce(())


def _turns(book: LimitBook) -> Iterator[datetime]:
    """When something comes into force, or is not any more."""
    for limit in book.limits.values():
        for version in limit.versions:
            for time in (version.terms.effective_from, version.terms.effective_until):
                if time is not None:
                    yield time


def baseline_of(terms: LimitTerms) -> Baseline | None:
    """What a limit compares equity with, if it is one of losses."""
    if terms.measure is LimitMeasure.MAX_DAILY_LOSS:
        return Baseline(terms.window or DAILY)
    return Baseline.PEAK if terms.measure is LimitMeasure.MAX_DRAWDOWN else None

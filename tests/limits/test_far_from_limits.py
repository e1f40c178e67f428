"""What a decision passes over because it is far from its limit would not have failed or warned."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from hypothesis import example, given
from hypothesis import strategies as st

from ledger.kernel.money import exact
from ledger.nouns.limits.check import judged
from ledger.nouns.limits.measures import grouped, in_force, told
from ledger.nouns.limits.state import Version
from ledger.nouns.limits.terms import PERCENT, RATIO, LimitMeasure, LimitScope, LimitTerms

PARTS = st.decimals(-(10**9), 10**9, places=9)
WHOLES = st.decimals("0.000000001", 10**9, places=9)
VALUES = st.decimals(0, 10**6, places=18)
MEASURES = (LimitMeasure.MAX_EXPOSURE, LimitMeasure.MAX_DAILY_LOSS)


@dataclass
class NoTrips:
    def marked(self) -> None:
        return None


@given(PARTS, WHOLES, VALUES, VALUES, st.sampled_from(MEASURES), st.sampled_from((RATIO, PERCENT)))
@example(Decimal(1), Decimal(3), Decimal("0.333333333333333333"), Decimal(0), MEASURES[0], RATIO)
@example(Decimal(2), Decimal(3), Decimal("0.666666666666666667"), Decimal(0), MEASURES[1], RATIO)
@example(Decimal(2), Decimal(3), Decimal("66.6666666666666667"), Decimal(0), MEASURES[1], PERCENT)
def test_what_is_passed_over_neither_fails_nor_warns(
    part: Decimal, whole: Decimal, value: Decimal, less: Decimal, measure: LimitMeasure, unit: str
) -> None:
    warning = max(value - less, Decimal(0)) if less else None
    terms = LimitTerms(measure=measure, value=value, unit=unit, warning_threshold=warning)
    limit = in_force(UUID(int=1), LimitScope.ACCOUNT, "a", Version(terms, "ops"))
    (group,) = grouped([limit])
    with exact():
        exact_share = told((part, whole), unit)
        for measured in ((part, whole), exact_share):
            if group.is_far_from(measured):
                exactly = judged(limit, exact_share, cast(Any, NoTrips()))
                assert not exactly.fails
                assert not exactly.warns


@given(VALUES, VALUES, VALUES)
def test_an_equity_that_is_passed_over_is_above_its_least(
    equity: Decimal, least: Decimal, more: Decimal
) -> None:
    terms = LimitTerms(
        measure=LimitMeasure.MIN_EQUITY, value=least, unit="USDT", warning_threshold=least + more
    )
    limit = in_force(UUID(int=1), LimitScope.ACCOUNT, "a", Version(terms, "ops"))
    (group,) = grouped([limit])
    if group.is_far_from(equity):
        exactly = judged(limit, equity, cast(Any, NoTrips()))
        assert not exactly.fails
        assert not exactly.warns

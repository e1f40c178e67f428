"""The recurrences give what the whole series gives."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from projections.measures.moments import moments

VALUES = st.lists(st.decimals(min_value=-10, max_value=10, places=9), min_size=1, max_size=40)
NEAR = Fraction(1, 10**40)


def exact(values: list[Decimal]) -> tuple[Fraction, ...]:
    """Mean and central sums of powers of two to four, without any rounding."""
    series = [Fraction(value) for value in values]
    mean = sum(series, Fraction(0)) / len(series)
    return (
        mean,
        *(sum(((each - mean) ** power for each in series), Fraction(0)) for power in (2, 3, 4)),
    )


@given(VALUES)
@settings(max_examples=100, deadline=None)
def test_one_value_after_the_other_is_the_series_at_once(values: list[Decimal]) -> None:
    found = moments(values)
    kept = (found.mean, found.second, found.third, found.fourth)
    assert all(
        abs(Fraction(ours) - theirs) < NEAR
        for ours, theirs in zip(kept, exact(values), strict=True)
    )


def test_what_does_not_differ_has_no_shape_and_what_is_alone_no_spread() -> None:
    alike, alone = moments([Decimal(1), Decimal(1)]), moments([Decimal(1)])
    assert (alike.deviation, alike.skew, alike.excess_kurtosis) == (Decimal(0), None, None)
    assert (alone.deviation, alone.population_deviation, moments([]).deviation) == (
        None,
        Decimal(0),
        None,
    )

"""Amounts are exact, or it is an error."""

from decimal import Decimal, Inexact

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.kernel import money
from tests.nouns.folded import D

AMOUNTS = st.builds(
    lambda digits, places: D(digits).scaleb(-places),
    st.integers(-(10**20), 10**20),
    st.integers(0, 18),
)
POSITIVE = AMOUNTS.map(abs).filter(bool)


def test_a_result_that_would_be_rounded_is_an_error() -> None:
    with money.exact(), pytest.raises(Inexact):
        D(1) / D(3)


def test_the_widest_product_the_rules_form_is_exact() -> None:
    widest = money.parse("9" * money.MAX_INTEGER_DIGITS + "." + "9" * money.MAX_DECIMAL_PLACES)
    with money.exact():
        assert widest * widest * (1 + widest) / widest / widest == 1 + widest


@pytest.mark.parametrize("text", ["0", "-1", "0.5", "007.50", "9" * 20 + "." + "9" * 18])
def test_a_plain_decimal_number_is_an_amount(text: str) -> None:
    assert money.parse(text) == Decimal(text)


@pytest.mark.parametrize(
    "text",
    [
        *("", " 1", "1\n", "+1", "--1", ".5", "5.", "1_000", "1e3", "0x1", "NaN", "Infinity", "٣"),
        *("9" * 21, "9" * 60, "0." + "1" * 19),
    ],
)
def test_anything_else_is_not_an_amount(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount"):
        money.parse(text)


@given(AMOUNTS)
def test_an_amount_survives_being_written_down(amount: Decimal) -> None:
    assert Decimal(money.plain(amount)) == amount
    assert "E" not in money.plain(amount)
    assert Decimal(money.shown(amount)) == amount


@pytest.mark.parametrize(
    ("amount", "text"), [("10.50", "10.5"), ("1000", "1000"), ("0E-8", "0"), ("1E+3", "1000")]
)
def test_messages_show_amounts_without_needless_zeros(amount: str, text: str) -> None:
    assert money.shown(D(amount)) == text


@given(POSITIVE, POSITIVE)
def test_an_average_is_within_half_a_unit_of_its_last_place(total: Decimal, q: Decimal) -> None:
    with money.exact():
        error = abs(money.average(total, q) * q - total)
        assert error <= q * D("0.5").scaleb(-money.AVERAGE_PLACES)


@given(POSITIVE, st.lists(POSITIVE, min_size=1, max_size=5))
def test_parts_of_a_pool_never_sum_to_more_than_it(pool: Decimal, parts: list[Decimal]) -> None:
    with money.exact():
        whole = sum(parts, money.ZERO)
        shares = sum((money.prorate(pool, part, whole, 8) for part in parts), money.ZERO)
        assert pool - len(parts) * D("0.00000001") <= shares <= pool


@given(POSITIVE, st.integers(1, 10**20))
def test_a_multiple_of_a_step_lies_on_its_grid(step: Decimal, times: int) -> None:
    with money.exact():
        assert money.is_multiple(step * times, step)
        assert not money.is_multiple(step * times + step * D("0.5"), step)

"""Which lots a disposal takes, and what it wins."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kernel.money import ZERO, average, exact
from ledger.nouns.positions.lots import CostBasis, Disposal, LotMovement, LotPool, move, split

D = Decimal
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = tuple(CostBasis)
any_method = pytest.mark.parametrize("method", METHODS)


class Pool:
    """A pool and all that was disposed of it. Movements come an hour after each other."""

    def __init__(self, method: CostBasis) -> None:
        self.method = method
        self.pool = LotPool()
        self.disposals: list[Disposal] = []
        self._number = 0

    def moved(
        self,
        quantity: str | Decimal,
        amount: str | Decimal | None = None,
        *,
        hour: int | None = None,
        currency: str = "USDT",
        gives: bool = True,
        opens: bool = True,
    ) -> list[Disposal]:
        self._number += 1
        movement = LotMovement(
            asset="BTC",
            quantity=D(quantity),
            number=self._number,
            event_id=UUID(int=self._number),
            acquired_at=_BEGIN + timedelta(hours=self._number if hour is None else hour),
            amount=None if amount is None else D(amount),
            currency=currency,
            gives=gives,
            opens=opens,
        )
        disposals = move(self.pool, movement, self.method).disposals
        self.disposals += disposals
        return disposals

    @property
    def cost(self) -> Decimal:
        """Of what is open."""
        return sum((lot.left_amount or ZERO for lot in self.pool.lots), ZERO)


def gains(disposals: list[Disposal]) -> list[Decimal]:
    return [one.gain for one in disposals if one.gain is not None]


def bought_dearer_and_dearer_then_cheap(method: CostBasis) -> Pool:
    pool = Pool(method)
    for price in ("100", "130", "110"):
        pool.moved("1", price)
    return pool


def test_fifo_takes_the_oldest() -> None:
    pool = bought_dearer_and_dearer_then_cheap(CostBasis.FIFO)
    assert gains(pool.moved("-1.5", "180")) == [D(20), D(-5)]
    assert [(one.lot, one.quantity) for one in pool.disposals] == [(1, D(1)), (2, D("0.5"))]


def test_lifo_takes_the_youngest() -> None:
    pool = bought_dearer_and_dearer_then_cheap(CostBasis.LIFO)
    assert gains(pool.moved("-1.5", "180")) == [D(10), D(-5)]


def test_hifo_takes_the_dearest_and_of_equals_the_oldest() -> None:
    pool = bought_dearer_and_dearer_then_cheap(CostBasis.HIFO)
    pool.moved("1", "130")
    assert gains(pool.moved("-2.5", "250")) == [D(-30), D(-30), D(-5)]
    assert [one.lot for one in pool.disposals] == [2, 4, 3]


def test_average_is_of_all_that_is_there() -> None:
    pool = bought_dearer_and_dearer_then_cheap(CostBasis.AVERAGE)
    assert gains(pool.moved("-1.5", "180")) == [D(10)]
    assert pool.cost == D(170)


def test_a_pooled_sale_is_reckoned_with_the_fees_in_cost_and_proceeds() -> None:
    """1000 for 4 each and a fee of 150, 500 for 4.1 and 80; sold 700 for 4.8, 400 for 5.2."""
    pool = Pool(CostBasis.AVERAGE)
    pool.moved("1000", "4150")
    pool.moved("500", "2130")
    (first,) = gains(pool.moved("-700", D(700) * D("4.8") - 100))
    (second,) = gains(pool.moved("-400", D(400) * D("5.2") - 105))
    assert first == average(D(988), D(3))
    assert abs(Fraction(second) - Fraction(901, 3)) <= Fraction(1, 10**18)
    assert abs(Fraction(pool.cost) - Fraction(5024, 3)) <= Fraction(1, 10**18)
    assert first + second + 6280 - pool.cost == D(3260 + 1975)


@any_method
def test_three_for_ten_sold_one_by_one_give_exactly_two(method: CostBasis) -> None:
    pool = Pool(method)
    pool.moved("3", "10")
    for _ in range(3):
        pool.moved("-1", "4")
    assert sum(gains(pool.disposals)) == 2
    assert pool.cost == 0
    assert not pool.pool.lots


def test_a_purchase_told_last_is_the_first_lot_only_of_what_is_sold_afterwards() -> None:
    pool = Pool(CostBasis.FIFO)
    pool.moved("1", "100", hour=10)
    assert gains(pool.moved("-1", "120", hour=11)) == [D(20)]
    pool.moved("1", "90", hour=9)
    pool.moved("1", "95", hour=8)
    assert gains(pool.moved("-1", "100", hour=12)) == [D(5)]


@any_method
def test_what_was_sold_short_is_won_when_it_is_covered(method: CostBasis) -> None:
    pool = Pool(method)
    assert pool.moved("-2", "220") == []
    (covered,) = pool.moved("3", "300")
    assert (covered.is_short, covered.quantity, covered.gain) == (True, D(2), D(20))
    assert (pool.pool.quantity, pool.cost) == (D(1), D(100))


def test_hifo_covers_first_what_brought_least() -> None:
    pool = Pool(CostBasis.HIFO)
    pool.moved("-1", "110")
    pool.moved("-1", "90")
    assert gains(pool.moved("1", "100")) == [D(-10)]


@any_method
def test_the_cost_of_what_nobody_told_the_cost_of_is_unknown_and_never_zero(
    method: CostBasis,
) -> None:
    pool = Pool(method)
    pool.moved("1")
    (sold,) = pool.moved("-1", "100")
    assert (sold.cost, sold.proceeds, sold.gain) == (None, D(100), None)


def test_an_average_pool_sells_what_is_of_unknown_cost_in_proportion() -> None:
    pool = Pool(CostBasis.AVERAGE)
    pool.moved("1")
    pool.moved("3", "300")
    unknown, known = pool.moved("-2", "400")
    assert (unknown.quantity, unknown.gain) == (D("0.5"), None)
    assert (known.quantity, known.gain) == (D("1.5"), D(150))


@any_method
def test_what_is_withdrawn_takes_its_lots_along_and_wins_nothing(method: CostBasis) -> None:
    pool = Pool(method)
    pool.moved("2", "200")
    assert pool.moved("-1", gives=False) == []
    assert (pool.pool.quantity, pool.cost) == (D(1), D(100))


def test_a_gain_is_told_only_where_cost_and_proceeds_are_of_one_currency() -> None:
    pool = Pool(CostBasis.FIFO)
    pool.moved("1", "100", currency="EUR")
    (sold,) = pool.moved("-1", "120")
    assert (sold.cost, sold.cost_currency) == (D(100), "EUR")
    assert (sold.proceeds, sold.proceeds_currency, sold.gain) == (D(120), "USDT", None)


def test_what_was_there_before_lots_were_kept_is_a_lot_of_unknown_cost() -> None:
    pool = Pool(CostBasis.FIFO)
    pool.moved("5", opens=False)
    pool.moved("-2", opens=False)
    pool.moved("1", "100")
    known, unknown = pool.pool.lots[1], pool.pool.lots[0]
    assert (unknown.left, unknown.amount, unknown.number) == (D(3), None, 1)
    assert (known.left, known.amount) == (D(1), D(100))


@any_method
def test_a_split_changes_how_many_and_not_what_they_cost(method: CostBasis) -> None:
    pool = Pool(method)
    pool.moved("1", "100")
    pool.moved("-0.4", "50")
    pool.moved("1", "120")
    split(pool.pool, 2, 3)
    assert pool.pool.quantity == average(D("1.6") * 2, D(3))
    assert pool.cost == D(180)


amounts = st.decimals(min_value=0, max_value=10**6, places=18)
quantities = st.decimals(min_value=D("1e-18"), max_value=10**6, places=18)
movements = st.lists(st.tuples(st.booleans(), quantities, amounts), max_size=12)


@settings(max_examples=60, deadline=None)
@given(movements)
def test_all_methods_come_to_the_same_sum_to_the_last_unit(
    history: list[tuple[bool, Decimal, Decimal]],
) -> None:
    """Whatever was taken, gains are what was got less what was paid, once nothing is open."""
    with exact():
        paid = got = left = ZERO
        pools = [Pool(method) for method in METHODS]
        for bought, quantity, amount in history:
            signed = quantity if bought else -quantity
            left += signed
            paid, got = (paid + amount, got) if bought else (paid, got + amount)
            for pool in pools:
                pool.moved(signed, amount)
                assert pool.pool.quantity == left
        for pool in pools:
            if left:
                pool.moved(-left, ZERO)
            assert pool.cost == 0
            assert sum(gains(pool.disposals), ZERO) == got - paid

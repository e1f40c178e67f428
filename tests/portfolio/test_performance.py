"""Performance as it is told while it happens: curves, periods, flows, falls, trades."""

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.kernel.money import ZERO, exact
from projections.measures import drawdown, ratios
from projections.measures.measure import Measure
from projections.measures.moments import moments
from projections.portfolio import performance
from projections.portfolio.performance import (
    Closed,
    DailyReturn,
    MeasuringTerms,
    PerformanceState,
    Standing,
    UnseenTrades,
)
from projections.portfolio.periods import PeriodType, period_of

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ONE = Decimal(1)
SERIES = int(os.environ.get("LEDGER_TEST_SERIES", "20"))
TERMS = MeasuringTerms()


class Told:
    """An account, as it is told of: what it is worth, what comes in, what it trades."""

    def __init__(self, equity: object, terms: MeasuringTerms = TERMS) -> None:
        self.now, self.terms = BEGAN, terms
        self.equity = Decimal(str(equity))
        self.state = PerformanceState.begin(Standing(self.now, self.equity))
        self.series: list[DailyReturn] = []
        self.closed: list[Closed] = []
        self._keep(performance.see(self.state, self.state.seen, terms))

    def is_worth(self, equity: object, after: timedelta) -> None:
        self.now += after
        self.equity = Decimal(str(equity))
        self._keep(performance.see(self.state, Standing(self.now, self.equity), self.terms))

    def gets(self, amount: object) -> None:
        before = Standing(self.now, self.equity)
        self._keep(performance.flow(self.state, before, Decimal(str(amount)), self.terms))
        self.equity += Decimal(str(amount))

    def days(self, values: Iterable[object]) -> None:
        for value in values:
            self.is_worth(value, DAY)

    def _keep(self, closed: Sequence[Closed]) -> None:
        for one in closed:
            if one.day_return is not None:
                self.series.append(DailyReturn(one.sums.start, one.day_return))
        self.closed += closed

    def figure(self, name: str, kind: PeriodType = PeriodType.YEARLY) -> Measure:
        sums = self.state.periods[kind]
        return performance.figures(self.state.reached, sums, self.series, self.terms)[name]

    def known(self, name: str) -> Decimal:
        found = self.figure(name)
        assert found.value is not None, found.reason
        return found.value


def trips(net_pnl: Decimal, *, taken_back: bool = False) -> UnseenTrades:
    return UnseenTrades(trips=[(net_pnl, taken_back)])


def told(values: Sequence[object], terms: MeasuringTerms = TERMS) -> Told:
    account = Told(values[0], terms)
    account.days(values[1:])
    return account


# --- periods ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "moment", "start", "end"),
    [
        ("HOURLY", "2026-03-05T10:59:59.9Z", "2026-03-05T10:00Z", "2026-03-05T11:00Z"),
        ("DAILY", "2026-03-05T00:00Z", "2026-03-05T00:00Z", "2026-03-06T00:00Z"),
        ("WEEKLY", "2026-03-05T10:00Z", "2026-03-02T00:00Z", "2026-03-09T00:00Z"),
        ("MONTHLY", "2026-12-31T23:00Z", "2026-12-01T00:00Z", "2027-01-01T00:00Z"),
        ("QUARTERLY", "2026-11-28T00:00Z", "2026-10-01T00:00Z", "2027-01-01T00:00Z"),
        ("YEARLY", "2026-11-28T00:00Z", "2026-01-01T00:00Z", "2027-01-01T00:00Z"),
    ],
)
def test_a_moment_lies_in_the_period_that_begins_with_it_or_before(
    kind: str, moment: str, start: str, end: str
) -> None:
    found = period_of(PeriodType(kind), datetime.fromisoformat(moment))
    assert found == (datetime.fromisoformat(start), datetime.fromisoformat(end))


def test_a_day_is_that_of_the_account_s_clock_with_its_23_hours_when_it_is_set_forward() -> None:
    start, end = period_of(PeriodType.DAILY, datetime(2026, 3, 29, 12, tzinfo=UTC), "Europe/Berlin")
    assert (start, end) == (
        datetime(2026, 3, 28, 23, tzinfo=UTC),
        datetime(2026, 3, 29, 22, tzinfo=UTC),
    )


# --- returns ------------------------------------------------------------------------------


def test_a_deposit_is_not_profit() -> None:
    """1000 became 1050; 1000 more were paid in, and all became 2100: 7.56 %, and 100 of money."""
    account = Told(1000)
    account.is_worth(1050, HOUR)
    account.gets(1000)
    account.is_worth(2100, HOUR)
    assert round(account.known("time_weighted_return") * 100, 8) == Decimal("7.56097561")
    assert account.state.profit == 100
    assert account.state.periods[PeriodType.DAILY].flows == 1000


def test_what_was_opened_and_emptied_on_one_day_has_not_lost_all() -> None:
    account = Told(0)
    account.gets(1000)
    account.is_worth(1010, HOUR)
    account.gets(-1010)
    account.is_worth(0, HOUR)
    assert account.known("time_weighted_return") == Decimal("0.01")


def test_gains_without_anything_to_grow_from_have_no_return_and_say_so() -> None:
    account = Told(0)
    account.is_worth(5, HOUR)
    found = account.figure("time_weighted_return")
    assert (found.value, found.reason) == (
        None,
        "there was nothing to grow: equity was not above zero",
    )


def test_who_has_lost_all_begins_anew_with_what_is_paid_in() -> None:
    account = told([100, -20])
    assert account.known("max_drawdown_percent") == Decimal("1.2")
    account.gets(220)
    account.days([210, 231])
    assert account.figure("time_weighted_return").value is None
    assert account.closed[-1].day_return == Decimal("0.1")
    assert account.state.profit == -89


def test_periods_that_are_over_keep_what_they_ended_with_and_the_next_goes_on_from_there() -> None:
    account = Told(100)
    account.is_worth(110, timedelta(hours=12))
    account.is_worth(121, timedelta(hours=12))
    account.is_worth(133.1, DAY)
    days = [one for one in account.closed if one.sums.kind is PeriodType.DAILY]
    assert [one.day_return for one in days] == [Decimal("0.21"), Decimal("0.1")]
    assert [one.sums.opened.equity for one in days] == [100, 121]


def test_nothing_is_told_of_days_in_which_nothing_was_seen() -> None:
    account = Told(100)
    account.is_worth(110, timedelta(hours=6))
    account.is_worth(121, 5 * DAY)
    days = [one for one in account.closed if one.sums.kind is PeriodType.DAILY]
    assert [(one.sums.start, one.day_return) for one in days] == [(BEGAN, Decimal("0.1"))]
    assert account.known("time_weighted_return") == Decimal("0.21")


def test_what_is_told_of_a_moment_that_is_over_counts_now() -> None:
    account = Told(100)
    account.is_worth(110, DAY)
    account.is_worth(121, timedelta(hours=-3))
    assert account.state.seen.time == BEGAN + DAY
    assert account.known("time_weighted_return") == Decimal("0.21")


# --- falls --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("curve", "share"),
    [((1, 0.9, 0.75), "0.25"), ((100, -20, -50), "1.5"), ((1, 2, 3), "0")],
)
def test_a_fall_is_of_the_highest_with_the_beginning(curve: Sequence[object], share: str) -> None:
    assert told(curve).known("max_drawdown_percent") == Decimal(share)


def test_a_deposit_hides_no_fall() -> None:
    account = told([100, 80])
    account.gets(1000)
    account.days([1080])
    assert account.known("current_drawdown_percent") == Decimal("0.2")
    assert account.state.periods[PeriodType.YEARLY].largest_fall == 20


def test_a_fall_is_told_with_its_start_its_trough_and_when_it_was_over() -> None:
    account = told([100, 120, 90, 80, 110, 130, 125])
    deepest = account.state.periods[PeriodType.YEARLY].deepest
    assert deepest is not None
    assert (deepest.began, deepest.trough_at, deepest.recovered) == tuple(
        BEGAN + number * DAY for number in (1, 3, 5)
    )
    assert deepest.share is not None
    assert round(deepest.share, 20) == round(1 - Decimal(80) / Decimal(120), 20)


def test_a_month_that_begins_below_the_highest_says_so() -> None:
    account = told([100, *[100 - day for day in range(1, 31)], 80])
    account.days([85])
    month = account.state.periods[PeriodType.MONTHLY]
    assert month.start == datetime(2026, 2, 1, tzinfo=UTC)
    assert account.figure("max_drawdown_percent", PeriodType.MONTHLY).value == Decimal("0.2")


# --- ratios -------------------------------------------------------------------------------


def grown(series: Iterable[object]) -> list[Decimal]:
    values = [Decimal(1000)]
    for each in series:
        values.append(values[-1] * (1 + Decimal(str(each))))
    return values


def test_all_returns_count_for_the_downside_not_only_the_bad_ones() -> None:
    account = told(grown([-0.10, 0.02, 0.01, 0.03]), MeasuringTerms(periods_per_year=Decimal(1)))
    assert round(account.known("sortino_ratio"), 15) == Decimal("-0.2")


def test_the_length_of_the_year_is_the_account_s() -> None:
    series = [Decimal(each) / 100 for each in (0, 1, 10, -4, 2, 3, 2, 1, -10)][1:]
    weekdays = told(grown(series), MeasuringTerms(periods_per_year=Decimal(252)))
    assert round(weekdays.known("sharpe_ratio"), 13) == Decimal("1.7238613961707")
    always = told(grown(series)).figure("sharpe_ratio")
    assert always.value is not None
    root = (Decimal(365) / Decimal(252)).sqrt()
    assert round(always.value / weekdays.known("sharpe_ratio"), 15) == round(root, 15)
    assert (always.points, always.annualised_by) == (8, Decimal(365))


def test_a_day_alone_has_no_ratio_and_says_why() -> None:
    found = told([100, 110]).figure("sharpe_ratio")
    assert (found.value, found.reason) == (None, "it takes two returns at least")


def test_profit_factor_is_net_of_fees_and_null_without_a_loss() -> None:
    account = Told(100)
    for gross in (10, -10, 1):
        performance.count(account.state, trips(Decimal(gross) - Decimal("1.5")))
    assert round(account.known("profit_factor"), 20) == round(Decimal("8.5") / 12, 20)
    assert round(account.known("win_rate"), 20) == round(ONE_THIRD, 20)
    lucky = Told(100)
    performance.count(lucky.state, trips(Decimal(1)))
    found = lucky.figure("profit_factor")
    assert (found.value, found.reason) == (None, "nothing was lost")


ONE_THIRD = Decimal(1) / Decimal(3)


def test_a_trade_that_is_taken_back_counts_no_more() -> None:
    account = Told(100)
    for net in (5, -2):
        performance.count(account.state, trips(Decimal(net)))
    performance.count(account.state, trips(Decimal(-2), taken_back=True))
    tally = account.state.periods[PeriodType.DAILY].trades
    assert (tally.count, tally.won, tally.lost) == (1, 1, 0)
    assert tally.gross_loss == 0


def test_value_at_risk_is_a_loss_in_money_and_takes_twenty_days() -> None:
    account = told(grown([0.01] * 18 + [-0.05]))
    assert account.figure("var_95").reason == "it takes 20 daily returns"
    account = told(grown([0.01] * 19 + [-0.05, -0.05]))
    assert round(account.known("var_95") / account.equity, 12) == Decimal("0.05")


def test_a_benchmark_gives_alpha_and_beta_and_none_is_named_as_the_reason() -> None:
    assert told([1, 2, 3]).figure("beta").reason == "the account names no benchmark"
    account = told(grown([0.02, -0.04, 0.06]), MeasuringTerms(benchmark="BINANCE:BTCUSDT"))
    account.series = [
        msgspec.structs.replace(one, benchmark=one.value / 2) for one in account.series
    ]
    assert round(account.known("beta"), 12) == 2
    assert round(account.known("alpha"), 12) == 0


# --- against the measures of a whole series -----------------------------------------------


@settings(max_examples=SERIES, deadline=None)
@given(st.lists(st.decimals("-0.5", "0.5", places=4), min_size=2, max_size=40))
def test_what_is_told_step_by_step_is_what_the_whole_series_says(series: list[Decimal]) -> None:
    account = told(grown(series))
    within = Decimal("1e-15")
    curve = drawdown.Drawdown.begin(Decimal(1), BEGAN)
    level = Decimal(1)
    for number, each in enumerate(series, 1):
        level *= 1 + each
        curve.add(level, BEGAN + number * DAY)
    share = curve.largest_share
    assert share is not None
    assert abs(account.known("max_drawdown_percent") - share) < within
    assert abs(account.known("time_weighted_return") - (level - 1)) < within * max(level, ONE)
    whole = ratios.sharpe(moments(series), per_year=Decimal(365))
    found = account.figure("sharpe_ratio")
    if whole.value is not None and found.value is not None:
        assert abs(found.value - whole.value) <= 1000 * within * max(ONE, abs(whole.value))


amounts = st.decimals("-50", "200", places=2)


@settings(max_examples=SERIES, deadline=None)
@given(st.lists(st.tuples(amounts, st.decimals("0.5", "1.5", places=3)), max_size=30))
def test_profit_and_flows_are_the_change_of_equity_to_the_last_unit(
    steps: list[tuple[Decimal, Decimal]],
) -> None:
    account = Told(100)
    paid = ZERO
    with exact():
        for amount, factor in steps:
            account.gets(amount)
            paid += amount
            account.is_worth(account.equity * factor, HOUR)
        assert account.state.profit + paid == account.equity - 100
    again = msgspec.json.decode(msgspec.json.encode(account.state), type=PerformanceState)
    assert again == account.state

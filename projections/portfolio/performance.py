"""How well an account, a strategy, a user or an environment does: recurrences, one value of equity
after the other.

    PerformanceState   what is known of one of them: its curve, its fall, the periods under way
    flow               money came in or went out: the curve goes on from what is there then
    see                what it is worth at a moment: the curve's next value
    UnseenTrades       what was traded since: counted with that value (`count`), not before
    PeriodSums         one period under way, of which `figures` makes what a row says

The curve is an index that flows do not move: it is revalued at every flow and linked (a
time-weighted return), so a deposit is no profit and hides no loss. Beside it runs the profit in
money, equity less all that was paid in. A fall is from the highest that the curve has ever been,
its beginning included. Ratios rest on the returns of whole days; where they say nothing they are
null, with the reason (`reasons`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import msgspec

from ledger.kernel.money import ZERO
from projections.measures import ratios, returns, tail
from projections.measures.drawdown import Underwater, share_below
from projections.measures.measure import Measure, arithmetic, undefined
from projections.measures.moments import moments
from projections.measures.returns import Flow
from projections.measures.tail import TailMethod
from projections.measures.trades import TradeTally
from projections.portfolio.periods import PeriodType, period_of

ONE = Decimal(1)
METHOD = "TWR_AT_FLOWS,DAILY_RETURNS,HISTORICAL_VAR"
"""`calculation_method`: a time-weighted return, revalued at flows; ratios of the returns of days;
value at risk by what there was. Another name if any of it becomes another."""
MOST_RETURNS = 366
"""Daily returns that are kept: of a year, and what value at risk and correlation look back on."""
LEAST_OF_A_YEAR = timedelta(days=7)
LARGEST = Decimal(10) ** 12
"""Beyond it a ratio or a rate per year is of something that nearly vanished, or of a few days."""
_INDEX_PLACES = Decimal(1).scaleb(-30)
_NO_BASE = "there was nothing to grow: equity was not above zero"
_BEGAN_ANEW = "all was lost, and it began anew with what was paid in"


class UnseenTrades(msgspec.Struct):
    """What was traded since a curve's last value. `trips`: the net profit of each round trip that
    is over, in order, and whether it was told of before and is not over after all. `made` has
    realised profit, commissions and funding."""

    volume: Decimal = ZERO
    trips: list[tuple[Decimal, bool]] = []
    made: tuple[Decimal, Decimal, Decimal] = (ZERO, ZERO, ZERO)


class Standing(NamedTuple):
    """What is known at a moment, in one currency; the last four are totals since the beginning."""

    time: datetime
    equity: Decimal
    unrealized_pnl: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    commission: Decimal = ZERO
    funding: Decimal = ZERO


class MeasuringTerms(NamedTuple):
    """What an account says of how it is measured."""

    time_zone: str = "UTC"
    periods_per_year: Decimal = Decimal(365)
    risk_free_rate: Decimal = ZERO
    """Per year."""
    benchmark: str | None = None

    @property
    def free(self) -> Decimal:
        """The rate of a day, which compounds to that of a year."""
        if not self.risk_free_rate:
            return ZERO
        with arithmetic():
            return (1 + self.risk_free_rate) ** (1 / self.periods_per_year) - 1


class DailyReturn(msgspec.Struct, frozen=True, array_like=True):
    """Of a day that is over. `benchmark` is the return of the account's benchmark over it."""

    day: datetime
    value: Decimal
    benchmark: Decimal | None = None


class Height(msgspec.Struct):
    """The highest that a curve has been."""

    value: Decimal
    at: datetime

    def see(self, value: Decimal, at: datetime) -> None:
        if value >= self.value:
            self.value, self.at = value, at


class PeriodSums(msgspec.Struct):
    """A period under way: what it opened with, and what has come to it since."""

    kind: PeriodType
    start: datetime
    end: datetime
    opened: Standing
    opening_index: Decimal
    peak: Decimal
    valley: Decimal
    allocated: Decimal
    """What it began with; where that was nothing, what came first."""
    flows: Decimal = ZERO
    dated_flows: list[tuple[datetime, Decimal]] = []
    volume: Decimal = ZERO
    trades: TradeTally = msgspec.field(default_factory=TradeTally)
    deepest: Underwater | None = None
    largest_fall: Decimal = ZERO
    """In money."""
    points: int = 0
    days: int = 0
    """Daily returns in it."""
    no_return: str | None = None
    """Why it has none."""


class PerformanceState(msgspec.Struct):
    """Of one account, strategy, user or environment, from its first value on. `base` is what was
    there at the last flow, with it, and `base_index` the curve's value then."""

    seen: Standing
    base: Decimal
    highest: Height
    highest_profit: Height
    base_index: Decimal = ONE
    index: Decimal = ONE
    profit: Decimal = ZERO
    largest_fall: Decimal = ZERO
    """In money, of all there was."""
    periods: dict[PeriodType, PeriodSums] = {}

    @property
    def reached(self) -> "CurveEnd":
        return CurveEnd(
            self.seen, self.index, self.profit, self.highest.value, self.highest_profit.value
        )

    @classmethod
    def begin(cls, standing: Standing) -> "PerformanceState":
        """With what is there before the first flow, or at the first look."""
        return cls(
            seen=standing,
            base=standing.equity,
            highest=Height(ONE, standing.time),
            highest_profit=Height(ZERO, standing.time),
        )


class CurveEnd(NamedTuple):
    """How far a curve is: what a period under way is told with, or one that is over."""

    seen: Standing
    curve: Decimal
    profit: Decimal
    highest: Decimal
    highest_profit: Decimal

    @property
    def down(self) -> Decimal | None:
        """How far below its highest the curve is, as a share of it."""
        return share_below(self.highest, self.curve)


class Closed(NamedTuple):
    """A period that is over, as far as was seen of it."""

    sums: PeriodSums
    reached: CurveEnd
    day_return: Decimal | None
    """Of a day, where it has one."""


# --- what happens -------------------------------------------------------------------------


def flow(
    state: PerformanceState,
    before: Standing,
    amount: Decimal,
    terms: MeasuringTerms,
    traded: UnseenTrades | None = None,
) -> list[Closed]:
    """Money came in (positive) or went out; `before` is what there was just before."""
    closed = see(state, before, terms, traded)
    for sums in state.periods.values():
        sums.flows += amount
        if sums.allocated <= 0:
            sums.allocated += amount
        if sums.kind not in (PeriodType.HOURLY, PeriodType.DAILY):
            _date_flow(sums.dated_flows, before.time, amount)
    state.base = before.equity + amount
    state.base_index = state.index
    state.seen = before._replace(equity=state.base)
    if state.index <= 0 and state.base > 0:
        _begin_anew(state)
    _stretch(state)
    return closed


def see(
    state: PerformanceState,
    standing: Standing,
    terms: MeasuringTerms,
    traded: UnseenTrades | None = None,
) -> list[Closed]:
    """The curve's next value, and what was traded up to it; returns the periods that are over with
    it. One that ended before it ends with what was seen last: what came between is in the next.
    What is told of a moment that is over counts now: what was shown does not change."""
    if standing.time < state.seen.time:
        standing = standing._replace(time=state.seen.time)
    closed = _roll(state, standing.time, terms, over=False)
    if traded is not None:
        count(state, traded)
    _advance(state, standing)
    return closed + _roll(state, standing.time, terms, over=True)


def count(state: PerformanceState, traded: UnseenTrades) -> None:
    """What was traded is of the periods under way."""
    for sums in state.periods.values():
        sums.volume += traded.volume
        for net_pnl, is_taken_back in traded.trips:
            if is_taken_back:
                _take_back(sums.trades, net_pnl)
            else:
                sums.trades.add(net_pnl)


def _advance(state: PerformanceState, standing: Standing) -> None:
    gained = standing.equity - state.seen.equity
    state.profit += gained
    reason = None
    if state.base > 0:
        with arithmetic():
            grown = state.base_index * (standing.equity / state.base)
            state.index = grown.quantize(_INDEX_PLACES)
    elif gained:
        reason = _NO_BASE
    state.seen = standing
    state.highest.see(state.index, standing.time)
    state.highest_profit.see(state.profit, standing.time)
    for sums in state.periods.values():
        sums.points += 1
        sums.no_return = sums.no_return or reason
    _stretch(state)


def _stretch(state: PerformanceState) -> None:
    """What each period under way has seen at most."""
    highest = state.highest
    is_down = state.index < highest.value
    state.largest_fall = max(state.largest_fall, state.highest_profit.value - state.profit)
    for sums in state.periods.values():
        sums.peak = max(sums.peak, state.seen.equity)
        sums.valley = min(sums.valley, state.seen.equity)
        sums.largest_fall = max(sums.largest_fall, state.highest_profit.value - state.profit)
        if is_down and _is_deeper(state, sums.deepest):
            sums.deepest = Underwater(highest.at, highest.value, state.seen.time, state.index)
        if not is_down and sums.deepest is not None and sums.deepest.recovered is None:
            sums.deepest.recovered = state.seen.time


def _is_deeper(state: PerformanceState, known: Underwater | None) -> bool:
    if known is None or known.share is None:
        return True
    share = share_below(state.highest.value, state.index)
    return share is not None and share > known.share


def _begin_anew(state: PerformanceState) -> None:
    state.index = state.base_index = ONE
    state.highest = Height(ONE, state.seen.time)
    for sums in state.periods.values():
        sums.no_return = _BEGAN_ANEW


def _roll(
    state: PerformanceState, now: datetime, terms: MeasuringTerms, *, over: bool
) -> list[Closed]:
    """Ends the periods that ended before now (or, `over`, with it) and begins those it lies in."""
    closed: list[Closed] = []
    for kind in PeriodType:
        sums = state.periods.get(kind)
        if sums is not None and (sums.end <= now if over else sums.end < now):
            closed.append(Closed(sums, state.reached, _day_return(state, sums)))
            del state.periods[kind]
            sums = None
        if sums is None:
            start, end = period_of(kind, now, terms.time_zone)
            held = state.seen.equity
            state.periods[kind] = PeriodSums(
                kind, start, end, state.seen, state.index, held, held, held
            )
    for ended in closed:
        if ended.day_return is not None:
            for sums in state.periods.values():
                sums.days += sums.start <= ended.sums.start
            for other in closed:
                other.sums.days += other.sums.start <= ended.sums.start
    if closed:
        _stretch(state)
    return closed


def _day_return(state: PerformanceState, sums: PeriodSums) -> Decimal | None:
    if sums.kind is not PeriodType.DAILY:
        return None
    return time_weighted(state.reached, sums).kept


def _date_flow(flows: list[tuple[datetime, Decimal]], at: datetime, amount: Decimal) -> None:
    """By the day: what a year's rate is asked for."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if flows and flows[-1][0] == day:
        flows[-1] = (day, flows[-1][1] + amount)
    else:
        flows.append((day, amount))


def _take_back(trades: TradeTally, net_pnl: Decimal) -> None:
    """The counts and sums without it; how long a run was stays as it was seen."""
    trades.count -= 1
    if net_pnl > 0:
        trades.won -= 1
        trades.gross_profit -= net_pnl
    elif net_pnl < 0:
        trades.lost -= 1
        trades.gross_loss += net_pnl


# --- what a row says ------------------------------------------------------------------------


def time_weighted(reached: CurveEnd, sums: PeriodSums) -> Measure:
    """The return of a period, as far as it has come."""
    method = "time-weighted, revalued at every flow, linked geometrically"
    if sums.no_return is not None:
        return undefined(method, sums.points, sums.no_return)
    if sums.opening_index <= 0:
        return undefined(method, sums.points, _NO_BASE)
    if not sums.points:
        return undefined(method, 0, "nothing was seen of it")
    with arithmetic():
        return Measure(reached.curve / sums.opening_index - 1, method, sums.points)


def money_weighted(reached: CurveEnd, sums: PeriodSums) -> Measure:
    """What the owner's money made, per year."""
    method = "money-weighted (XIRR), days over 365"
    if sums.kind in (PeriodType.HOURLY, PeriodType.DAILY):
        return undefined(method, 0, "a rate per year of less than a week says nothing")
    if reached.seen.time - sums.opened.time < LEAST_OF_A_YEAR:
        return undefined(method, 0, "a rate per year of less than a week says nothing")
    flows = [Flow(sums.opened.time, -sums.opened.equity)] if sums.opened.equity else []
    flows += [Flow(max(at, sums.opened.time), -amount) for at, amount in sums.dated_flows]
    flows.append(Flow(reached.seen.time, reached.seen.equity))
    return returns.money_weighted(flows)


def figures(
    reached: CurveEnd,
    sums: PeriodSums,
    series: Sequence[DailyReturn],
    terms: MeasuringTerms,
) -> dict[str, Measure]:
    """The measures of a period, each with what it rests on. `series` are the daily returns up to
    now; those of the period are its last `sums.days`."""
    of_period = series[len(series) - sums.days :] if sums.days else []
    values = [one.value for one in of_period]
    per_year, free = terms.periods_per_year, terms.free
    spread = moments(values, least=free)
    total = time_weighted(reached, sums)
    yearly = _yearly(values, per_year)
    against = [one for one in of_period if one.benchmark is not None]
    ours = [one.value for one in against]
    theirs = [one.benchmark for one in against if one.benchmark is not None]
    deepest = None if sums.deepest is None else sums.deepest.share
    found = {
        "time_weighted_return": total,
        "annual_return": yearly,
        "money_weighted_return": money_weighted(reached, sums),
        "volatility": ratios.volatility(spread, per_year=per_year),
        "sharpe_ratio": ratios.sharpe(spread, per_year=per_year, free=free),
        "sortino_ratio": ratios.sortino(spread, per_year=per_year, least=free),
        "calmar_ratio": ratios.calmar(yearly, deepest),
        "win_rate": sums.trades.win_rate,
        "profit_factor": sums.trades.profit_factor,
        "recovery_factor": sums.trades.recovery_factor(sums.largest_fall),
        "var_95": value_at_risk(series, reached.seen.equity),
        "beta": ratios.beta(ours, theirs),
        "alpha": ratios.alpha(ours, theirs, per_year=per_year, free=free),
        "max_drawdown_percent": _of_peak(sums.deepest),
        "current_drawdown_percent": _current(reached),
    }
    if terms.benchmark is None:
        found |= {
            name: undefined(found[name].method, 0, "the account names no benchmark")
            for name in ("beta", "alpha")
        }
    return {name: told(measure) for name, measure in found.items()}


def value_at_risk(
    series: Sequence[DailyReturn],
    equity: Decimal,
    *,
    share: Decimal = Decimal("0.05"),
    method: TailMethod = TailMethod.HISTORICAL,
) -> Measure:
    """What one day in 1 / `share` loses more than, in money, as a loss that is not negative."""
    found = tail.value_at_risk([one.value for one in series], share=share, method=method)
    return as_loss(found, equity, share)


def as_loss(of_return: Measure, equity: Decimal, share: Decimal) -> Measure:
    """A return's tail in money: what would be lost of what there is, at least nothing. It takes as
    many returns as have one so bad among them."""
    method = f"{of_return.method}, of equity, as a loss"
    if of_return.value is None:
        return undefined(method, of_return.points, of_return.reason or "there are no returns")
    if of_return.points * share < 1:
        reason = f"it takes {1 / share:f} daily returns"
        return undefined(method, of_return.points, reason)
    with arithmetic():
        return Measure(max(-of_return.value * equity, ZERO), method, of_return.points)


def reasons(found: Mapping[str, Measure]) -> dict[str, str]:
    """Why those that are null are."""
    return {
        name: measure.reason or "undefined"
        for name, measure in found.items()
        if measure.value is None
    }


def told(measure: Measure) -> Measure:
    """What is too large to mean anything is undefined."""
    if measure.value is None or abs(measure.value) <= LARGEST:
        return measure
    return undefined(measure.method, measure.points, f"beyond {LARGEST:f}: it says nothing")


def _yearly(values: Sequence[Decimal], per_year: Decimal) -> Measure:
    return returns.annual(returns.compounded(values), len(values), per_year=per_year)


def _of_peak(deepest: Underwater | None) -> Measure:
    method = "largest fall from the highest so far, of the curve without flows"
    if deepest is None:
        return Measure(ZERO, method, 0)
    share = deepest.share
    return undefined(method, 0, _NO_BASE) if share is None else Measure(share, method, 0)


def _current(reached: CurveEnd) -> Measure:
    method = "how far below the highest so far, of the curve without flows"
    down = reached.down
    return undefined(method, 0, _NO_BASE) if down is None else Measure(down, method, 0)

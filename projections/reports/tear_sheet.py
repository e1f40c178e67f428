"""A tear sheet: what an account did between two times, on one page.

Its figures are those of `ledgerctl query performance`: sums of the days, the returns of the days
linked, ratios by the same functions as in the rows; runs of round trips are counted one by one. So
a sheet of a month says what the month's row says. It is told as of one moment of the read models.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import groupby
from typing import Any
from uuid import UUID

import msgspec
import psycopg

from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, exact, plain
from projections.measures import drawdown, ratios, returns
from projections.measures.drawdown import Underwater
from projections.measures.measure import Measure, arithmetic, undefined
from projections.measures.moments import moments
from projections.measures.trades import TradeTally
from projections.portfolio import definitions, performance
from projections.portfolio.performance import MeasuringTerms
from projections.portfolio.performance_rows import PerformanceMetrics, SeriesScope
from projections.portfolio.periods import PeriodType
from projections.portfolio.risk_rows import RiskMetrics
from projections.questions.catalogue import questions
from projections.read_models.accounts import Account
from projections.read_models.positions import RoundTrip

DEEPEST = 5
"""Falls that are told one by one."""


class NothingToReport(LedgerError):
    """There is no account, or nothing was seen of it in that time."""


class Figure(msgspec.Struct, frozen=True):
    """A number with what it is; without one, why."""

    name: str
    title: str
    value: Decimal | None
    unit: str
    says: str
    reason: str | None = None
    points: int | None = None


class Contribution(msgspec.Struct, frozen=True):
    """What a part of an account made: an instrument, a strategy."""

    name: str
    trades: int
    won: int
    profit: Decimal
    costs: Decimal
    funding: Decimal


class TearSheet(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """`days` are those that were seen, the oldest first; `months` and `strategies` are rows of
    theirs; `risk` is the newest of each hour in that time."""

    account: Account
    begin: datetime
    end: datetime
    position: int
    days: Sequence[PerformanceMetrics]
    months: Sequence[PerformanceMetrics]
    strategies: Sequence[PerformanceMetrics]
    trips: Sequence[RoundTrip]
    risk: Sequence[RiskMetrics]

    @property
    def currency(self) -> str:
        return self.account.base_currency

    @property
    def through(self) -> datetime:
        return self.days[-1].through

    # --- series ---------------------------------------------------------------------------

    @cached_property
    def curve(self) -> list[tuple[datetime, Decimal]]:
        """100 at the beginning, then at each day's end; flows do not move it."""
        level = Decimal(100)
        found = [(self.days[0].time, level)]
        with arithmetic():
            for day in self.days:
                level *= 1 + (day.time_weighted_return or ZERO)
                found.append((day.through, level))
        return found

    @cached_property
    def equity(self) -> list[tuple[datetime, Decimal]]:
        seen = [(day.through, day.closing_balance) for day in self.days]
        return [(self.days[0].time, self.opening), *seen] if self.opening else seen

    @property
    def opening(self) -> Decimal:
        """Equity before anything of that time."""
        first = self.days[0]
        with exact():
            return first.closing_balance - first.total_pnl - first.external_flows

    @cached_property
    def below(self) -> list[tuple[datetime, Decimal]]:
        """How far the curve was below its highest at each day's end, as a share."""
        highest = ZERO
        found = []
        with arithmetic():
            for at, value in self.curve:
                highest = max(highest, value)
                found.append((at, (highest - value) / highest if highest > 0 else ZERO))
        return found

    @cached_property
    def falls(self) -> list[Underwater]:
        """The deepest, by the ends of days."""
        found = [one for one in drawdown.falls(self.curve) if one.share]
        return sorted(found, key=lambda one: one.share or ZERO, reverse=True)[:DEEPEST]

    @property
    def flows(self) -> list[tuple[datetime, Decimal]]:
        return [(day.time, day.external_flows) for day in self.days if day.external_flows]

    # --- figures --------------------------------------------------------------------------

    @cached_property
    def measures(self) -> Mapping[str, Measure]:
        """Of the whole time, by the names of `performance_metrics`."""
        days = self.days
        last = days[-1]
        tally = TradeTally()
        with exact():
            for trip in sorted(self.trips, key=lambda one: (one.closed_at, one.last_position)):
                tally.add(trip.net_pnl)
            sums = {name: sum((getattr(day, name) for day in days), ZERO) for name in _SUMMED}
        found = {name: Measure(value, "sum of the days", len(days)) for name, value in sums.items()}
        found |= {
            name: Measure(Decimal(value), "counted", tally.count)
            for name, value in (
                ("total_trades", sum(day.total_trades for day in days)),
                ("winning_trades", sum(day.winning_trades for day in days)),
                ("losing_trades", sum(day.losing_trades for day in days)),
                ("max_consecutive_wins", tally.longest_won),
                ("max_consecutive_losses", tally.longest_lost),
            )
        }
        found["closing_balance"] = Measure(last.closing_balance, "at the end", 1)
        found["opening_equity"] = Measure(self.opening, "at the beginning", 1)
        found["current_drawdown_percent"] = Measure(
            last.current_drawdown_percent, "now", len(days), "there is none"
        )
        return found | self._ratios(found)

    def _ratios(self, sums: Mapping[str, Measure]) -> dict[str, Measure]:
        days, terms = self.days, self._terms
        series = [
            day.time_weighted_return
            for day in days
            if day.is_closed and day.time_weighted_return is not None
        ]
        free = terms.free
        spread = moments(series, least=free)
        yearly = returns.annual(
            returns.compounded(series), len(series), per_year=terms.periods_per_year
        )
        shares = [one for day in days if (one := day.max_drawdown_percent) is not None]
        deepest = max(shares, default=None)
        per_year = terms.periods_per_year
        found = {
            "time_weighted_return": self._linked(),
            "annual_return": yearly,
            "money_weighted_return": self._money_weighted(),
            "volatility": ratios.volatility(spread, per_year=per_year),
            "sharpe_ratio": ratios.sharpe(spread, per_year=per_year, free=free),
            "sortino_ratio": ratios.sortino(spread, per_year=per_year, least=free),
            "calmar_ratio": ratios.calmar(yearly, deepest),
            "max_drawdown_percent": Measure(deepest, "deepest of any day", len(days)),
            "max_drawdown": Measure(max(day.max_drawdown for day in days), "deepest", len(days)),
            "win_rate": _over(sums["winning_trades"], sums["total_trades"], "no trade was closed"),
            "profit_factor": _over(sums["gross_profit"], sums["gross_loss"], "nothing was lost"),
            "var_95": Measure(
                days[-1].var_95, "of the last day", len(series), _why(days[-1], "var_95")
            ),
        }
        return {name: performance.told(measure) for name, measure in found.items()}

    @property
    def _terms(self) -> MeasuringTerms:
        last = self.days[-1]
        return MeasuringTerms(
            periods_per_year=Decimal(last.annualised_by),
            risk_free_rate=last.risk_free_rate,
            benchmark=last.benchmark,
        )

    def _linked(self) -> Measure:
        method = "returns of the days, linked"
        for day in self.days:
            if day.time_weighted_return is None:
                reason = f"{day.time.date()}: {_why(day, 'time_weighted_return')}"
                return undefined(method, len(self.days), reason)
        with arithmetic():
            return Measure(self.curve[-1][1] / 100 - 1, method, len(self.days))

    def _money_weighted(self) -> Measure:
        method = "money-weighted (XIRR), days over 365"
        first, last = self.days[0], self.days[-1]
        if last.through - first.time < performance.LEAST_OF_A_YEAR:
            return undefined(method, 0, "a rate per year of less than a week says nothing")
        flows = [returns.Flow(first.time, -self.opening)] if self.opening else []
        flows += [returns.Flow(at, -amount) for at, amount in self.flows]
        flows.append(returns.Flow(last.through, last.closing_balance))
        return returns.money_weighted(flows)

    def figures(self, *names: str) -> list[Figure]:
        """Those that are named, with their definitions."""
        return [figure(name, self.measures[name], definitions.TEAR_SHEET) for name in names]

    @property
    def risk_figures(self) -> list[Figure]:
        if not self.risk:
            return []
        newest = self.risk[-1]
        return [
            figure(
                name,
                Measure(
                    getattr(newest, name), "", newest.return_count, newest.null_reasons.get(name)
                ),
                definitions.RISK,
            )
            for name in _RISKS
        ]

    @cached_property
    def by_month(self) -> list[tuple[int, list[Decimal | None], Decimal | None]]:
        """(year, the returns of its months, of all of them)."""
        found = []
        for year, rows in groupby(self.months, key=lambda row: row.time.year):
            months: list[Decimal | None] = [None] * 12
            for row in rows:
                months[row.time.month - 1] = row.time_weighted_return
            known = [one for one in months if one is not None]
            found.append((year, months, returns.compounded(known) if known else None))
        return found

    @cached_property
    def by_instrument(self) -> list[Contribution]:
        found = []
        for name, trips in groupby(
            sorted(self.trips, key=lambda one: one.instrument), key=lambda one: one.instrument
        ):
            own = list(trips)
            with exact():
                found.append(
                    Contribution(
                        name,
                        len(own),
                        sum(one.net_pnl > 0 for one in own),
                        sum((one.net_pnl for one in own), ZERO),
                        sum((one.commission for one in own), ZERO),
                        sum((one.funding for one in own), ZERO),
                    )
                )
        return sorted(found, key=lambda one: -abs(one.profit))

    @cached_property
    def by_strategy(self) -> list[Contribution]:
        found = []
        rows = sorted(self.strategies, key=lambda row: row.strategy_id or "")
        for name, days in groupby(rows, key=lambda row: row.strategy_id or ""):
            own = list(days)
            with exact():
                found.append(
                    Contribution(
                        name,
                        sum(one.total_trades for one in own),
                        sum(one.winning_trades for one in own),
                        sum((one.total_pnl for one in own), ZERO),
                        sum((one.commission for one in own), ZERO),
                        sum((one.funding for one in own), ZERO),
                    )
                )
        return found

    def rows(self) -> Iterable[Mapping[str, Any]]:
        """The days, as a table."""
        return (msgspec.structs.asdict(day) for day in self.days)

    @property
    def columns(self) -> tuple[str, ...]:
        return PerformanceMetrics.__struct_fields__

    @property
    def name(self) -> str:
        """Of a file: the end of the account's id, and the days."""
        short = str(self.account.account_id)[-8:]
        return f"performance-{short}-{self.begin:%Y%m%d}-{self.through:%Y%m%d}"

    def all_figures(self) -> list[Figure]:
        """Every figure that the page has, each once."""
        from projections.reports import page

        return page.definitions(self)

    def lines(self) -> Iterable[tuple[str, str, str]]:
        """For a terminal: figure, value, what it is."""
        from projections.reports import page

        for one in self.all_figures():
            why = "" if one.value is not None or one.reason is None else f" ({one.reason})"
            yield one.title, page.shown(one), one.says + why

    def json(self) -> bytes:
        """The figures as they are, to the last digit."""
        told = {
            "account_id": self.account.account_id,
            "from": self.begin,
            "through": self.through,
            "position": self.position,
            "currency": self.currency,
            "figures": [
                {
                    "name": one.name,
                    "value": None if one.value is None else plain(one.value),
                    "unit": one.unit,
                    "points": one.points,
                    "reason": one.reason if one.value is None else None,
                    "definition": one.says,
                }
                for one in self.all_figures()
            ],
        }
        return msgspec.json.encode(told) + b"\n"

    def html(self) -> str:
        from projections.reports.page import page

        return page(self)


_SUMMED = (
    *("total_pnl", "realized_pnl", "unrealized_pnl", "commission", "funding", "other_pnl"),
    *("external_flows", "total_volume", "gross_profit", "gross_loss", "net_profit"),
)
_RISKS = (
    *("total_exposure", "net_exposure", "leverage_ratio", "largest_position_percent"),
    *("concentration_risk", "margin_ratio", "var_95", "cvar_95", "var_95_parametric"),
    *("var_95_cornish_fisher", "correlation_risk", "risk_score"),
)


def figure(
    name: str, measure: Measure, defined: Mapping[str, definitions.MeasureDefinition]
) -> Figure:
    one = defined[name]
    return Figure(name, one.title, measure.kept, one.unit, one.says, measure.reason, measure.points)


def _over(one: Measure, other: Measure, reason: str) -> Measure:
    method = "quotient of the sums"
    if not other.value or one.value is None:
        return undefined(method, one.points, reason)
    with arithmetic():
        return Measure(one.value / other.value, method, one.points)


def _why(row: PerformanceMetrics, name: str) -> str | None:
    return row.null_reasons.get(name)


# --- gathering ------------------------------------------------------------------------------


def tear_sheet(
    connection: psycopg.Connection[Any],
    account_id: UUID,
    begin: datetime | None = None,
    end: datetime | None = None,
) -> TearSheet:
    """The sheet of an account. The connection must be in a transaction, so that all of it is of one
    moment. Raises NothingToReport."""
    asked = questions()
    accounts = asked["accounts"].find(connection, account_id=account_id)
    if not accounts:
        raise NothingToReport(f"there is no account {account_id}: `ledgerctl query accounts`")

    def performed(
        period: PeriodType, scope: SeriesScope, since: datetime | None
    ) -> list[PerformanceMetrics]:
        rows = asked["performance"].find(
            connection,
            account_id=account_id,
            period_type=period.value,
            scope=scope.value,
            from_time=since,
            to_time=end,
        )
        return rows[::-1]

    days = [
        day
        for day in performed(PeriodType.DAILY, SeriesScope.ACCOUNT, begin)
        if day.data_points_count
    ]
    if not days:
        raise NothingToReport(
            f"nothing was seen of account {account_id} in that time: rows come with the clock's "
            "snapshots (`ledgerctl serve clock`, or TakeSnapshots)"
        )
    since, until = days[0].time, days[-1].period_end
    span = {"account_id": account_id, "from_time": since, "to_time": until}
    risk = asked["risk"].find(connection, **span | {"to_time": until + timedelta(seconds=1)})
    return TearSheet(
        account=accounts[0],
        begin=since,
        end=until,
        position=asked["performance"].reached(connection),
        days=days,
        months=[
            month
            for month in performed(PeriodType.MONTHLY, SeriesScope.ACCOUNT, None)
            if month.period_end > since
        ],
        strategies=performed(PeriodType.DAILY, SeriesScope.STRATEGY, begin),
        trips=[
            trip
            for trip in asked["round_trips"].find(connection, account_id=account_id)
            if since <= trip.closed_at < until
        ],
        risk=risk[::-1],
    )

"""What is measured of what accounts are worth: performance and risk, called by the fold.

    flowed    money comes from outside, or leaves: `before` is what the account is worth without it
    made      positions have changed, or something was traded: counted when a series is next seen
    valued    a snapshot is taken: the figures of risk that go into its row
    taken     a snapshot of all is over: users and environments are added up
    reported  an account says how it is measured

    account ── its strategies, each from the sub-account's own flows
       └── user (in USD, all accounts of one environment) ── environment (all users)

A series is known by a text: an account's id; `<account>/<strategy>`; `user:<user>/<environment>`;
`environment:<environment>`. Which rows are brought up to date when: `performance_rows`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from ledger.kernel.environment import Environment
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import MAIN, MoneyEvent, ReportingSet, TradeSettled
from ledger.nouns.clock.events import SnapshotKind, SnapshotsTaken
from ledger.nouns.positions.position import Position
from ledger.nouns.positions.trades import turnover_of
from projections.engine.live.rows import RowSet
from projections.engine.projection import Recorded, Row, Table
from projections.measures import holdings, tail
from projections.measures.measure import Measure, arithmetic
from projections.measures.tail import TailMethod
from projections.portfolio import performance, performance_rows, risk_measures, risk_rows
from projections.portfolio.books import PORTFOLIOS, WHOLE, Change, Portfolio
from projections.portfolio.performance import (
    Closed,
    DailyReturn,
    MeasuringTerms,
    PerformanceState,
    Standing,
    UnseenTrades,
)
from projections.portfolio.performance_rows import (
    HISTORY,
    PERFORMANCE,
    RETURNS,
    SERIES,
    MeasuredSeries,
    Member,
    PairCorrelation,
    SeriesReturns,
    SeriesScope,
)
from projections.portfolio.periods import PeriodType
from projections.portfolio.risk_measures import Held, PriceReturn
from projections.portfolio.risk_rows import RISK
from projections.portfolio.worth import USD, StrategyWorth, Valued, Worth

MOST_CLOSES = performance.MOST_RETURNS + 1
MOST_UNSEEN = 100
"""Round trips of an account that wait for somebody to look: more than thirty seconds have of most.
Where no snapshots are taken they are counted so many at a time."""
_Made: TypeAlias = tuple[Decimal, Decimal, Decimal]
"""Realised profit, commissions and funding."""
_NOTHING: _Made = (ZERO, ZERO, ZERO)
_LONG = (PeriodType.WEEKLY, PeriodType.MONTHLY, PeriodType.QUARTERLY, PeriodType.YEARLY)


class RiskFigures(NamedTuple):
    """Of an account at a snapshot; None is not known."""

    var_95: Decimal | None = None
    max_drawdown: Decimal | None = None
    correlation_risk: Decimal | None = None
    risk_score: Decimal | None = None


class AccountTerms(Row):
    """How an account said that it is measured."""

    account_id: UUID
    terms: MeasuringTerms


class HoldingCloses(Row):
    """What was held was worth at the end of the last days, in a currency."""

    name: str
    currency: str
    closes: list[tuple[datetime, Decimal]]


TERMS = Table("measuring_terms", AccountTerms, key=("account_id",), private=True, resident=True)
CLOSES = Table(
    "holding_closes", HoldingCloses, key=("name", "currency"), private=True, resident=True
)
TABLES: tuple[Table[Any], ...] = (PERFORMANCE, HISTORY, RISK, SERIES, RETURNS, TERMS, CLOSES)


# --- what happens -------------------------------------------------------------------------


def reported(recorded: Recorded, rows: RowSet, event: ReportingSet) -> None:
    """Holds for what is told from here on; periods under way keep their midnights."""
    terms = MeasuringTerms(
        event.time_zone,
        Decimal(event.periods_per_year),
        event.risk_free_rate,
        event.benchmark,
    )
    rows[TERMS].put(AccountTerms(recorded.stream_id, terms))
    series = rows[SERIES].change(str(recorded.stream_id))
    if series is not None:
        if series.terms.benchmark != terms.benchmark:
            series.benchmark_close = None
        series.terms = terms


def flowed(recorded: Recorded, rows: RowSet, before: Worth, amount: Decimal) -> None:
    """`amount` in the account's currency; below zero it leaves."""
    standing = _standing(before)
    series = _of_account(rows, before, standing)
    traded = _take_unseen(rows, before.account_id)
    closed = performance.flow(series.state, standing, amount, series.terms, traded)
    _keep(recorded, rows, series, closed)
    if before.environment == Environment.BACKTEST or before.usd_rate is None:
        return
    in_usd = _rounded(amount * before.usd_rate)
    user, environment = _added_up(rows, before)
    _count_in(user, before)
    for added in (user, environment):
        now = _sum_of(rows, added, before.time)
        closed = performance.flow(added.state, now, in_usd, added.terms)
        _keep(recorded, rows, added, closed)
    member = user.members[before.account_id]
    member.equity = (member.equity or ZERO) + in_usd


def made(
    portfolio: Portfolio, rows: RowSet, event: MoneyEvent, changes: Sequence[Change], at: Valued
) -> None:
    """Round trips that are over (or are not, after all), what a strategy's positions made, what was
    traded: kept beside the account until somebody looks, since a series is a large row, and trades
    are many. Of an account without money or a snapshot yet nothing is kept."""
    for before, after in changes:
        place = after if after is not None else before
        assert place is not None
        known, net = _net_of(before, at), _net_of(after, at)
        if known != net:
            trips = [(known, True)] if known is not None else []
            trips += [(net, False)] if net is not None else []
            for unseen in _unseen_of(rows, portfolio, place.sub_account):
                unseen.trips += trips
        if place.sub_account != MAIN:
            for unseen in _unseen_of(rows, portfolio, place.sub_account)[1:]:
                unseen.made = _sums(unseen.made, _made(after, at), _made(before, at))
    if isinstance(event, TradeSettled):
        sub_account, asset, amount = turnover_of(event)
        volume = at.value(asset, amount) or ZERO
        for unseen in _unseen_of(rows, portfolio, sub_account):
            unseen.volume += volume
    whole = portfolio.unseen.get(WHOLE)
    if whole is not None and len(whole.trips) > MOST_UNSEEN:
        _count_unseen(rows, portfolio)


def _unseen_of(rows: RowSet, portfolio: Portfolio, sub_account: str) -> list[UnseenTrades]:
    """Of the account, and of the strategy whose sub-account it is; begun where there is none."""
    found = []
    for name in (WHOLE,) if sub_account == MAIN else (WHOLE, sub_account):
        known = portfolio.unseen.get(name)
        if known is None:
            whole = rows[SERIES].find(str(portfolio.account_id))
            if whole is None:
                return []
            if name != WHOLE:
                _of_strategy(rows, whole, name, whole.state.seen.time)
            known = portfolio.unseen[name] = UnseenTrades()
        found.append(known)
    return found


def _take_unseen(rows: RowSet, account_id: UUID, name: str = WHOLE) -> UnseenTrades | None:
    """What was not looked at yet, which is no longer so."""
    portfolio = rows[PORTFOLIOS].find(account_id)
    if portfolio is None or name not in portfolio.unseen:
        return None
    rows[PORTFOLIOS].change(account_id)
    return portfolio.unseen.pop(name)


def _count_unseen(rows: RowSet, portfolio: Portfolio) -> None:
    """Nobody has looked for long. A strategy that nobody ever looked at has no periods to count
    in, as there are none where no snapshots are taken."""
    for name, unseen in portfolio.unseen.items():
        key = str(portfolio.account_id) if name == WHOLE else f"{portfolio.account_id}/{name}"
        series = rows[SERIES].change(key)
        assert series is not None
        performance.count(series.state, unseen)
        if name != WHOLE:
            series.totals = _sums(series.totals, unseen.made)
    portfolio.unseen = {}


def _sums(so_far: _Made, more: _Made, less: _Made = _NOTHING) -> _Made:
    one, two, three = (a + b - c for a, b, c in zip(so_far, more, less, strict=True))
    return one, two, three


def valued(recorded: Recorded, rows: RowSet, worth: Worth, at: Valued) -> RiskFigures:
    """Of the account that is worth this."""
    standing = _standing(worth)
    series = _of_account(rows, worth, standing)
    series.usd_rate = worth.usd_rate
    traded = _take_unseen(rows, worth.account_id)
    closed = performance.see(series.state, standing, series.terms, traded)
    benchmark = _benchmark_price(series, at)
    _keep(recorded, rows, series, closed, benchmark)
    if _ends_day(closed):
        _close_day(rows, series, worth)
    shown = _write(recorded, rows, series, closed, worth.kind)
    held = held_of(worth)
    if shown:
        _risk(recorded, rows, series, held)
    for strategy in worth.strategies:
        if strategy.sub_account != MAIN:
            _strategy(recorded, rows, series, worth, strategy)
    if worth.environment != Environment.BACKTEST:
        user, _ = _added_up(rows, worth)
        _count_in(user, worth)
    return _figures_now(series, held)


def taken(recorded: Recorded, rows: RowSet, event: SnapshotsTaken) -> None:
    """All accounts are valued at one moment: users, then environments, see what they are together.
    One account alone says nothing of the others."""
    if event.account_id is not None:
        return
    for scope in (SeriesScope.USER, SeriesScope.ENVIRONMENT):
        names = (one.series for one in rows[SERIES].all() if one.scope is scope)
        for name in sorted(names):
            added = rows[SERIES].change(name)
            assert added is not None
            closed = performance.see(added.state, _sum_of(rows, added, event.time), added.terms)
            _keep(recorded, rows, added, closed)
            if _ends_day(closed):
                added.var_95_share = _var_share(_returns(rows, added))
            if _write(recorded, rows, added, closed, event.kind):
                _risk(recorded, rows, added, _held_together(rows, added))


# --- series -------------------------------------------------------------------------------


def _standing(worth: Worth) -> Standing:
    return Standing(
        worth.time,
        worth.equity,
        worth.unrealized_pnl,
        worth.realized_pnl,
        worth.commission,
        worth.funding,
    )


def _of_account(rows: RowSet, worth: Worth, standing: Standing) -> MeasuredSeries:
    said = rows[TERMS].find(worth.account_id)
    return _found(
        rows,
        MeasuredSeries(
            str(worth.account_id),
            SeriesScope.ACCOUNT,
            worth.account_id,
            None,
            worth.user_id,
            worth.environment,
            worth.base_currency,
            worth.usd_rate,
            PerformanceState.begin(standing),
            MeasuringTerms() if said is None else said.terms,
            None,
            None,
            [],
            {},
            _NOTHING,
            ZERO,
            is_shown=False,
        ),
    )


def _of_strategy(
    rows: RowSet, account: MeasuredSeries, strategy_id: str, time: datetime
) -> MeasuredSeries:
    return _found(
        rows,
        MeasuredSeries(
            f"{account.series}/{strategy_id}",
            SeriesScope.STRATEGY,
            account.account_id,
            strategy_id,
            account.user_id,
            account.environment,
            account.currency,
            account.usd_rate,
            PerformanceState.begin(Standing(time, ZERO)),
            account.terms,
            None,
            None,
            [],
            {},
            _NOTHING,
            ZERO,
            is_shown=False,
        ),
    )


def _added_up(rows: RowSet, worth: Worth) -> tuple[MeasuredSeries, MeasuredSeries]:
    """The user's, and the environment's."""

    def added(name: str, scope: SeriesScope, user_id: UUID | None) -> MeasuredSeries:
        return _found(
            rows,
            MeasuredSeries(
                name,
                scope,
                None,
                None,
                user_id,
                worth.environment,
                USD,
                Decimal(1),
                PerformanceState.begin(Standing(worth.time, ZERO)),
                MeasuringTerms(),
                None,
                None,
                [],
                {},
                _NOTHING,
                ZERO,
                is_shown=False,
            ),
        )

    return (
        added(f"user:{worth.user_id}/{worth.environment}", SeriesScope.USER, worth.user_id),
        added(f"environment:{worth.environment}", SeriesScope.ENVIRONMENT, None),
    )


def _found(rows: RowSet, begun: MeasuredSeries) -> MeasuredSeries:
    """The series, to be changed; `begun` if there is none yet."""
    known = rows[SERIES].change(begun.series)
    if known is not None:
        return known
    rows[SERIES].insert(begun)
    rows[RETURNS].insert(SeriesReturns(begun.series, []))
    return begun


def _returns(rows: RowSet, series: MeasuredSeries) -> Sequence[DailyReturn]:
    found = rows[RETURNS].find(series.series)
    assert found is not None
    return found.returns


def _strategy(
    recorded: Recorded,
    rows: RowSet,
    account: MeasuredSeries,
    worth: Worth,
    strategy: StrategyWorth,
) -> None:
    """What came to a strategy since the last snapshot counts as if it had come right after that."""
    series = _of_strategy(rows, account, strategy.sub_account, worth.time)
    series.usd_rate, series.terms = worth.usd_rate, account.terms
    came = strategy.flows - series.flows
    closed: list[Closed] = []
    if came:
        closed += performance.flow(series.state, series.state.seen, came, series.terms)
        series.flows = strategy.flows
    traded = _take_unseen(rows, worth.account_id, strategy.sub_account)
    if traded is not None:
        series.totals = _sums(series.totals, traded.made)
    standing = Standing(worth.time, strategy.equity, strategy.unrealized_pnl, *series.totals)
    closed += performance.see(series.state, standing, series.terms, traded)
    _keep(recorded, rows, series, closed)
    _write(recorded, rows, series, closed, worth.kind)


def _count_in(added: MeasuredSeries, worth: Worth) -> None:
    """An account of a user, in USD; what it made since it was last seen, at the rate of now."""
    known = added.members.get(worth.account_id)
    totals = (worth.realized_pnl, worth.commission, worth.funding)
    before = _NOTHING if known is None else known.totals
    rate = worth.usd_rate
    if rate is None:
        member = Member(None, ZERO, totals, {}, ZERO, ZERO)
    else:
        held = held_of(worth)
        member = Member(
            _rounded(worth.equity * rate),
            _rounded(worth.unrealized_pnl * rate),
            totals,
            {name: _rounded(value * rate) for name, value in held.values.items()},
            _rounded(held.initial_margin * rate),
            _rounded(held.maintenance_margin * rate),
        )
        made = [
            so_far + _rounded((now - then) * rate)
            for so_far, now, then in zip(added.totals, totals, before, strict=True)
        ]
        added.totals = (made[0], made[1], made[2])
    added.members[worth.account_id] = member


def _sum_of(rows: RowSet, added: MeasuredSeries, time: datetime) -> Standing:
    """All accounts of a user, or all users of an environment."""
    if added.scope is SeriesScope.USER:
        members = added.members.values()
        return Standing(
            time,
            sum((one.equity or ZERO for one in members), ZERO),
            sum((one.unrealized_pnl for one in members), ZERO),
            *added.totals,
        )
    users = [_sum_of(rows, one, time) for one in _users_of(rows, added)]
    return Standing(
        time,
        sum((one.equity for one in users), ZERO),
        sum((one.unrealized_pnl for one in users), ZERO),
        sum((one.realized_pnl for one in users), ZERO),
        sum((one.commission for one in users), ZERO),
        sum((one.funding for one in users), ZERO),
    )


def _users_of(rows: RowSet, added: MeasuredSeries) -> list[MeasuredSeries]:
    return [
        one
        for one in rows[SERIES].all()
        if one.scope is SeriesScope.USER and one.environment == added.environment
    ]


# --- periods that are over ----------------------------------------------------------------


def _ends_day(closed: Iterable[Closed]) -> bool:
    return any(one.sums.kind is PeriodType.DAILY for one in closed)


def _keep(
    recorded: Recorded,
    rows: RowSet,
    series: MeasuredSeries,
    closed: Sequence[Closed],
    benchmark: Decimal | None = None,
) -> None:
    """The rows of periods that are over, and the return of a day that is."""
    for one in closed:
        if one.sums.kind is not PeriodType.DAILY:
            continue
        against = None
        if benchmark is not None and series.benchmark_close:
            with arithmetic():
                grown = benchmark / series.benchmark_close - 1
            against = _rounded(grown)
        series.benchmark_close = benchmark
        if one.day_return is not None:
            known = rows[RETURNS].change(series.series)
            assert known is not None
            told = DailyReturn(one.sums.start, one.day_return, against)
            known.returns = [*known.returns, told][-performance.MOST_RETURNS :]
    for one in closed:
        rows[PERFORMANCE].put(
            performance_rows.row_of(
                recorded, series, one.sums, one.reached, _returns(rows, series), is_closed=True
            )
        )


def _write(
    recorded: Recorded,
    rows: RowSet,
    series: MeasuredSeries,
    closed: Sequence[Closed],
    kind: SnapshotKind,
) -> bool:
    """Brings rows of periods under way up to date, where it is time to; whether it was."""
    ended = {one.sums.kind for one in closed}
    wanted: set[PeriodType] = set()
    if kind is not SnapshotKind.SCHEDULED or not series.is_shown:
        wanted.update(PeriodType)
        series.is_shown = True
    if PeriodType.HOURLY in ended:
        wanted.add(PeriodType.DAILY)
    if PeriodType.DAILY in ended:
        wanted.update(_LONG)
    for period in sorted(wanted):
        row = performance_rows.row_of(
            recorded,
            series,
            series.state.periods[period],
            series.state.reached,
            _returns(rows, series),
            is_closed=False,
        )
        rows[PERFORMANCE].put(row)
        rows[HISTORY].insert(row)
    return bool(wanted)


def _close_day(rows: RowSet, series: MeasuredSeries, worth: Worth) -> None:
    """What changes with the day alone: prices of holdings, and how they and the returns go."""
    day = worth.time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    held: dict[str, Sequence[PriceReturn]] = {}
    for name, price in _prices_of(worth):
        row = rows[CLOSES].change((name, worth.base_currency))
        if row is None:
            row = HoldingCloses(name, worth.base_currency, [])
            rows[CLOSES].insert(row)
        if not row.closes or row.closes[-1][0] < day:
            row.closes = [*row.closes, (day, price)][-MOST_CLOSES:]
        held[name] = _price_returns(row.closes)
    series.correlations = [
        PairCorrelation(one, other, found.kept, found.points, found.reason)
        for (one, other), found in risk_measures.pairs(held).items()
    ]
    series.var_95_share = _var_share(_returns(rows, series))


def _prices_of(worth: Worth) -> Iterator[tuple[str, Decimal]]:
    for asset in worth.balances:
        if asset.asset != worth.base_currency and asset.price is not None and asset.total:
            yield asset.asset, asset.price
    for name in sorted({one.instrument for one in worth.positions if one.is_contract}):
        price = next(one.price for one in worth.positions if one.instrument == name)
        if price is not None:
            yield name, price


def _price_returns(closes: Sequence[tuple[datetime, Decimal]]) -> list[PriceReturn]:
    """Of days that follow each other."""
    found = []
    for (before, was), (day, price) in pairwise(closes):
        if (day - before).days == 1 and was > 0:
            with arithmetic():
                found.append(PriceReturn(day, price / was - 1))
    return found


def _var_share(returns: Sequence[DailyReturn]) -> Decimal | None:
    found = tail.value_at_risk(
        [one.value for one in returns],
        share=risk_measures.FIVE,
        method=TailMethod.HISTORICAL,
    )
    loss = performance.as_loss(found, Decimal(1), risk_measures.FIVE)
    return loss.kept


def _benchmark_price(series: MeasuredSeries, at: Valued) -> Decimal | None:
    benchmark = series.terms.benchmark
    found = None if benchmark is None else at.prices.price(benchmark, at.own)
    return None if found is None else found.price


# --- trades -------------------------------------------------------------------------------


def _net_of(position: Position | None, at: Valued) -> Decimal | None:
    """What a round trip made, in the account's currency; None while it is not over."""
    if position is None or position.is_open or position.withdrawn or position.closed_at is None:
        return None
    realized, commission, funding = _made(position, at)
    return realized - commission + funding


def _made(position: Position | None, at: Valued) -> tuple[Decimal, Decimal, Decimal]:
    """Realised profit, commissions and funding, in the account's currency; what has no price there
    is in no sum."""
    if position is None or position.withdrawn:
        return _NOTHING
    asset = position.settlement_asset
    if asset == at.currency and not position.other_commissions:
        return position.realized_pnl, position.commission, position.funding
    commission = at.value(asset, position.commission) or ZERO
    for other, paid in position.other_commissions.items():
        commission += at.value(other, paid) or ZERO
    realized = at.value(asset, position.realized_pnl) or ZERO
    return realized, commission, at.value(asset, position.funding) or ZERO


# --- risk ---------------------------------------------------------------------------------


def held_of(worth: Worth) -> Held:
    """What prices move: assets other than the currency, and contracts."""
    values: dict[str, Decimal] = {}
    for asset in worth.balances:
        if asset.asset != worth.base_currency and asset.value:
            values[asset.asset] = asset.value
    for position in worth.positions:
        if position.is_contract and position.value:
            values[position.instrument] = values.get(position.instrument, ZERO) + position.value
    return Held(worth.equity, values, worth.maintenance_margin, worth.initial_margin)


def _held_together(rows: RowSet, added: MeasuredSeries) -> Held:
    users = [added] if added.scope is SeriesScope.USER else _users_of(rows, added)
    values: dict[str, Decimal] = {}
    initial = maintenance = ZERO
    for member in (one for user in users for one in user.members.values()):
        for name, value in member.values.items():
            values[name] = values.get(name, ZERO) + value
        initial += member.initial_margin
        maintenance += member.maintenance_margin
    held = {name: value for name, value in sorted(values.items()) if value}
    return Held(added.state.seen.equity, held, maintenance, initial)


def _risk(recorded: Recorded, rows: RowSet, series: MeasuredSeries, held: Held) -> None:
    returns = _returns(rows, series)
    correlations = {
        (one.one, one.other): Measure(one.value, "", one.days, one.reason)
        for one in series.correlations
        if one.one in held.values and one.other in held.values
    }
    found = risk_measures.figures(
        held,
        returns,
        series.terms,
        drawdown=series.state.reached.down,
        correlations=correlations,
    )
    rows[RISK].insert(
        risk_rows.row_of(recorded, series, held, found, correlations, returns=len(returns))
    )


def _figures_now(series: MeasuredSeries, held: Held) -> RiskFigures:
    """Of a snapshot: what the day knows, of what there is now."""
    equity, share = held.equity, series.var_95_share
    known = [
        one.value
        for one in series.correlations
        if one.value is not None and one.one in held.values and one.other in held.values
    ]
    correlation = max(known, default=None)
    score, _ = risk_measures.score_of(
        {
            "leverage": holdings.leverage(held.values, equity).value,
            "drawdown": series.state.reached.down,
            "var_95": share,
            "correlation": correlation,
            "largest_holding": risk_measures.largest_of_equity(held),
            "margin_ratio": risk_measures.margin_ratio(held).value,
        }
    )
    return RiskFigures(
        None if share is None else _rounded(max(share * equity, ZERO)),
        series.state.largest_fall,
        correlation,
        score.kept,
    )


def _rounded(amount: Decimal) -> Decimal:
    return Measure(amount, "", 0).kept or ZERO

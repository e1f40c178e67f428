"""The series that are made of what accounts are worth: a row of each snapshot, of each hour and
day, of each asset by the hour, of each strategy.

Of a longer span its levels are the last that was seen, its flows and results the sums, and balances
have their average, highest and lowest besides. A span without any snapshot has no row: a gap is
one.

A span is half-open for what happens, and worth at its end what is told of that moment: a snapshot
at midnight is the last of the day that ends with it, and what the next one opens with, as in
performance (periods.py). It begins a day where none was under way up to it.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec

from ledger.kernel.money import ZERO, average
from ledger.nouns.clock.events import SnapshotKind, SnapshotRecorded
from projections.engine.live.rows import RowSet
from projections.engine.projection import Recorded, Row, Table
from projections.portfolio.books import Portfolio
from projections.portfolio.measures import RiskFigures
from projections.portfolio.worth import Worth


class Snapshot(Row):
    time: datetime
    user_id: UUID
    account_id: UUID
    exchange: str
    environment: str
    base_currency: str
    total_balance: Decimal
    available_balance: Decimal
    unvalued_assets: list[str]
    updated_at: datetime
    last_position: int
    snapshot_type: SnapshotKind
    equity: Decimal
    margin_balance: Decimal
    unrealized_pnl: Decimal
    realized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    external_flows: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    position_count: int
    total_position_value: Decimal
    gross_exposure: Decimal
    net_exposure: Decimal
    leverage_ratio: Decimal | None
    margin_ratio: Decimal | None
    var_95: Decimal | None
    max_drawdown: Decimal | None
    correlation_risk: Decimal | None
    risk_score: Decimal | None
    usd_rate: Decimal | None
    usd_rate_time: datetime | None
    usd_rate_age_seconds: Decimal | None
    total_balance_usd: Decimal | None
    available_balance_usd: Decimal | None
    margin_balance_usd: Decimal | None
    unrealized_pnl_usd: Decimal | None
    realized_pnl_usd: Decimal | None
    initial_margin_usd: Decimal | None
    maintenance_margin_usd: Decimal | None
    total_position_value_usd: Decimal | None
    var_95_usd: Decimal | None
    max_drawdown_usd: Decimal | None
    priced: int
    priceable: int
    oldest_price_age_seconds: Decimal | None
    data_quality_score: Decimal
    is_late: bool
    through_position: int
    unvalued_reasons: dict[str, str]


class PortfolioSpan(Row):
    """An hour or a day of an account."""

    time: datetime
    user_id: UUID
    account_id: UUID
    exchange: str
    environment: str
    base_currency: str
    avg_balance: Decimal
    max_balance: Decimal
    min_balance: Decimal
    avg_unrealized_pnl: Decimal
    avg_leverage: Decimal | None
    avg_risk_score: Decimal | None
    max_risk_score: Decimal | None
    snapshot_count: int
    opening_equity: Decimal
    equity: Decimal
    max_equity: Decimal
    min_equity: Decimal
    external_flows: Decimal
    profit: Decimal
    realized_pnl: Decimal
    commission: Decimal
    funding: Decimal
    unrealized_pnl: Decimal
    usd_rate: Decimal | None
    last_time: datetime
    last_position: int


class AssetValue(Row):
    """An asset of an account, as it was last in an hour."""

    time: datetime
    user_id: UUID
    account_id: UUID
    exchange: str
    environment: str
    asset: str
    base_currency: str
    free: Decimal
    locked: Decimal
    total: Decimal
    price: Decimal | None
    price_time: datetime | None
    is_stale: bool
    value: Decimal | None
    usd_value: Decimal | None
    path: list[str]
    last_time: datetime
    last_position: int


class StrategyEquity(Row):
    """A sub-account at a snapshot."""

    time: datetime
    user_id: UUID
    account_id: UUID
    strategy_id: str
    environment: str
    base_currency: str
    equity: Decimal
    total_balance: Decimal
    available_balance: Decimal
    unrealized_pnl: Decimal
    flows: Decimal
    last_position: int


HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class SpanSums(msgspec.Struct):
    """A span under way. `before` are the totals when it began."""

    start: datetime
    count: int
    balance: Decimal
    highest: Decimal
    lowest: Decimal
    unrealized: Decimal
    leverage: Decimal
    leverages: int
    risk: Decimal
    risks: int
    highest_risk: Decimal | None
    opening: Decimal
    highest_equity: Decimal
    lowest_equity: Decimal
    before: tuple[Decimal, Decimal, Decimal, Decimal]


class PortfolioSpans(Row):
    """The spans under way of an account, and the end of the one before: equity, and the totals of
    flows, realised profit, commissions and funding."""

    account_id: UUID
    hour: SpanSums | None
    day: SpanSums | None
    seen: list[Decimal]
    seen_at: datetime


SNAPSHOTS = Table(
    "portfolio_snapshots",
    Snapshot,
    key=("account_id", "time", "last_position"),
    insert_only=True,
    series=True,
)
HOURLY = Table("portfolio_hourly", PortfolioSpan, key=("account_id", "time"), series=True)
DAILY = Table("portfolio_daily", PortfolioSpan, key=("account_id", "time"))
ASSET_VALUES = Table("asset_values", AssetValue, key=("account_id", "asset", "time"), series=True)
STRATEGIES = Table(
    "strategy_equity",
    StrategyEquity,
    key=("account_id", "strategy_id", "time", "last_position"),
    insert_only=True,
    series=True,
)
SPANS = Table("portfolio_spans", PortfolioSpans, key=("account_id",), private=True, resident=True)
TABLES = (SNAPSHOTS, HOURLY, DAILY, ASSET_VALUES, STRATEGIES, SPANS)


def keep(recorded: Recorded, worth: Worth, risk: RiskFigures, rows: RowSet) -> None:
    """All rows of a snapshot. One of an earlier time than was seen already is kept, and is in no
    span: those that are over do not change."""
    rows[SNAPSHOTS].insert(_snapshot(recorded, worth, risk))
    for strategy in worth.strategies:
        rows[STRATEGIES].insert(
            StrategyEquity(
                worth.time, worth.user_id, worth.account_id, strategy.sub_account,
                worth.environment, worth.base_currency, strategy.equity, strategy.cash,
                strategy.available, strategy.unrealized_pnl, strategy.flows, worth.log_position,
            )
        )  # fmt: skip
    spans = rows[SPANS].change(worth.account_id)
    if spans is None:
        spans = PortfolioSpans(worth.account_id, None, None, [], worth.time)
        rows[SPANS].insert(spans)
    if worth.time >= spans.seen_at:
        hour = _keep_spans(spans, worth, risk, rows)
        _keep_assets(worth, hour, rows)


def keep_told(
    recorded: Recorded, event: SnapshotRecorded, account: Portfolio, rows: RowSet
) -> None:
    """What another system told: kept as it is, and in no span. What it did not tell is nothing,
    and its quality is."""
    rate = event.usd_rate
    balance = event.equity if event.total_balance is None else event.total_balance
    worth = Worth(
        time=event.time,
        kind=SnapshotKind.MIGRATED,
        log_position=recorded.position,
        account_id=account.account_id,
        user_id=account.user_id,
        exchange=account.exchange,
        environment=account.environment,
        base_currency=account.base_currency,
        cash=balance,
        available=balance if event.available_balance is None else event.available_balance,
        equity=event.equity,
        unrealized_pnl=event.unrealized_pnl or ZERO,
        realized_pnl=event.realized_pnl or ZERO,
        commission=ZERO,
        funding=ZERO,
        flows=event.external_flows or ZERO,
        gross_exposure=ZERO,
        net_exposure=ZERO,
        initial_margin=ZERO,
        maintenance_margin=ZERO,
        usd_rate=rate,
        usd_rate_time=None if rate is None else event.time,
        balances=(),
        positions=(),
        strategies=(),
        unvalued={},
        priced=0,
        priceable=0,
        oldest_price_time=None,
        data_quality_score=ZERO,
        late=False,
    )
    rows[SNAPSHOTS].insert(_snapshot(recorded, worth, RiskFigures()))


def _keep_assets(worth: Worth, hour: datetime, rows: RowSet) -> None:
    for one in worth.balances:
        rows[ASSET_VALUES].put(
            AssetValue(
                hour, worth.user_id, worth.account_id, worth.exchange, worth.environment,
                one.asset, worth.base_currency, one.free, one.locked, one.total, one.price,
                one.price_time, one.stale, one.value, _in_usd(one.value, worth), list(one.path),
                worth.time, worth.log_position,
            )
        )  # fmt: skip


def hour_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def month_of(time: datetime) -> datetime:
    return _day_of(time).replace(day=1)


def _day_of(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def _in_usd(amount: Decimal | None, worth: Worth) -> Decimal | None:
    return None if amount is None or worth.usd_rate is None else amount * worth.usd_rate


def _seconds(age: timedelta) -> Decimal:
    return Decimal(age // timedelta(microseconds=1)).scaleb(-6)


def _snapshot(recorded: Recorded, worth: Worth, risk: RiskFigures) -> Snapshot:
    value, equity = worth.position_value, worth.equity
    rate_time, oldest = worth.usd_rate_time, worth.oldest_price_time
    return Snapshot(
        worth.time,
        worth.user_id,
        worth.account_id,
        worth.exchange,
        worth.environment,
        worth.base_currency,
        worth.cash,
        worth.available,
        sorted(worth.unvalued),
        recorded.recorded_at,
        worth.log_position,
        worth.kind,
        equity,
        equity,
        worth.unrealized_pnl,
        worth.realized_pnl,
        worth.commission,
        worth.funding,
        worth.flows,
        worth.initial_margin,
        worth.maintenance_margin,
        len(worth.positions),
        value,
        worth.gross_exposure,
        worth.net_exposure,
        worth.leverage_ratio,
        worth.margin_ratio,
        risk.var_95,
        risk.max_drawdown,
        risk.correlation_risk,
        risk.risk_score,
        worth.usd_rate,
        rate_time,
        None if rate_time is None else _seconds(worth.time - rate_time),
        _in_usd(worth.cash, worth),
        _in_usd(worth.available, worth),
        _in_usd(equity, worth),
        _in_usd(worth.unrealized_pnl, worth),
        _in_usd(worth.realized_pnl, worth),
        _in_usd(worth.initial_margin, worth),
        _in_usd(worth.maintenance_margin, worth),
        _in_usd(value, worth),
        _in_usd(risk.var_95, worth),
        _in_usd(risk.max_drawdown, worth),
        worth.priced,
        worth.priceable,
        None if oldest is None else _seconds(worth.time - oldest),
        worth.data_quality_score,
        worth.late,
        worth.log_position,
        worth.unvalued,
    )


# --- hours and days -----------------------------------------------------------------------


def _keep_spans(spans: PortfolioSpans, worth: Worth, risk: RiskFigures, rows: RowSet) -> datetime:
    """The rows of the hour and the day that a snapshot is of; the beginning of that hour."""
    hour, day = hour_of(worth.time), _day_of(worth.time)
    spans.hour = _seen(_under_way(spans.hour, hour, HOUR, worth), hour, spans.seen, worth, risk)
    spans.day = _seen(_under_way(spans.day, day, DAY, worth), day, spans.seen, worth, risk)
    rows[HOURLY].put(_row_of(spans.hour, worth))
    rows[DAILY].put(_row_of(spans.day, worth))
    spans.seen, spans.seen_at = [worth.equity, *_totals(worth)], worth.time
    return spans.hour.start


def _under_way(
    sums: SpanSums | None, start: datetime, length: timedelta, worth: Worth
) -> SpanSums | None:
    """The span that goes on, or ends with this snapshot; `start` is of the one that its time is in.
    None if another begins."""
    if sums is None or sums.start == start:
        return sums
    return sums if sums.start + length == start == worth.time else None


def _totals(worth: Worth) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    return worth.flows, worth.realized_pnl, worth.commission, worth.funding


def _seen(
    sums: SpanSums | None, start: datetime, before: list[Decimal], worth: Worth, risk: RiskFigures
) -> SpanSums:
    """The span with a snapshot more; begun with what was seen before, if none goes on."""
    balance, equity, leverage = worth.cash, worth.equity, worth.leverage_ratio
    if sums is None:
        opening, *totals = before or [ZERO] * 5
        sums = SpanSums(
            start, 0, ZERO, balance, balance, ZERO, ZERO, 0, ZERO, 0, None, opening, equity, equity,
            (totals[0], totals[1], totals[2], totals[3]),
        )  # fmt: skip
    sums.count += 1
    sums.balance += balance
    sums.highest, sums.lowest = max(sums.highest, balance), min(sums.lowest, balance)
    sums.unrealized += worth.unrealized_pnl
    if leverage is not None:
        sums.leverage += leverage
        sums.leverages += 1
    if risk.risk_score is not None:
        sums.risk += risk.risk_score
        sums.risks += 1
        sums.highest_risk = max(sums.highest_risk or ZERO, risk.risk_score)
    sums.highest_equity = max(sums.highest_equity, equity)
    sums.lowest_equity = min(sums.lowest_equity, equity)
    return sums


def _row_of(sums: SpanSums, worth: Worth) -> PortfolioSpan:
    flows, realized, commission, funding = (
        now - then for now, then in zip(_totals(worth), sums.before, strict=True)
    )
    return PortfolioSpan(
        sums.start,
        worth.user_id,
        worth.account_id,
        worth.exchange,
        worth.environment,
        worth.base_currency,
        average(sums.balance, Decimal(sums.count)),
        sums.highest,
        sums.lowest,
        average(sums.unrealized, Decimal(sums.count)),
        average(sums.leverage, Decimal(sums.leverages)) if sums.leverages else None,
        average(sums.risk, Decimal(sums.risks)) if sums.risks else None,
        sums.highest_risk,
        sums.count,
        sums.opening,
        worth.equity,
        sums.highest_equity,
        sums.lowest_equity,
        flows,
        worth.equity - sums.opening - flows,
        realized,
        commission,
        funding,
        worth.unrealized_pnl,
        worth.usd_rate,
        worth.time,
        worth.log_position,
    )

"""`portfolio_snapshots`: what every account was worth over time, and all that follows from it.

    clock.snapshots_taken   a row of each account that holds something, at prices as they were known
                            for that time: all but backtests, or the one that is named
    money moves             books and positions follow; what comes from outside, or leaves, counts
    at
                            its value then (projections/portfolio)

Rows are made at that event and at no other, so a rebuild gives the same: a price that comes later
changes nothing that was told. Asked with --effective-at, the same reckoning tells what is known
now.
"""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from operator import attrgetter
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ledger.kernel.environment import Environment
from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    AccountOpened,
    FundsHeld,
    FundsReleased,
    MoneyEvent,
    ReportingSet,
    TradeSettled,
)
from ledger.nouns.clock.events import (
    CalendarPeriod,
    PeriodsEnded,
    SnapshotKind,
    SnapshotRecorded,
    SnapshotsTaken,
)
from ledger.nouns.instruments.events import InstrumentListed, InstrumentUpdated
from ledger.nouns.prices.events import PricesRecorded
from projections.engine.live.rows import RowSet
from projections.engine.projection import Fold, Projection, Recorded
from projections.portfolio import account, books, measures, quotes, series
from projections.portfolio.books import PORTFOLIOS, POSITIONS, Portfolio
from projections.portfolio.performance_rows import HISTORY
from projections.portfolio.quotes import ASSET_MARKETS, MARKETS, MomentPrices
from projections.portfolio.risk_rows import RISK
from projections.portfolio.series import (
    ASSET_VALUES,
    DAILY,
    HOURLY,
    SNAPSHOTS,
    STRATEGIES,
)
from projections.portfolio.worth import Worth
from projections.questions.question import Past, Question, between, exactly, newest_first

if TYPE_CHECKING:
    from projections.settings import ProjectionSettings


ROWS_OF_AN_ACCOUNT = 6
"""About so many does a snapshot change."""


def projection(settings: "ProjectionSettings") -> Projection:
    """With the age from which a price is stale, and how long series are kept, as they are set."""
    return portfolio(
        timedelta(seconds=settings.price_max_age_seconds),
        timedelta(days=settings.portfolio_snapshot_retention_days),
        timedelta(days=settings.portfolio_hourly_retention_days),
    )


def portfolio(max_age: timedelta, keep_snapshots: timedelta, keep_hours: timedelta) -> Projection:
    """The projection with prices that are stale from this age on. Snapshots and hours are kept for
    so long, and dropped by whole months when one ends."""

    def moved(recorded: Recorded, event: MoneyEvent, rows: RowSet) -> None:
        found = rows[PORTFOLIOS].change(recorded.stream_id)
        if found is None:
            raise LookupError(f"account {recorded.stream_id} was never opened")
        _move(recorded, event, found, rows, max_age)

    def taken(recorded: Recorded, event: SnapshotsTaken, rows: RowSet) -> None:
        prices = MomentPrices(rows, event.time, max_age)
        for found in _meant(event, rows):
            _take(recorded, event, found, prices, rows)
        measures.taken(recorded, rows, event)

    def ended(_: Recorded, event: PeriodsEnded, rows: RowSet) -> None:
        if CalendarPeriod.MONTH not in event.periods:
            return
        for_hours, for_snapshots = (
            series.month_of(event.time - kept) for kept in (keep_hours, keep_snapshots)
        )
        rows[SNAPSHOTS].cut(for_snapshots)
        rows[STRATEGIES].cut(for_snapshots)
        rows[HOURLY].cut(for_hours)
        rows[ASSET_VALUES].cut(for_hours)
        rows[RISK].cut(for_hours)
        rows[HISTORY].cut(for_hours)

    folds: dict[type[Event], Fold] = {
        AccountOpened: _opened,
        InstrumentListed: _listed,
        InstrumentUpdated: _listed,
        PricesRecorded: _priced,
        PeriodsEnded: ended,
        SnapshotRecorded: _recorded,
        SnapshotsTaken: taken,
        ReportingSet: _reported,
    }
    return Projection(
        name="portfolio_snapshots",
        version=6,
        tables=(
            *series.TABLES,
            *(PORTFOLIOS, POSITIONS, MARKETS, ASSET_MARKETS),
            *measures.TABLES,
        ),
        folds=folds | dict.fromkeys(MONEY_EVENTS, moved),
        wide={SnapshotsTaken: _rows_of_one},
    )


def _rows_of_one(rows: RowSet, begun: int) -> int:
    """Of each account: its snapshot, spans, assets."""
    return ROWS_OF_AN_ACCOUNT * (len(list(rows[PORTFOLIOS].all())) + begun)


def _opened(recorded: Recorded, event: AccountOpened, rows: RowSet) -> None:
    rows[PORTFOLIOS].insert(books.opened(recorded, event))


def _listed(_: Recorded, event: InstrumentListed | InstrumentUpdated, rows: RowSet) -> None:
    quotes.listed(rows, event)


def _priced(_: Recorded, event: PricesRecorded, rows: RowSet) -> None:
    quotes.told(rows, event)


def _recorded(recorded: Recorded, event: SnapshotRecorded, rows: RowSet) -> None:
    found = rows[PORTFOLIOS].find(event.account_id)
    if found is not None:
        series.keep_told(recorded, event, found, rows)


def _reported(recorded: Recorded, event: ReportingSet, rows: RowSet) -> None:
    measures.reported(recorded, rows, event)


def _move(
    recorded: Recorded, event: MoneyEvent, found: Portfolio, rows: RowSet, max_age: timedelta
) -> None:
    if isinstance(event, FundsHeld | FundsReleased):  # most events, and nothing comes of them
        books.move(found, event)
        found.newest = max(found.newest, recorded.occurred_at)
        return
    if books.flows_of(event):
        prices = MomentPrices(rows, recorded.occurred_at, max_age)
        valued = account.valued_at(found, prices)
        came = account.settle_waiting(found, valued)
        before = account.reckoned(
            found,
            rows,
            valued,
            kind=SnapshotKind.TRIGGERED,
            time=recorded.occurred_at,
            log_position=recorded.position,
        )
        _came(recorded, rows, before, came)
        flows = found.totals.flows
        changes, at = account.moved(recorded, event, found, rows, max_age)
        measures.flowed(recorded, rows, before, found.totals.flows - flows)
    else:
        changes, at = account.moved(recorded, event, found, rows, max_age)
    if changes or isinstance(event, TradeSettled):
        measures.made(found, rows, event, changes, at)


def _came(recorded: Recorded, rows: RowSet, now: Worth, came: Decimal) -> None:
    """What had waited for a price came just now, by how performance is told."""
    if came:
        before = replace(
            now, cash=now.cash - came, equity=now.equity - came, flows=now.flows - came
        )
        measures.flowed(recorded, rows, before, came)


def _meant(event: SnapshotsTaken, rows: RowSet) -> Iterable[Portfolio]:
    if event.account_id is not None:
        named = rows[PORTFOLIOS].find(event.account_id)
        return () if named is None else (named,)
    found = (one for one in rows[PORTFOLIOS].all() if one.environment != Environment.BACKTEST)
    return sorted(found, key=attrgetter("account_id"))


def _take(
    recorded: Recorded, event: SnapshotsTaken, found: Portfolio, prices: MomentPrices, rows: RowSet
) -> None:
    """What an account is worth, if it holds something, or did the last time."""
    holds = account.holds_something(found)
    if not holds and not found.shows:
        return
    valued = account.valued_at(found, prices)
    came = account.settle_waiting(found, valued)
    told = account.reckoned(
        found, rows, valued, kind=event.kind, time=event.time, log_position=recorded.position
    )
    _came(recorded, rows, told, came)
    series.keep(recorded, told, measures.valued(recorded, rows, told, valued), rows)
    if came or holds != found.shows:
        rows[PORTFOLIOS].change(found.account_id)
        found.shows = holds


_SPAN = (
    *("time", "equity", "profit", "external_flows", "min_equity", "max_equity"),
    *("snapshot_count", "account_id"),
)
_TIME = between("time")

QUESTIONS = (
    Question(
        name="snapshots",
        table=SNAPSHOTS,
        about="What an account was worth over time, in its base currency; the newest first.",
        paths=(
            newest_first("account_id", "time", "last_position"),
            newest_first("user_id", "time", "account_id", "last_position"),
        ),
        filters=(exactly("snapshot_type"), exactly("environment"), *_TIME),
        shown=(
            *("time", "equity", "available_balance", "unrealized_pnl", "external_flows"),
            *("base_currency", "data_quality_score", "account_id"),
        ),
        past=Past("projections.past.portfolio:snapshots_at"),
    ),
    Question(
        name="portfolio_hourly",
        table=HOURLY,
        read_model="portfolio_snapshots",
        about="What an account was worth in each hour; the newest first.",
        paths=(newest_first("account_id", "time"), newest_first("user_id", "time", "account_id")),
        filters=_TIME,
        shown=_SPAN,
    ),
    Question(
        name="portfolio_daily",
        table=DAILY,
        read_model="portfolio_snapshots",
        about="What an account was worth on each day (UTC); the newest first.",
        paths=(newest_first("account_id", "time"), newest_first("user_id", "time", "account_id")),
        filters=_TIME,
        shown=_SPAN,
    ),
    Question(
        name="asset_values",
        table=ASSET_VALUES,
        read_model="portfolio_snapshots",
        about="What an account held of each asset, and its value, by the hour; the newest first.",
        paths=(
            newest_first("account_id", "time", "asset"),
            newest_first("user_id", "time", "account_id", "asset"),
        ),
        filters=(exactly("asset"), exactly("environment"), *_TIME),
        shown=("time", "asset", "free", "locked", "total", "price", "value", "base_currency"),
    ),
    Question(
        name="strategy_equity",
        table=STRATEGIES,
        read_model="portfolio_snapshots",
        about="What each sub-account of an account was worth over time; the newest first.",
        paths=(
            newest_first("account_id", "time", "strategy_id", "last_position"),
            newest_first("user_id", "time", "account_id", "strategy_id", "last_position"),
        ),
        filters=(exactly("strategy_id"), *_TIME),
        shown=("time", "strategy_id", "equity", "unrealized_pnl", "flows", "base_currency"),
    ),
)

"""`portfolio_snapshots`: what every account was worth over time, in its base currency.

Event time is cut into intervals. An account has one row for each interval in which something
happened to its money: `time` is the interval's start, the values are those after its last event
in it, at the last price known then. Nothing depends on a clock or on batches, so a rebuild gives
the same rows.

    An event that happened in an interval that its account has left behind (a late fill) counts
    in the interval the account is in: history that was shown does not change.
    A price is that of the latest trade, by the venue's time, in the same environment and on the
    same exchange: what a backtest traded at says nothing about live money. A voided trade's
    price stands until the next trade.
    An asset that traded neither against the base currency nor the base currency against it is
    not valued but named in `unvalued_assets`.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO, average
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import MONEY_EVENTS, AccountEvent, AccountOpened, is_own_book
from ledger.nouns.orders.events import OrderFilled
from projections.engine.live.rows import RowSet
from projections.engine.projection import Fold, Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, between, newest_first

if TYPE_CHECKING:
    from projections.settings import ProjectionSettings


class Snapshot(Row):
    time: datetime
    user_id: UUID | None
    account_id: UUID
    exchange: str
    environment: str
    base_currency: str
    total_balance: Decimal
    available_balance: Decimal
    unvalued_assets: list[str]
    updated_at: datetime
    last_position: int


class Portfolio(Row):
    """An account's money per asset, all sub-accounts together, and the interval it is in."""

    account_id: UUID
    exchange: str
    environment: str
    base_currency: str
    time: datetime
    balances: dict[str, list[Decimal]]
    """asset -> [total, available]"""


class LastPrice(Row):
    environment: str
    exchange: str
    base_asset: str
    quote_asset: str
    price: Decimal
    traded_at: datetime


SNAPSHOTS = Table("portfolio_snapshots", Snapshot, key=("account_id", "time"))
PORTFOLIOS = Table("snapshot_portfolios", Portfolio, key=("account_id",), private=True)
PRICES = Table(
    "snapshot_prices",
    LastPrice,
    key=("environment", "exchange", "base_asset", "quote_asset"),
    private=True,
    resident=True,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def projection(settings: "ProjectionSettings") -> Projection:
    """With intervals of the length that is set."""
    return portfolio_snapshots(timedelta(seconds=settings.portfolio_snapshot_seconds))


def portfolio_snapshots(interval: timedelta) -> Projection:
    """The projection with intervals of this length."""

    def opened(recorded: Recorded, event: AccountOpened, rows: RowSet) -> None:
        portfolio = Portfolio(
            recorded.stream_id,
            event.exchange,
            event.environment.value,
            event.base_currency,
            _start(recorded.occurred_at, interval),
            {},
        )
        rows[PORTFOLIOS].insert(portfolio)
        _take(recorded, portfolio, rows)

    def moved(recorded: Recorded, event: AccountEvent, rows: RowSet) -> None:
        portfolio = rows[PORTFOLIOS].change(recorded.stream_id)
        if portfolio is None:
            raise LookupError(f"account {recorded.stream_id} was never opened")
        _add(portfolio.balances, event)
        portfolio.time = max(portfolio.time, _start(recorded.occurred_at, interval))
        _take(recorded, portfolio, rows)

    folds: dict[type[Event], Fold] = {
        AccountOpened: opened,
        OrderFilled: _traded,
    }
    return Projection(
        name="portfolio_snapshots",
        version=1,
        tables=(SNAPSHOTS, PORTFOLIOS, PRICES),
        folds=folds | dict.fromkeys(MONEY_EVENTS, moved),
        keys=_keys,
    )


def _start(time: datetime, interval: timedelta) -> datetime:
    return _EPOCH + (time - _EPOCH) // interval * interval


def _traded(recorded: Recorded, event: OrderFilled, rows: RowSet) -> None:
    portfolio = rows[PORTFOLIOS].find(event.account_id)
    if portfolio is None:
        raise LookupError(f"account {event.account_id} was never opened")
    prices = rows[PRICES]
    exchange = event.instrument.partition(":")[0]
    key = (portfolio.environment, exchange, event.base_asset, event.quote_asset)
    row = prices.change(key)
    if row is None:
        prices.insert(LastPrice(*key, event.last_px, recorded.occurred_at))
    elif recorded.occurred_at >= row.traded_at:
        row.price = event.last_px
        row.traded_at = recorded.occurred_at


def _add(balances: dict[str, list[Decimal]], event: AccountEvent) -> None:
    for (book, asset), change in changes(event.postings, event.holds).items():
        if is_own_book(book):
            of_asset = balances.setdefault(asset, [ZERO, ZERO])
            of_asset[0] += change.total
            of_asset[1] += change.total - change.locked


def _take(recorded: Recorded, portfolio: Portfolio, rows: RowSet) -> None:
    """The snapshot of the interval that the account is in, as of this event."""
    total = available = ZERO
    unvalued: list[str] = []
    for asset, (of_total, of_available) in portfolio.balances.items():
        if not of_total and not of_available:
            continue
        value = _valued(asset, of_total, portfolio, rows)
        if value is None:
            unvalued.append(asset)
            continue
        total += value
        if of_available == of_total:
            available += value
        else:
            available += _valued(asset, of_available, portfolio, rows) or ZERO
    rows[SNAPSHOTS].put(
        Snapshot(
            portfolio.time,
            recorded.user_id,
            portfolio.account_id,
            portfolio.exchange,
            portfolio.environment,
            portfolio.base_currency,
            total,
            available,
            sorted(unvalued),
            recorded.recorded_at,
            recorded.position,
        )
    )


def _valued(asset: str, amount: Decimal, portfolio: Portfolio, rows: RowSet) -> Decimal | None:
    """The amount in the account's base currency; None where no trade tells."""
    currency = portfolio.base_currency
    if asset == currency:
        return amount
    prices = rows[PRICES]
    market = prices.find((portfolio.environment, portfolio.exchange, asset, currency))
    if market is not None:
        return amount * market.price
    inverse = prices.find((portfolio.environment, portfolio.exchange, currency, asset))
    if inverse is not None and inverse.price:
        return average(amount, inverse.price)
    return None


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:
    if isinstance(event, OrderFilled):
        return ((PORTFOLIOS, event.account_id),)
    return ((PORTFOLIOS, recorded.stream_id),)


QUESTIONS = (
    Question(
        name="snapshots",
        table=SNAPSHOTS,
        about="What an account was worth over time, in its base currency; the newest first.",
        paths=(
            newest_first("account_id", "time"),
            newest_first("user_id", "time", "account_id"),
        ),
        filters=between("time"),
        shown=(
            *("time", "total_balance", "available_balance", "base_currency", "unvalued_assets"),
            "account_id",
        ),
    ),
)

"""`position_lots`: what an account acquired when and for how much, and what of it is still there.
`realized_gains`: what each disposal won, lot by lot.

By the account's own cost basis, in the order in which things were heard of; any other is told by
`ledgerctl report gains`. A trade that is taken back is left out and what came after it is gone
through again (`rows.earlier`).

    A lot is known by the position in the log of the event that opened it, a gain by that of the
    disposal and its line there: so both lead to the events that they come from.
    A commission in a third asset is in no amount here, because no price of other streams is: its
    asset is named in `unvalued_fees`, and the report values it.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    AccountOpened,
    CommissionCorrected,
    FundsHeld,
    FundsReleased,
    MoneyEvent,
    TradeSettled,
    TradeVoided,
    is_own_book,
)
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions import restatement
from ledger.nouns.positions.lot_book import LotBook, LotOccasion, name_of_contract
from ledger.nouns.positions.lots import CostBasis, Disposal, Lot, LotPool
from projections.engine.live.rows import RowSet
from projections.engine.projection import Fold, Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, between, exactly, newest_first


class LotStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class PositionLot(Row):
    account_id: UUID
    user_id: UUID | None
    asset: str
    lot: int
    side: PositionSide
    acquired_at: datetime
    acquired_quantity: Decimal
    acquired_cost: Decimal | None
    quantity: Decimal
    cost: Decimal | None
    cost_asset: str | None
    unvalued_fees: list[str]
    method: CostBasis
    status: LotStatus
    instrument: str | None
    event_id: UUID
    updated_at: datetime
    last_position: int


class RealizedGain(Row):
    account_id: UUID
    user_id: UUID | None
    position: int
    line: int
    asset: str
    side: PositionSide
    quantity: Decimal
    acquired_at: datetime
    disposed_at: datetime
    proceeds: Decimal | None
    proceeds_asset: str | None
    cost: Decimal | None
    cost_asset: str | None
    gain: Decimal | None
    unvalued_fees: list[str]
    method: CostBasis
    instrument: str | None
    lot: int
    lot_event_id: UUID
    event_id: UUID
    order_id: UUID | None
    trade_id: str | None
    recorded_at: datetime


class PoolOfLots(Row):
    """The open lots of one asset."""

    account_id: UUID
    asset: str
    pool: LotPool


class LotAccount(Row):
    account_id: UUID
    method: CostBasis
    base_currency: str


LOTS = Table("position_lots", PositionLot, key=("account_id", "asset", "lot"))
GAINS = Table("realized_gains", RealizedGain, key=("account_id", "position", "line"))
POOLS = Table("lot_pools", PoolOfLots, key=("account_id", "asset"), private=True)
ACCOUNTS = Table("lot_accounts", LotAccount, key=("account_id",), private=True)


# --- folds ------------------------------------------------------------------------------


def _opened(recorded: Recorded, event: AccountOpened, rows: RowSet) -> None:
    rows[ACCOUNTS].insert(
        LotAccount(
            recorded.stream_id,
            event.cost_basis,
            event.base_currency,
        )
    )


def _moved(recorded: Recorded, event: MoneyEvent, rows: RowSet) -> None:
    def pool(asset: str) -> LotPool:
        row = rows[POOLS].change((recorded.stream_id, asset))
        if row is None:
            row = PoolOfLots(recorded.stream_id, asset, LotPool())
            rows[POOLS].insert(row)
        return row.pool

    account = _account(recorded, rows)
    book = LotBook(account.method, account.base_currency, pool)
    line = 0
    for movement, moved in book.follow(event, _occasion(recorded)):
        opened = {lot.number for lot in moved.opened}
        for lot in moved.opened:
            rows[LOTS].insert(_lot_row(recorded, account.method, movement.asset, lot))
        for lot in moved.changed:
            if lot.number not in opened:
                rows[LOTS].put(_lot_row(recorded, account.method, movement.asset, lot))
        for disposal in moved.disposals:
            rows[GAINS].insert(
                _gain_row(recorded, event, account.method, movement.asset, disposal, line)
            )
            line += 1


def _told_otherwise(
    recorded: Recorded, event: TradeVoided | CommissionCorrected, rows: RowSet
) -> None:
    """A trade is taken back, or was charged something else: what came after it, anew."""
    account = _account(recorded, rows)
    earlier = rows.earlier(recorded)
    before = _kept_of(restatement.standing(earlier), account)
    after = _kept_of(restatement.standing([*earlier, (recorded, event)]), account)
    for key in before.lots.keys() - after.lots.keys():
        rows[LOTS].remove(key)
    for key in before.gains.keys() - after.gains.keys():
        rows[GAINS].remove(key)
    for key, lot in after.lots.items():
        if lot != before.lots.get(key):
            lot.updated_at, lot.last_position = recorded.recorded_at, recorded.position
            rows[LOTS].put(lot)
    for key, gain in after.gains.items():
        if gain != before.gains.get(key):
            rows[GAINS].put(gain)
    for asset in {*before.pools, *after.pools}:
        if after.pools.get(asset) != before.pools.get(asset):
            rows[POOLS].put(
                PoolOfLots(recorded.stream_id, asset, after.pools.get(asset, LotPool()))
            )


class _Kept(NamedTuple):
    """The rows that events make, by key."""

    lots: dict[Key, PositionLot]
    gains: dict[Key, RealizedGain]
    pools: dict[str, LotPool]


def _kept_of(told: Iterable[tuple[Recorded, Event]], account: LotAccount) -> _Kept:
    kept = _Kept({}, {}, {})
    book = LotBook(
        account.method,
        account.base_currency,
        lambda asset: kept.pools.setdefault(asset, LotPool()),
    )
    for recorded, event in restatement.retold(told):
        line = 0
        for movement, moved in book.follow(event, _occasion(recorded)):
            for lot in (*moved.opened, *moved.changed):
                row = _lot_row(recorded, account.method, movement.asset, lot)
                kept.lots[row.account_id, row.asset, row.lot] = row
            for disposal in moved.disposals:
                assert isinstance(event, MoneyEvent)
                gain = _gain_row(recorded, event, account.method, movement.asset, disposal, line)
                kept.gains[gain.account_id, gain.position, gain.line] = gain
                line += 1
    return kept


def _account(recorded: Recorded, rows: RowSet) -> LotAccount:
    account = rows[ACCOUNTS].find(recorded.stream_id)
    if account is None:
        raise LookupError(f"account {recorded.stream_id} was never opened")
    return account


def _occasion(recorded: Recorded) -> LotOccasion:
    return LotOccasion(recorded.position, recorded.id, recorded.occurred_at)


def _lot_row(recorded: Recorded, method: CostBasis, asset: str, lot: Lot) -> PositionLot:
    return PositionLot(
        recorded.stream_id,
        recorded.user_id,
        asset,
        lot.number,
        PositionSide.LONG if lot.quantity > 0 else PositionSide.SHORT,
        lot.acquired_at,
        lot.quantity,
        lot.amount,
        lot.left,
        lot.left_amount,
        lot.currency,
        list(lot.unvalued),
        method,
        LotStatus.OPEN if lot.left else LotStatus.CLOSED,
        lot.instrument,
        lot.event_id,
        recorded.recorded_at,
        recorded.position,
    )


def _gain_row(
    recorded: Recorded,
    event: MoneyEvent,
    method: CostBasis,
    asset: str,
    disposal: Disposal,
    line: int,
) -> RealizedGain:
    trade = event if isinstance(event, TradeSettled) else None
    return RealizedGain(
        recorded.stream_id,
        recorded.user_id,
        recorded.position,
        line,
        asset,
        PositionSide.SHORT if disposal.is_short else PositionSide.LONG,
        disposal.quantity,
        disposal.opened_at,
        recorded.occurred_at,
        disposal.proceeds,
        disposal.proceeds_currency,
        disposal.cost,
        disposal.cost_currency,
        disposal.gain,
        list(disposal.unvalued),
        method,
        None if trade is None else trade.instrument,
        disposal.lot,
        disposal.lot_event_id,
        recorded.id,
        None if trade is None else trade.order_id,
        None if trade is None else trade.trade_id,
        recorded.recorded_at,
    )


def _keys(recorded: Recorded, event: Event) -> Iterator[tuple[Table[Any], Key]]:
    if not isinstance(event, MoneyEvent):
        return
    account_id = recorded.stream_id
    yield ACCOUNTS, account_id
    for posting in event.postings:
        if is_own_book(posting.book):
            yield POOLS, (account_id, posting.asset)
    for position in event.positions:
        if position.contract is not None:
            name = name_of_contract(position.instrument, position.position_side)
            yield POOLS, (account_id, name)


_HOLDS = (FundsHeld, FundsReleased)
_FOLDS: dict[type[Event], Fold] = {AccountOpened: _opened}

PROJECTION = Projection(
    name="position_lots",
    version=1,
    tables=(LOTS, GAINS, POOLS, ACCOUNTS),
    folds=_FOLDS
    | {event: _moved for event in MONEY_EVENTS if event not in _HOLDS}
    | {TradeVoided: _told_otherwise, CommissionCorrected: _told_otherwise},
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="lots",
        table=LOTS,
        read_model="position_lots",
        about="What an account acquired when and for how much, and what is left; newest first.",
        paths=(
            newest_first("account_id", "acquired_at", "asset", "lot"),
            newest_first("user_id", "acquired_at", "account_id", "asset", "lot"),
        ),
        filters=(
            exactly("asset"),
            exactly("instrument"),
            exactly("status"),
            *between("acquired_at"),
        ),
        shown=("acquired_at", "asset", "quantity", "cost", "cost_asset", "status", "lot"),
        past=Past("projections.past.positions:lots_at"),
    ),
    Question(
        name="gains",
        table=GAINS,
        read_model="position_lots",
        about="What each disposal won, lot by lot, by the account's cost basis; newest first.",
        paths=(
            newest_first("account_id", "disposed_at", "position", "line"),
            newest_first("user_id", "disposed_at", "account_id", "position", "line"),
        ),
        filters=(exactly("asset"), exactly("instrument"), *between("disposed_at")),
        shown=("disposed_at", "asset", "quantity", "proceeds", "cost", "gain", "acquired_at"),
        past=Past("projections.past.positions:gains_at"),
    ),
)

"""`positions`: what every account holds, at which price, and what it made. `round_trips`: those that
are over, from flat to flat.

Events tell what a position is after them, whole, so a row is written over and never added up. Of a
log older than positions the same rules tell it. A trade that is taken back is left out and what
came after it is gone through again (`rows.earlier`): rows of numbers that there never were go.

    mark        the price by the rule of ledger/nouns/prices/price.py: of what was told of the
                instrument and of the position's own last trade; so a price changes the rows of who
                is open in that instrument, and no others
    commission  what was paid in the settlement asset, and what was paid in others at their price
                then; what had none is named in `unvalued_commissions` and in no sum
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.accounts.events import (
    MONEY_EVENTS,
    AccountOpened,
    FundsHeld,
    FundsReleased,
    MoneyEvent,
    TradeSettled,
    TradeVoided,
)
from ledger.nouns.instruments.contract import share
from ledger.nouns.instruments.events import InstrumentListed, InstrumentUpdated
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions import retelling
from ledger.nouns.positions.position import Position, PositionKey, position_id
from ledger.nouns.positions.round_trip import TripSums
from projections.engine.live.rows import RowSet
from projections.engine.projection import Fold, Key, Projection, Recorded, Row, Table
from projections.questions.question import (
    Filter,
    Past,
    Question,
    between,
    exactly,
    newest_first,
)


class PositionStatus(StrEnum):
    OPEN = "OPEN"
    CLOSED = "CLOSED"


class AccountPosition(Row):
    position_id: UUID
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    instrument: str
    position_side: PositionSide
    number: int
    side: PositionSide
    quantity: Decimal
    average_entry_price: Decimal | None
    cost: Decimal
    settlement_asset: str
    realized_pnl: Decimal
    commission: Decimal
    valued_commissions: dict[str, Decimal]
    unvalued_commissions: dict[str, Decimal]
    funding: Decimal
    net_pnl: Decimal
    unrealized_pnl: Decimal | None
    mark_price: Decimal | None
    mark_kind: str | None
    mark_time: datetime | None
    status: PositionStatus
    opened_at: datetime
    closed_at: datetime | None
    updated_at: datetime
    last_position: int


class RoundTrip(Row):
    position_id: UUID
    account_id: UUID
    user_id: UUID | None
    sub_account: str
    instrument: str
    number: int
    side: PositionSide
    settlement_asset: str
    opened_at: datetime
    closed_at: datetime
    duration_seconds: Decimal
    largest_quantity: Decimal
    entry_quantity: Decimal
    entry_price: Decimal | None
    exit_price: Decimal | None
    gross_pnl: Decimal
    commission: Decimal
    unvalued_commissions: dict[str, Decimal]
    funding: Decimal
    net_pnl: Decimal
    best_unrealized_pnl: Decimal
    worst_unrealized_pnl: Decimal
    updated_at: datetime
    last_position: int


class PositionSlot(Row):
    """Where positions follow each other: the newest one, and what its rows are made of. `told_at`
    is when it was last heard of, `traded` its own last trade."""

    account_id: UUID
    slot: str
    user_id: UUID | None
    position: Position
    opened_at: datetime
    sums: TripSums
    valued: dict[str, Decimal]
    unvalued: dict[str, Decimal]
    updated_at: datetime
    last_position: int


POSITIONS = Table("positions", AccountPosition, key=("position_id",))
ROUND_TRIPS = Table("round_trips", RoundTrip, key=("position_id",))
SLOTS = Table(
    "position_slots", PositionSlot, key=("account_id", "slot"), private=True, resident=True
)

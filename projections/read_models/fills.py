"""`order_fills`: every trade of every order, one row each, also late and voided ones.

A voided trade keeps its row and says so; so does one whose id the venue later used for other
content (`conflicted`), which moved no money. What counts is `WHERE NOT voided`.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.orders.events import (
    Execution,
    LiquiditySide,
    OrderFillConflicted,
    OrderFilled,
    OrderFillVoided,
    Side,
)
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Past, Question, between, exactly, newest_first


class Fill(Row, kw_only=True):
    order_id: UUID
    trade_id: str
    user_id: UUID | None
    account_id: UUID
    strategy_id: str | None
    sub_account: str
    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_asset: str | None
    is_maker: bool | None
    late: bool
    voided: bool
    voided_at: datetime | None
    conflicted: bool
    fill_timestamp: datetime
    created_at: datetime
    event_id: UUID
    position: int
    last_position: int


FILLS = Table("order_fills", Fill, key=("order_id", "trade_id"))


def _filled(recorded: Recorded, event: OrderFilled, rows: RowSet) -> None:
    liquidity = event.liquidity_side
    rows[FILLS].insert(
        Fill(
            order_id=recorded.stream_id,
            trade_id=event.trade_id,
            user_id=recorded.user_id,
            account_id=event.account_id,
            strategy_id=event.strategy_id,
            sub_account=event.sub_account,
            instrument=event.instrument,
            side=event.side,
            quantity=event.last_qty,
            price=event.last_px,
            commission=event.commission,
            commission_asset=event.commission_asset,
            is_maker=None if liquidity is None else liquidity is LiquiditySide.MAKER,
            late=event.late,
            voided=False,
            voided_at=None,
            conflicted=False,
            fill_timestamp=recorded.occurred_at,
            created_at=recorded.recorded_at,
            event_id=recorded.id,
            position=recorded.position,
            last_position=recorded.position,
        )
    )


def _voided(recorded: Recorded, event: OrderFillVoided, rows: RowSet) -> None:
    row = _known(recorded, event, rows)
    row.voided = True
    row.voided_at = recorded.occurred_at


def _conflicted(recorded: Recorded, event: OrderFillConflicted, rows: RowSet) -> None:
    _known(recorded, event, rows).conflicted = True


def _known(recorded: Recorded, event: Execution, rows: RowSet) -> Fill:
    row = rows[FILLS].change((recorded.stream_id, event.trade_id))
    if row is None:
        raise LookupError(f"order {recorded.stream_id} has no trade {event.trade_id!r}")
    row.last_position = recorded.position
    return row


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:
    if isinstance(event, OrderFilled):
        return ()  # its row is new
    return ((FILLS, (recorded.stream_id, event.trade_id)),)


PROJECTION = Projection(
    name="order_fills",
    version=1,
    tables=(FILLS,),
    folds={
        OrderFilled: _filled,
        OrderFillVoided: _voided,
        OrderFillConflicted: _conflicted,
    },
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="fills",
        table=FILLS,
        about="A trade of an order; the newest first.",
        paths=(
            newest_first("account_id", "position"),
            newest_first("user_id", "fill_timestamp", "position"),
        ),
        filters=(exactly("order_id"), exactly("instrument"), *between("fill_timestamp")),
        shown=(
            *("fill_timestamp", "instrument", "side", "quantity", "price", "commission"),
            *("commission_asset", "late", "voided", "sub_account", "trade_id", "order_id"),
        ),
        past=Past("projections.past.fills:fills_at", begins_with="rows"),
    ),
)

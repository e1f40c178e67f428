"""`order_fills`: every trade of every order, one row each, also late and voided ones.

A voided trade keeps its row and says so; so does one whose id the venue later used for other
content (`conflicted`), which moved no money. What was told anew under the id of a voided trade is a
row of its own, with the next `revision`. What counts is `WHERE NOT voided`.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.kernel.environment import Environment
from ledger.kernel.money import plain
from ledger.nouns.orders.events import (
    Execution,
    ExecutionKind,
    LiquiditySide,
    OrderCommissionCorrected,
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
    revision: int
    other_commissions: dict[str, str] | None
    quote_quantity: Decimal | None
    execution_kind: ExecutionKind
    environment: Environment | None
    venue_order_id: str | None
    contradicts: str | None
    settled_in_main: bool


FILLS = Table("order_fills", Fill, key=("order_id", "trade_id", "revision"))


def _filled(recorded: Recorded, event: OrderFilled, rows: RowSet) -> None:
    liquidity = event.liquidity_side
    commission, asset, others = _commissions(event)
    rows[FILLS].insert(
        Fill(
            order_id=recorded.stream_id,
            trade_id=event.trade_id,
            revision=event.revision,
            user_id=recorded.user_id,
            account_id=event.account_id,
            strategy_id=event.strategy_id,
            sub_account=event.sub_account,
            instrument=event.instrument,
            side=event.side,
            quantity=event.last_qty,
            price=event.last_px,
            commission=commission,
            commission_asset=asset,
            other_commissions=others,
            quote_quantity=event.quote_quantity,
            execution_kind=event.execution_kind,
            environment=event.environment,
            venue_order_id=event.venue_order_id,
            is_maker=None if liquidity is None else liquidity is LiquiditySide.MAKER,
            late=event.late,
            voided=False,
            voided_at=None,
            conflicted=False,
            contradicts=" ".join(event.contradicts) or None,
            settled_in_main=event.settled_in_main,
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


def _corrected(recorded: Recorded, event: OrderCommissionCorrected, rows: RowSet) -> None:
    row = _known(recorded, event, rows)
    row.commission, row.commission_asset, row.other_commissions = _commissions(event)


def _commissions(event: Execution) -> tuple[Decimal, str | None, dict[str, str] | None]:
    """The commission, its asset, and what was charged in others."""
    if not event.fees:
        return event.commission, event.commission_asset, None
    first, *others = event.fees
    return first.amount, first.asset, {fee.asset: plain(fee.amount) for fee in others} or None


def _conflicted(recorded: Recorded, event: OrderFillConflicted, rows: RowSet) -> None:
    _known(recorded, event, rows).conflicted = True


def _known(recorded: Recorded, event: Execution, rows: RowSet) -> Fill:
    row = rows[FILLS].change((recorded.stream_id, event.trade_id, event.revision))
    if row is None:
        raise LookupError(f"order {recorded.stream_id} has no trade {event.trade_id!r}")
    row.last_position = recorded.position
    return row


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:
    if isinstance(event, OrderFilled):
        return ()  # its row is new
    return ((FILLS, (recorded.stream_id, event.trade_id, event.revision)),)


PROJECTION = Projection(
    name="order_fills",
    version=2,
    tables=(FILLS,),
    folds={
        OrderFilled: _filled,
        OrderFillVoided: _voided,
        OrderFillConflicted: _conflicted,
        OrderCommissionCorrected: _corrected,
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
            newest_first("strategy_id", "fill_timestamp", "position"),
        ),
        filters=(
            exactly("order_id"),
            exactly("instrument"),
            exactly("environment"),
            exactly("voided"),
            *between("fill_timestamp"),
        ),
        shown=(
            *("fill_timestamp", "instrument", "side", "quantity", "price", "commission"),
            *("commission_asset", "late", "voided", "sub_account", "trade_id", "order_id"),
        ),
        past=Past("projections.past.fills:fills_at", begins_with="rows"),
    ),
)

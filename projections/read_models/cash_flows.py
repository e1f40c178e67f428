"""`cash_flows`: what came or went for a reason that is no trade, deposit or withdrawal: funding,
fees, interest, dividends … A row never changes."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.accounts.events import CashFlowKind, CashFlowRecorded
from ledger.nouns.orders.events import PositionSide
from projections.engine.live.rows import RowSet
from projections.engine.projection import Projection, Recorded, Row, Table
from projections.questions.question import Question, between, exactly, newest_first


class CashFlow(Row):
    account_id: UUID
    user_id: UUID | None
    flow_id: str
    kind: CashFlowKind
    asset: str
    amount: Decimal
    sub_account: str
    instrument: str | None
    position_side: PositionSide | None
    counter_asset: str | None
    counter_amount: Decimal | None
    info: dict[str, Any]
    event_id: UUID
    occurred_at: datetime
    recorded_at: datetime
    position: int


CASH_FLOWS = Table("cash_flows", CashFlow, key=("position",), insert_only=True)


def _recorded(recorded: Recorded, event: CashFlowRecorded, rows: RowSet) -> None:
    rows[CASH_FLOWS].insert(
        CashFlow(
            recorded.stream_id,
            recorded.user_id,
            event.flow_id,
            event.kind,
            event.asset,
            event.amount,
            event.sub_account,
            event.instrument,
            event.position_side,
            event.counter_asset,
            event.counter_amount,
            event.info,
            recorded.id,
            recorded.occurred_at,
            recorded.recorded_at,
            recorded.position,
        )
    )


PROJECTION = Projection(
    name="cash_flows",
    version=1,
    tables=(CASH_FLOWS,),
    folds={CashFlowRecorded: _recorded},
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="cash_flows",
        table=CASH_FLOWS,
        about="Money that came or went beside trades: funding, fees, interest; the newest first.",
        paths=(
            newest_first("account_id", "position"),
            newest_first("user_id", "occurred_at", "position"),
        ),
        filters=(
            exactly("kind"),
            exactly("asset"),
            exactly("instrument"),
            exactly("sub_account"),
            exactly("flow_id"),
            *between("occurred_at"),
        ),
        shown=("occurred_at", "kind", "asset", "amount", "instrument", "sub_account", "flow_id"),
    ),
)

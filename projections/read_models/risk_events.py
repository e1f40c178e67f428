"""`risk_events`: what is riskier than it should be, and was."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.risk.events import (
    RiskEvent,
    RiskEventType,
    RiskOpened,
    RiskResolved,
    RiskSeverity,
    RiskThreshold,
    RiskUpdated,
)
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, between, exactly, newest_first


class RiskEventRow(Row, kw_only=True):
    risk_id: UUID
    number: int
    event_type: RiskEventType
    severity: RiskSeverity
    source: str | None
    scope: LimitScope
    reference: str | None
    measure: str | None
    current_value: Decimal | None
    limit_value: Decimal | None
    warning_value: Decimal | None
    unit: str | None
    threshold: RiskThreshold | None
    message: str
    limit_id: UUID | None
    account_id: UUID | None
    user_id: UUID | None
    order_id: UUID | None
    instrument: str | None
    trade_id: str | None
    cause_event_id: UUID | None
    action_taken: str | None
    data: dict[str, Any]
    is_open: bool
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    auto_resolved: bool
    resolution: str | None
    position: int
    last_position: int


RISK_EVENTS = Table("risk_events", RiskEventRow, key=("risk_id", "number"))


def _opened(recorded: Recorded, event: RiskOpened, rows: RowSet) -> None:
    rows[RISK_EVENTS].insert(
        RiskEventRow(
            risk_id=event.risk_id,
            number=event.number,
            event_type=event.event_type,
            severity=event.severity,
            source=event.source,
            scope=event.scope,
            reference=event.reference,
            measure=event.measure,
            current_value=event.value,
            limit_value=event.limit,
            warning_value=event.warning,
            unit=event.unit,
            threshold=event.threshold,
            message=event.message,
            limit_id=event.limit_id,
            account_id=event.account_id,
            user_id=event.user_id,
            order_id=event.order_id,
            instrument=event.instrument,
            trade_id=event.trade_id,
            cause_event_id=event.cause,
            action_taken=event.action,
            data=event.data,
            is_open=True,
            created_at=recorded.occurred_at,
            updated_at=recorded.recorded_at,
            resolved_at=None,
            resolved_by=None,
            auto_resolved=False,
            resolution=None,
            position=recorded.position,
            last_position=recorded.position,
        )
    )


def _known(recorded: Recorded, event: RiskEvent, rows: RowSet) -> RiskEventRow:
    row = changed(recorded, RISK_EVENTS, (event.risk_id, event.number), rows)
    if event.value is not None:
        row.current_value = event.value
    return row


def _updated(recorded: Recorded, event: RiskUpdated, rows: RowSet) -> None:
    row = _known(recorded, event, rows)
    row.severity, row.threshold, row.message = event.severity, event.threshold, event.message
    row.limit_value = event.limit if event.limit is not None else row.limit_value


def _resolved(recorded: Recorded, event: RiskResolved, rows: RowSet) -> None:
    row = _known(recorded, event, rows)
    row.is_open, row.auto_resolved = False, event.by_itself
    row.resolved_at, row.resolved_by = recorded.occurred_at, event.actor
    row.resolution = event.reason


def _keys(recorded: Recorded, event: RiskEvent) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    return () if isinstance(event, RiskOpened) else ((RISK_EVENTS, (event.risk_id, event.number)),)


PROJECTION = Projection(
    name="risk_events",
    version=1,
    tables=(RISK_EVENTS,),
    folds={RiskOpened: _opened, RiskUpdated: _updated, RiskResolved: _resolved},
    keys=_keys,
    by_stream=True,
)

QUESTIONS = (
    Question(
        name="risk_events",
        table=RISK_EVENTS,
        about="What is riskier than it should be, and was; the newest first.",
        paths=(
            ascending("risk_id", "number"),
            newest_first("account_id", "created_at", "risk_id", "number"),
            newest_first("user_id", "created_at", "risk_id", "number"),
            newest_first(None, "created_at", "risk_id", "number"),
        ),
        filters=(
            exactly("is_open"),
            exactly("severity"),
            exactly("event_type"),
            exactly("measure"),
            exactly("limit_id"),
            exactly("scope"),
            exactly("reference"),
            exactly("instrument"),
            *between("created_at"),
        ),
        shown=(
            *("created_at", "severity", "event_type", "is_open", "measure", "current_value"),
            *("limit_value", "unit", "message"),
        ),
    ),
)

"""`alerts`, `alert_deliveries`, `alert_suppressions`: what a person should know, whether it was
told, and what is kept from being told."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ledger.nouns.alerts.events import (
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertEvent,
    AlertRaised,
    AlertReleased,
    AlertResolved,
    AlertSeverity,
    AlertsSuppressed,
    AlertsUnsuppressed,
    DeliveryStatus,
)
from ledger.nouns.alerts.state import AlertStatus
from projections.engine.live.row_change import changed
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, Projection, Recorded, Row, Table
from projections.questions.question import Question, ascending, between, exactly, newest_first


class Alert(Row, kw_only=True):
    alert_id: UUID
    number: int
    rule: str
    severity: AlertSeverity
    status: AlertStatus
    title: str
    message: str | None
    entity_type: str
    entity_id: str
    account_id: UUID | None
    user_id: UUID | None
    suppressed: bool
    channels: list[str]
    runbook: str | None
    cause_event_id: UUID | None
    metadata: dict[str, Any]
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    escalated_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    auto_resolved: bool
    resolution: str | None
    updated_at: datetime
    position: int
    last_position: int


class AlertDelivery(Row, kw_only=True):
    alert_id: UUID
    number: int
    channel: str
    user_id: UUID | None
    status: DeliveryStatus
    attempts: int
    error: str | None
    repeated: bool
    final: bool
    created_at: datetime
    sent_at: datetime | None
    updated_at: datetime
    last_position: int


class AlertSuppression(Row, kw_only=True):
    alert_id: UUID
    rule: str
    entity_type: str
    entity_id: str
    until: datetime | None
    reason: str | None
    suppressed_by: str | None
    suppressed_at: datetime
    removed_at: datetime | None
    removed_by: str | None
    user_id: UUID | None
    last_position: int


ALERTS = Table("alerts", Alert, key=("alert_id", "number"))
DELIVERIES = Table("alert_deliveries", AlertDelivery, key=("alert_id", "number", "channel"))
SUPPRESSIONS = Table("alert_suppressions", AlertSuppression, key=("alert_id",))


def _raised(recorded: Recorded, event: AlertRaised, rows: RowSet) -> None:
    rows[ALERTS].insert(
        Alert(
            alert_id=event.alert_id,
            number=event.number,
            rule=event.rule,
            severity=event.severity,
            status=AlertStatus.ACTIVE,
            title=event.title,
            message=event.message,
            entity_type=event.entity_type,
            entity_id=event.entity_id,
            account_id=event.account_id,
            user_id=event.user_id,
            suppressed=event.suppressed,
            channels=list(event.channels),
            runbook=event.runbook,
            cause_event_id=event.cause,
            metadata=event.metadata,
            raised_at=recorded.occurred_at,
            acknowledged_at=None,
            acknowledged_by=None,
            escalated_at=None,
            resolved_at=None,
            resolved_by=None,
            auto_resolved=False,
            resolution=None,
            updated_at=recorded.recorded_at,
            position=recorded.position,
            last_position=recorded.position,
        )
    )
    if not event.suppressed:
        _due(recorded, event, event.channels, event.user_id, rows)


def _due(
    recorded: Recorded,
    event: AlertEvent,
    channels: Iterable[str],
    user_id: UUID | None,
    rows: RowSet,
) -> None:
    for channel in channels:
        rows[DELIVERIES].put(
            AlertDelivery(
                alert_id=event.alert_id,
                number=event.number,
                channel=channel,
                user_id=user_id,
                status=DeliveryStatus.PENDING,
                attempts=0,
                error=None,
                repeated=False,
                final=False,
                created_at=recorded.recorded_at,
                sent_at=None,
                updated_at=recorded.recorded_at,
                last_position=recorded.position,
            )
        )


def _opened(recorded: Recorded, event: AlertEvent, rows: RowSet) -> Alert:
    return changed(recorded, ALERTS, (event.alert_id, event.number), rows)


def _released(recorded: Recorded, event: AlertReleased, rows: RowSet) -> None:
    row = _opened(recorded, event, rows)
    row.suppressed = False
    _due(recorded, event, row.channels, row.user_id, rows)


def _acknowledged(recorded: Recorded, event: AlertAcknowledged, rows: RowSet) -> None:
    row = _opened(recorded, event, rows)
    row.status = AlertStatus.ACKNOWLEDGED
    row.acknowledged_at, row.acknowledged_by = recorded.occurred_at, event.actor


def _escalated(recorded: Recorded, event: AlertEscalated, rows: RowSet) -> None:
    row = _opened(recorded, event, rows)
    row.escalated_at = recorded.occurred_at
    row.channels = [*row.channels, *event.channels]
    _due(recorded, event, event.channels, row.user_id, rows)


def _resolved(recorded: Recorded, event: AlertResolved, rows: RowSet) -> None:
    row = _opened(recorded, event, rows)
    row.status = AlertStatus.RESOLVED
    row.resolved_at, row.resolved_by = recorded.occurred_at, event.actor
    row.auto_resolved, row.resolution = event.by_itself, event.reason


def _delivery(
    recorded: Recorded, event: AlertDeliveryBegun | AlertDeliveryEnded, rows: RowSet
) -> AlertDelivery:
    return changed(recorded, DELIVERIES, (event.alert_id, event.number, event.channel), rows)


def _begun(recorded: Recorded, event: AlertDeliveryBegun, rows: RowSet) -> None:
    row = _delivery(recorded, event, rows)
    row.status, row.attempts = DeliveryStatus.PENDING, event.attempt
    row.repeated |= event.repeated


def _ended(recorded: Recorded, event: AlertDeliveryEnded, rows: RowSet) -> None:
    row = _delivery(recorded, event, rows)
    row.status, row.error, row.final = event.status, event.error, event.final
    if event.status is DeliveryStatus.SENT:
        row.sent_at, row.final = recorded.occurred_at, True


def _suppressed(recorded: Recorded, event: AlertsSuppressed, rows: RowSet) -> None:
    rows[SUPPRESSIONS].put(
        AlertSuppression(
            alert_id=event.alert_id,
            rule=event.rule,
            entity_type=event.entity_type,
            entity_id=event.entity_id,
            until=event.until,
            reason=event.reason,
            suppressed_by=event.actor,
            suppressed_at=recorded.occurred_at,
            removed_at=None,
            removed_by=None,
            user_id=recorded.user_id,
            last_position=recorded.position,
        )
    )


def _unsuppressed(recorded: Recorded, event: AlertsUnsuppressed, rows: RowSet) -> None:
    row = rows[SUPPRESSIONS].change(event.alert_id)
    if row is None:
        raise LookupError(f"alert {event.alert_id} was never suppressed")
    row.removed_at, row.removed_by = recorded.occurred_at, event.actor
    row.last_position = recorded.position


def _keys(recorded: Recorded, event: Any) -> Iterable[tuple[Table[Any], Key]]:  # noqa: ARG001
    match event:
        case AlertsSuppressed() | AlertsUnsuppressed():
            return ((SUPPRESSIONS, event.alert_id),)
        case AlertDeliveryBegun() | AlertDeliveryEnded():
            return ((DELIVERIES, (event.alert_id, event.number, event.channel)),)
        case _:
            return ((ALERTS, (event.alert_id, event.number)),)


PROJECTION = Projection(
    name="alerts",
    version=1,
    tables=(ALERTS, DELIVERIES, SUPPRESSIONS),
    folds={
        AlertRaised: _raised,
        AlertReleased: _released,
        AlertAcknowledged: _acknowledged,
        AlertEscalated: _escalated,
        AlertResolved: _resolved,
        AlertDeliveryBegun: _begun,
        AlertDeliveryEnded: _ended,
        AlertsSuppressed: _suppressed,
        AlertsUnsuppressed: _unsuppressed,
    },
    keys=_keys,
    by_stream=True,
)

_OPEN = {"OPEN": ("ACTIVE", "ACKNOWLEDGED")}

QUESTIONS = (
    Question(
        name="alerts",
        table=ALERTS,
        about="What a person should know, the newest first.",
        paths=(
            ascending("alert_id", "number"),
            newest_first("account_id", "raised_at", "alert_id", "number"),
            newest_first("user_id", "raised_at", "alert_id", "number"),
            newest_first(None, "raised_at", "alert_id", "number"),
        ),
        filters=(
            exactly("status", words=_OPEN),
            exactly("severity"),
            exactly("rule"),
            exactly("entity_type"),
            exactly("entity_id"),
            exactly("suppressed"),
            *between("raised_at"),
        ),
        shown=("raised_at", "severity", "status", "rule", "title", "alert_id"),
    ),
    Question(
        name="alert_deliveries",
        table=DELIVERIES,
        read_model="alerts",
        about="On which channels an alert was told, and what they answered; the newest first.",
        paths=(
            ascending("alert_id", "number", "channel"),
            newest_first("user_id", "created_at", "alert_id", "number", "channel"),
            newest_first(None, "created_at", "alert_id", "number", "channel"),
        ),
        filters=(
            exactly("status"),
            exactly("channel"),
            exactly("repeated"),
            *between("created_at"),
        ),
        argument="alert_id",
        shown=("created_at", "channel", "status", "attempts", "sent_at", "error"),
    ),
    Question(
        name="alert_suppressions",
        table=SUPPRESSIONS,
        read_model="alerts",
        about="What is kept and not sent, until when and by whom.",
        paths=(
            ascending("alert_id", "alert_id"),
            ascending("rule", "entity_type", "entity_id", "alert_id"),
            ascending(None, "rule", "entity_type", "entity_id", "alert_id"),
        ),
        filters=(exactly("entity_type"), exactly("entity_id"), *between("suppressed_at")),
        argument="rule",
        shown=("rule", "entity_type", "entity_id", "until", "suppressed_by", "removed_at"),
    ),
)

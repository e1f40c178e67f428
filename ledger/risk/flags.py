"""Risk events of facts that did not fit: recorded as they were told, and flagged."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import orjson

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.consequence import Said, id_of
from ledger.kernel.event import Event
from ledger.kernel.money import shown
from ledger.nouns.equity.events import LimitTripped
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.events import OrderFillConflicted
from ledger.nouns.references.events import ReferenceRepeated
from ledger.nouns.risk.commands import ReportRisk
from ledger.nouns.risk.events import RiskEventType, RiskSeverity, RiskThreshold

_T, _S = RiskEventType, RiskSeverity
FLAGS: dict[str, tuple[RiskEventType, RiskSeverity, str]] = {
    "overdrawn": (_T.OVERDRAWN, _S.CRITICAL, "a fact has spent more than there was"),
    "overfill_qty": (_T.OVERFILLED, _S.CRITICAL, "more was traded than was ordered"),
    "group_overfilled": (_T.OVERFILLED, _S.CRITICAL, "orders of one group have traded too much"),
    "reduced_beyond": (_T.OVERFILLED, _S.CRITICAL, "a reduce_only order has opened a position"),
    "contract_on_cash": (_T.CONFLICTING_FACT, _S.WARNING, "a contract on a CASH account"),
    "wrong_venue": (_T.CONFLICTING_FACT, _S.WARNING, "an instrument of another venue"),
    "account_closed": (_T.CONFLICTING_FACT, _S.WARNING, "the account is closed"),
    "conflicts": (_T.CONFLICTING_FACT, _S.WARNING, "told otherwise before"),
    "contradicts": (_T.CONFLICTING_FACT, _S.WARNING, "told otherwise than the order says"),
    "late": (_T.LATE_FACT, _S.INFO, "told of an order that was over"),
}
"""Fields of events that are only there where something did not fit."""


def of_event(recorded: RecordedEvent, event: Event) -> Iterator[Said]:
    """Of each flag, a risk event of the account."""
    account_id = _account_of(recorded, event)
    if account_id is None:
        return
    if isinstance(event, OrderFillConflicted | ReferenceRepeated):
        what = (_T.CONFLICTING_FACT, _S.WARNING, "two different things told under one name")
        yield _said(recorded, event, account_id, *what)
    for name, (event_type, severity, words) in FLAGS.items():
        if getattr(event, name, None):
            yield _said(recorded, event, account_id, event_type, severity, words)


def _account_of(recorded: RecordedEvent, event: Event) -> UUID | None:
    if recorded.stream_type == "account":
        return recorded.stream_id
    found = getattr(event, "account_id", None)
    return found if isinstance(found, UUID) else None


def _said(
    recorded: RecordedEvent,
    event: Event,
    account_id: UUID,
    event_type: RiskEventType,
    severity: RiskSeverity,
    words: str,
) -> Said:
    data: dict[str, Any] = orjson.loads(recorded.data)
    order_id = data.get("order_id")
    if order_id is None and recorded.stream_type == "order":
        order_id = str(recorded.stream_id)
    return Said(
        id_of("risk", event_type, recorded.id),
        ReportRisk(
            event_type=event_type,
            scope=LimitScope.ACCOUNT,
            reference=str(account_id),
            severity=severity,
            message=f"{words}: {event.type} at position {recorded.position}",
            account_id=account_id,
            order_id=order_id,
            instrument=data.get("instrument"),
            trade_id=data.get("trade_id"),
            cause=recorded.id,
            data={"event": event.type, "position": recorded.position},
        ),
        recorded.id,
        recorded.correlation_id,
    )


def of_trip(recorded: RecordedEvent, event: LimitTripped) -> Said:
    """A loss has reached its limit."""
    return Said(
        id_of("risk", _T.LIMIT_TRIPPED, recorded.id),
        ReportRisk(
            event_type=_T.LIMIT_TRIPPED,
            scope=LimitScope.ACCOUNT,
            reference=str(event.account_id),
            what=str(event.limit_id),
            severity=_S.CRITICAL,
            message=f"{event.measure} is {shown(event.measured)} {event.unit} and its limit "
            f"{shown(event.limit_value)}: no new risk until {event.until.isoformat()}",
            value=event.measured,
            limit=event.limit_value,
            unit=event.unit,
            measure=event.measure.value,
            threshold=RiskThreshold.LIMIT,
            limit_id=event.limit_id,
            account_id=event.account_id,
            cause=recorded.id,
            action="no new risk is accepted",
        ),
        recorded.id,
        recorded.correlation_id,
    )

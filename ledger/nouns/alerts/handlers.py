"""Alerts: what each of their commands means."""

from collections.abc import Iterable, Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.event import Event
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.alerts import rules
from ledger.nouns.alerts.commands import (
    AcknowledgeAlert,
    BeginAlertDelivery,
    EndAlertDelivery,
    EscalateAlert,
    OneAlert,
    RaiseAlert,
    ReleaseAlert,
    ResolveAlert,
    SuppressAlerts,
    UnsuppressAlerts,
)
from ledger.nouns.alerts.events import (
    SYSTEM,
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertRaised,
    AlertReleased,
    AlertResolved,
    AlertsSuppressed,
    AlertsUnsuppressed,
)
from ledger.nouns.alerts.rejections import AlertRejection
from ledger.nouns.alerts.state import ALERT, AlertState, stream_of_all


def _reads_raised(_: Command, data: RaiseAlert) -> Iterator[UUID]:
    yield data.alert_id
    yield stream_of_all(data.rule)
    if data.account_id is not None:
        yield data.account_id


def _reads_one(_: Command, data: OneAlert) -> Iterator[UUID]:
    yield data.alert_id


def _reads_silence(_: Command, data: SuppressAlerts | UnsuppressAlerts) -> Iterator[UUID]:
    yield data.alert_id


@handles(RaiseAlert, reads=_reads_raised)
def raise_alert(work: UnitOfWork, data: RaiseAlert) -> None:
    account = None if data.account_id is None else work.state(ACCOUNT, data.account_id)
    if account is not None:
        work.of_user(account.user_id)
    state = work.state(ALERT, data.alert_id)
    raised = AlertRaised(
        alert_id=data.alert_id,
        number=data.number,
        rule=data.rule,
        entity_type=data.entity_type,
        entity_id=data.entity_id,
        severity=data.severity,
        title=data.title,
        message=data.message,
        channels=data.channels,
        runbook=data.runbook,
        cause=data.cause,
        account_id=data.account_id,
        user_id=None if account is None else account.user_id,
        metadata=data.metadata,
    )
    of_all = work.state(ALERT, stream_of_all(data.rule))
    _record(
        work, data.alert_id, rules.raise_alert(state, (state, of_all), raised, at=work.occurred_at)
    )


@handles(AcknowledgeAlert, reads=_reads_one)
def acknowledge_alert(work: UnitOfWork, data: AcknowledgeAlert) -> None:
    state = _known(work, data)
    acknowledged = AlertAcknowledged(
        alert_id=data.alert_id, number=data.number, actor=_actor(work, data.actor), note=data.note
    )
    _record(work, data.alert_id, rules.acknowledge(state, acknowledged))


@handles(ResolveAlert, reads=_reads_one)
def resolve_alert(work: UnitOfWork, data: ResolveAlert) -> None:
    if data.by_itself and not _was_raised(work, data):
        return  # what never began is over
    state = _known(work, data)
    resolved = AlertResolved(
        alert_id=data.alert_id,
        number=data.number,
        actor=_actor(work, data.actor),
        by_itself=data.by_itself,
        reason=data.reason,
        cause=data.cause,
    )
    _record(work, data.alert_id, rules.resolve(state, resolved))


@handles(EscalateAlert, reads=_reads_one)
def escalate_alert(work: UnitOfWork, data: EscalateAlert) -> None:
    escalated = AlertEscalated(
        alert_id=data.alert_id, number=data.number, actor=data.actor, channels=data.channels
    )
    _record(work, data.alert_id, rules.escalate(_known(work, data), escalated))


@handles(ReleaseAlert, reads=_reads_one)
def release_alert(work: UnitOfWork, data: ReleaseAlert) -> None:
    released = AlertReleased(alert_id=data.alert_id, number=data.number, actor=data.actor)
    _record(work, data.alert_id, rules.release(_known(work, data), released))


@handles(BeginAlertDelivery, reads=_reads_one)
def begin_alert_delivery(work: UnitOfWork, data: BeginAlertDelivery) -> None:
    begun = AlertDeliveryBegun(
        alert_id=data.alert_id,
        number=data.number,
        actor=data.actor,
        channel=data.channel,
        attempt=data.attempt,
    )
    state = _known(work, data)
    events = rules.begin_delivery(state, begun, answer_lost=data.answer_lost)
    _record(work, data.alert_id, events)


@handles(EndAlertDelivery, reads=_reads_one)
def end_alert_delivery(work: UnitOfWork, data: EndAlertDelivery) -> None:
    ended = AlertDeliveryEnded(
        alert_id=data.alert_id,
        number=data.number,
        actor=data.actor,
        channel=data.channel,
        attempt=data.attempt,
        status=data.status,
        error=data.error,
        uncertain=data.uncertain,
        final=data.final,
    )
    _record(work, data.alert_id, rules.end_delivery(_known(work, data), ended))


@handles(SuppressAlerts, reads=_reads_silence)
def suppress_alerts(work: UnitOfWork, data: SuppressAlerts) -> None:
    suppressed = AlertsSuppressed(
        alert_id=data.alert_id,
        rule=data.rule,
        entity_type=data.entity_type or SYSTEM,
        entity_id=data.entity_id,
        until=data.until,
        reason=data.reason,
        actor=_actor(work, data.actor),
    )
    _record(work, data.alert_id, rules.suppress(suppressed))


@handles(UnsuppressAlerts, reads=_reads_silence)
def unsuppress_alerts(work: UnitOfWork, data: UnsuppressAlerts) -> None:
    taken_back = AlertsUnsuppressed(
        alert_id=data.alert_id, reason=data.reason, actor=_actor(work, data.actor)
    )
    state = work.state(ALERT, data.alert_id)
    _record(work, data.alert_id, rules.unsuppress(state, taken_back))


def _was_raised(work: UnitOfWork, data: OneAlert) -> bool:
    state = work.state(ALERT, data.alert_id)
    return state is not None and state.number > 0


def _known(work: UnitOfWork, data: OneAlert) -> AlertState:
    """The alert, whose user its events are of from here on. Raises Rejection."""
    state = work.state(ALERT, data.alert_id)
    if state is None or not _was_raised(work, data):
        raise Rejection(AlertRejection.UNKNOWN_ALERT, f"there is no alert {data.alert_id}")
    if work.command.user_id not in {None, state.user_id}:
        raise Rejection(
            AlertRejection.NOT_YOUR_ALERT,
            f"alert {data.alert_id} is not user {work.command.user_id}'s",
        )
    if state.user_id is not None:
        work.of_user(state.user_id)
    return state


def _actor(work: UnitOfWork, named: str | None) -> str:
    """Who says so: as the message says, else whoever sent it."""
    return named or work.command.sender or work.command.source


def _record(work: UnitOfWork, alert_id: UUID, events: Iterable[Event]) -> None:
    work.record(ALERT, alert_id, events)

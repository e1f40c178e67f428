"""Alerts: what decisions know of what a rule says of one entity."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.alerts.events import (
    SYSTEM,
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertEvent,
    AlertRaised,
    AlertReleased,
    AlertResolved,
    AlertsSuppressed,
    AlertsUnsuppressed,
    DeliveryStatus,
)

_NAMESPACE = UUID("8f0b9d1e-2d0c-5a54-9a40-6c9be1b0f3a7")


class AlertStatus(StrEnum):
    ACTIVE = "ACTIVE"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


def stream_id(rule: str, entity_type: str = SYSTEM, entity_id: str = "") -> UUID:
    """The id of what a rule says of an entity, and of the stream: the same for ever."""
    return uuid5(_NAMESPACE, f"{rule} {entity_type} {entity_id}")


def stream_of_all(rule: str) -> UUID:
    """The stream on which all that a rule says is suppressed at once."""
    return uuid5(_NAMESPACE, rule)


class ChannelDelivery(msgspec.Struct, gc=False):
    """Telling the alert on one channel."""

    attempts: int = 0
    under_way: bool = False
    """Begun, and not answered."""
    uncertain: bool = False
    """An attempt may have reached somebody although nobody knows."""
    over: bool = False


class Suppression(msgspec.Struct, frozen=True, gc=False):
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.until is None or at < self.until


class AlertState(EvolvingState, gc=False, kw_only=True):
    """`number` is of the newest opening, 0 before the first; the rest is of that opening."""

    number: int = 0
    status: AlertStatus = AlertStatus.RESOLVED
    suppression: Suppression | None = None
    account_id: UUID | None = None
    user_id: UUID | None = None
    channels: tuple[str, ...] = ()
    suppressed: bool = False
    escalated: bool = False
    deliveries: dict[str, ChannelDelivery] = msgspec.field(default_factory=dict)
    """By channel: those that are due, under way or over."""

    @property
    def open(self) -> bool:
        return self.status is not AlertStatus.RESOLVED

    def deliver(self, channels: tuple[str, ...]) -> None:
        for channel in channels:
            self.deliveries.setdefault(channel, ChannelDelivery())


def evolve(state: AlertState | None, event: Event, stream_id: UUID) -> AlertState:
    """The state after an event."""
    state = AlertState() if state is None else state
    match event:
        case AlertRaised():
            return _raised(state, event)
        case AlertsSuppressed():
            state.suppression = Suppression(event.until)
        case AlertsUnsuppressed():
            state.suppression = None
        case AlertDeliveryBegun():
            delivery = state.deliveries[event.channel]
            delivery.uncertain |= delivery.under_way
            delivery.attempts, delivery.under_way = event.attempt, True
        case AlertDeliveryEnded():
            _ended(state.deliveries[event.channel], event)
        case AlertEvent() if state.number > 0:
            _went_on(state, event)
        case _:
            raise TypeError(
                f"{type(event).__name__} is not how the alert {stream_id} can begin or go on"
            )
    return state


def _raised(state: AlertState, event: AlertRaised) -> AlertState:
    raised = AlertState(
        number=event.number,
        status=AlertStatus.ACTIVE,
        suppression=state.suppression,
        account_id=event.account_id,
        user_id=event.user_id,
        channels=event.channels,
        suppressed=event.suppressed,
    )
    if not event.suppressed:
        raised.deliver(event.channels)
    return raised


def _ended(delivery: ChannelDelivery, event: AlertDeliveryEnded) -> None:
    delivery.under_way = False
    delivery.uncertain |= event.uncertain
    delivery.over = event.final or event.status is DeliveryStatus.SENT


def _went_on(state: AlertState, event: AlertEvent) -> None:
    match event:
        case AlertReleased():
            state.suppressed = False
            state.deliver(state.channels)
        case AlertAcknowledged():
            state.status = AlertStatus.ACKNOWLEDGED
        case AlertEscalated():
            state.escalated = True
            state.deliver(event.channels)
        case AlertResolved():
            state.status = AlertStatus.RESOLVED
        case _:
            raise TypeError(f"{type(event).__name__} is not how an alert can go on")


ALERT = Aggregate("alert", AlertState, 1, evolve)

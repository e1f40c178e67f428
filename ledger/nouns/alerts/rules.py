"""Alerts: opened once, told once on each channel, until nothing is to be told any more.

Who watches may be two, late, or started anew: what was said already has no further effect.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec.structs import replace

from ledger.kernel.event import Event
from ledger.kernel.rejection import Rejection
from ledger.nouns.alerts.events import (
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertRaised,
    AlertReleased,
    AlertResolved,
    AlertsSuppressed,
    AlertsUnsuppressed,
    DeliveryStatus,
)
from ledger.nouns.alerts.rejections import AlertRejection
from ledger.nouns.alerts.state import AlertState, AlertStatus, ChannelDelivery

SUPERSEDED = "raised again before it was sent"


def raise_alert(
    state: AlertState | None,
    suppressions: Iterable[AlertState | None],
    raised: AlertRaised,
    *,
    at: datetime,
) -> tuple[Event, ...]:
    """Opens it, once: nothing while it is open, nor for an opening that was there already.
    `raised.number` is the opening that the sender knows of to be next; 0 if it knows of none."""
    state = state or AlertState()
    if state.open or 0 < raised.number <= state.number:
        return ()
    suppressed = any(
        one.suppression.holds(at) for one in suppressions if one is not None and one.suppression
    )
    opened = replace(raised, number=state.number + 1, suppressed=suppressed)
    return (*_superseded(state, raised), opened)


def _superseded(state: AlertState, raised: AlertRaised) -> Iterator[Event]:
    """What the opening before still had to tell is not told any more."""
    for channel, delivery in state.deliveries.items():
        if not delivery.over:
            yield AlertDeliveryEnded(
                alert_id=raised.alert_id,
                number=state.number,
                channel=channel,
                attempt=delivery.attempts,
                status=DeliveryStatus.FAILED,
                error=SUPERSEDED,
                uncertain=delivery.under_way,
                final=True,
            )


def release(state: AlertState, event: AlertReleased) -> tuple[Event, ...]:
    """Tells what was suppressed and still holds."""
    if not state.open or event.number != state.number or not state.suppressed:
        return ()
    return (event,)


def escalate(state: AlertState, event: AlertEscalated) -> tuple[Event, ...]:
    """Once, as long as nobody looks after it, on channels that were not told yet."""
    due = state.status is AlertStatus.ACTIVE and event.number == state.number
    if not due or state.escalated or state.suppressed:
        return ()
    further = tuple(one for one in event.channels if one not in state.deliveries)
    return (replace(event, channels=further),)


def acknowledge(state: AlertState, event: AlertAcknowledged) -> tuple[Event, ...]:
    _check_open(state, event.number, str(event.alert_id))
    if state.status is AlertStatus.ACKNOWLEDGED:
        return ()
    return (replace(event, number=state.number),)


def resolve(state: AlertState, event: AlertResolved) -> tuple[Event, ...]:
    """What resolves by itself may have been resolved by a person before."""
    if event.by_itself and (not state.open or event.number not in {0, state.number}):
        return ()
    _check_open(state, event.number, str(event.alert_id))
    return (replace(event, number=state.number),)


def _check_open(state: AlertState, number: int, alert: str) -> None:
    """`number` 0 means whichever is open."""
    if not state.open or number not in {0, state.number}:
        raise Rejection(
            AlertRejection.ALERT_NOT_OPEN,
            f"alert {alert} is not open, or not for the {number or state.number}. time",
        )


# --- telling it -----------------------------------------------------------------------------


def begin_delivery(
    state: AlertState, event: AlertDeliveryBegun, *, answer_lost: bool
) -> tuple[Event, ...]:
    """One attempt at a time, of one sender. `answer_lost`: the sender knows that whoever had begun
    before has ended without a word."""
    delivery = state.deliveries.get(event.channel) if event.number == state.number else None
    if (
        delivery is None
        or delivery.over
        or event.attempt != delivery.attempts + 1
        or (delivery.under_way and not answer_lost)
    ):
        raise Rejection(
            AlertRejection.DELIVERY_NOT_DUE,
            f"attempt {event.attempt} of alert {event.alert_id} on {event.channel} is not due",
        )
    return (replace(event, repeated=delivery.uncertain or delivery.under_way),)


def end_delivery(state: AlertState, event: AlertDeliveryEnded) -> tuple[Event, ...]:
    """What the channel answered is a fact; it is told once."""
    delivery = state.deliveries.get(event.channel) if event.number == state.number else None
    if not _is_answer(delivery, event):
        return ()
    return (event,)


def _is_answer(delivery: ChannelDelivery | None, event: AlertDeliveryEnded) -> bool:
    """Also of an attempt that somebody had given up for lost: then it was sent after all."""
    if delivery is None or delivery.over:
        return False
    if event.status is DeliveryStatus.SENT:
        return event.attempt <= delivery.attempts
    return delivery.under_way and event.attempt == delivery.attempts


# --- silence --------------------------------------------------------------------------------


def suppress(event: AlertsSuppressed) -> tuple[Event, ...]:
    return (event,)


def unsuppress(state: AlertState | None, event: AlertsUnsuppressed) -> tuple[Event, ...]:
    if state is None or state.suppression is None:
        raise Rejection(AlertRejection.NOT_SUPPRESSED, f"alert {event.alert_id} is not suppressed")
    return (event,)

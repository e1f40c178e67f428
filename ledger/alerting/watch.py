"""What is open and what is still to be told, folded from the events of alerts; what is due.

Pure: the same events and moment give the same. What is kept has the size of what is open.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from ledger.alerting.rules import Rules
from ledger.kernel.consequence import Said, id_of
from ledger.kernel.event import Event
from ledger.nouns.alerts.commands import (
    BeginAlertDelivery,
    EscalateAlert,
    ReleaseAlert,
    ResolveAlert,
)
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
from ledger.nouns.alerts.state import AlertStatus, stream_of_all

GROUP_SECONDS = 1.0
"""What is raised within this goes in one message, if it is of one rule and for one channel."""
LONGEST_PAUSE_SECONDS = 3_600.0
_TIMES_LONGER = 3


class Retries(NamedTuple):
    """How often a channel is tried, and how long the first pause is; each is three times longer
    than the one before. `answer_seconds`: after this an attempt without an answer is nobody's."""

    attempts: int = 8
    first_pause_seconds: float = 5.0
    answer_seconds: float = 60.0

    def pause(self, attempt: int) -> timedelta:
        seconds = self.first_pause_seconds * _TIMES_LONGER ** min(attempt - 1, 20)
        return timedelta(seconds=min(seconds, LONGEST_PAUSE_SECONDS))


class Sending(msgspec.Struct):
    """What became of telling an alert on one channel, as long as it is not over."""

    since: datetime
    attempt: int = 0
    under_way: bool = False
    repeated: bool = False
    """Somebody may have it already."""


class Opening(msgspec.Struct, kw_only=True):
    """One time that an alert is open, or still to be told."""

    number: int
    raised: AlertRaised
    raised_at: datetime
    open: bool = True
    acknowledged: bool = False
    escalated: bool = False
    suppressed: bool = False
    last_cause_at: datetime
    sending: dict[str, Sending] = msgspec.field(default_factory=dict)

    def tell(self, channels: Iterable[str], at: datetime) -> None:
        for channel in channels:
            self.sending.setdefault(channel, Sending(since=at))


class Watched(msgspec.Struct, kw_only=True):
    """All that has to be remembered. `numbers`: the newest opening of alerts that are over."""

    openings: dict[UUID, Opening] = msgspec.field(default_factory=dict)
    numbers: dict[UUID, int] = msgspec.field(default_factory=dict)
    silent: dict[UUID, datetime | None] = msgspec.field(default_factory=dict)

    def open(self, alert_id: UUID) -> Opening | None:
        opening = self.openings.get(alert_id)
        return opening if opening is not None and opening.open else None

    def next_number(self, alert_id: UUID) -> int:
        opening = self.openings.get(alert_id)
        return 1 + (self.numbers.get(alert_id, 0) if opening is None else opening.number)

    def silenced(self, opening: Opening, now: datetime) -> bool:
        ids = (opening.raised.alert_id, stream_of_all(opening.raised.rule))
        return any(
            one in self.silent and ((until := self.silent[one]) is None or now < until)
            for one in ids
        )


class Attempt(NamedTuple):
    """A message to be sent: of this opening, on this channel."""

    opening: Opening
    channel: str
    number: int
    answer_lost: bool

    @property
    def key(self) -> tuple[UUID, int, str]:
        return (self.opening.raised.alert_id, self.opening.number, self.channel)

    def begin(self, owner: str) -> Said:
        """One of those who would begin does: whoever else sends another id is refused."""
        alert_id, number, channel = self.key
        return Said(
            id_of("begin", alert_id, number, channel, self.number, owner),
            BeginAlertDelivery(
                alert_id=alert_id,
                number=number,
                actor=owner,
                channel=channel,
                attempt=self.number,
                answer_lost=self.answer_lost,
            ),
        )


# --- the fold -------------------------------------------------------------------------------


def fold(watched: Watched, event: Event, at: datetime) -> None:
    """`at` is when the event was recorded."""
    match event:
        case AlertRaised():
            opening = Opening(
                number=event.number,
                raised=event,
                raised_at=at,
                last_cause_at=at,
                suppressed=event.suppressed,
            )
            if not event.suppressed:
                opening.tell(event.channels, at)
            watched.openings[event.alert_id] = opening
        case AlertsSuppressed():
            watched.silent[event.alert_id] = event.until
        case AlertsUnsuppressed():
            watched.silent.pop(event.alert_id, None)
        case (
            AlertReleased()
            | AlertAcknowledged()
            | AlertEscalated()
            | AlertResolved()
            | AlertDeliveryBegun()
            | AlertDeliveryEnded()
        ):
            found = watched.openings.get(event.alert_id)
            if found is not None and found.number == event.number:
                _go_on(found, event, at)
                _forget(watched, found)
        case _:
            pass


def _go_on(opening: Opening, event: Event, at: datetime) -> None:
    match event:
        case AlertReleased():
            opening.suppressed = False
            opening.tell(opening.raised.channels, at)
        case AlertAcknowledged():
            opening.acknowledged = True
        case AlertEscalated():
            opening.escalated = True
            opening.tell(event.channels, at)
        case AlertResolved():
            opening.open = False
        case AlertDeliveryBegun():
            sending = opening.sending.setdefault(event.channel, Sending(since=at))
            sending.attempt, sending.under_way, sending.since = event.attempt, True, at
            sending.repeated = event.repeated
        case AlertDeliveryEnded():
            if event.final or event.status is DeliveryStatus.SENT:
                opening.sending.pop(event.channel, None)
            elif event.channel in opening.sending:
                sending = opening.sending[event.channel]
                sending.under_way, sending.since = False, at
                sending.repeated |= event.uncertain


def _forget(watched: Watched, opening: Opening) -> None:
    """What is over and told needs no more than its number."""
    if not opening.open and not opening.sending:
        alert_id = opening.raised.alert_id
        watched.numbers[alert_id] = opening.number
        del watched.openings[alert_id]


# --- what is due ----------------------------------------------------------------------------


def attempts(watched: Watched, now: datetime, retries: Retries) -> Iterator[Attempt]:
    """The messages that are to be sent now."""
    for opening in watched.openings.values():
        for channel, sending in opening.sending.items():
            if sending.under_way:
                due = sending.since + timedelta(seconds=retries.answer_seconds)
            elif sending.attempt == 0:
                due = sending.since + timedelta(seconds=GROUP_SECONDS)
            else:
                due = sending.since + retries.pause(sending.attempt)
            if now >= due:
                yield Attempt(opening, channel, sending.attempt + 1, sending.under_way)


def said_at(watched: Watched, now: datetime, rules: Rules) -> Iterator[Said]:
    """What follows of the time alone: escalations, what is told after a silence, what was quiet."""
    for opening in watched.openings.values():
        if not opening.open:
            continue
        alert_id, number = opening.raised.alert_id, opening.number
        rule = rules.by_name.get(opening.raised.rule)
        if opening.suppressed and not watched.silenced(opening, now):
            yield Said(
                id_of("release", alert_id, number), ReleaseAlert(alert_id=alert_id, number=number)
            )
        if rule is None:
            continue
        after = rule.escalate_after_minutes
        if (
            after is not None
            and not (opening.acknowledged or opening.escalated or opening.suppressed)
            and now >= opening.raised_at + timedelta(minutes=after)
        ):
            yield Said(
                id_of("escalate", alert_id, number),
                EscalateAlert(alert_id=alert_id, number=number, channels=rule.escalate_to),
            )
        quiet = rule.quiet_minutes
        if quiet is not None and now >= opening.last_cause_at + timedelta(minutes=quiet):
            yield Said(
                id_of("quiet", alert_id, number),
                ResolveAlert(
                    alert_id=alert_id,
                    number=number,
                    by_itself=True,
                    reason=f"nothing further for {quiet:g} minutes",
                ),
            )


def statuses(watched: Watched) -> dict[AlertStatus, int]:
    """How many alerts are open, by whether somebody looks after them."""
    found = {AlertStatus.ACTIVE: 0, AlertStatus.ACKNOWLEDGED: 0}
    for opening in watched.openings.values():
        if opening.open:
            status = AlertStatus.ACKNOWLEDGED if opening.acknowledged else AlertStatus.ACTIVE
            found[status] += 1
    return found

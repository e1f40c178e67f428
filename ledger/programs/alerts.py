"""`ledgerctl serve alerts`: tells people what the log and the vitals say, by rules.

One owner at a time (ledger/subscriptions); whoever runs beside it stands by.

    handle      each event: what the rules say of it is sent as commands, before the place moves on;
                what became of alerts is folded into what is open (ledger/alerting/watch.py)
    meanwhile   the vitals by the rules; what is due by the clock; the messages that are due: begun
                in the log, sent in threads, ended in the log

What it says and remembers, it does as log_service.py tells. Where nothing can be recorded at all,
ledger/alerting/outage.py tells it all the same.
"""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
import structlog
from prometheus_client import Counter

from ledger.alerting import delivery, watch
from ledger.alerting.channels import channels_of
from ledger.alerting.condition_watch import ConditionWatch, said_of_vitals
from ledger.alerting.outage import Watchman
from ledger.alerting.rule_match import said_of
from ledger.alerting.rules import rules_of
from ledger.alerting.sender import MessageSender
from ledger.alerting.watch import Attempt, Retries, Watched
from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.command import Outcome
from ledger.kernel.consequence import Said
from ledger.kernel.noun import events_in
from ledger.nouns.alerts import events as alert_events
from ledger.nouns.alerts.commands import RaiseAlert
from ledger.operate.roles import PROJECTOR
from ledger.programs.log_service import LogService
from ledger.programs.readiness import followed
from ledger.programs.registry import Places, Program
from ledger.subscriptions.lease import owner_name
from ledger.vitals.examination import examine

NAME = "alerting"
"""Of its subscription. (`alerts` is the read model.)"""
SOURCE = "alerts"
_OF_ALERTS = events_in(alert_events)
_DELIVERIES = Counter(
    "ledger_alert_deliveries", "Messages of alerts, by what became of them.", ["status"]
)

_log = structlog.get_logger(__name__)


class AlertService(LogService[Watched]):
    """Until `stop`. Raises InvalidRules, UnusableChannels, AppriseMissing."""

    def __init__(self, places: Places, stop: threading.Event) -> None:
        settings = places.settings
        self._rules = rules_of(settings.alert_rules)
        super().__init__(
            places,
            stop,
            name=NAME,
            source=SOURCE,
            event_types=sorted({*_OF_ALERTS, *self._rules.event_types}),
            memory=Watched,
        )
        channels = channels_of(settings)
        if channels:
            delivery.check_installed()
        else:
            _log.warning("alerts.no_channels", remedy="name some in LEDGER_ALERT_CHANNELS_FILE")
        self._retries = Retries(settings.alert_max_deliver, settings.alert_retry_wait_seconds)
        self._owner = owner_name()
        self._sender = MessageSender(channels, self._wake)
        self._watchman = Watchman(
            partial(
                examine,
                settings,
                places.database_url,
                places.nats_url,
                why=True,
                as_program=True,
            ),
            self._rules,
            channels,
            settings.alert_look_seconds,
            self._wake,
        )
        self._holding = ConditionWatch(self._rules)
        self._looked_at: datetime | None = None
        self._said: set[UUID] = set()
        """Ids of what was said and decided while we are the owner."""

    def run(self) -> None:
        looking = threading.Thread(target=self._watchman.watch, args=(self._stop,), name="vitals")
        looking.start()
        try:
            super().run()
        finally:
            self._stop.set()
            looking.join()
            self._sender.close()

    def _wake(self) -> None:
        self._subscription.wake()

    # --- as the owner -----------------------------------------------------------------------

    def _claimed(self, connection: psycopg.Connection[Any]) -> None:
        super()._claimed(connection)
        self._holding = ConditionWatch(self._rules)
        self._said = set()

    def _fold(self, memory: Watched, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            if event.event_type in _OF_ALERTS:
                watch.fold(memory, event.decoded(), event.recorded_at)
            said = said_of((event,), self._rules, self._sender.channels)
            self._say(_not_open(memory, said, event.recorded_at))

    def _meanwhile(self, _: psycopg.Connection[Any]) -> None:
        self._watchman.is_owner()
        now = datetime.now(UTC)
        self._end_deliveries()
        self._record_outages()
        newest = self._watchman.newest
        if newest is not None and newest[1] != self._looked_at:
            vitals, self._looked_at = newest
            self._holding.look(vitals, self._looked_at)
            every = tuple(self._sender.channels)
            self._say(
                said_of_vitals(
                    self._holding, vitals, self._memory, self._rules, self._looked_at, every
                )
            )
        self._say(watch.said_at(self._memory, now, self._rules))
        self._begin_deliveries(now)

    def _say(self, said: Iterable[Said]) -> list[Outcome]:
        """All but what was said before. Raises LedgerUnavailable, OutcomeTimeout."""
        new = [one for one in said if one.command_id not in self._said]
        outcomes = super()._say(new)
        self._said |= {one.command_id for one in new}
        return outcomes

    # --- messages ---------------------------------------------------------------------------

    def _begin_deliveries(self, now: datetime) -> None:
        """What the log says is begun, and by us, is sent."""
        of_message: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
        for attempt in watch.attempts(self._memory, now, self._retries):
            was_begun = attempt.begin(self._owner).command_id in self._said
            if not was_begun and attempt.key not in self._sender.under_way:
                of_message[attempt.channel, attempt.opening.raised.rule].append(attempt)
        for attempts in of_message.values():
            outcomes = self._say(one.begin(self._owner) for one in attempts)
            begun = [one for one, of in zip(attempts, outcomes, strict=True) if of.accepted]
            if begun:
                self._sender.send(begun)

    def _end_deliveries(self) -> None:
        for sent in self._sender.found_out():
            self._say([sent.end(self._owner, self._retries)])
            self._sender.is_over(sent)
            _DELIVERIES.labels("SENT" if sent.answer.sent else "FAILED").inc()
            if not sent.answer.sent:
                _log.warning(
                    "alerts.not_delivered",
                    channel=sent.attempt.channel,
                    attempt=sent.attempt.number,
                    error=sent.answer.error,
                )

    def _record_outages(self) -> None:
        for outage, said in list(self._watchman.to_record(self._memory)):
            for one in said:
                self._say([one])
            self._watchman.recorded(outage)


def _not_open(watched: Watched, said: Iterable[Said], at: datetime) -> Iterator[Said]:
    """All but what is open already: of that it is noted that it goes on."""
    for one in said:
        opening = watched.open(one.data.alert_id) if isinstance(one.data, RaiseAlert) else None
        if opening is None:
            yield one
        else:
            opening.last_cause_at = at


def _serve(places: Places, stop: threading.Event) -> None:
    AlertService(places, stop).run()


PROGRAM = Program(
    name="alerts",
    summary="tells people what the log and the vitals say, by rules",
    role=PROJECTOR,
    ready=lambda places: followed(places, [NAME]),
    run=_serve,
    port=9471,
)

"""What cannot be recorded while a server is away is told at once, and recorded afterwards.

An alert is an event, and there is none without the database and the bus. So whoever tells alerts
also tells by itself that one of them is away: once for each outage, with no memory but its own.
When both are back the log gets the alert and what became of it.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

import structlog

from ledger.alerting import delivery
from ledger.alerting.condition_watch import raised
from ledger.alerting.rules import AlertRule, Rules
from ledger.alerting.watch import Watched
from ledger.kernel.consequence import Said, id_of
from ledger.nouns.alerts.commands import ResolveAlert
from ledger.nouns.alerts.state import stream_id
from ledger.vitals.examination import Vitals
from ledger.vitals.measure import Sample

SERVERS = ("database_up", "bus_up")
OWNER_SECONDS = 30.0
"""Whoever told alerts so short before the outage tells of it; who stood by does not."""

_log = structlog.get_logger(__name__)


class Outage:
    """One that is under way, or over and not recorded."""

    def __init__(self, rule: AlertRule, sample: Sample) -> None:
        self.rule = rule
        self.sample = sample
        self.since = datetime.now(UTC)
        self.begun = time.monotonic()
        self.told: tuple[str, ...] = ()
        self.was_told = False
        self.over = False
        self.vitals = Vitals([])


class Watchman:
    """Examines again and again; tells of servers that are away. `newest` is the last examination,
    for whoever can record what follows from it."""

    def __init__(
        self,
        examine: Callable[[], Vitals],
        rules: Rules,
        channels: Mapping[str, str],
        look_seconds: float,
        on_look: Callable[[], None],
    ) -> None:
        self._examine = examine
        self._rules = {one.measure: one for one in rules.of_vitals if one.measure in SERVERS}
        self._channels = channels
        self._look_seconds = look_seconds
        self._on_look = on_look
        self._owned_at = -OWNER_SECONDS
        self._outages: dict[str, Outage] = {}
        self._over: list[Outage] = []
        self._lock = threading.Lock()
        self.newest: tuple[Vitals, datetime] | None = None

    def is_owner(self) -> None:
        """Said again and again by the one that tells alerts."""
        self._owned_at = time.monotonic()

    def watch(self, stop: threading.Event) -> None:
        """Until `stop`."""
        while not stop.is_set():
            try:
                vitals = self._examine()
                self.newest = (vitals, datetime.now(UTC))
                for measure, rule in self._rules.items():
                    self._look(rule, vitals, str(measure))
            except Exception:  # noqa: BLE001 - whatever it is, there is a next look
                _log.exception("alerts.not_looked")
            self._on_look()
            stop.wait(self._look_seconds)

    def _look(self, rule: AlertRule, vitals: Vitals, measure: str) -> None:
        sample = next((one for one in vitals.samples if one.name == measure), None)
        away = sample is not None and rule.holds(sample.value)
        with self._lock:
            outage = self._outages.get(measure)
            if not away:
                if outage is not None:
                    outage.over = True
                    self._over.append(self._outages.pop(measure))
                return
            assert sample is not None
            if outage is None:
                outage = self._outages[measure] = Outage(rule, sample)
        outage.vitals = vitals
        long_enough = time.monotonic() - outage.begun >= rule.for_seconds
        if long_enough and not outage.was_told and self._tells(outage):
            self._tell(outage)

    def _tells(self, outage: Outage) -> bool:
        return self._owned_at >= outage.begun - OWNER_SECONDS

    def _tell(self, outage: Outage) -> None:
        rule = outage.rule
        outage.was_told = True
        names = tuple(self._channels) if rule.channels is None else rule.channels
        said = raised(rule, outage.sample, outage.vitals, number=0, channels=())
        message = delivery.AlertMessage(
            f"{rule.severity}: {said.title}",
            f"{said.message or ''}\nsince {outage.since:%Y-%m-%d %H:%M:%S} UTC; not recorded yet: "
            "there is nowhere to",
            rule.severity,
            str(id_of("outage", rule.name, outage.since)),
        )
        for name in names:
            address = self._channels.get(name)
            answer = None if address is None else delivery.send(address, message)
            if answer is not None and answer.sent:
                outage.told = (*outage.told, name)
            else:
                _log.error("alerts.outage_not_told", channel=name, error=answer and answer.error)
        _log.warning("alerts.outage_told", rule=rule.name, channels=outage.told)

    # --- afterwards -------------------------------------------------------------------------

    def to_record(self, watched: Watched) -> Iterator[tuple[Outage, tuple[Said, Said]]]:
        """What was told of outages that are over: that it was raised, and that it is over."""
        with self._lock:
            over = [one for one in self._over if one.was_told]
            self._over = over
        for outage in over:
            rule = outage.rule
            alert_id = stream_id(rule.name, rule.entity_type, "")
            number = watched.next_number(alert_id)
            opened = raised(rule, outage.sample, outage.vitals, number=number, channels=())
            told = {"told": ", ".join(outage.told), "since": outage.since.isoformat()}
            yield (
                outage,
                (
                    Said(
                        id_of("outage", rule.name, outage.since),
                        opened.model_copy(update={"metadata": opened.metadata | told}),
                    ),
                    Said(
                        id_of("outage over", rule.name, outage.since),
                        ResolveAlert(alert_id=alert_id, number=number, by_itself=True),
                    ),
                ),
            )

    def recorded(self, outage: Outage) -> None:
        with self._lock:
            self._over.remove(outage)

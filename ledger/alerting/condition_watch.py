"""Which conditions of the vitals hold, for how long: told when they have held long enough, and
taken back when they have not held for as long."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from ledger.alerting.rule_match import line_of, text_of
from ledger.alerting.rules import AlertRule, Rules
from ledger.alerting.watch import Watched
from ledger.kernel.consequence import Said, id_of
from ledger.nouns.alerts.commands import MAX_ENTITY, RaiseAlert, ResolveAlert
from ledger.nouns.alerts.state import stream_id
from ledger.vitals.examination import Vitals
from ledger.vitals.measure import Sample

CLEAR_SECONDS = 30.0
"""So long a condition must not hold before its alert is over: what flickers is one alert."""

Key = tuple[str, str]
"""The name of a rule, and whom it is about."""


class ConditionWatch:
    """Looks at one examination after the other."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules.of_vitals
        self._since: dict[Key, datetime] = {}
        self._clear_since: dict[Key, datetime] = {}
        self._samples: dict[Key, Sample] = {}
        self._whole = False
        """Whether both servers were asked, so that what is not told is not there."""

    def look(self, vitals: Vitals, now: datetime) -> None:
        """What a server would have said that is away is not known: it stays as it was."""
        self._whole = vitals.database_error is None and vitals.bus_error is None
        for rule in self._rules:
            told = {one.label: one for one in vitals.samples if one.name == rule.measure}
            for label, sample in told.items():
                self._note((rule.name, label), rule.holds(sample.value), sample, now)
            if self._whole:
                for key in [one for one in self._since if one[0] == rule.name]:
                    if key[1] not in told:
                        self._note(key, False, self._samples[key], now)

    def _note(self, key: Key, holds: bool, sample: Sample, now: datetime) -> None:
        if holds:
            self._since.setdefault(key, now)
            self._clear_since.pop(key, None)
            self._samples[key] = sample
        else:
            self._since.pop(key, None)
            self._clear_since.setdefault(key, now)

    def long_enough(self, now: datetime) -> Iterator[tuple[AlertRule, Sample]]:
        """What has held as long as its rule wants."""
        for rule in self._rules:
            for (name, label), since in self._since.items():
                if name == rule.name and now >= since + timedelta(seconds=rule.for_seconds):
                    yield rule, self._samples[name, label]

    def cleared(self, rule: AlertRule, label: str, now: datetime) -> bool:
        """Whether it has not held for long; what nobody tells of any more does not hold either."""
        key = (rule.name, label)
        if key in self._since or not self._whole:
            return False
        since = self._clear_since.setdefault(key, now)
        return now >= since + timedelta(seconds=CLEAR_SECONDS)


def said_of_vitals(
    holding: ConditionWatch,
    vitals: Vitals,
    watched: Watched,
    rules: Rules,
    now: datetime,
    channels: tuple[str, ...],
) -> Iterator[Said]:
    """Alerts that open, and those that are over."""
    for rule, sample in holding.long_enough(now):
        alert_id = stream_id(rule.name, rule.entity_type, sample.label[:MAX_ENTITY])
        if watched.open(alert_id) is None:
            number = watched.next_number(alert_id)
            yield Said(
                id_of("raise", alert_id, number),
                raised(rule, sample, vitals, number=number, channels=channels),
            )
    for alert_id, opening in watched.openings.items():
        of_rule = rules.by_name.get(opening.raised.rule)
        if not opening.open or of_rule is None or of_rule.measure is None:
            continue
        if holding.cleared(of_rule, opening.raised.entity_id, now):
            yield Said(
                id_of("resolve", alert_id, opening.number),
                ResolveAlert(
                    alert_id=alert_id,
                    number=opening.number,
                    by_itself=True,
                    reason="it holds no more",
                ),
            )


def raised(
    rule: AlertRule, sample: Sample, vitals: Vitals, *, number: int, channels: tuple[str, ...]
) -> RaiseAlert:
    told = {(alarm.condition.alert, alarm.sample.label): text for alarm, text in vitals.alarms()}
    return RaiseAlert(
        rule=rule.name,
        entity_type=rule.entity_type,
        entity_id=sample.label[:MAX_ENTITY],
        severity=rule.severity,
        title=line_of(rule.title.format(label=sample.label, value=sample.value)),
        message=text_of(told.get((rule.name, sample.label), "")),
        channels=channels if rule.channels is None else rule.channels,
        number=number,
        runbook=rule.runbook,
        metadata={"measure": sample.name, "value": f"{sample.value:g}", "limit": f"{rule.limit:g}"},
    )

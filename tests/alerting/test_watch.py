"""What is due at a moment: escalations, further attempts, ends of silences; what holds long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from ledger.alerting import watch
from ledger.alerting.condition_watch import CLEAR_SECONDS, ConditionWatch, said_of_vitals
from ledger.alerting.rules import Rules, rules_of
from ledger.alerting.watch import Retries, Watched
from ledger.kernel.consequence import Said
from ledger.nouns.alerts.commands import EscalateAlert, RaiseAlert, ReleaseAlert, ResolveAlert
from ledger.nouns.alerts.events import (
    AlertAcknowledged,
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertRaised,
    AlertResolved,
    AlertSeverity,
    AlertsSuppressed,
    DeliveryStatus,
)
from ledger.nouns.alerts.state import stream_id
from ledger.vitals.examination import Vitals
from ledger.vitals.measure import Sample

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
RETRIES = Retries(attempts=3, first_pause_seconds=5, answer_seconds=60)
ALERT = stream_id("facts-conflict", "ACCOUNT", "a")
ONE: dict[str, Any] = {"alert_id": ALERT, "number": 1}


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.fixture
def rules() -> Rules:
    found = rules_of(None).by_name
    rule = msgspec.structs.replace(
        found["facts-conflict"], escalate_after_minutes=10, escalate_to=("boss",)
    )
    return Rules(found | {rule.name: rule})


def raised(**more: Any) -> AlertRaised:
    given: dict[str, Any] = {
        "rule": "facts-conflict",
        "entity_type": "ACCOUNT",
        "entity_id": "a",
        "severity": AlertSeverity.WARNING,
        "title": "t",
        "channels": ("ops",),
    }
    return AlertRaised(**ONE, **given | more)


def watched(*events: tuple[Any, float]) -> Watched:
    """Folded, and remembered between any two events."""
    found = Watched()
    for event, seconds in events:
        watch.fold(found, event, at(seconds))
        found = msgspec.json.decode(msgspec.json.encode(found), type=Watched)
    return found


def attempts(found: Watched, seconds: float) -> list[tuple[int, bool]]:
    due = watch.attempts(found, at(seconds), RETRIES)
    return [(one.number, one.answer_lost) for one in due]


def test_what_failed_is_due_again_after_pauses_that_grow() -> None:
    begun = AlertDeliveryBegun(**ONE, channel="ops", attempt=1)
    failed = AlertDeliveryEnded(**ONE, channel="ops", attempt=1, status=DeliveryStatus.FAILED)
    found = watched((raised(), 0))
    assert attempts(found, 0.5) == []
    assert attempts(found, 1) == [(1, False)]
    found = watched((raised(), 0), (begun, 1))
    assert attempts(found, 60) == []
    assert attempts(found, 61) == [(2, True)]
    found = watched((raised(), 0), (begun, 1), (failed, 2))
    assert attempts(found, 6.9) == []
    assert attempts(found, 7) == [(2, False)]
    assert RETRIES.pause(2) == timedelta(seconds=15)
    assert RETRIES.pause(50) == timedelta(hours=1)


def test_what_was_sent_or_given_up_is_over() -> None:
    sent = AlertDeliveryEnded(**ONE, channel="ops", attempt=1, status=DeliveryStatus.SENT)
    resolved = AlertResolved(**ONE, by_itself=True)
    begun = AlertDeliveryBegun(**ONE, channel="ops", attempt=1)
    found = watched((raised(), 0), (begun, 1), (sent, 2))
    assert attempts(found, 1e6) == []
    assert watched((raised(), 0), (resolved, 1)).openings.keys() == {ALERT}
    over = watched((raised(), 0), (begun, 1), (sent, 2), (resolved, 3))
    assert (over.openings, over.numbers, over.next_number(ALERT)) == ({}, {ALERT: 1}, 2)


def said(found: Watched, rules: Rules, seconds: float) -> list[type[Any]]:
    return [type(one.data) for one in watch.said_at(found, at(seconds), rules)]


def test_what_nobody_acknowledges_is_escalated_and_what_is_quiet_is_over(rules: Rules) -> None:
    acknowledged = AlertAcknowledged(**ONE, actor="ada")
    assert said(watched((raised(), 0)), rules, 599) == []
    assert said(watched((raised(), 0)), rules, 600) == [EscalateAlert]
    assert said(watched((raised(), 0), (acknowledged, 1)), rules, 600) == []
    assert said(watched((raised(), 0), (acknowledged, 1)), rules, 3_600) == [ResolveAlert]


def test_what_was_kept_is_told_when_the_silence_is_over(rules: Rules) -> None:
    silence = AlertsSuppressed(alert_id=ALERT, rule="facts-conflict", until=at(100))
    kept = (raised(suppressed=True), 1)
    assert said(watched((silence, 0), kept), rules, 99) == []
    assert said(watched((silence, 0), kept), rules, 100) == [ReleaseAlert]
    assert attempts(watched((silence, 0), kept), 1e6) == []


def test_a_condition_that_flickers_is_one_alert(rules: Rules) -> None:
    looked = ConditionWatch(rules)
    full = Vitals([Sample("disk_free_bytes", "", 1.0)])
    room = Vitals([Sample("disk_free_bytes", "", 1e12)])
    found = Watched()

    def look(vitals: Vitals, seconds: float) -> list[Said]:
        looked.look(vitals, at(seconds))
        return list(said_of_vitals(looked, vitals, found, rules, at(seconds), ("ops",)))

    assert look(full, 0) == []
    (opened,) = look(full, 10)
    assert isinstance(opened.data, RaiseAlert)
    assert (opened.data.rule, opened.data.number) == ("LedgerDiskFull", 1)
    (again,) = look(full, 11)
    assert again.command_id == opened.command_id
    alert = stream_id("LedgerDiskFull")
    event = AlertRaised(
        alert_id=alert,
        number=1,
        rule="LedgerDiskFull",
        severity=AlertSeverity.WARNING,
        title="t",
    )
    watch.fold(found, event, at(11))
    for second in range(12, 40):
        assert look(room if second % 2 else full, second) == []
    assert look(room, 41) == []
    (over,) = look(room, 41 + CLEAR_SECONDS)
    assert isinstance(over.data, ResolveAlert)


def test_what_a_server_that_is_away_would_say_is_not_known(rules: Rules) -> None:
    looked = ConditionWatch(rules)
    away = Vitals([], database_error="gone")
    full = Vitals([Sample("streams_held", "", 1.0)])
    for seconds in (0.0, 10.0):
        looked.look(full, at(seconds))
    looked.look(away, at(1_000))
    rule = rules.by_name["LedgerStreamHeld"]
    assert not looked.cleared(rule, "", at(2_000))
    assert rule in [one for one, _ in looked.long_enough(at(2_000))]

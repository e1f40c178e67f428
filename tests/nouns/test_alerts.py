"""Alerts: opened once, told once on each channel, silent when asked to be."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.kernel.event import Event
from ledger.kernel.rejection import Rejection
from ledger.nouns.alerts.events import (
    AlertDeliveryBegun,
    AlertDeliveryEnded,
    AlertEscalated,
    AlertRaised,
    AlertReleased,
    AlertResolved,
)
from ledger.nouns.alerts.rejections import AlertRejection
from ledger.nouns.alerts.state import stream_id
from tests.nouns.working import Working

RULE = "drawdown"
ALERT = stream_id(RULE, "ACCOUNT", "a")


@pytest.fixture
def ledger() -> Working:
    return Working()


def tell(ledger: Working, command_type: str, **data: Any) -> tuple[Event, ...]:
    events: tuple[Event, ...] = ledger.tell(command_type, "alerts", **data)
    return events


def raised(ledger: Working, **data: Any) -> tuple[Event, ...]:
    given: dict[str, Any] = {
        "rule": RULE,
        "entity_type": "ACCOUNT",
        "entity_id": "a",
        "severity": "CRITICAL",
        "title": "drawdown 10 %",
        "channels": ["mail", "chat"],
    }
    return tell(ledger, "RaiseAlert", **given | data)


def refused(code: AlertRejection, ledger: Working, command_type: str, **data: Any) -> None:
    with pytest.raises(Rejection) as refusal:
        tell(ledger, command_type, **data)
    assert refusal.value.code is code


def begin(ledger: Working, attempt: int, channel: str = "mail", **data: Any) -> tuple[Event, ...]:
    more = {"number": 1, "channel": channel, "attempt": attempt} | data
    return tell(ledger, "BeginAlertDelivery", alert_id=str(ALERT), **more)


def end(ledger: Working, attempt: int, status: str, **data: Any) -> tuple[Event, ...]:
    more = {"number": 1, "channel": "mail", "attempt": attempt, "status": status} | data
    return tell(ledger, "EndAlertDelivery", alert_id=str(ALERT), **more)


def test_a_thousand_oscillating_tellings_are_one_alert_per_opening(ledger: Working) -> None:
    events: list[Event] = []
    for _ in range(1_000):
        events += raised(ledger)
    assert [type(event) for event in events] == [AlertRaised]
    (resolved,) = tell(ledger, "ResolveAlert", alert_id=str(ALERT), number=1, by_itself=True)
    assert isinstance(resolved, AlertResolved)
    *_, again = raised(ledger)
    assert isinstance(again, AlertRaised)
    assert again.number == 2


def test_one_who_comes_late_opens_nothing_that_is_over(ledger: Working) -> None:
    raised(ledger, number=1)
    tell(ledger, "ResolveAlert", alert_id=str(ALERT), number=1, by_itself=True)
    assert raised(ledger, number=1) == ()
    assert tell(ledger, "ResolveAlert", alert_id=str(ALERT), number=1, by_itself=True) == ()
    assert isinstance(raised(ledger, number=2)[-1], AlertRaised)


def test_what_is_suppressed_is_kept_and_not_sent_until_its_time(ledger: Working) -> None:
    silence = {"rule": RULE, "entity_type": "ACCOUNT", "entity_id": "a"}
    tell(ledger, "SuppressAlerts", **silence, until="2026-03-01T13:00:00Z", reason="planned")
    (kept,) = raised(ledger, occurred_at="2026-03-01T12:59:59Z")
    assert isinstance(kept, AlertRaised)
    assert kept.suppressed
    with pytest.raises(Rejection):
        begin(ledger, 1)
    (released,) = tell(ledger, "ReleaseAlert", alert_id=str(ALERT), number=1)
    assert isinstance(released, AlertReleased)
    assert len(begin(ledger, 1)) == 1
    tell(ledger, "ResolveAlert", alert_id=str(ALERT), by_itself=True, number=1)
    *_, told = raised(ledger, occurred_at="2026-03-01T13:00:00Z")
    assert not told.suppressed  # type: ignore[attr-defined]


def test_all_that_a_rule_says_can_be_suppressed_and_taken_back(ledger: Working) -> None:
    tell(ledger, "SuppressAlerts", rule=RULE)
    (kept,) = raised(ledger)
    assert kept.suppressed  # type: ignore[attr-defined]
    tell(ledger, "UnsuppressAlerts", rule=RULE)
    (other,) = raised(ledger, entity_id="b")
    assert not other.suppressed  # type: ignore[attr-defined]
    refused(AlertRejection.NOT_SUPPRESSED, ledger, "UnsuppressAlerts", rule=RULE)


def test_what_nobody_acknowledges_is_told_further_channels_once(ledger: Working) -> None:
    raised(ledger)
    escalate = {"alert_id": str(ALERT), "number": 1, "channels": ["chat", "boss"]}
    (escalated,) = tell(ledger, "EscalateAlert", **escalate)
    assert isinstance(escalated, AlertEscalated)
    assert escalated.channels == ("boss",)
    assert tell(ledger, "EscalateAlert", **escalate) == ()


def test_what_is_acknowledged_is_not_escalated(ledger: Working) -> None:
    raised(ledger)
    (acknowledged,) = tell(ledger, "AcknowledgeAlert", alert_id=str(ALERT), actor="ada")
    assert acknowledged.actor == "ada"  # type: ignore[attr-defined]
    assert tell(ledger, "EscalateAlert", alert_id=str(ALERT), number=1, channels=["boss"]) == ()
    assert len(tell(ledger, "ResolveAlert", alert_id=str(ALERT), reason="done")) == 1
    refused(AlertRejection.ALERT_NOT_OPEN, ledger, "ResolveAlert", alert_id=str(ALERT))
    refused(AlertRejection.UNKNOWN_ALERT, ledger, "AcknowledgeAlert", alert_id=str(uuid4()))


def test_of_two_that_would_tell_it_one_does(ledger: Working) -> None:
    raised(ledger)
    assert len(begin(ledger, 1)) == 1
    with pytest.raises(Rejection):
        begin(ledger, 1)
    assert len(end(ledger, 1, "SENT")) == 1
    assert end(ledger, 1, "SENT") == ()
    with pytest.raises(Rejection):
        begin(ledger, 2)


def test_what_failed_is_tried_again_and_marked_only_where_it_may_have_arrived(
    ledger: Working,
) -> None:
    raised(ledger)
    begin(ledger, 1)
    end(ledger, 1, "FAILED", error="refused")
    (second,) = begin(ledger, 2)
    assert isinstance(second, AlertDeliveryBegun)
    assert not second.repeated
    end(ledger, 2, "FAILED", error="no answer", uncertain=True)
    (third,) = begin(ledger, 3)
    assert third.repeated  # type: ignore[attr-defined]
    end(ledger, 3, "FAILED", error="no answer", final=True)
    with pytest.raises(Rejection):
        begin(ledger, 4)


def test_an_attempt_whose_sender_vanished_is_repeated_and_says_so(ledger: Working) -> None:
    raised(ledger)
    begin(ledger, 1)
    (repeated,) = begin(ledger, 2, answer_lost=True)
    assert repeated.repeated  # type: ignore[attr-defined]
    (sent,) = end(ledger, 1, "SENT")
    assert isinstance(sent, AlertDeliveryEnded)
    assert end(ledger, 2, "SENT") == ()


def test_what_is_raised_anew_before_it_was_sent_is_told_once(ledger: Working) -> None:
    raised(ledger, channels=["mail"])
    tell(ledger, "ResolveAlert", alert_id=str(ALERT), number=1, by_itself=True)
    given_up, opened = raised(ledger, channels=["mail"])
    assert isinstance(given_up, AlertDeliveryEnded)
    assert (given_up.number, given_up.final) == (1, True)
    assert isinstance(opened, AlertRaised)


def test_an_alert_of_an_account_is_its_users(ledger: Working) -> None:
    account_id = ledger.open()
    (alert,) = raised(ledger, account_id=str(account_id), entity_id=str(account_id))
    assert isinstance(alert, AlertRaised)
    assert isinstance(alert.user_id, UUID)
    assert ledger.refolded().keys() == ledger.states.keys()

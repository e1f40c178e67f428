"""Breakers and risk events as decisions: at the threshold and not before, once, until a person."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.kernel.event import Event
from ledger.kernel.rejection import GeneralRejection, Rejection, RejectionCode
from ledger.nouns.breakers.events import BreakerTripped
from ledger.nouns.breakers.rejections import BreakerRejection
from ledger.nouns.risk.rejections import RiskRejection
from ledger.nouns.risk.state import RiskState
from tests.nouns.working import Working

BREAKER = str(uuid4())
SUBJECT = {"scope": "ACCOUNT", "reference": "a"}


@pytest.fixture
def ledger() -> Working:
    return Working()


def tell(ledger: Working, command_type: str, **data: Any) -> tuple[Event, ...]:
    family = "risk" if "Risk" in command_type else "breakers"
    events: tuple[Event, ...] = ledger.tell(command_type, family, **data)
    return events


def refused(code: RejectionCode, ledger: Working, command_type: str, **data: Any) -> None:
    with pytest.raises(Rejection) as refusal:
        tell(ledger, command_type, **data)
    assert refusal.value.code is code


def set_breaker(ledger: Working, **data: Any) -> tuple[Event, ...]:
    given: dict[str, Any] = {"breaker_id": BREAKER, "kind": "DRAWDOWN", "scope": "SYSTEM"}
    return tell(ledger, "SetBreaker", **given | {"threshold": "0.1"} | data)


def trip(ledger: Working, measured: str) -> tuple[Event, ...]:
    return tell(ledger, "TripBreaker", breaker_id=BREAKER, measured=measured, **SUBJECT)


def test_it_trips_at_its_threshold_and_not_before_and_once(ledger: Working) -> None:
    set_breaker(ledger)
    with pytest.raises(Rejection) as refusal:
        trip(ledger, "0.0999")
    assert refusal.value.code is BreakerRejection.BREAKER_NOT_REACHED
    (tripped,) = trip(ledger, "0.1")
    assert isinstance(tripped, BreakerTripped)
    assert (tripped.number, tripped.terms.threshold) == (1, tripped.measured)
    assert trip(ledger, "0.5") == ()


def test_it_stays_so_until_a_person_says_why_not(ledger: Working) -> None:
    set_breaker(ledger)
    trip(ledger, "0.2")
    set_breaker(ledger, threshold="0.9")
    assert trip(ledger, "0.95") == ()
    resume: dict[str, Any] = {"breaker_id": BREAKER, "reason": "seen to", **SUBJECT}
    (resumed,) = tell(ledger, "ResumeBreaker", **resume)
    assert resumed.number == 1  # type: ignore[attr-defined]
    refused(BreakerRejection.BREAKER_NOT_TRIPPED, ledger, "ResumeBreaker", **resume)
    (again,) = trip(ledger, "0.9")
    assert again.number == 2  # type: ignore[attr-defined]


def test_one_that_is_removed_trips_no_more(ledger: Working) -> None:
    set_breaker(ledger)
    tell(ledger, "RemoveBreaker", breaker_id=BREAKER)
    assert tell(ledger, "RemoveBreaker", breaker_id=BREAKER) == ()
    assert trip(ledger, "1") == ()
    refused(BreakerRejection.UNKNOWN_BREAKER, ledger, "RemoveBreaker", breaker_id=str(uuid4()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "LOSS_STREAK", "threshold": "2.5"},
        {"threshold": "10"},
        {"kind": "VOLATILITY_SPIKE"},
        {"kind": "VOLATILITY_SPIKE", "scope": "INSTRUMENT", "reference": "A:B"},
        {"scope": "ACCOUNT"},
        {"reference": "a"},
    ],
)
def test_what_cannot_be_measured_is_not_set(ledger: Working, wrong: dict[str, Any]) -> None:
    with pytest.raises(Rejection) as refusal:
        set_breaker(ledger, **wrong)
    assert refusal.value.code is GeneralRejection.INVALID_COMMAND


def test_what_a_breaker_is_of_never_changes(ledger: Working) -> None:
    set_breaker(ledger)
    assert set_breaker(ledger) == ()
    with pytest.raises(Rejection) as refusal:
        set_breaker(ledger, kind="LOSS_STREAK", threshold="3")
    assert refusal.value.code is BreakerRejection.BREAKER_FIXED


def test_a_risk_event_is_opened_once_and_told_anew_only_at_another_threshold(
    ledger: Working,
) -> None:
    seen: dict[str, Any] = {"event_type": "LIMIT", "what": "x", "message": "m", **SUBJECT}
    warning = seen | {"severity": "WARNING", "threshold": "WARNING"}
    (opened,) = tell(ledger, "ReportRisk", **warning, value="80")
    for value in range(81, 99):
        assert tell(ledger, "ReportRisk", **warning, value=str(value)) == ()
    critical = seen | {"severity": "CRITICAL", "threshold": "LIMIT"}
    assert len(tell(ledger, "ReportRisk", **critical, value="100")) == 1
    about = {name: seen[name] for name in ("event_type", "what", *SUBJECT)}
    (resolved,) = tell(ledger, "ClearRisk", **about, value="70")
    assert resolved.by_itself  # type: ignore[attr-defined]
    assert tell(ledger, "ClearRisk", **about) == ()
    risk_id: UUID = opened.risk_id  # type: ignore[attr-defined]
    assert isinstance(ledger.states[risk_id], RiskState)
    more = {"risk_id": str(risk_id), "reason": "done"}
    refused(RiskRejection.RISK_EVENT_NOT_OPEN, ledger, "ResolveRiskEvent", **more)
    unknown = more | {"risk_id": str(uuid4())}
    refused(RiskRejection.UNKNOWN_RISK_EVENT, ledger, "ResolveRiskEvent", **unknown)

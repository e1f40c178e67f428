"""What a look at an account opens and resolves: margin, liquidation, and what cannot be known."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.positions.position import Position
from ledger.nouns.risk.commands import ClearRisk, ReportRisk
from ledger.nouns.risk.events import RiskEventType, RiskThreshold
from ledger.nouns.risk.state import stream_id
from ledger.risk.judgement import judged
from ledger.risk.look import AccountLook, LiquidationLook, MarginLook
from ledger.risk.memory import OpenRisk, RiskMemory

ACCOUNT, CAUSE = uuid4(), uuid4()
D = Decimal
POSITION = Position(
    sub_account="main", instrument="X:PERP", number=1, quantity=D(1), settlement_asset="USDT"
)


def look(**changes: Any) -> AccountLook:
    given: dict[str, Any] = {
        "position": 7,
        "account": None,
        "limits": [],
        "margins": [],
        "liquidations": [],
        "drawdowns": {},
        "overdrawn": (),
        "unmarked": (),
    }
    return AccountLook(**given | changes)


def margin(ratio: str | None) -> AccountLook:
    found = None if ratio is None else D(ratio)
    return look(margins=[MarginLook("USDT", D(100), D(80), found)])


def near(distance: str) -> AccountLook:
    return look(liquidations=[LiquidationLook(POSITION, D(100), D(90), D(distance))])


def opened(event_type: RiskEventType, what: str, threshold: RiskThreshold | None) -> RiskMemory:
    scope, reference = LimitScope.ACCOUNT, str(ACCOUNT)
    risk_id: UUID = stream_id(event_type, scope, reference, what)
    risk = OpenRisk(event_type, scope, reference, what, threshold, ACCOUNT, None)
    return RiskMemory(risks={risk_id: risk})


def said(memory: RiskMemory, found: AccountLook) -> list[Any]:
    return [one.data for one in judged(memory, ACCOUNT, found, CAUSE)]


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [("0.79", None), ("0.8", "CRITICAL"), ("0.99", "CRITICAL"), ("1", "EMERGENCY")],
)
def test_a_margin_call_is_as_bad_as_maintenance_takes_of_equity(
    ratio: str, severity: str | None
) -> None:
    found = said(RiskMemory(), margin(ratio))
    assert [(type(one), one.severity.value) for one in found] == (
        [] if severity is None else [(ReportRisk, severity)]
    )


def test_without_equity_it_is_an_emergency() -> None:
    (told,) = said(RiskMemory(), margin(None))
    assert (told.severity.value, told.value) == ("EMERGENCY", None)


def test_a_margin_call_is_over_well_below_and_not_at_its_edge() -> None:
    called = opened(RiskEventType.MARGIN_CALL, "USDT", RiskThreshold.WARNING)
    assert said(called, margin("0.9")) == []
    assert said(called, margin("0.75")) == []
    (over,) = said(called, margin("0.69"))
    assert isinstance(over, ClearRisk)
    (worse,) = said(called, margin("1.2"))
    assert worse.threshold is RiskThreshold.LIMIT


def test_liquidation_is_near_within_a_tenth_and_over_beyond_more() -> None:
    (told,) = said(RiskMemory(), near("0.1"))
    assert (told.event_type, told.instrument) == (RiskEventType.LIQUIDATION_NEAR, "X:PERP")
    what = POSITION.key.text
    is_near = opened(RiskEventType.LIQUIDATION_NEAR, what, RiskThreshold.WARNING)
    assert said(is_near, near("0.11")) == []
    assert [type(one) for one in said(is_near, near("0.13"))] == [ClearRisk]
    assert [type(one) for one in said(is_near, look())] == [ClearRisk]


def test_what_cannot_be_measured_resolves_nothing() -> None:
    called = opened(RiskEventType.MARGIN_CALL, "USDT", RiskThreshold.WARNING)
    assert said(called, look(unmarked=("X:PERP",))) == []


def test_what_a_person_has_to_resolve_stays() -> None:
    over = opened(RiskEventType.OVERFILLED, "", None)
    assert said(over, look()) == []

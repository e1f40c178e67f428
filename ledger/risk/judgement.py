"""What a look at an account opens and resolves, and which breakers it trips."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from ledger.kernel.consequence import Said, id_of
from ledger.kernel.money import shown
from ledger.nouns.breakers.events import BreakerKind
from ledger.nouns.limits.check import Utilisation
from ledger.nouns.limits.terms import LimitScope, is_summed
from ledger.nouns.risk.commands import ClearRisk, ReportRisk
from ledger.nouns.risk.events import RiskEventType, RiskSeverity, RiskThreshold
from ledger.nouns.risk.state import stream_id
from ledger.risk.fold import RISKS_THAT_CLEAR, trip
from ledger.risk.look import AccountLook
from ledger.risk.memory import OpenRisk, RiskMemory, account_subject, covers, peak_key

_T, _S = RiskEventType, RiskSeverity

MARGIN_CALL_AT, MARGIN_CLEARS_BELOW = Decimal("0.8"), Decimal("0.7")
"""Of the equity, what maintenance may take; venues close at 1."""
LIQUIDATION_WITHIN, LIQUIDATION_CLEARS_BEYOND = Decimal("0.1"), Decimal("0.12")
"""Of the mark, how far away the liquidation price may be."""


class Level(NamedTuple):
    """Something that was measured: beyond a threshold, or within (`threshold` and `severity` None);
    `clears` whether it is far enough within to be over."""

    event_type: RiskEventType
    scope: LimitScope
    reference: str | None
    what: str
    severity: RiskSeverity | None
    threshold: RiskThreshold | None
    value: Decimal | None
    message: str = ""
    clears: bool = True
    more: Mapping[str, Any] = MappingProxyType({})

    @property
    def risk_id(self) -> UUID:
        return stream_id(self.event_type, self.scope, self.reference, self.what)


def judged(memory: RiskMemory, account_id: UUID, look: AccountLook, cause: UUID) -> Iterator[Said]:
    """Commands for what has changed. Peaks are noted in the memory."""
    levels = list(_levels(account_id, look))
    for level in levels:
        known = memory.risks.get(level.risk_id)
        if level.severity is not None:
            if known is None or known.threshold != level.threshold:
                yield _report(account_id, level, cause)
        elif known is not None and level.clears:
            yield _clear(level, cause)
    measured = {level.risk_id for level in levels}
    unknown = {str(one.limit.limit_id) for one in look.limits if one.missing}
    for risk_id, risk in memory.risks.items():
        if risk.account_id != account_id or risk_id in measured or risk.what in unknown:
            continue
        if risk.event_type in RISKS_THAT_CLEAR and not _unmarked(risk, look):
            yield _clear(_gone(risk), cause)
    yield from _drawdowns(memory, account_id, look, cause)


def _unmarked(risk: OpenRisk, look: AccountLook) -> bool:
    """Whether it cannot be known, for want of a price, that it is over."""
    of_marks = risk.event_type in {_T.MARGIN_CALL, _T.LIQUIDATION_NEAR}
    return of_marks and bool(look.unmarked)


def _gone(risk: OpenRisk) -> Level:
    """What was watched is no more: the limit was removed, the position closed."""
    return Level(risk.event_type, risk.scope, risk.reference, risk.what, None, None, None)


def _levels(account_id: UUID, look: AccountLook) -> Iterator[Level]:
    own = (LimitScope.ACCOUNT, str(account_id))
    for use in look.limits:
        if use.measured is not None:
            yield _of_limit(use, own)
    for asset in look.overdrawn:
        message = f"less than nothing of {asset} is available"
        yield Level(_T.OVERDRAWN, *own, "", _S.CRITICAL, None, None, message)
        break
    for one in look.margins:
        if one.maintenance <= 0:
            continue
        ratio = one.ratio
        dead = ratio is None or ratio >= 1
        call = dead or (ratio is not None and ratio >= MARGIN_CALL_AT)
        yield Level(
            *(_T.MARGIN_CALL, *own, one.asset),
            severity=(_S.EMERGENCY if dead else _S.CRITICAL) if call else None,
            threshold=(RiskThreshold.LIMIT if dead else RiskThreshold.WARNING) if call else None,
            value=ratio,
            message=f"maintenance takes {shown(one.maintenance)} of {shown(one.equity)} "
            f"{one.asset} equity",
            clears=ratio is not None and ratio < MARGIN_CLEARS_BELOW,
            more={"measure": "margin_ratio", "limit": Decimal(1), "warning": MARGIN_CALL_AT},
        )
    for near in look.liquidations:
        position = near.position
        within = near.distance <= LIQUIDATION_WITHIN
        yield Level(
            *(_T.LIQUIDATION_NEAR, *own, position.key.text),
            severity=_S.CRITICAL if within else None,
            threshold=RiskThreshold.WARNING if within else None,
            value=near.distance,
            message=f"{position.instrument} is at {shown(near.mark)}, and would be closed at "
            f"{shown(near.liquidation)} (estimate)",
            clears=near.distance > LIQUIDATION_CLEARS_BEYOND,
            more={
                "measure": "liquidation_distance",
                "warning": LIQUIDATION_WITHIN,
                "instrument": position.instrument,
            },
        )


def _of_limit(use: Utilisation, own: tuple[LimitScope, str]) -> Level:
    limit, terms = use.limit, use.limit.terms
    scope, reference = own
    if is_summed(limit.scope, terms):
        scope, reference = limit.scope, limit.reference or ""
    threshold = (
        RiskThreshold.LIMIT if use.exceeded else RiskThreshold.WARNING if use.warning else None
    )
    severities = {RiskThreshold.LIMIT: _S.CRITICAL, RiskThreshold.WARNING: _S.WARNING}
    assert use.measured is not None
    return Level(
        _T.LIMIT,
        scope,
        reference or None,
        str(limit.limit_id),
        severity=None if threshold is None else severities[threshold],
        threshold=threshold,
        value=use.measured,
        message=f"{terms.measure} is {shown(use.measured)} {terms.unit}, its limit "
        f"{shown(limit.value)} ({limit.scope})",
        more={
            "measure": terms.measure.value,
            "limit": limit.value,
            "warning": terms.warning_threshold,
            "unit": terms.unit,
            "limit_id": limit.limit_id,
            "instrument": limit.instrument,
            "data": {
                f"price {one.instrument}": f"{shown(one.price)} {one.source} {one.time.isoformat()}"
                for one in use.inputs.prices[:20]
            },
        },
    )


def _report(account_id: UUID, level: Level, cause: UUID) -> Said:
    assert level.severity is not None
    return Said(
        id_of("risk", level.risk_id, cause, level.threshold),
        ReportRisk(
            event_type=level.event_type,
            scope=level.scope,
            reference=level.reference,
            what=level.what,
            severity=level.severity,
            threshold=level.threshold,
            value=level.value,
            message=level.message[:500],
            account_id=account_id,
            cause=cause,
            **level.more,
        ),
        cause,
    )


def _clear(level: Level, cause: UUID) -> Said:
    return Said(
        id_of("clear", level.risk_id, cause),
        ClearRisk(
            event_type=level.event_type,
            scope=level.scope,
            reference=level.reference,
            what=level.what,
            value=level.value,
            cause=cause,
        ),
        cause,
    )


# --- breakers -------------------------------------------------------------------------------


def peaks_of(memory: RiskMemory, account_id: UUID) -> dict[str, Any]:
    """The peaks that breakers of this account compare with; None where there is none yet."""
    holder = memory.holders.get(account_id)
    return {
        key: memory.peaks.get(key)
        for breaker_id, armed in memory.breakers.items()
        if armed.terms.kind is BreakerKind.DRAWDOWN and covers(armed.terms, account_id, holder)
        for key in [peak_key(breaker_id, account_id)]
    }


def _drawdowns(
    memory: RiskMemory, account_id: UUID, look: AccountLook, cause: UUID
) -> Iterator[Said]:
    subject = account_subject(account_id)
    for breaker_id, armed in memory.breakers.items():
        key = peak_key(breaker_id, account_id)
        found = look.drawdowns.get(key)
        if found is None or armed.terms.kind is not BreakerKind.DRAWDOWN:
            continue
        memory.peaks[key] = found.peak
        if subject in armed.tripped or found.share < armed.terms.threshold:
            continue
        yield trip(
            breaker_id,
            cause,
            None,
            subject,
            measured=found.share,
            account_id=account_id,
            inputs={
                "peak": shown(found.peak.equity),
                "peak at": found.peak.at.isoformat(),
                "equity": shown(found.equity),
                "flows since": shown(found.flows),
                "currency": look.account.base_currency,
                "position": look.position,
            },
        )

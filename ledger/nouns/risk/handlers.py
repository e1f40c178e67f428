"""Risk events: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.risk import rules
from ledger.nouns.risk.commands import ClearRisk, ReportRisk, ResolveRiskEvent
from ledger.nouns.risk.events import RiskOpened, RiskResolved
from ledger.nouns.risk.state import RISK


def _reads_report(_: Command, data: ReportRisk) -> Iterator[UUID]:
    yield data.risk_id
    if data.account_id is not None:
        yield data.account_id


def _reads(_: Command, data: ClearRisk | ResolveRiskEvent) -> Iterator[UUID]:
    yield data.risk_id


@handles(ReportRisk, reads=_reads_report)
def report_risk(work: UnitOfWork, data: ReportRisk) -> None:
    account = None if data.account_id is None else work.state(ACCOUNT, data.account_id)
    if account is not None:
        work.of_user(account.user_id)
    seen = RiskOpened(
        risk_id=data.risk_id,
        number=0,
        value=data.value,
        event_type=data.event_type,
        severity=data.severity,
        scope=data.scope,
        reference=data.reference,
        what=data.what,
        message=data.message,
        threshold=data.threshold,
        measure=data.measure,
        limit=data.limit,
        warning=data.warning,
        unit=data.unit,
        limit_id=data.limit_id,
        account_id=data.account_id,
        user_id=None if account is None else account.user_id,
        order_id=data.order_id,
        instrument=data.instrument,
        trade_id=data.trade_id,
        cause=data.cause,
        action=data.action,
        source=work.command.source,
        data=data.data,
    )
    state = work.state(RISK, data.risk_id)
    work.record(RISK, data.risk_id, rules.report(state, seen))


@handles(ClearRisk, reads=_reads)
def clear_risk(work: UnitOfWork, data: ClearRisk) -> None:
    _of_its_user(work, data.risk_id)
    resolved = RiskResolved(
        risk_id=data.risk_id, number=0, value=data.value, cause=data.cause, at=work.occurred_at
    )
    state = work.state(RISK, data.risk_id)
    work.record(RISK, data.risk_id, rules.clear(state, resolved))


@handles(ResolveRiskEvent, reads=_reads)
def resolve_risk_event(work: UnitOfWork, data: ResolveRiskEvent) -> None:
    _of_its_user(work, data.risk_id)
    actor = data.actor or work.command.author
    resolved = RiskResolved(
        risk_id=data.risk_id, number=0, actor=actor, reason=data.reason, at=work.occurred_at
    )
    state = work.state(RISK, data.risk_id)
    work.record(RISK, data.risk_id, rules.resolve(state, resolved))


def _of_its_user(work: UnitOfWork, risk_id: UUID) -> None:
    state = work.state(RISK, risk_id)
    if state is not None and state.user_id is not None:
        work.of_user(state.user_id)

"""Equity: what each of its commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import AccountCommandData, Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.handlers import own_account
from ledger.nouns.equity.commands import MarkEquity, RecordRiskMeasure
from ledger.nouns.equity.events import Baseline, RiskMeasureRecorded
from ledger.nouns.equity.state import EQUITY, stream_id
from ledger.nouns.limits.assess import limits_of, mark_equity, record_trips, scene_of
from ledger.nouns.limits.check import losses_tripped
from ledger.nouns.limits.meter import Meter
from ledger.nouns.limits.state import SYSTEM_STREAM


def _reads(command: Command, _: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    yield stream_id(command.account_id)
    yield SYSTEM_STREAM


@handles(MarkEquity, reads=_reads)
def mark(work: UnitOfWork, _: MarkEquity) -> None:
    """Accepted also where nothing is to be noted, or nothing can be reckoned: it is asked again."""
    account = own_account(work)
    scene = scene_of(work, account)
    mark_equity(work, Meter(scene), tuple(Baseline))
    tripped = losses_tripped(scene, limits_of(work, account).all)
    record_trips(work, work.account_id, tripped, work.last_event)


@handles(RecordRiskMeasure, reads=_reads)
def record_risk_measure(work: UnitOfWork, data: RecordRiskMeasure) -> None:
    own_account(work)
    recorded = RiskMeasureRecorded(
        account_id=work.account_id,
        measure=data.measure,
        value=data.value,
        currency=data.currency,
        method=data.method,
        time=data.time,
    )
    work.record(EQUITY, stream_id(work.account_id), (recorded,))

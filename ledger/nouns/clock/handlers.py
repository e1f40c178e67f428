"""The clock: what each of its commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.clock import rules
from ledger.nouns.clock.commands import EndPeriods, RecordSnapshot, TakeSnapshots
from ledger.nouns.clock.events import SnapshotRecorded
from ledger.nouns.clock.state import CLOCK, stream_id


def _of_account(_: Command, data: TakeSnapshots | RecordSnapshot) -> Iterator[UUID]:
    yield stream_id(data.account_id)


def _of_all(_: Command, __: EndPeriods) -> Iterator[UUID]:
    yield stream_id()


@handles(TakeSnapshots, reads=_of_account)
def take_snapshots(work: UnitOfWork, data: TakeSnapshots) -> None:
    stream = stream_id(data.account_id)
    events = rules.take_snapshots(
        work.state(CLOCK, stream), kind=data.kind, time=data.time, account_id=data.account_id
    )
    work.record(CLOCK, stream, events)


@handles(EndPeriods, reads=_of_all)
def end_periods(work: UnitOfWork, data: EndPeriods) -> None:
    stream = stream_id()
    work.record(CLOCK, stream, rules.end_periods(work.state(CLOCK, stream), time=data.time))


@handles(RecordSnapshot, reads=_of_account)
def record_snapshot(work: UnitOfWork, data: RecordSnapshot) -> None:
    told = SnapshotRecorded(
        account_id=data.account_id,
        time=data.time,
        source=data.source,
        equity=data.equity,
        total_balance=data.total_balance,
        available_balance=data.available_balance,
        unrealized_pnl=data.unrealized_pnl,
        realized_pnl=data.realized_pnl,
        external_flows=data.external_flows,
        usd_rate=data.usd_rate,
    )
    work.record(CLOCK, stream_id(data.account_id), (told,))

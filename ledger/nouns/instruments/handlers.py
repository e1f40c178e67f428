"""Instruments: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.instruments import rules
from ledger.nouns.instruments.commands import (
    DelistInstrument,
    InstrumentCommandData,
    ListInstrument,
    UpdateInstrument,
)
from ledger.nouns.instruments.rejections import InstrumentRejection
from ledger.nouns.instruments.state import INSTRUMENT, InstrumentState, stream_id


def _reads(_: Command, data: InstrumentCommandData) -> Iterator[UUID]:
    yield stream_id(data.instrument)


def listed_instrument(work: UnitOfWork, name: str) -> InstrumentState:
    """Raises Rejection for one that was never listed."""
    state = work.state(INSTRUMENT, stream_id(name))
    if state is None:
        raise Rejection(InstrumentRejection.UNKNOWN_INSTRUMENT, f"there is no instrument {name}")
    return state


@handles(ListInstrument, reads=_reads)
def list_instrument(work: UnitOfWork, data: ListInstrument) -> None:
    stream = stream_id(data.instrument)
    events = rules.list_instrument(
        work.state(INSTRUMENT, stream),
        instrument=data.instrument,
        limits=data.limits(),
        **data.fixed(),
    )
    work.record(INSTRUMENT, stream, events)


@handles(UpdateInstrument, reads=_reads)
def update_instrument(work: UnitOfWork, data: UpdateInstrument) -> None:
    events = rules.update_instrument(listed_instrument(work, data.instrument), **data.limits())
    work.record(INSTRUMENT, stream_id(data.instrument), events)


@handles(DelistInstrument, reads=_reads)
def delist_instrument(work: UnitOfWork, data: DelistInstrument) -> None:
    state = listed_instrument(work, data.instrument)
    events = rules.delist_instrument(state, reason=data.reason)
    work.record(INSTRUMENT, stream_id(data.instrument), events)

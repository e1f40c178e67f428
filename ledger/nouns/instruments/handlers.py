"""Commands about instruments."""

from ledger import command_data as c
from ledger.nouns.instruments import rules as instrument_rules
from ledger.write.unit_of_work import Work


def list_instrument(work: Work, data: c.ListInstrument) -> None:
    events = instrument_rules.list_instrument(
        work.instrument_if_known(data.instrument),
        instrument=data.instrument,
        base_asset=data.base_asset,
        quote_asset=data.quote_asset,
        tick_size=data.tick_size,
        step_size=data.step_size,
        min_quantity=data.min_quantity,
        max_quantity=data.max_quantity,
    )
    work.on_instrument(data.instrument, events)


def update_instrument(work: Work, data: c.UpdateInstrument) -> None:
    events = instrument_rules.update_instrument(
        work.instrument(data.instrument),
        tick_size=data.tick_size,
        step_size=data.step_size,
        min_quantity=data.min_quantity,
        max_quantity=data.max_quantity,
    )
    work.on_instrument(data.instrument, events)


def delist_instrument(work: Work, data: c.DelistInstrument) -> None:
    state = work.instrument(data.instrument)
    work.on_instrument(
        data.instrument, instrument_rules.delist_instrument(state, reason=data.reason)
    )

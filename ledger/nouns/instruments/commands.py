"""Instruments: the data of their commands."""

from ledger.kernel.command import CommandData
from ledger.kernel.fields import (
    Asset,
    Instrument,
    PositiveAmount,
    PositiveAmountOrNone,
    Text,
    default,
)


class InstrumentCommandData(CommandData):
    command_class = "admin"

    instrument: Instrument


class ListInstrument(InstrumentCommandData):
    """Without a `min_quantity`, one step is the least."""

    base_asset: Asset
    quote_asset: Asset
    tick_size: PositiveAmount
    step_size: PositiveAmount
    min_quantity: PositiveAmountOrNone = default(None)
    max_quantity: PositiveAmountOrNone = default(None)


class UpdateInstrument(InstrumentCommandData):
    """What is absent stays as it is."""

    tick_size: PositiveAmountOrNone = default(None)
    step_size: PositiveAmountOrNone = default(None)
    min_quantity: PositiveAmountOrNone = default(None)
    max_quantity: PositiveAmountOrNone = default(None)


class DelistInstrument(InstrumentCommandData):
    reason: Text | None = None

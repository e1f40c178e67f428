"""Instruments: the data of their commands."""

from ledger.kernel.command import CommandData
from ledger.kernel.fields import Asset, Instrument, PositiveAmount, Text


class InstrumentCommandData(CommandData):
    command_class = "admin"

    instrument: Instrument


class ListInstrument(InstrumentCommandData):
    """Without a `min_quantity`, one step is the least."""

    base_asset: Asset
    quote_asset: Asset
    tick_size: PositiveAmount
    step_size: PositiveAmount
    min_quantity: PositiveAmount | None = None
    max_quantity: PositiveAmount | None = None


class UpdateInstrument(InstrumentCommandData):
    """What is absent stays as it is."""

    tick_size: PositiveAmount | None = None
    step_size: PositiveAmount | None = None
    min_quantity: PositiveAmount | None = None
    max_quantity: PositiveAmount | None = None


class DelistInstrument(InstrumentCommandData):
    reason: Text | None = None

"""Instruments: the data of their commands."""

from pydantic import StrictBool

from ledger.kernel.command import CommandData
from ledger.kernel.fields import (
    Asset,
    Choice,
    Instrument,
    PositiveAmount,
    PositiveAmountOrNone,
    Text,
    TimeOrNone,
    default,
)
from ledger.nouns.instruments.contract import ONE, InstrumentKind
from ledger.nouns.instruments.events import InstrumentLimits, InstrumentNature


class InstrumentCommandData(CommandData, abstract=True):
    command_class = "admin"

    instrument: Instrument


class InstrumentLimitsData(InstrumentCommandData, abstract=True):
    """`initial_margin_rate` and `maintenance_margin_rate` are fractions: 5 % is 0.05."""

    tick_size: PositiveAmountOrNone = default(None)
    step_size: PositiveAmountOrNone = default(None)
    min_quantity: PositiveAmountOrNone = default(None)
    max_quantity: PositiveAmountOrNone = default(None)
    max_leverage: PositiveAmountOrNone = default(None)
    initial_margin_rate: PositiveAmountOrNone = default(None)
    maintenance_margin_rate: PositiveAmountOrNone = default(None)

    def limits(self) -> InstrumentLimits:
        return {
            "tick_size": self.tick_size,
            "step_size": self.step_size,
            "min_quantity": self.min_quantity,
            "max_quantity": self.max_quantity,
            "max_leverage": self.max_leverage,
            "initial_margin_rate": self.initial_margin_rate,
            "maintenance_margin_rate": self.maintenance_margin_rate,
        }


class ListInstrument(InstrumentLimitsData):
    """Without `tick_size` or `step_size` there is no such grid; without a `min_quantity`, one step
    is the least. What is not SPOT settles in its quote asset, inverse in its base asset, unless it
    says otherwise."""

    base_asset: Asset
    quote_asset: Asset
    kind: Choice[InstrumentKind] = default(InstrumentKind.SPOT)
    contract_size: PositiveAmount = default(ONE)
    inverse: StrictBool = False
    settlement_asset: Asset | None = None
    expires_at: TimeOrNone = default(None)

    def fixed(self) -> InstrumentNature:
        return {
            "base_asset": self.base_asset,
            "quote_asset": self.quote_asset,
            "kind": self.kind,
            "contract_size": self.contract_size,
            "inverse": self.inverse,
            "settlement_asset": self.settlement_asset,
            "expires_at": self.expires_at,
        }


class UpdateInstrument(InstrumentLimitsData):
    """What is absent stays as it is."""


class DelistInstrument(InstrumentCommandData):
    reason: Text | None = None

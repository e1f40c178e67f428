"""Instruments: what can have happened to what is traded."""

from decimal import Decimal
from typing import ClassVar

from ledger.kernel.event import Event


class InstrumentTerms(Event, frozen=True, kw_only=True):
    instrument: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    step_size: Decimal
    min_quantity: Decimal
    max_quantity: Decimal | None = None


class InstrumentListed(InstrumentTerms, frozen=True, kw_only=True):
    type: ClassVar[str] = "instrument.listed"


class InstrumentUpdated(InstrumentTerms, frozen=True, kw_only=True):
    """The instrument as it is from now on, whole. Assets never change."""

    type: ClassVar[str] = "instrument.updated"


class InstrumentDelisted(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "instrument.delisted"
    instrument: str
    reason: str | None = None

"""Instruments: what can have happened to what is traded."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Required, TypedDict

from ledger.kernel.event import Event
from ledger.nouns.instruments.contract import ONE, InstrumentKind


class InstrumentTerms(Event, frozen=True, kw_only=True):
    """What is not said of a grid has none. `settlement_asset` is a derivative's: what is won and
    lost is paid in it. `initial_margin_rate` and `maintenance_margin_rate` are shares of a
    position's value: what it takes to open one, and to keep it."""

    instrument: str
    base_asset: str
    quote_asset: str
    kind: InstrumentKind = InstrumentKind.SPOT
    contract_size: Decimal = ONE
    inverse: bool = False
    settlement_asset: str | None = None
    expires_at: datetime | None = None
    tick_size: Decimal | None = None
    step_size: Decimal | None = None
    min_quantity: Decimal | None = None
    max_quantity: Decimal | None = None
    max_leverage: Decimal | None = None
    initial_margin_rate: Decimal | None = None
    maintenance_margin_rate: Decimal | None = None


class InstrumentNature(TypedDict, total=False):
    """What an instrument is: nothing of it changes while it has its name."""

    base_asset: Required[str]
    quote_asset: Required[str]
    kind: InstrumentKind
    contract_size: Decimal
    inverse: bool
    settlement_asset: str | None
    expires_at: datetime | None


class InstrumentLimits(TypedDict, total=False):
    """What a venue asks of orders and positions, and changes now and then."""

    tick_size: Decimal | None
    step_size: Decimal | None
    min_quantity: Decimal | None
    max_quantity: Decimal | None
    max_leverage: Decimal | None
    initial_margin_rate: Decimal | None
    maintenance_margin_rate: Decimal | None


class InstrumentListed(InstrumentTerms, frozen=True, kw_only=True):
    """Version 1 had a grid for each: version 2 may have none."""

    type: ClassVar[str] = "instrument.listed"
    schema: ClassVar[int] = 2


class InstrumentUpdated(InstrumentTerms, frozen=True, kw_only=True):
    """The instrument as it is from now on, whole. What it is never changes, only its limits.
    Version 1 as of InstrumentListed."""

    type: ClassVar[str] = "instrument.updated"
    schema: ClassVar[int] = 2


class InstrumentDelisted(Event, frozen=True, kw_only=True):
    type: ClassVar[str] = "instrument.delisted"
    instrument: str
    reason: str | None = None


# --- older schemas --------------------------------------------------------------------


def _with_a_grid(data: dict[str, Any]) -> dict[str, Any]:
    return data


UPCASTERS = {("instrument.listed", 1): _with_a_grid, ("instrument.updated", 1): _with_a_grid}
"""(event type, version the payload has) -> the step to the next version."""

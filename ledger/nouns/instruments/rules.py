"""Instruments: what can be traded where, and on which grid of prices and quantities.

An instrument is named `VENUE:SYMBOL`. The stream's id is derived from that (`state.stream_id`).
"""

from datetime import datetime
from decimal import Decimal
from typing import Unpack

from msgspec.structs import asdict, replace

from ledger.kernel.event import Event
from ledger.kernel.money import is_multiple, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.kernel.time import time_text
from ledger.nouns.instruments.contract import ONE, InstrumentKind
from ledger.nouns.instruments.events import (
    InstrumentDelisted,
    InstrumentLimits,
    InstrumentListed,
    InstrumentNature,
    InstrumentTerms,
    InstrumentUpdated,
)
from ledger.nouns.instruments.rejections import InstrumentRejection
from ledger.nouns.instruments.state import InstrumentState


def list_instrument(
    state: InstrumentState | None,
    *,
    instrument: str,
    limits: InstrumentLimits | None = None,
    **fixed: Unpack[InstrumentNature],
) -> tuple[Event, ...]:
    """A delisted instrument may be listed again, as what it was: orders and trades under its name
    go on meaning the same."""
    if state is not None and not state.delisted:
        raise Rejection(InstrumentRejection.INSTRUMENT_ALREADY_LISTED, f"{instrument} is listed")
    listed = InstrumentListed(instrument=instrument, **_whole(fixed), **(limits or {}))
    if listed.min_quantity is None:
        listed = replace(listed, min_quantity=listed.step_size)
    _check_is_the_same(state, listed)
    _check_kind(listed)
    _check_limits(listed)
    return (listed,)


def update_instrument(
    state: InstrumentState, **limits: Unpack[InstrumentLimits]
) -> tuple[Event, ...]:
    """What is not given stays as it is. Open orders keep the grid that they were placed on."""
    _check_listed(state)
    given = {name: value for name, value in limits.items() if value is not None}
    updated = InstrumentUpdated(**(asdict(state.terms) | given))
    _check_limits(updated)
    return (updated,)


def _whole(fixed: InstrumentNature) -> InstrumentNature:
    """A derivative settles in what its price is in, an inverse one in what it is of."""
    if fixed.get("kind", InstrumentKind.SPOT) is InstrumentKind.SPOT:
        return fixed
    if fixed.get("settlement_asset") is not None:
        return fixed
    asset = fixed["base_asset"] if fixed.get("inverse") else fixed["quote_asset"]
    return {**fixed, "settlement_asset": asset}


def _check_is_the_same(state: InstrumentState | None, listed: InstrumentTerms) -> None:
    if state is None:
        return
    for name in InstrumentNature.__annotations__:
        was, is_now = getattr(state.terms, name), getattr(listed, name)
        if was != is_now:
            raise Rejection(
                InstrumentRejection.INSTRUMENT_ASSETS_FIXED,
                f"{listed.instrument} has had the {name} {was} and not {is_now}",
            )


def _check_kind(terms: InstrumentTerms) -> None:
    """Whether the terms are those of what it is."""
    kind, inverse = terms.kind, terms.inverse
    wrong: str | None = None
    if kind is InstrumentKind.SPOT and (
        inverse or terms.settlement_asset or terms.expires_at or terms.contract_size != ONE
    ):
        wrong = "what is SPOT has no contract_size, settlement_asset, expires_at and is not inverse"
    elif kind is InstrumentKind.PERPETUAL and terms.expires_at is not None:
        wrong = "what is PERPETUAL does not expire"
    elif kind is InstrumentKind.OPTION and inverse:
        wrong = "the premium of an OPTION is its price: it is not inverse"
    elif inverse and terms.settlement_asset != terms.base_asset:
        wrong = f"what is inverse is settled in its base asset {terms.base_asset}"
    if wrong is not None:
        raise Rejection(GeneralRejection.INVALID_COMMAND, f"{terms.instrument}: {wrong}")


def delist_instrument(state: InstrumentState, *, reason: str | None = None) -> tuple[Event, ...]:
    """No new orders from here on; facts about old ones are recorded as ever."""
    _check_listed(state)
    return (InstrumentDelisted(instrument=state.terms.instrument, reason=reason),)


def check_order(
    state: InstrumentState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
    at: datetime | None = None,
) -> None:
    """Whether an order may ask for this. What is None is not asked for. The price of a MARKET
    order is an estimate, which lies on no grid: leave it out. `at` is when it is asked for."""
    _check_listed(state)
    terms = state.terms
    if at is not None and terms.expires_at is not None and at >= terms.expires_at:
        raise Rejection(
            InstrumentRejection.INSTRUMENT_EXPIRED,
            f"{terms.instrument} expired at {time_text(terms.expires_at)}",
        )
    for name, value in (("price", price), ("stop_price", stop_price)):
        if terms.tick_size is None or value is None or is_multiple(value, terms.tick_size):
            continue
        raise Rejection(
            InstrumentRejection.PRICE_OFF_TICK,
            f"{name} {shown(value)} is not a multiple of the tick size "
            f"{shown(terms.tick_size)} of {terms.instrument}",
        )
    if quantity is not None:
        _check_quantity(terms, quantity)


def _check_quantity(terms: InstrumentTerms, quantity: Decimal) -> None:
    if terms.min_quantity is not None and quantity < terms.min_quantity:
        raise Rejection(
            InstrumentRejection.QUANTITY_TOO_SMALL,
            f"quantity {shown(quantity)} is below the least of {terms.instrument}",
            f"order at least {shown(terms.min_quantity)}",
        )
    if terms.max_quantity is not None and quantity > terms.max_quantity:
        raise Rejection(
            InstrumentRejection.QUANTITY_TOO_LARGE,
            f"quantity {shown(quantity)} is above the most of {terms.instrument}",
            f"order at most {shown(terms.max_quantity)}",
        )
    if terms.step_size is not None and not is_multiple(quantity, terms.step_size):
        raise Rejection(
            InstrumentRejection.QUANTITY_OFF_STEP,
            f"quantity {shown(quantity)} is not a multiple of the step size "
            f"{shown(terms.step_size)} of {terms.instrument}",
        )


def _check_listed(state: InstrumentState) -> None:
    if state.delisted:
        raise Rejection(
            InstrumentRejection.INSTRUMENT_DELISTED, f"{state.terms.instrument} is delisted"
        )


def _check_limits(terms: InstrumentTerms) -> None:
    least, most = terms.min_quantity, terms.max_quantity
    if least is not None and most is not None and most < least:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"max_quantity {shown(most)} is below min_quantity {shown(least)}",
            "no order fits",
        )
    opening, keeping = terms.initial_margin_rate, terms.maintenance_margin_rate
    if opening is not None and keeping is not None and opening < keeping:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"initial_margin_rate {shown(opening)} is below maintenance_margin_rate "
            f"{shown(keeping)}",
            "what is opened would be closed at once",
        )

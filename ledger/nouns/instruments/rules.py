"""Instruments: what can be traded where, and on which grid of prices and quantities.

An instrument is named `VENUE:SYMBOL`. The stream's id is derived from that (`state.stream_id`).
"""

from decimal import Decimal

from ledger.kernel.event import Event
from ledger.kernel.money import is_multiple, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.instruments.events import (
    InstrumentDelisted,
    InstrumentListed,
    InstrumentUpdated,
)
from ledger.nouns.instruments.rejections import InstrumentRejection
from ledger.nouns.instruments.state import InstrumentState


def list_instrument(
    state: InstrumentState | None,
    *,
    instrument: str,
    base_asset: str,
    quote_asset: str,
    tick_size: Decimal,
    step_size: Decimal,
    min_quantity: Decimal | None = None,
    max_quantity: Decimal | None = None,
) -> tuple[Event, ...]:
    """A delisted instrument may be listed again, with the same assets: orders and trades under
    its name go on meaning the same."""
    if state is not None and not state.delisted:
        raise Rejection(InstrumentRejection.INSTRUMENT_ALREADY_LISTED, f"{instrument} is listed")
    if state is not None and (state.base_asset, state.quote_asset) != (base_asset, quote_asset):
        raise Rejection(
            InstrumentRejection.INSTRUMENT_ASSETS_FIXED,
            f"{instrument} was {state.base_asset} for {state.quote_asset} and stays that",
        )
    least = step_size if min_quantity is None else min_quantity
    _check_limits(least, max_quantity)
    return (
        InstrumentListed(
            instrument=instrument,
            base_asset=base_asset,
            quote_asset=quote_asset,
            tick_size=tick_size,
            step_size=step_size,
            min_quantity=least,
            max_quantity=max_quantity,
        ),
    )


def update_instrument(
    state: InstrumentState,
    *,
    tick_size: Decimal | None = None,
    step_size: Decimal | None = None,
    min_quantity: Decimal | None = None,
    max_quantity: Decimal | None = None,
) -> tuple[Event, ...]:
    """What is not given stays as it is. Open orders keep the grid that they were placed on."""
    _check_listed(state)
    least = state.min_quantity if min_quantity is None else min_quantity
    most = state.max_quantity if max_quantity is None else max_quantity
    _check_limits(least, most)
    return (
        InstrumentUpdated(
            instrument=state.instrument,
            base_asset=state.base_asset,
            quote_asset=state.quote_asset,
            tick_size=state.tick_size if tick_size is None else tick_size,
            step_size=state.step_size if step_size is None else step_size,
            min_quantity=least,
            max_quantity=most,
        ),
    )


def delist_instrument(state: InstrumentState, *, reason: str | None = None) -> tuple[Event, ...]:
    """No new orders from here on; facts about old ones are recorded as ever."""
    _check_listed(state)
    return (InstrumentDelisted(instrument=state.instrument, reason=reason),)


def check_order(
    state: InstrumentState,
    *,
    quantity: Decimal | None = None,
    price: Decimal | None = None,
    stop_price: Decimal | None = None,
) -> None:
    """Whether an order may ask for this. What is None is not asked for. The price of a MARKET
    order is an estimate, which lies on no grid: leave it out."""
    _check_listed(state)
    for name, value in (("price", price), ("stop_price", stop_price)):
        if value is not None and not is_multiple(value, state.tick_size):
            raise Rejection(
                InstrumentRejection.PRICE_OFF_TICK,
                f"{name} {shown(value)} is not a multiple of the tick size "
                f"{shown(state.tick_size)} of {state.instrument}",
            )
    if quantity is not None:
        _check_quantity(state, quantity)


def _check_quantity(state: InstrumentState, quantity: Decimal) -> None:
    if quantity < state.min_quantity:
        raise Rejection(
            InstrumentRejection.QUANTITY_TOO_SMALL,
            f"quantity {shown(quantity)} is below the least of {state.instrument}",
            f"order at least {shown(state.min_quantity)}",
        )
    if state.max_quantity is not None and quantity > state.max_quantity:
        raise Rejection(
            InstrumentRejection.QUANTITY_TOO_LARGE,
            f"quantity {shown(quantity)} is above the most of {state.instrument}",
            f"order at most {shown(state.max_quantity)}",
        )
    if not is_multiple(quantity, state.step_size):
        raise Rejection(
            InstrumentRejection.QUANTITY_OFF_STEP,
            f"quantity {shown(quantity)} is not a multiple of the step size "
            f"{shown(state.step_size)} of {state.instrument}",
        )


def _check_listed(state: InstrumentState) -> None:
    if state.delisted:
        raise Rejection(InstrumentRejection.INSTRUMENT_DELISTED, f"{state.instrument} is delisted")


def _check_limits(least: Decimal, most: Decimal | None) -> None:
    if most is not None and most < least:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"max_quantity {shown(most)} is below min_quantity {shown(least)}",
            "no order fits",
        )

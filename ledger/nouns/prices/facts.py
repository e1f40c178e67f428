"""Prices: what is told is recorded, late and wrong ones too. What is known already does nothing."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from ledger.kernel.event import Event
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from ledger.nouns.prices.price import Quote
from ledger.nouns.prices.state import VenuePrices


def record(
    state: VenuePrices | None,
    *,
    venue: str,
    source: str,
    kind: PriceKind,
    time: datetime,
    prices: Mapping[str, Decimal],
) -> tuple[Event, ...]:
    """One event, however many instruments; none when all is known."""
    if state is not None and all(
        _is_known(state, instrument, kind, Quote(price, time, source))
        for instrument, price in prices.items()
    ):
        return ()
    return (PricesRecorded(venue=venue, source=source, kind=kind, time=time, prices=dict(prices)),)


def _is_known(state: VenuePrices, instrument: str, kind: PriceKind, quote: Quote) -> bool:
    known = state.instruments.get(instrument)
    return known is not None and known.told.get(kind) == quote

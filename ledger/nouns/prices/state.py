"""Prices: what decisions know of a venue's, and how events change it.

A stream is a venue's: whoever decides about an instrument `VENUE:SYMBOL` knows from its name where
its price is. What is kept is the newest of each instrument and kind, so the state has the size of
the venue and does not grow with time.
"""

from functools import lru_cache
from uuid import UUID, uuid5

import msgspec

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.prices.events import PricesRecorded
from ledger.nouns.prices.price import InstrumentPrices, Quote

_NAMESPACE = UUID("7c1de1b5-6ee6-5f5a-8a09-5d1c3f0f6c27")
MAX_REMEMBERED_IDS = 1_000
"""Ids of streams that are kept once reckoned: of venues."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(venue: str) -> UUID:
    """The id of the stream of a venue's prices: UUIDv5 of its name, the same for ever."""
    return uuid5(_NAMESPACE, venue)


def venue_of(instrument: str) -> str:
    return instrument.partition(":")[0]


class VenuePrices(EvolvingState, gc=False, kw_only=True):
    """The newest prices of a venue."""

    venue: str
    instruments: dict[str, InstrumentPrices] = msgspec.field(default_factory=dict)


def evolve(state: VenuePrices | None, event: Event, stream_id: UUID) -> VenuePrices:
    """The state after an event."""
    if not isinstance(event, PricesRecorded):
        raise TypeError(f"{type(event).__name__} is not how the prices {stream_id} can go on")
    if state is None:
        state = VenuePrices(venue=event.venue)
    for instrument, price in event.prices.items():
        known = state.instruments.get(instrument)
        if known is None:
            known = state.instruments[instrument] = InstrumentPrices()
        known.tell(event.kind, Quote(price, event.time, event.source))
    return state


PRICES = Aggregate("prices", VenuePrices, 1, evolve)

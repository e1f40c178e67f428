"""Instruments: what decisions know of what is traded, and how events change it."""

from functools import lru_cache
from uuid import UUID, uuid5

from msgspec.structs import asdict

from ledger.kernel.event import Event
from ledger.kernel.noun import Aggregate
from ledger.kernel.state import EvolvingState
from ledger.nouns.instruments.contract import Contract, InstrumentKind
from ledger.nouns.instruments.events import InstrumentDelisted, InstrumentTerms

_NAMESPACE = UUID("3f1b5b4e-5d0c-5c0e-9c55-6f6c6c0a7a02")
MAX_REMEMBERED_IDS = 10_000
"""Ids of streams that are kept once reckoned: of the instruments in use, some 300 bytes each."""


@lru_cache(MAX_REMEMBERED_IDS)
def stream_id(instrument: str) -> UUID:
    """The id of an instrument's stream: UUIDv5 of `VENUE:SYMBOL`, the same for ever."""
    return uuid5(_NAMESPACE, instrument)


class InstrumentState(EvolvingState, gc=False, kw_only=True):
    """What decisions about an instrument, and orders of it, need to know."""

    terms: InstrumentTerms
    delisted: bool = False

    @property
    def base_asset(self) -> str:
        return self.terms.base_asset

    @property
    def quote_asset(self) -> str:
        return self.terms.quote_asset

    @property
    def contract(self) -> Contract | None:
        """What a derivative is; None for SPOT."""
        terms = self.terms
        if terms.kind is InstrumentKind.SPOT:
            return None
        assert terms.settlement_asset is not None, "a derivative is listed with one"
        return Contract(
            kind=terms.kind,
            settlement_asset=terms.settlement_asset,
            contract_size=terms.contract_size,
            inverse=terms.inverse,
        )


def evolve(state: InstrumentState | None, event: Event, stream_id: UUID) -> InstrumentState:
    """The state after an event."""
    if isinstance(event, InstrumentTerms):
        return InstrumentState(terms=InstrumentTerms(**asdict(event)))
    if state is None or not isinstance(event, InstrumentDelisted):
        raise TypeError(
            f"{type(event).__name__} is not how the instrument {stream_id} can begin or go on"
        )
    state.delisted = True
    return state


INSTRUMENT = Aggregate("instrument", InstrumentState, 2, evolve)

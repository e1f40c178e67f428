"""Prices: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.prices import facts
from ledger.nouns.prices.commands import RecordPrices
from ledger.nouns.prices.state import PRICES, stream_id, venue_of


def _reads(_: Command, data: RecordPrices) -> Iterator[UUID]:
    return map(stream_id, data.venues)


@handles(RecordPrices, reads=_reads)
def record_prices(work: UnitOfWork, data: RecordPrices) -> None:
    """What one source tells of several venues is an event of each."""
    for venue in data.venues:
        stream = stream_id(venue)
        events = facts.record(
            work.state(PRICES, stream),
            venue=venue,
            source=data.source,
            kind=data.kind,
            time=data.time,
            prices={name: one for name, one in data.prices.items() if venue_of(name) == venue},
        )
        work.record(PRICES, stream, events)

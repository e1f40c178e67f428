"""Prices: the data of their commands."""

from typing import ClassVar

from pydantic import field_validator

from ledger.kernel.command import CommandData, CommandKind
from ledger.kernel.fields import Choice, Prices, SourceName, Time
from ledger.nouns.prices.events import PriceKind
from ledger.nouns.prices.state import venue_of

MAX_PRICES = 1_000
"""Instruments that one command may price: some 45 kB, which a command may have (settings.md)."""


class RecordPrices(CommandData):
    """Fact: what instruments of a venue were worth at a time, as `source` says."""

    command_class = "report"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT
    occurred: ClassVar[str] = "time"

    source: SourceName
    kind: Choice[PriceKind]
    time: Time
    prices: Prices

    @field_validator("prices")
    @classmethod
    def _some_prices(cls, prices: object) -> object:
        assert isinstance(prices, dict)
        if not 1 <= len(prices) <= MAX_PRICES:
            raise ValueError(f"must have 1 to {MAX_PRICES} instruments")
        return prices

    @property
    def venues(self) -> tuple[str, ...]:
        """Whose instruments are priced, in the order of their names."""
        return tuple(sorted({venue_of(instrument) for instrument in self.prices}))

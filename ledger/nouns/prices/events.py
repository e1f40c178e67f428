"""Prices: what can have been told of what things are worth."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from ledger.kernel.event import Event


class PriceKind(StrEnum):
    """What a price that somebody tells is, the one that is believed before the others first."""

    MARK = "MARK"
    """What the venue values positions at."""
    INDEX = "INDEX"
    """Of several venues together."""
    LAST = "LAST"
    """Of the last trade on the venue, whoever's."""
    CLOSE = "CLOSE"
    """Of the last trade of a session."""


class PricesRecorded(Event, frozen=True, kw_only=True):
    """Prices of one venue's instruments, all of one kind and at one time."""

    type: ClassVar[str] = "prices.recorded"
    venue: str
    source: str
    kind: PriceKind
    time: datetime
    prices: dict[str, Decimal]
    """By instrument. Any number: what must be paid to be rid of has a price below zero."""

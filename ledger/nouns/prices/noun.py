"""Prices: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.prices import events, handlers
from ledger.nouns.prices.state import PRICES

NOUN = Noun(
    name="prices",
    family="prices",
    stream_type=PRICES.stream_type,
    aggregate=PRICES,
    events=events_in(events),
    commands=commands_in(handlers),
)

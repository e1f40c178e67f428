"""Prices: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.prices import commands, events

NOUN = Noun(
    name="prices",
    family="prices",
    stream_type="prices",
    events=events_in(events),
    commands=commands_in(commands),
)

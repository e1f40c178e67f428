"""Equity: what it registers."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.equity import commands, events

NOUN = Noun(
    name="equity",
    stream_type="equity",
    events=events_in(events),
    commands=commands_in(commands),
)

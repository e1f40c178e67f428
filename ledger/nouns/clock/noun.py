"""The clock: what it registers."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.clock import commands, events

NOUN = Noun(
    name="clock",
    family="clock",
    stream_type="clock",
    events=events_in(events),
    commands=commands_in(commands),
)

"""The clock: what it registers."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.clock import events, handlers
from ledger.nouns.clock.state import CLOCK

NOUN = Noun(
    name="clock",
    family="clock",
    stream_type=CLOCK.stream_type,
    aggregate=CLOCK,
    events=events_in(events),
    commands=commands_in(handlers),
)

"""Breakers: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.breakers import commands, events
from ledger.nouns.breakers.rejections import BreakerRejection

NOUN = Noun(
    name="breakers",
    family="breakers",
    stream_type="breaker",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=BreakerRejection,
)

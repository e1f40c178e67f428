"""Breakers: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.breakers import events, handlers
from ledger.nouns.breakers.rejections import BreakerRejection
from ledger.nouns.breakers.state import BREAKER

NOUN = Noun(
    name="breakers",
    family="breakers",
    stream_type=BREAKER.stream_type,
    aggregate=BREAKER,
    events=events_in(events),
    commands=commands_in(handlers),
    rejections=BreakerRejection,
)

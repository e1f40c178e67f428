"""Limits: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.limits import events, handlers
from ledger.nouns.limits.rejections import LimitRejection
from ledger.nouns.limits.state import LIMITS

NOUN = Noun(
    name="limits",
    family="limits",
    stream_type=LIMITS.stream_type,
    aggregate=LIMITS,
    events=events_in(events),
    commands=commands_in(handlers),
    rejections=LimitRejection,
)

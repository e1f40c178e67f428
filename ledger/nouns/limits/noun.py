"""Limits: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.limits import commands, events
from ledger.nouns.limits.rejections import LimitRejection

NOUN = Noun(
    name="limits",
    family="limits",
    stream_type="limits",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=LimitRejection,
)

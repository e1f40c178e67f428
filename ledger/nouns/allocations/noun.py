"""Allocations: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.allocations import commands, events
from ledger.nouns.allocations.rejections import AllocationRejection

NOUN = Noun(
    name="allocations",
    stream_type="allocation",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=AllocationRejection,
)

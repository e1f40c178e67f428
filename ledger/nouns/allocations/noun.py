"""Allocations: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.allocations import events, handlers
from ledger.nouns.allocations.rejections import AllocationRejection
from ledger.nouns.allocations.state import ALLOCATION

NOUN = Noun(
    name="allocations",
    stream_type=ALLOCATION.stream_type,
    aggregate=ALLOCATION,
    events=events_in(events),
    commands=commands_in(handlers),
    rejections=AllocationRejection,
)

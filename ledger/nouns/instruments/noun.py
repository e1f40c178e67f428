"""Instruments: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.instruments import commands, events
from ledger.nouns.instruments.rejections import InstrumentRejection

NOUN = Noun(
    name="instruments",
    family="instruments",
    stream_type="instrument",
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(commands),
    rejections=InstrumentRejection,
)

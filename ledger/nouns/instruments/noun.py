"""Instruments: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.instruments import events, handlers
from ledger.nouns.instruments.rejections import InstrumentRejection
from ledger.nouns.instruments.state import INSTRUMENT

NOUN = Noun(
    name="instruments",
    family="instruments",
    stream_type=INSTRUMENT.stream_type,
    aggregate=INSTRUMENT,
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(handlers),
    rejections=InstrumentRejection,
)

"""Streams: what operators do to those that cannot be read. Appended by the database, decided by no
rule."""

from ledger.kernel.noun import Noun, events_in
from ledger.nouns.streams import events

NOUN = Noun(
    name="streams",
    stream_type=events.STREAM_TYPE,
    events=events_in(events),
)

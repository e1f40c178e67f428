"""Projections: what operators do to them. Appended by the database, decided by no rule."""

from ledger.kernel.noun import Noun, events_in
from ledger.nouns.projections import events

NOUN = Noun(
    name="projections",
    stream_type=events.STREAM_TYPE,
    events=events_in(events),
)

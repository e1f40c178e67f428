"""The log: what happens to it as a whole. Appended by `ledgerctl recover`, decided by no rule."""

from ledger.kernel.noun import Noun, events_in
from ledger.nouns.log import events

NOUN = Noun(
    name="log",
    stream_type=events.STREAM_TYPE,
    events=events_in(events),
    upcasters=events.UPCASTERS,
)

"""References: what they register. Commands about money use them (`ledger/nouns/accounts`)."""

from ledger.kernel.noun import Noun, events_in
from ledger.nouns.references import events

NOUN = Noun(
    name="references",
    stream_type="reference",
    events=events_in(events),
)

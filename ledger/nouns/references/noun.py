"""References: what they register. Commands about money use them (`ledger/nouns/accounts`)."""

from ledger.kernel.noun import Noun, events_in
from ledger.nouns.references import events
from ledger.nouns.references.state import REFERENCE

NOUN = Noun(
    name="references",
    stream_type=REFERENCE.stream_type,
    aggregate=REFERENCE,
    events=events_in(events),
)

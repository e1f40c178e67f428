"""Equity: what it registers."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.equity import events, handlers
from ledger.nouns.equity.state import EQUITY

NOUN = Noun(
    name="equity",
    stream_type=EQUITY.stream_type,
    aggregate=EQUITY,
    events=events_in(events),
    commands=commands_in(handlers),
)

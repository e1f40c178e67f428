"""Orders: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.orders import events, handlers
from ledger.nouns.orders.rejections import OrderRejection
from ledger.nouns.orders.state import ORDER

NOUN = Noun(
    name="orders",
    stream_type=ORDER.stream_type,
    aggregate=ORDER,
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(handlers),
    rejections=OrderRejection,
)

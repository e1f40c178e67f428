"""Orders: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.orders import commands, events
from ledger.nouns.orders.rejections import OrderRejection

NOUN = Noun(
    name="orders",
    stream_type="order",
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(commands),
    rejections=OrderRejection,
)

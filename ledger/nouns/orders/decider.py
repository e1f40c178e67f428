"""Orders: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.orders import handlers
from ledger.nouns.orders.state import ORDER

DECIDER = Decider(aggregate=ORDER, commands=handled_in(handlers))

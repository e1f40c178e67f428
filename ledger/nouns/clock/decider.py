"""The clock: how it is decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.clock import handlers
from ledger.nouns.clock.state import CLOCK

DECIDER = Decider(aggregate=CLOCK, commands=handled_in(handlers))

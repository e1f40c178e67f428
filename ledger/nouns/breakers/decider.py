"""Breakers: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.breakers import handlers
from ledger.nouns.breakers.state import BREAKER

DECIDER = Decider(aggregate=BREAKER, commands=handled_in(handlers))

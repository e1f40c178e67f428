"""Allocations: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.allocations import handlers
from ledger.nouns.allocations.state import ALLOCATION

DECIDER = Decider(aggregate=ALLOCATION, commands=handled_in(handlers))

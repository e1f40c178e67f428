"""Limits: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.limits import handlers
from ledger.nouns.limits.state import LIMITS

DECIDER = Decider(aggregate=LIMITS, commands=handled_in(handlers))

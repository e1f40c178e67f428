"""Risk events: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.risk import handlers
from ledger.nouns.risk.state import RISK

DECIDER = Decider(aggregate=RISK, commands=handled_in(handlers))

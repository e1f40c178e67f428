"""Equity: how it is decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.equity import handlers
from ledger.nouns.equity.state import EQUITY

DECIDER = Decider(aggregate=EQUITY, commands=handled_in(handlers))

"""Prices: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.prices import handlers
from ledger.nouns.prices.state import PRICES

DECIDER = Decider(aggregate=PRICES, commands=handled_in(handlers))

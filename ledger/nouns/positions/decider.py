"""Positions: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.positions import handlers

DECIDER = Decider(commands=handled_in(handlers))

"""Instruments: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.instruments import handlers
from ledger.nouns.instruments.state import INSTRUMENT

DECIDER = Decider(aggregate=INSTRUMENT, commands=handled_in(handlers))

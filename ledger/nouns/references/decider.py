"""References: how they are decided."""

from ledger.kernel.noun import Decider
from ledger.nouns.references.state import REFERENCE

DECIDER = Decider(aggregate=REFERENCE)

"""Accounts: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.accounts import handlers
from ledger.nouns.accounts.invariants import ACCOUNT

DECIDER = Decider(aggregate=ACCOUNT, commands=handled_in(handlers))

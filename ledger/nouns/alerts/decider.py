"""Alerts: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.alerts import handlers
from ledger.nouns.alerts.state import ALERT

DECIDER = Decider(aggregate=ALERT, commands=handled_in(handlers))

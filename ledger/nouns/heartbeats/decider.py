"""Heartbeats: how they are decided."""

from ledger.kernel.noun import Decider, handled_in
from ledger.nouns.heartbeats import handlers
from ledger.nouns.heartbeats.state import HEARTBEAT

DECIDER = Decider(aggregate=HEARTBEAT, commands=handled_in(handlers))

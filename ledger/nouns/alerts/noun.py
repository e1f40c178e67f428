"""Alerts: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.alerts import events, handlers
from ledger.nouns.alerts.rejections import AlertRejection
from ledger.nouns.alerts.state import ALERT

NOUN = Noun(
    name="alerts",
    family="alerts",
    stream_type=ALERT.stream_type,
    aggregate=ALERT,
    events=events_in(events),
    commands=commands_in(handlers),
    rejections=AlertRejection,
)

"""Alerts: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.alerts import commands, events
from ledger.nouns.alerts.rejections import AlertRejection

NOUN = Noun(
    name="alerts",
    family="alerts",
    stream_type="alert",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=AlertRejection,
)

"""Heartbeats: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.heartbeats import commands, events
from ledger.nouns.heartbeats.rejections import HeartbeatRejection

NOUN = Noun(
    name="heartbeats",
    family="heartbeats",
    stream_type="heartbeat",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=HeartbeatRejection,
)

"""Risk events: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.risk import commands, events
from ledger.nouns.risk.rejections import RiskRejection

NOUN = Noun(
    name="risk",
    family="risk",
    stream_type="risk",
    events=events_in(events),
    commands=commands_in(commands),
    rejections=RiskRejection,
)

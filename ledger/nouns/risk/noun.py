"""Risk events: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.risk import events, handlers
from ledger.nouns.risk.rejections import RiskRejection
from ledger.nouns.risk.state import RISK

NOUN = Noun(
    name="risk",
    family="risk",
    stream_type=RISK.stream_type,
    aggregate=RISK,
    events=events_in(events),
    commands=commands_in(handlers),
    rejections=RiskRejection,
)

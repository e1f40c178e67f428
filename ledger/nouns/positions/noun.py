"""Positions: what they register. Their events are the account's, whose state they are."""

from ledger.kernel.noun import Noun, commands_in
from ledger.nouns.positions import commands
from ledger.nouns.positions.rejections import PositionRejection

NOUN = Noun(
    name="positions",
    stream_type=None,
    events={},
    commands=commands_in(commands),
    rejections=PositionRejection,
)

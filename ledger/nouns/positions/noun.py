"""Positions: what they register. Their events are the account's, whose state they are."""

from ledger.kernel.noun import Noun

NOUN = Noun(name="positions", stream_type=None, events={})

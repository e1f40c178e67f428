"""Accounts: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.accounts import commands, events
from ledger.nouns.accounts.rejections import AccountRejection

NOUN = Noun(
    name="accounts",
    stream_type="account",
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(commands),
    rejections=AccountRejection,
)

"""Accounts: what they register."""

from ledger.kernel.noun import Noun, commands_in, events_in
from ledger.nouns.accounts import events, handlers
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.rejections import AccountRejection

NOUN = Noun(
    name="accounts",
    stream_type=ACCOUNT.stream_type,
    aggregate=ACCOUNT,
    events=events_in(events),
    upcasters=events.UPCASTERS,
    commands=commands_in(handlers),
    rejections=AccountRejection,
)

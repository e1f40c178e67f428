"""Positions: what each of their commands means. What happens is told on the account's stream."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import AccountCommandData, Command
from ledger.kernel.noun import handles
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.handlers import own_account
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.instruments.handlers import listed_instrument
from ledger.nouns.instruments.state import stream_id as instrument_stream
from ledger.nouns.positions import leverage
from ledger.nouns.positions.commands import SetBorrowingLimit, SetLeverage


def _reads(command: Command, data: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    if isinstance(data, SetLeverage):
        yield instrument_stream(data.instrument)


@handles(SetLeverage, reads=_reads)
def set_leverage(work: UnitOfWork, data: SetLeverage) -> None:
    state = own_account(work)
    listed = listed_instrument(work, data.instrument)
    events = leverage.set_leverage(state, listed, leverage=data.leverage, mode=data.mode)
    work.record(ACCOUNT, work.account_id, events)


@handles(SetBorrowingLimit, reads=_reads)
def set_borrowing_limit(work: UnitOfWork, data: SetBorrowingLimit) -> None:
    events = leverage.set_borrowing_limit(own_account(work), asset=data.asset, limit=data.limit)
    work.record(ACCOUNT, work.account_id, events)

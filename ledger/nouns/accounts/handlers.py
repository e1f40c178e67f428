"""Accounts: what each of their commands means."""

from collections.abc import Iterator
from uuid import UUID

from ledger.kernel.command import AccountCommandData, Command
from ledger.kernel.noun import handles
from ledger.kernel.rejection import Rejection
from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts import rules
from ledger.nouns.accounts.commands import (
    AdjustBalance,
    CloseAccount,
    Deposit,
    OpenAccount,
    ReactivateAccount,
    SuspendAccount,
    Transfer,
    Withdraw,
)
from ledger.nouns.accounts.events import MAIN, AccountEvent
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.allocations.rules import sub_accounts
from ledger.nouns.allocations.state import ALLOCATION
from ledger.nouns.allocations.state import stream_id as allocation_stream


def _reads(command: Command, _: AccountCommandData) -> Iterator[UUID]:
    assert command.account_id is not None
    yield command.account_id
    yield allocation_stream(command.account_id)


def own_account(work: UnitOfWork) -> AccountState:
    """The account of the command, whose user its events are of from here on. Raises Rejection if
    there is none, or if the command's user is not the account's."""
    state = work.state(ACCOUNT, work.account_id)
    if state is None:
        raise Rejection(
            AccountRejection.UNKNOWN_ACCOUNT, f"there is no account {work.command.subject}"
        )
    if work.command.user_id not in {None, state.user_id}:
        raise Rejection(
            AccountRejection.NOT_YOUR_ACCOUNT,
            f"account {work.command.subject} is not user {work.command.user_id}'s",
        )
    work.of_user(state.user_id)
    return state


def _record(work: UnitOfWork, events: tuple[AccountEvent, ...]) -> None:
    work.record(ACCOUNT, work.account_id, events)


def _sub_accounts(work: UnitOfWork) -> frozenset[str]:
    return sub_accounts(work.state(ALLOCATION, allocation_stream(work.account_id)))


@handles(OpenAccount, reads=_reads)
def open_account(work: UnitOfWork, data: OpenAccount) -> None:
    if work.command.user_id not in {None, data.user_id}:
        raise Rejection(
            AccountRejection.NOT_YOUR_ACCOUNT,
            f"user {work.command.user_id} cannot open an account of user {data.user_id}",
        )
    events = rules.open_account(
        work.state(ACCOUNT, work.account_id),
        account_id=data.account_id,
        user_id=data.user_id,
        exchange=data.exchange,
        name=data.name,
        account_type=data.account_type,
        environment=data.environment,
        base_currency=data.base_currency,
        cost_basis=data.cost_basis,
        position_mode=data.position_mode,
    )
    work.of_user(data.user_id)
    _record(work, events)


def _check_sub_account(work: UnitOfWork, sub_account: str) -> None:
    if sub_account != MAIN:
        rules.check_sub_account(sub_account, _sub_accounts(work))


@handles(Deposit, reads=_reads)
def deposit(work: UnitOfWork, data: Deposit) -> None:
    state = own_account(work)
    _check_sub_account(work, data.sub_account)
    _record(
        work,
        rules.deposit(
            state,
            asset=data.asset,
            amount=data.amount,
            sub_account=data.sub_account,
            reference=data.reference,
        ),
    )


@handles(Withdraw, reads=_reads)
def withdraw(work: UnitOfWork, data: Withdraw) -> None:
    state = own_account(work)
    _check_sub_account(work, data.sub_account)
    _record(
        work,
        rules.withdraw(
            state,
            asset=data.asset,
            amount=data.amount,
            sub_account=data.sub_account,
            reference=data.reference,
        ),
    )


@handles(Transfer, reads=_reads)
def transfer(work: UnitOfWork, data: Transfer) -> None:
    _record(
        work,
        rules.transfer(
            own_account(work),
            asset=data.asset,
            amount=data.amount,
            from_sub_account=data.from_sub_account,
            to_sub_account=data.to_sub_account,
            known_sub_accounts=_sub_accounts(work),
        ),
    )


@handles(AdjustBalance, reads=_reads)
def adjust_balance(work: UnitOfWork, data: AdjustBalance) -> None:
    state = own_account(work)
    _check_sub_account(work, data.sub_account)
    _record(
        work,
        rules.adjust(
            state,
            asset=data.asset,
            amount=data.amount,
            reason=data.reason,
            actor=data.actor,
            sub_account=data.sub_account,
        ),
    )


@handles(SuspendAccount, reads=_reads)
def suspend_account(work: UnitOfWork, data: SuspendAccount) -> None:
    _record(
        work,
        rules.suspend(own_account(work), reason=data.reason, actor=data.actor),
    )


@handles(ReactivateAccount, reads=_reads)
def reactivate_account(work: UnitOfWork, data: ReactivateAccount) -> None:
    _record(
        work,
        rules.reactivate(own_account(work), reason=data.reason, actor=data.actor),
    )


@handles(CloseAccount, reads=_reads)
def close_account(work: UnitOfWork, data: CloseAccount) -> None:
    _record(
        work,
        rules.close(own_account(work), reason=data.reason, actor=data.actor),
    )

"""Commands about accounts."""

from ledger import command_data as c
from ledger.domain import account, allocation
from ledger.domain.account import MAIN
from ledger.domain.event import Rejection
from ledger.work import Work


def open_account(work: Work, data: c.OpenAccount) -> None:
    if work.command.user_id not in {None, data.user_id}:
        raise Rejection(
            "NOT_YOUR_ACCOUNT",
            f"user {work.command.user_id} cannot open an account of user {data.user_id}",
        )
    events = account.open_account(
        work.account_if_known(),
        account_id=data.account_id,
        user_id=data.user_id,
        exchange=data.exchange,
        name=data.name,
        account_type=data.account_type,
        environment=data.environment,
        base_currency=data.base_currency,
    )
    work.opened_by(data.user_id)
    work.on_account(events)


def _check_sub_account(work: Work, sub_account: str) -> None:
    if sub_account != MAIN:
        account.check_sub_account(sub_account, allocation.sub_accounts(work.allocations()))


def deposit(work: Work, data: c.Deposit) -> None:
    state = work.account()
    _check_sub_account(work, data.sub_account)
    work.on_account(
        account.deposit(
            state,
            asset=data.asset,
            amount=data.amount,
            sub_account=data.sub_account,
            reference=data.reference,
        )
    )


def withdraw(work: Work, data: c.Withdraw) -> None:
    state = work.account()
    _check_sub_account(work, data.sub_account)
    work.on_account(
        account.withdraw(
            state,
            asset=data.asset,
            amount=data.amount,
            sub_account=data.sub_account,
            reference=data.reference,
        )
    )


def transfer(work: Work, data: c.Transfer) -> None:
    work.on_account(
        account.transfer(
            work.account(),
            asset=data.asset,
            amount=data.amount,
            from_sub_account=data.from_sub_account,
            to_sub_account=data.to_sub_account,
            known_sub_accounts=allocation.sub_accounts(work.allocations()),
        )
    )


def adjust_balance(work: Work, data: c.AdjustBalance) -> None:
    state = work.account()
    _check_sub_account(work, data.sub_account)
    work.on_account(
        account.adjust(
            state,
            asset=data.asset,
            amount=data.amount,
            reason=data.reason,
            actor=data.actor,
            sub_account=data.sub_account,
        )
    )


def suspend_account(work: Work, data: c.SuspendAccount) -> None:
    work.on_account(account.suspend(work.account(), reason=data.reason, actor=data.actor))


def reactivate_account(work: Work, data: c.ReactivateAccount) -> None:
    work.on_account(account.reactivate(work.account(), reason=data.reason, actor=data.actor))


def close_account(work: Work, data: c.CloseAccount) -> None:
    work.on_account(account.close(work.account(), reason=data.reason, actor=data.actor))

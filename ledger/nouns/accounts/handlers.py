"""Commands about accounts."""

from ledger import command_data as c
from ledger.kernel.event import Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.rules import MAIN
from ledger.nouns.allocations import rules as allocation_rules
from ledger.write.unit_of_work import Work


def open_account(work: Work, data: c.OpenAccount) -> None:
    if work.command.user_id not in {None, data.user_id}:
        raise Rejection(
            "NOT_YOUR_ACCOUNT",
            f"user {work.command.user_id} cannot open an account of user {data.user_id}",
        )
    events = account_rules.open_account(
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
        account_rules.check_sub_account(
            sub_account, allocation_rules.sub_accounts(work.allocations())
        )


def deposit(work: Work, data: c.Deposit) -> None:
    state = work.account()
    _check_sub_account(work, data.sub_account)
    work.on_account(
        account_rules.deposit(
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
        account_rules.withdraw(
            state,
            asset=data.asset,
            amount=data.amount,
            sub_account=data.sub_account,
            reference=data.reference,
        )
    )


def transfer(work: Work, data: c.Transfer) -> None:
    work.on_account(
        account_rules.transfer(
            work.account(),
            asset=data.asset,
            amount=data.amount,
            from_sub_account=data.from_sub_account,
            to_sub_account=data.to_sub_account,
            known_sub_accounts=allocation_rules.sub_accounts(work.allocations()),
        )
    )


def adjust_balance(work: Work, data: c.AdjustBalance) -> None:
    state = work.account()
    _check_sub_account(work, data.sub_account)
    work.on_account(
        account_rules.adjust(
            state,
            asset=data.asset,
            amount=data.amount,
            reason=data.reason,
            actor=data.actor,
            sub_account=data.sub_account,
        )
    )


def suspend_account(work: Work, data: c.SuspendAccount) -> None:
    work.on_account(account_rules.suspend(work.account(), reason=data.reason, actor=data.actor))


def reactivate_account(work: Work, data: c.ReactivateAccount) -> None:
    work.on_account(account_rules.reactivate(work.account(), reason=data.reason, actor=data.actor))


def close_account(work: Work, data: c.CloseAccount) -> None:
    work.on_account(account_rules.close(work.account(), reason=data.reason, actor=data.actor))

"""Accounts: the data of their commands.

Unless it says that it is a fact, a command is a request, which may be rejected.
"""

from typing import ClassVar

from ledger.kernel.command import AccountCommandData, CommandKind
from ledger.kernel.fields import (
    Asset,
    Choice,
    Exchange,
    Id,
    MovedAmount,
    MovedPositive,
    SubAccount,
    Text,
    TimeOrNone,
    default,
)
from ledger.nouns.accounts.events import (
    MAIN,
    AccountType,
    CostBasis,
    Environment,
    PositionMode,
)


class OpenAccount(AccountCommandData):
    command_class = "admin"

    account_id: Id
    user_id: Id
    exchange: Exchange
    name: Text
    account_type: Choice[AccountType]
    environment: Choice[Environment]
    base_currency: Asset
    cost_basis: Choice[CostBasis] = default(CostBasis.AVERAGE)
    position_mode: Choice[PositionMode] = default(PositionMode.ONE_WAY)


class Deposit(AccountCommandData):
    """Fact."""

    command_class = "money"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    asset: Asset
    amount: MovedPositive
    reference: Text | None = None
    sub_account: SubAccount = MAIN
    occurred_at: TimeOrNone = default(None)


class Withdraw(AccountCommandData):
    command_class = "money"

    asset: Asset
    amount: MovedPositive
    reference: Text | None = None
    sub_account: SubAccount = MAIN


class Transfer(AccountCommandData):
    command_class = "money"

    asset: Asset
    amount: MovedPositive
    from_sub_account: SubAccount
    to_sub_account: SubAccount


class AdjustBalance(AccountCommandData):
    """Fact: a correction, by a person who says why. The amount is signed."""

    command_class = "money"
    command_kind: ClassVar[CommandKind] = CommandKind.FACT

    asset: Asset
    amount: MovedAmount
    reason: Text
    actor: Text
    sub_account: SubAccount = MAIN
    occurred_at: TimeOrNone = default(None)


class SuspendAccount(AccountCommandData):
    command_class = "admin"

    reason: Text | None = None
    actor: Text | None = None


class ReactivateAccount(SuspendAccount):
    pass


class CloseAccount(SuspendAccount):
    pass

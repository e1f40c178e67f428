"""Accounts: what can have happened to them and their money.

Every event of an account says what it does to money in the same two lists: `postings`
(what moved, summing to zero per asset) and `holds` (what became locked or free). State,
balances, transactions and explanations all read those two lists and nothing else.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

import msgspec

from ledger.kernel.environment import Environment as Environment
from ledger.kernel.event import Event
from ledger.kernel.money import ZERO
from ledger.nouns.orders.events import ExecutionKind, Fee, PositionSide, Purpose, Side
from ledger.nouns.positions.lots import CostBasis as CostBasis
from ledger.nouns.positions.margin import MarginMode
from ledger.nouns.positions.position import Position

MAIN = "main"
"""The sub-account that every account has."""
DEFAULT_PERIODS_PER_YEAR = 365
"""Daily returns: markets that never close. Where they trade on weekdays there are 252."""
EXTERNAL = "external"
"""The outside world: other side of deposits, withdrawals and adjustments."""


def venue_book(exchange: str) -> str:
    """The other side of trades."""
    return f"venue:{exchange}"


def fees_book(exchange: str) -> str:
    """The other side of commissions."""
    return f"fees:{exchange}"


def rounding_book(exchange: str) -> str:
    """The other side of what a venue moved beside quantity x price."""
    return f"rounding:{exchange}"


def transit_book(transfer_id: str) -> str:
    """What is under way between accounts: the other side of both sides of a transfer."""
    return f"transit:{transfer_id}"


def is_own_book(book: str) -> bool:
    """Whether a book is a sub-account, not the other side. No sub-account has a colon."""
    return book != EXTERNAL and ":" not in book


def is_outside(book: str) -> bool:
    """Whether a book is the outside world, or what is under way from or to it."""
    return book == EXTERNAL or book.startswith("transit:")


class AccountType(StrEnum):
    CASH = "CASH"
    MARGIN = "MARGIN"


class PositionMode(StrEnum):
    """Whether an account may be long and short of one contract at the same time."""

    ONE_WAY = "ONE_WAY"
    HEDGE = "HEDGE"


class AccountStatus(StrEnum):
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    HALTED = "HALTED"
    """Takes no new risk; what makes a position smaller goes on."""
    CLOSED = "CLOSED"


class Reason(StrEnum):
    """Why money moved; the `reason` of a transaction."""

    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    TRANSFER = "TRANSFER"
    ADJUSTMENT = "ADJUSTMENT"
    TRADE = "TRADE"
    FEE = "FEE"
    TRADE_VOID = "TRADE_VOID"
    FEE_VOID = "FEE_VOID"
    REBALANCE = "REBALANCE"
    REALIZED_PNL = "REALIZED_PNL"
    """What closing a part of a contract has won or lost."""
    REALIZED_PNL_VOID = "REALIZED_PNL_VOID"
    CORPORATE_ACTION = "CORPORATE_ACTION"
    ROUNDING = "ROUNDING"
    ROUNDING_VOID = "ROUNDING_VOID"
    FUNDING = "FUNDING"
    REBATE = "REBATE"
    INTEREST = "INTEREST"
    DIVIDEND = "DIVIDEND"
    TAX = "TAX"
    REWARD = "REWARD"
    AIRDROP = "AIRDROP"
    CONVERSION = "CONVERSION"
    LIQUIDATION_FEE = "LIQUIDATION_FEE"


class CashFlowKind(StrEnum):
    """What money comes or goes for beside trades, deposits and withdrawals."""

    FUNDING = "FUNDING"
    FEE = "FEE"
    REBATE = "REBATE"
    INTEREST = "INTEREST"
    DIVIDEND = "DIVIDEND"
    TAX = "TAX"
    REWARD = "REWARD"
    AIRDROP = "AIRDROP"
    CONVERSION = "CONVERSION"
    LIQUIDATION_FEE = "LIQUIDATION_FEE"


_CHARGES = (CashFlowKind.FEE, CashFlowKind.REBATE, CashFlowKind.LIQUIDATION_FEE)


def flow_book(kind: CashFlowKind, exchange: str) -> str:
    """The other side of a cash flow: what the venue charges or gives back is a cost of trading,
    like commissions; a conversion is an exchange with the venue, like a trade; all else is income,
    or the cost of holding, of its kind."""
    if kind in _CHARGES:
        return fees_book(exchange)
    if kind is CashFlowKind.CONVERSION:
        return venue_book(exchange)
    return f"income:{kind.lower()}"


class CorporateAction(StrEnum):
    """What happens to all that is held of an instrument."""

    SPLIT = "SPLIT"
    RENAME = "RENAME"


class Posting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One leg of a movement in an account's book. `book` is a sub-account of the account
    (`main`, a strategy id) or the other side: `external`, `venue:<exchange>`,
    `fees:<exchange>`, `rounding:<exchange>`, `income:<kind>`, `transit:<transfer>`. `amount` is
    signed: what the book gains."""

    book: str
    asset: str
    amount: Decimal
    reason: Reason


class ClosingOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """How much of what is held the other way an open order is yet to close. Of orders of one
    `oco_group` only the largest does."""

    instrument: str
    position_side: PositionSide = PositionSide.BOTH
    side: Side
    quantity: Decimal
    oco_group: UUID | None = None


class HoldChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What becomes locked (positive) or free again (negative) for an order, or, under an id of its
    own, for a position (`margin_hold_id`). `is_open`: the order goes on, though it holds nothing
    after this. `closing` is what it closes, whole, as long as it is open."""

    order_id: UUID
    sub_account: str
    asset: str
    amount: Decimal
    is_open: bool = False
    closing: ClosingOrder | None = None


class OcoMember(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An open order of a group: how much it may trade if no other does, what that takes for each
    unit of it, and where it stands among the others (`level`: its price or stop)."""

    order_id: UUID
    instrument: str
    quantity: Decimal
    unit: Decimal
    purpose: Purpose | None = None
    level: Decimal | None = None


class OcoGroup(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Orders of which one cancels the others, as far as it trades: those of one `oco_group`,
    sub-account, asset and side, whole. What one has `traded` the others no longer may, and only
    the largest of them holds. It ends with its last open member."""

    oco_group: UUID
    sub_account: str
    asset: str
    side: Side
    traded: Decimal
    members: tuple[OcoMember, ...]


# --- events ---------------------------------------------------------------------------


class AccountEvent(Event, frozen=True, kw_only=True):
    """What every account event says. `overdrawn`: a fact took what is available in some
    sub-account of a CASH account below zero."""

    postings: tuple[Posting, ...] = ()
    holds: tuple[HoldChange, ...] = ()
    overdrawn: bool = False


class MoneyEvent(AccountEvent, frozen=True, kw_only=True):
    """An event that moves or locks money: the only ones that have postings or holds. Balances,
    transactions and explanations follow these, all of them. `positions` are those that it changed,
    whole, as they are after it."""

    positions: tuple[Position, ...] = ()


class AccountOpened(AccountEvent, frozen=True, kw_only=True):
    """Version 1 said `is_testnet`; version 2 says `environment`."""

    type: ClassVar[str] = "account.opened"
    schema: ClassVar[int] = 2
    user_id: UUID
    exchange: str
    name: str
    account_type: AccountType
    environment: Environment
    base_currency: str
    cost_basis: CostBasis = CostBasis.AVERAGE
    position_mode: PositionMode = PositionMode.ONE_WAY


class OuterMovement(MoneyEvent, frozen=True, kw_only=True):
    """Money that came in or went out. `fee` is part of the amount unless it is in another asset.
    With a `transfer_id` the other side is another account's; `cost` (in the base currency) and
    `acquired_at` tell of what came where it came from. `unknown_sub_account` is where it was told
    to be: there is none of that name, so it is in `main`."""

    asset: str
    amount: Decimal
    sub_account: str
    reference: str | None = None
    account_closed: bool = False
    transfer_id: str | None = None
    fee: Decimal | None = None
    fee_asset: str | None = None
    cost: Decimal | None = None
    acquired_at: datetime | None = None
    unknown_sub_account: str | None = None


class AccountDeposited(OuterMovement, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.deposited"


class AccountWithdrawn(OuterMovement, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.withdrawn"


class CashFlowRecorded(MoneyEvent, frozen=True, kw_only=True):
    """Money came or went for one of the reasons that are no trade; `amount` is signed, and so is
    `counter_amount`, the other side of a conversion. With an `instrument` the flow belongs to its
    position; `no_position`: there is none that it could belong to."""

    type: ClassVar[str] = "account.cash_flow_recorded"
    flow_id: str
    kind: CashFlowKind
    asset: str
    amount: Decimal
    sub_account: str
    instrument: str | None = None
    position_side: PositionSide | None = None
    counter_asset: str | None = None
    counter_amount: Decimal | None = None
    info: dict[str, Any] = msgspec.field(default_factory=dict)
    account_closed: bool = False
    no_position: bool = False
    unknown_sub_account: str | None = None


class AccountTransferred(MoneyEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.transferred"
    asset: str
    amount: Decimal
    from_sub_account: str
    to_sub_account: str


class AccountAdjusted(MoneyEvent, frozen=True, kw_only=True):
    """A correction by a person; `amount` is signed."""

    type: ClassVar[str] = "account.adjusted"
    asset: str
    amount: Decimal
    sub_account: str
    reason: str
    actor: str
    account_closed: bool = False


class AccountSuspended(AccountEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.suspended"
    reason: str | None = None
    actor: str | None = None


class AccountHalted(AccountEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.halted"
    reason: str | None = None
    actor: str | None = None


class AccountReactivated(AccountEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.reactivated"
    reason: str | None = None
    actor: str | None = None


class AccountClosed(AccountEvent, frozen=True, kw_only=True):
    type: ClassVar[str] = "account.closed"
    reason: str | None = None
    actor: str | None = None


class OrderMoney(MoneyEvent, frozen=True, kw_only=True):
    """What an order does to the money of its account. `group` is that of the order after it, where
    it has one and that changed."""

    order_id: UUID
    group: OcoGroup | None = None


class FundsHeld(OrderMoney, frozen=True, kw_only=True):
    """An order locks (more) funds; or begins without any of its own."""

    type: ClassVar[str] = "account.funds_held"


class FundsReleased(OrderMoney, frozen=True, kw_only=True):
    """An order locks less, or nothing more."""

    type: ClassVar[str] = "account.funds_released"


class TradeMoney(OrderMoney, frozen=True, kw_only=True):
    """What a trade of an order does to the money of its account. What does not fit: the account is
    closed, the instrument is not of its venue, the orders of the group have traded more than the
    largest of them may, a contract on a CASH account, a `reduce_only` order that has opened what it
    was to close."""

    trade_id: str
    instrument: str
    side: Side
    last_qty: Decimal
    last_px: Decimal
    account_closed: bool = False
    wrong_venue: bool = False
    group_overfilled: bool = False
    contract_on_cash: bool = False
    reduced_beyond: bool = False


class TradeSettled(TradeMoney, frozen=True, kw_only=True):
    """Money moved by a fill, and the part of the hold that it consumed or set free. `positions` is
    what the position became; two, when it was turned round. Empty in a log from before them.
    `named_price` is the one that the order named: its limit, its trigger, or what it was reckoned
    with."""

    type: ClassVar[str] = "account.trade_settled"
    execution_kind: ExecutionKind = ExecutionKind.TRADE
    purpose: Purpose | None = None
    signal_id: str | None = None
    named_price: Decimal | None = None


class TradeVoided(TradeMoney, frozen=True, kw_only=True):
    """The postings of a settled trade, reversed. `positions` are those that are other ones without
    the trade, reckoned anew from all the others."""

    type: ClassVar[str] = "account.trade_voided"


class CommissionCorrected(MoneyEvent, frozen=True, kw_only=True):
    """What a trade was charged turned out to be other than was booked: the difference is posted."""

    type: ClassVar[str] = "account.commission_corrected"
    order_id: UUID
    trade_id: str
    instrument: str
    sub_account: str
    fees: tuple[Fee, ...]
    previous_fees: tuple[Fee, ...]
    account_closed: bool = False


class LeverageSet(MoneyEvent, frozen=True, kw_only=True):
    """How much a position of the instrument may be greater than what it locks. `margin_rate` is the
    share of its cost that it locks from now on, open ones too; orders keep theirs."""

    type: ClassVar[str] = "account.leverage_set"
    instrument: str
    leverage: Decimal
    mode: MarginMode
    margin_rate: Decimal


class BorrowingLimitSet(AccountEvent, frozen=True, kw_only=True):
    """How much of an asset requests may take beyond what is there; None: as much as they like."""

    type: ClassVar[str] = "account.borrowing_limit_set"
    asset: str
    limit: Decimal | None = None


class ReportingSet(AccountEvent, frozen=True, kw_only=True):
    """How what the account makes is measured from here on: how many daily returns make a year,
    whose midnight ends a day, against which instrument, and above which rate per year."""

    type: ClassVar[str] = "account.reporting_set"
    periods_per_year: int = DEFAULT_PERIODS_PER_YEAR
    time_zone: str = "UTC"
    benchmark: str | None = None
    risk_free_rate: Decimal = ZERO


class CorporateActionRecorded(MoneyEvent, frozen=True, kw_only=True):
    """`numerator` of the instrument for each `denominator` that was held, and under another name if
    there is a `new_instrument`. `fraction` is what of it in `sub_account` was paid for with
    `cash_in_lieu`, signed as the position is. `conflicts`: there is another action of the same id,
    and nothing has changed."""

    type: ClassVar[str] = "account.corporate_action_recorded"
    action_id: str
    instrument: str
    action: CorporateAction
    numerator: int
    denominator: int
    new_instrument: str | None = None
    new_base_asset: str | None = None
    cash_in_lieu: Decimal | None = None
    sub_account: str | None = None
    fraction: Decimal | None = None
    conflicts: bool = False
    account_closed: bool = False

    @property
    def content(self) -> str:
        """What was told, to know it by when it is told again."""
        told = (self.instrument, self.action, self.numerator, self.denominator)
        return " ".join(map(str, (*told, self.new_instrument, self.cash_in_lieu)))


class AccountRebalanced(MoneyEvent, frozen=True, kw_only=True):
    """Available funds moved between sub-accounts to match the allocations."""

    type: ClassVar[str] = "account.rebalanced"


def _kinds(event: type[MoneyEvent]) -> Iterator[type[MoneyEvent]]:
    if "type" in vars(event):
        yield event
    for kind in event.__subclasses__():
        yield from _kinds(kind)


MONEY_EVENTS: tuple[type[MoneyEvent], ...] = tuple(_kinds(MoneyEvent))
"""All that move or lock money."""


# --- older schemas --------------------------------------------------------------------


def _opened_1(data: dict[str, Any]) -> dict[str, Any]:
    """`is_testnet` became `environment`: a test network is PAPER money."""
    is_testnet = data.pop("is_testnet", False)
    return data | {"environment": "PAPER" if is_testnet else "LIVE"}


UPCASTERS = {("account.opened", 1): _opened_1}
"""(event type, version the payload has) -> the step to the next version."""

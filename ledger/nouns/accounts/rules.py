"""Accounts: the decisions about them.

Money in an account lies in sub-accounts: `main`, and one per strategy assigned to it. Per
sub-account and asset, total = available + locked; what is locked is the sum of the holds there.

    deposit, adjust ───────▶ facts: always recorded, on a closed account too (more in `facts`)
    withdraw, transfer ────▶ requests: only from what is available
    hold ▶ set_hold ▶ settle (▶ void_trade)    an order's money, in `settlement`

On a CASH account no request takes `available` below zero. Facts may, and say `overdrawn`. On a
MARGIN account holds are kept the same way and nothing is refused for lack of funds.

`state` says what is known of an account, `events` what can have happened. The stream is the
account's id.
"""

from collections.abc import Collection
from datetime import datetime
from decimal import Decimal
from typing import TypedDict, Unpack
from uuid import UUID

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts.books import changes
from ledger.nouns.accounts.events import (
    EXTERNAL,
    MAIN,
    AccountAdjusted,
    AccountClosed,
    AccountDeposited,
    AccountEvent,
    AccountHalted,
    AccountOpened,
    AccountReactivated,
    AccountRebalanced,
    AccountStatus,
    AccountSuspended,
    AccountTransferred,
    AccountType,
    AccountWithdrawn,
    CostBasis,
    Environment,
    PositionMode,
    Posting,
    Reason,
    ReportingSet,
    fees_book,
    is_own_book,
    transit_book,
)
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.accounts.state import (
    AccountState,
    BookBalance,
    check_active,
    check_free,
    check_not_closed,
    overdraws,
)

# --- opening and closing --------------------------------------------------------------


def open_account(
    state: AccountState | None,
    *,
    account_id: UUID,
    user_id: UUID,
    exchange: str,
    name: str,
    account_type: AccountType,
    environment: Environment,
    base_currency: str,
    cost_basis: CostBasis = CostBasis.AVERAGE,
    position_mode: PositionMode = PositionMode.ONE_WAY,
) -> tuple[AccountEvent, ...]:
    if state is not None:
        raise Rejection(AccountRejection.ACCOUNT_ALREADY_EXISTS, f"account {account_id} exists")
    return (
        AccountOpened(
            user_id=user_id,
            exchange=exchange,
            name=name,
            account_type=account_type,
            environment=environment,
            base_currency=base_currency,
            cost_basis=cost_basis,
            position_mode=position_mode,
        ),
    )


def halt(
    state: AccountState, *, reason: str | None = None, actor: str | None = None
) -> tuple[AccountEvent, ...]:
    """Nothing that raises exposure from here on; exits, and money, go on."""
    check_active(state)
    if state.status is AccountStatus.HALTED:
        raise Rejection(
            AccountRejection.ACCOUNT_HALTED, f"account {state.account_id} is halted already"
        )
    return (AccountHalted(reason=reason, actor=actor),)


def set_reporting(
    state: AccountState,
    *,
    periods_per_year: int,
    time_zone: str,
    benchmark: str | None,
    risk_free_rate: Decimal,
) -> tuple[AccountEvent, ...]:
    """It changes what is told of the account, and nothing that it may do."""
    check_not_closed(state)
    return (
        ReportingSet(
            periods_per_year=periods_per_year,
            time_zone=time_zone,
            benchmark=benchmark,
            risk_free_rate=risk_free_rate,
        ),
    )


def suspend(
    state: AccountState, *, reason: str | None = None, actor: str | None = None
) -> tuple[AccountEvent, ...]:
    """Requests are refused from here on; facts are recorded as ever."""
    check_active(state)
    return (AccountSuspended(reason=reason, actor=actor),)


def reactivate(
    state: AccountState, *, reason: str | None = None, actor: str | None = None
) -> tuple[AccountEvent, ...]:
    check_not_closed(state)
    if state.status not in {AccountStatus.SUSPENDED, AccountStatus.HALTED}:
        raise Rejection(
            AccountRejection.ACCOUNT_NOT_SUSPENDED, f"account {state.account_id} is active"
        )
    return (AccountReactivated(reason=reason, actor=actor),)


def close(
    state: AccountState, *, reason: str | None = None, actor: str | None = None
) -> tuple[AccountEvent, ...]:
    """For ever. Only an account without money, open orders and positions of contracts; coins that
    were bought have left with the money."""
    check_not_closed(state)
    held = [
        f"{shown(position.quantity)} {position.instrument}"
        for position in state.positions.values()
        if position.contract is not None and position.is_open
    ]
    if held:
        raise Rejection(
            AccountRejection.ACCOUNT_NOT_EMPTY,
            f"account {state.account_id} has {_some(held)}",
            "close its positions first",
        )
    left = [
        f"{shown(balance.total)} {asset} in {sub_account}{_locked(balance)}"
        for sub_account, assets in sorted(state.balances.items())
        for asset, balance in sorted(assets.items())
        if balance.total != 0 or balance.locked != 0
    ]
    if left:
        raise Rejection(
            AccountRejection.ACCOUNT_NOT_EMPTY,
            f"account {state.account_id} has {_some(left)}",
        )
    if state.holds:
        orders = _some([str(order_id) for order_id in state.holds])
        raise Rejection(
            AccountRejection.ACCOUNT_NOT_EMPTY,
            f"account {state.account_id} has open orders: {orders}",
        )
    return (AccountClosed(reason=reason, actor=actor),)


def _locked(balance: BookBalance) -> str:
    return f" ({shown(balance.locked)} locked for orders)" if balance.locked else ""


def _some(left: list[str]) -> str:
    return ", ".join(left[:_LEFT_TOLD]) + (" and more" if len(left) > _LEFT_TOLD else "")


_LEFT_TOLD = 5
"""Balances or orders that the refusal to close lists: enough to know where to look."""


# --- money from and to outside --------------------------------------------------------


class MovementTerms(TypedDict, total=False):
    """What is told of a movement beside its asset and amount (`OuterMovement`)."""

    sub_account: str
    reference: str | None
    transfer_id: str | None
    fee: Decimal | None
    fee_asset: str | None
    cost: Decimal | None
    acquired_at: datetime | None
    unknown_sub_account: str | None


def deposit(
    state: AccountState, *, asset: str, amount: Decimal, **terms: Unpack[MovementTerms]
) -> tuple[AccountEvent, ...]:
    """Fact: the money is there, whatever we think of the account."""
    sub_account = terms.setdefault("sub_account", MAIN)
    fee = terms.get("fee") or ZERO
    charged, outside = _charged(asset, terms)
    postings = (
        *move(outside, sub_account, asset, amount, Reason.DEPOSIT),
        *move(sub_account, fees_book(state.exchange), charged, fee, Reason.FEE),
    )
    return (
        AccountDeposited(
            asset=asset,
            amount=amount,
            account_closed=state.status is AccountStatus.CLOSED,
            postings=postings,
            overdrawn=overdraws(state, postings),
            **terms,
        ),
    )


def gone(
    state: AccountState, *, asset: str, amount: Decimal, **terms: Unpack[MovementTerms]
) -> AccountWithdrawn:
    """A withdrawal, whoever decided upon it: `amount` leaves, a fee in the same asset included."""
    sub_account = terms.setdefault("sub_account", MAIN)
    fee = terms.get("fee") or ZERO
    charged, outside = _charged(asset, terms)
    out = amount - fee if charged == asset else amount
    postings = (
        *move(sub_account, outside, asset, out, Reason.WITHDRAWAL),
        *move(sub_account, fees_book(state.exchange), charged, fee, Reason.FEE),
    )
    return AccountWithdrawn(
        asset=asset,
        amount=amount,
        account_closed=state.status is AccountStatus.CLOSED,
        postings=postings,
        overdrawn=overdraws(state, postings),
        **terms,
    )


def _charged(asset: str, terms: MovementTerms) -> tuple[str, str]:
    """The asset that a fee is in, and the book that the money comes from or goes to."""
    transfer_id = terms.get("transfer_id")
    outside = EXTERNAL if transfer_id is None else transit_book(transfer_id)
    return terms.get("fee_asset") or asset, outside


def adjust(
    state: AccountState,
    *,
    asset: str,
    amount: Decimal,
    reason: str,
    actor: str,
    sub_account: str = MAIN,
) -> tuple[AccountEvent, ...]:
    """Fact: a person corrects a balance, up or down, and answers for it."""
    postings = move(EXTERNAL, sub_account, asset, amount, Reason.ADJUSTMENT)
    return (
        AccountAdjusted(
            asset=asset,
            amount=amount,
            sub_account=sub_account,
            reason=reason,
            actor=actor,
            account_closed=state.status is AccountStatus.CLOSED,
            postings=postings,
            overdrawn=overdraws(state, postings),
        ),
    )


def withdraw(
    state: AccountState, *, asset: str, amount: Decimal, **terms: Unpack[MovementTerms]
) -> tuple[AccountEvent, ...]:
    """Request: of what is available, on an account of any type: nobody lends for a withdrawal."""
    check_active(state)
    event = gone(state, asset=asset, amount=amount, **terms)
    for (book, of_asset), change in changes(event.postings).items():
        if is_own_book(book):
            _check_there(state, book, of_asset, -change.total, "withdraw")
    return (event,)


# --- money between sub-accounts -------------------------------------------------------


def transfer(
    state: AccountState,
    *,
    asset: str,
    amount: Decimal,
    from_sub_account: str,
    to_sub_account: str,
    known_sub_accounts: Collection[str],
) -> tuple[AccountEvent, ...]:
    check_active(state)
    check_sub_account(from_sub_account, known_sub_accounts)
    check_sub_account(to_sub_account, known_sub_accounts)
    if from_sub_account == to_sub_account:
        raise Rejection(
            AccountRejection.SAME_SUB_ACCOUNT,
            f"the transfer is from {from_sub_account} to itself",
        )
    _check_there(state, from_sub_account, asset, amount, "transfer")
    return (
        AccountTransferred(
            asset=asset,
            amount=amount,
            from_sub_account=from_sub_account,
            to_sub_account=to_sub_account,
            postings=move(from_sub_account, to_sub_account, asset, amount, Reason.TRANSFER),
        ),
    )


def rebalance(
    state: AccountState, moves: Collection[tuple[str, str, str, Decimal]]
) -> tuple[AccountEvent, ...]:
    """Carries out moves (from, to, asset, amount) that `allocation.rebalance` planned; no event
    when there are none."""
    check_active(state)
    if not moves:
        return ()
    postings = tuple(
        posting
        for from_sub_account, to_sub_account, asset, amount in moves
        for posting in move(from_sub_account, to_sub_account, asset, amount, Reason.REBALANCE)
    )
    return (AccountRebalanced(postings=postings),)


def move(
    from_book: str, to_book: str, asset: str, amount: Decimal, reason: Reason
) -> tuple[Posting, ...]:
    if not amount:
        return ()
    return (
        Posting(book=from_book, asset=asset, amount=-amount, reason=reason),
        Posting(book=to_book, asset=asset, amount=amount, reason=reason),
    )


# --- what others ask of an account ----------------------------------------------------


def check_order(state: AccountState, *, instrument: str) -> None:
    """Whether the account may trade this instrument (`VENUE:SYMBOL`) at all."""
    check_active(state)
    if not is_on_venue(state, instrument):
        venue = instrument.partition(":")[0]
        raise Rejection(
            AccountRejection.WRONG_VENUE,
            f"{instrument} is traded on {venue}, account {state.account_id} is on {state.exchange}",
            f"use an account on {venue}",
        )


def is_on_venue(state: AccountState, instrument: str) -> bool:
    """Whether an instrument is traded where the account is. Names of venues differ in case only by
    habit."""
    venue = instrument.partition(":")[0]
    return venue == state.exchange or venue.casefold() == state.exchange.casefold()


def check_sub_account(sub_account: str, known: Collection[str]) -> None:
    """Whether there is such a sub-account (`allocation.sub_accounts` knows)."""
    if sub_account not in known:
        raise Rejection(
            AccountRejection.UNKNOWN_SUB_ACCOUNT,
            f"there is no sub-account {sub_account!r}",
            f"assign a strategy of that name first, or use one of {', '.join(sorted(known))}",
        )


def _check_there(
    state: AccountState, sub_account: str, asset: str, amount: Decimal, verb: str
) -> None:
    """Whether a request that moves money away finds it, on an account of any type: a venue lends
    for trades, unless it is said how much (`SetBorrowingLimit`)."""
    remedy = f"{verb} less, or free what open orders hold"
    check_free(state, sub_account, asset, amount, f"to {verb}", remedy)

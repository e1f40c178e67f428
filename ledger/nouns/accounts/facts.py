"""Accounts: what has happened to their money outside trades, recorded whatever we think of it.

    record_withdrawal     money has left, as much as it was; it may overdraw
    record_cash_flow      funding, fees, interest … : what came or went, against a book of its kind

Income and cost have books of their own (`income:<kind>`, `fees:<venue>`), so that what was earned
is never taken for what was paid in: `external` is capital, and nothing else.
"""

from decimal import Decimal
from typing import Any, Unpack

from ledger.nouns.accounts.events import (
    MAIN,
    AccountEvent,
    AccountStatus,
    CashFlowKind,
    CashFlowRecorded,
    Posting,
    Reason,
    flow_book,
)
from ledger.nouns.accounts.rules import MovementTerms, gone, move
from ledger.nouns.accounts.state import AccountState, overdraws
from ledger.nouns.orders.events import PositionSide
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.position import PositionKey


def record_withdrawal(
    state: AccountState, *, asset: str, amount: Decimal, **terms: Unpack[MovementTerms]
) -> tuple[AccountEvent, ...]:
    """It is gone, the fee with it."""
    return (gone(state, asset=asset, amount=amount, **terms),)


def record_cash_flow(
    state: AccountState,
    *,
    flow_id: str,
    kind: CashFlowKind,
    asset: str,
    amount: Decimal,
    sub_account: str | None = None,
    instrument: str | None = None,
    position_side: PositionSide | None = None,
    counter_asset: str | None = None,
    counter_amount: Decimal | None = None,
    info: dict[str, Any] | None = None,
    unknown_sub_account: str | None = None,
) -> tuple[AccountEvent, ...]:
    """Signed as the account has it: what it got is positive. The position of the instrument has it
    in its profit, if there is one; a conversion is of no position. A venue knows no sub-accounts:
    where none is told, it is the one that has the position, if one alone has."""
    of_instrument = None if kind is CashFlowKind.CONVERSION else instrument
    side = position_side or PositionSide.BOTH
    position = None
    if of_instrument is not None:
        if sub_account is None:
            sub_account = _holder(state, of_instrument, side)
        position = state.position(PositionKey(sub_account or MAIN, of_instrument, side))
    own = sub_account or MAIN
    book, reason = flow_book(kind, state.exchange), Reason[kind]
    postings: tuple[Posting, ...] = move(book, own, asset, amount, reason)
    if counter_asset is not None and counter_amount is not None:
        postings += move(book, own, counter_asset, counter_amount, reason)
    return (
        CashFlowRecorded(
            flow_id=flow_id,
            kind=kind,
            asset=asset,
            amount=amount,
            sub_account=own,
            instrument=instrument,
            position_side=position_side,
            counter_asset=counter_asset,
            counter_amount=counter_amount,
            info=info or {},
            account_closed=state.status is AccountStatus.CLOSED,
            no_position=of_instrument is not None and position is None,
            unknown_sub_account=unknown_sub_account,
            postings=postings,
            positions=() if position is None else (position_rules.fund(position, asset, amount),),
            overdrawn=overdraws(state, postings),
        ),
    )


def _holder(state: AccountState, instrument: str, side: PositionSide) -> str | None:
    """The one sub-account that has an open position; None where there is none or several."""
    holders = [
        position.sub_account
        for position in state.positions.values()
        if position.instrument == instrument and position.position_side is side and position.is_open
    ]
    return holders[0] if len(holders) == 1 else None

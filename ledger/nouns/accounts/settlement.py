"""Accounts: the money of orders, from the hold to the trade.

    hold          a new order asks for funds: refused when a CASH account lacks them
    set_hold      the order needs more or less from now on: a fact, it follows the order
    settle        a trade: money moves, and the hold shrinks to what the order still needs
    void_trade    the same trade taken back: the same postings, reversed

`order.hold_required` says how much an order must hold; after each event of an order its account
holds exactly that.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.events import (
    AccountEvent,
    FundsHeld,
    FundsReleased,
    HoldChange,
    Posting,
    Reason,
    TradeSettled,
    TradeVoided,
    fees_book,
    venue_book,
)
from ledger.nouns.accounts.state import AccountState, check_active, check_available, overdraws
from ledger.nouns.orders.events import Execution, Side, hold_asset
from ledger.nouns.positions import history
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.position import PositionKey


def hold(
    state: AccountState, *, order_id: UUID, sub_account: str, asset: str, amount: Decimal
) -> tuple[AccountEvent, ...]:
    """Request: locks funds for a new order; no event when it needs none."""
    check_active(state)
    check_hold(state, order_id=order_id, sub_account=sub_account, asset=asset, required=amount)
    return set_hold(state, order_id=order_id, sub_account=sub_account, asset=asset, required=amount)


def check_hold(
    state: AccountState, *, order_id: UUID, sub_account: str, asset: str, required: Decimal
) -> None:
    """Whether the funds are there for an order to hold `required` in all."""
    more = required - state.held(order_id)
    if more > 0:
        check_available(state, sub_account, asset, more, "this order must hold")


def set_hold(
    state: AccountState, *, order_id: UUID, sub_account: str, asset: str, required: Decimal
) -> tuple[AccountEvent, ...]:
    """Fact: the order holds `required` from now on, neither more nor less; no event when it
    did already."""
    holds = _hold_change(state, order_id, sub_account, asset, required)
    if not holds:
        return ()
    overdrawn = overdraws(state, (), holds)
    if holds[0].amount > 0:
        return (FundsHeld(order_id=order_id, holds=holds, overdrawn=overdrawn),)
    return (FundsReleased(order_id=order_id, holds=holds, overdrawn=overdrawn),)


def settle(
    state: AccountState,
    *,
    order_id: UUID,
    execution: Execution,
    hold_required: Decimal,
    at: datetime | None = None,
) -> tuple[AccountEvent, ...]:
    """Fact: a trade moves money and makes a position. `hold_required` is the order's after it."""
    trade = _trade(execution, at)
    postings = _trade_postings(state, execution, 1, Reason.TRADE, Reason.FEE)
    holds = _hold_after(state, order_id, execution, hold_required)
    return (
        TradeSettled(
            order_id=order_id,
            trade_id=execution.trade_id,
            instrument=execution.instrument,
            side=execution.side,
            last_qty=execution.last_qty,
            last_px=execution.last_px,
            postings=postings,
            holds=holds,
            positions=position_rules.trade(state.position(trade.key), trade),
            overdrawn=overdraws(state, postings, holds),
        ),
    )


def void_trade(
    state: AccountState,
    *,
    order_id: UUID,
    execution: Execution,
    hold_required: Decimal,
    past: Iterable[PastEvent],
) -> tuple[AccountEvent, ...]:
    """Fact: a settled trade is taken back; an order still open must hold for it again. `past` are
    the account's events about the instrument, newest first."""
    key = position_key(execution)
    name = history.TradeName(order_id, execution.trade_id)
    reckoned = history.without(past, state.position(key), key, name)
    postings = _trade_postings(state, execution, -1, Reason.TRADE_VOID, Reason.FEE_VOID)
    holds = _hold_after(state, order_id, execution, hold_required)
    return (
        TradeVoided(
            order_id=order_id,
            trade_id=execution.trade_id,
            instrument=execution.instrument,
            side=execution.side,
            last_qty=execution.last_qty,
            last_px=execution.last_px,
            postings=postings,
            holds=holds,
            positions=reckoned.positions,
            overdrawn=overdraws(state, postings, holds),
        ),
    )


def position_key(execution: Execution) -> PositionKey:
    """Which position a trade is of."""
    return PositionKey(execution.sub_account, execution.instrument)


def _trade(execution: Execution, at: datetime | None) -> position_rules.PositionTrade:
    bought = execution.side is Side.BUY
    fees = {}
    if execution.commission and execution.commission_asset is not None:
        fees[execution.commission_asset] = execution.commission
    return position_rules.PositionTrade(
        key=position_key(execution),
        quantity=execution.last_qty if bought else -execution.last_qty,
        value=execution.last_qty * execution.last_px,
        settlement_asset=execution.quote_asset,
        base_asset=execution.base_asset,
        fees=fees,
        at=at,
    )


def _trade_postings(
    state: AccountState, execution: Execution, sign: int, trade: Reason, fee: Reason
) -> tuple[Posting, ...]:
    """Base against quote with the venue, and the commission in its own asset. `sign` is -1 to
    take the trade back."""
    own, venue = execution.sub_account, venue_book(state.exchange)
    base = execution.last_qty * sign
    if execution.side is Side.SELL:
        base = -base
    quote = -base * execution.last_px
    postings = (
        Posting(book=own, asset=execution.base_asset, amount=base, reason=trade),
        Posting(book=venue, asset=execution.base_asset, amount=-base, reason=trade),
        Posting(book=own, asset=execution.quote_asset, amount=quote, reason=trade),
        Posting(book=venue, asset=execution.quote_asset, amount=-quote, reason=trade),
    )
    if not execution.commission or execution.commission_asset is None:
        return postings
    commission, asset = execution.commission * sign, execution.commission_asset
    return (
        *postings,
        Posting(book=own, asset=asset, amount=-commission, reason=fee),
        Posting(book=fees_book(state.exchange), asset=asset, amount=commission, reason=fee),
    )


def _hold_after(
    state: AccountState, order_id: UUID, execution: Execution, required: Decimal
) -> tuple[HoldChange, ...]:
    asset = hold_asset(execution)
    return _hold_change(state, order_id, execution.sub_account, asset, required)


def _hold_change(
    state: AccountState, order_id: UUID, sub_account: str, asset: str, required: Decimal
) -> tuple[HoldChange, ...]:
    change = required - state.held(order_id)
    if change == 0:
        return ()
    return (HoldChange(order_id=order_id, sub_account=sub_account, asset=asset, amount=change),)

"""Accounts: the money of orders, from the hold to the trade.

    hold                 a new order asks for funds: refused when a CASH account lacks them
    set_hold             the order needs more or less from now on: a fact, it follows the order
    settle               a trade: money moves, and the hold shrinks to what the order still needs
    void_trade           the same trade taken back: the same postings, reversed
    correct_commission   the trade was charged otherwise than was booked: the difference

`orders.state.required_hold` says how much an order must hold; after each event of an order its
account holds exactly that, alone or with the others of its group (`holds`).
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.kernel.unit_of_work import PastEvent
from ledger.nouns.accounts.events import (
    AccountEvent,
    AccountStatus,
    AccountType,
    CommissionCorrected,
    FundsHeld,
    FundsReleased,
    Posting,
    Reason,
    TradeSettled,
    TradeVoided,
    fees_book,
    rounding_book,
    venue_book,
)
from ledger.nouns.accounts.holds import Holds, changes_for, check_group, is_overfilled
from ledger.nouns.accounts.rules import is_on_venue
from ledger.nouns.accounts.state import (
    AccountState,
    check_active,
    check_available,
    check_free,
    overdraws,
)
from ledger.nouns.orders.events import Execution, Fee, OrderCommissionCorrected, PositionSide, Side
from ledger.nouns.orders.state import RequiredHold
from ledger.nouns.positions import history
from ledger.nouns.positions import rules as position_rules
from ledger.nouns.positions.leverage import margin_holds, margin_rate_in_force
from ledger.nouns.positions.position import Position, PositionKey


def hold(state: AccountState, required: RequiredHold) -> tuple[AccountEvent, ...]:
    """Request: locks funds for a new order."""
    check_active(state)
    return _held(state, required, _checked(state, required))


def check_hold(state: AccountState, required: RequiredHold) -> None:
    """Whether the order fits its group, and the funds are there for it to hold what it must."""
    _checked(state, required)


def set_hold(state: AccountState, required: RequiredHold) -> tuple[AccountEvent, ...]:
    """Fact: the order holds what it must from now on, neither more nor less; no event when it did
    already."""
    return _held(state, required, changes_for(state, required))


def _checked(state: AccountState, required: RequiredHold) -> Holds:
    check_group(state, required)
    changed = changes_for(state, required)
    more = sum((change.amount for change in changed[0]), ZERO)
    if more > 0:
        check = check_available if required.contract is None else check_free
        check(state, required.sub_account, required.asset, more, "this order must hold")
    return changed


def _held(state: AccountState, required: RequiredHold, changed: Holds) -> tuple[AccountEvent, ...]:
    holds, group = changed
    if not holds and group is None:
        return ()
    more = sum((change.amount for change in holds), ZERO)
    begins = required.is_open and required.order_id not in state.holds
    event = FundsHeld if more > 0 or (more == 0 and begins) else FundsReleased
    overdrawn = overdraws(state, (), holds)
    return (event(order_id=required.order_id, holds=holds, group=group, overdrawn=overdrawn),)


def settle(
    state: AccountState,
    *,
    execution: Execution,
    required: RequiredHold,
    at: datetime | None = None,
) -> tuple[AccountEvent, ...]:
    """Fact: a trade moves money and makes a position. `required` is the order's hold after it."""
    trade = _trade(state, execution, required, at)
    before = state.position(trade.key)
    positions = position_rules.trade(before, trade)
    holds, group = changes_for(state, required, execution.last_qty)
    if required.contract is None:
        postings = _trade_postings(state, execution, 1)
    else:
        open_before = () if before is None or not before.is_open else (before,)
        won = position_rules.realized(positions) - position_rules.realized(open_before)
        postings = _contract_postings(state, execution, trade, won, 1)
        holds = (*holds, *margin_holds(state, positions))
    return (
        TradeSettled(
            order_id=required.order_id,
            trade_id=execution.trade_id,
            instrument=execution.instrument,
            side=execution.side,
            last_qty=execution.last_qty,
            last_px=execution.last_px,
            postings=postings,
            holds=holds,
            group=group,
            positions=positions,
            overdrawn=overdraws(state, postings, holds),
            account_closed=state.status is AccountStatus.CLOSED,
            wrong_venue=not is_on_venue(state, execution.instrument),
            group_overfilled=is_overfilled(state, group),
            contract_on_cash=_is_contract_on_cash(state, required),
            reduced_beyond=_has_opened(required, positions, trade),
            execution_kind=execution.execution_kind,
            purpose=required.purpose,
            signal_id=required.signal_id,
            named_price=required.named_price,
        ),
    )


def void_trade(
    state: AccountState,
    *,
    execution: Execution,
    required: RequiredHold,
    past: Iterable[PastEvent],
) -> tuple[AccountEvent, ...]:
    """Fact: a settled trade is taken back; an order still open must hold for it again. `past` are
    the account's events about the instrument, newest first."""
    trade = _trade(state, execution, required, None)
    name = history.TradeName(required.order_id, execution.trade_id)
    reckoned = history.without(past, _current(state, trade.key), name)
    holds, group = changes_for(state, required, -execution.last_qty)
    if required.contract is None:
        postings = _voided_postings(state, execution, reckoned)
    else:
        postings = _contract_postings(state, execution, trade, reckoned.realized_pnl, -1)
        holds = (*holds, *margin_holds(state, reckoned.positions))
    return (
        TradeVoided(
            order_id=required.order_id,
            trade_id=execution.trade_id,
            instrument=execution.instrument,
            side=execution.side,
            last_qty=execution.last_qty,
            last_px=execution.last_px,
            postings=postings,
            holds=holds,
            group=group,
            positions=reckoned.positions,
            overdrawn=overdraws(state, postings, holds),
            account_closed=state.status is AccountStatus.CLOSED,
            wrong_venue=not is_on_venue(state, execution.instrument),
        ),
    )


def correct_commission(
    state: AccountState,
    *,
    order_id: UUID,
    corrected: OrderCommissionCorrected,
    past: Iterable[PastEvent],
    position_side: PositionSide = PositionSide.BOTH,
) -> tuple[AccountEvent, ...]:
    """Fact: a trade was charged otherwise than was booked. A voided one was charged nothing.
    `past` are the account's events about the instrument, newest first."""
    if corrected.voided:
        return ()
    key = PositionKey(corrected.sub_account, corrected.instrument, position_side)
    name = history.TradeName(order_id, corrected.trade_id)
    fees = _by_asset(corrected.charged)
    reckoned = history.recharged(past, _current(state, key), name, fees)
    postings = _corrected_postings(state, corrected, reckoned)
    return (
        CommissionCorrected(
            order_id=order_id,
            trade_id=corrected.trade_id,
            instrument=corrected.instrument,
            sub_account=corrected.sub_account,
            fees=corrected.charged,
            previous_fees=corrected.previous_fees,
            postings=postings,
            positions=reckoned.positions,
            overdrawn=overdraws(state, postings),
            account_closed=state.status is AccountStatus.CLOSED,
        ),
    )


# --- positions ------------------------------------------------------------------------


def _trade(
    state: AccountState, execution: Execution, required: RequiredHold, at: datetime | None
) -> position_rules.PositionTrade:
    bought = execution.side is Side.BUY
    key = PositionKey(execution.sub_account, execution.instrument, required.position_side)
    quantity = execution.last_qty if bought else -execution.last_qty
    fees = _by_asset(execution.charged)
    contract = required.contract
    if contract is None:
        return position_rules.PositionTrade(
            key=key,
            quantity=quantity,
            value=execution.quote_moved,
            settlement_asset=execution.quote_asset,
            base_asset=execution.base_asset,
            fees=fees,
            at=at,
        )
    if contract.inverse and execution.last_px <= 0:
        raise Rejection(
            GeneralRejection.INVALID_COMMAND,
            f"{execution.instrument} is inverse: at the price {shown(execution.last_px)} it is "
            "worth nothing that could be reckoned",
            "tell a price above zero",
        )
    return position_rules.PositionTrade(
        key=key,
        quantity=quantity,
        value=contract.value(execution.last_qty, execution.last_px),
        settlement_asset=contract.settlement_asset,
        contract=contract,
        margin_rate=margin_rate_in_force(state, execution.instrument, required.margin_rate),
        fees=fees,
        at=at,
    )


def _current(state: AccountState, key: PositionKey) -> dict[PositionKey, Position | None]:
    """What there is of a key under all names that its instrument has had."""
    keys = [key._replace(instrument=name) for name in state.names_of(key.instrument)]
    return {each: state.position(each) for each in keys}


def _is_contract_on_cash(state: AccountState, required: RequiredHold) -> bool:
    return required.contract is not None and state.account_type is AccountType.CASH


def _has_opened(
    required: RequiredHold,
    positions: tuple[Position, ...],
    trade: position_rules.PositionTrade,
) -> bool:
    """Whether an order that may only close has opened something, or added to it."""
    made = positions[-1]
    return required.reduce_only and made.is_open and (made.quantity > 0) is (trade.quantity > 0)


def _by_asset(fees: tuple[Fee, ...]) -> dict[str, Decimal]:
    return {fee.asset: fee.amount for fee in fees}


# --- postings -------------------------------------------------------------------------


def _voided_postings(
    state: AccountState, execution: Execution, reckoned: history.Reckoned
) -> tuple[Posting, ...]:
    """The trade's postings, reversed; but of the base asset what is held more or less without it:
    a split since has made that another quantity, another name another asset."""
    base, own, venue = execution.base_asset, execution.sub_account, venue_book(state.exchange)
    back = _trade_postings(state, execution, -1)
    others = [p for p in back if p.asset != base or p.reason is not Reason.TRADE_VOID]
    coins = _coins(state, reckoned, base)
    # The fee comes back by itself, in the asset in which it was paid.
    coins[base] = coins.get(base, ZERO) - _by_asset(execution.charged).get(base, ZERO)
    moved = []
    for asset, amount in coins.items():
        moved += [
            Posting(book=own, asset=asset, amount=amount, reason=Reason.TRADE_VOID),
            Posting(book=venue, asset=asset, amount=-amount, reason=Reason.TRADE_VOID),
        ]
    return (*moved, *others)


def _coins(state: AccountState, reckoned: history.Reckoned, base_asset: str) -> dict[str, Decimal]:
    """How much more is held of which asset."""
    coins: dict[str, Decimal] = {}
    for instrument, more in reckoned.held.items():
        asset = state.renamed_assets.get(instrument, base_asset)
        coins[asset] = coins.get(asset, ZERO) + more
    return coins


def _trade_postings(state: AccountState, execution: Execution, sign: int) -> tuple[Posting, ...]:
    """Base against quote with the venue, and what it charged. What the venue moved beside
    quantity x price is in a book of its own. `sign` is -1 to take the trade back."""
    own, venue = execution.sub_account, venue_book(state.exchange)
    trade, rounding = Reason.TRADE, Reason.ROUNDING
    if sign < 0:
        trade, rounding = Reason.TRADE_VOID, Reason.ROUNDING_VOID
    direction = sign if execution.side is Side.BUY else -sign
    base = execution.last_qty * direction
    quote, asset = execution.quote_moved * direction, execution.quote_asset
    product = base * execution.last_px
    postings = [
        Posting(book=own, asset=execution.base_asset, amount=base, reason=trade),
        Posting(book=venue, asset=execution.base_asset, amount=-base, reason=trade),
        Posting(book=own, asset=asset, amount=-quote, reason=trade),
        Posting(book=venue, asset=asset, amount=product, reason=trade),
    ]
    if quote != product:
        book = rounding_book(state.exchange)
        rest = quote - product
        postings.append(Posting(book=book, asset=asset, amount=rest, reason=rounding))
    postings += _fee_postings(state, own, execution.charged, sign)
    return tuple(postings)


def _contract_postings(
    state: AccountState,
    execution: Execution,
    trade: position_rules.PositionTrade,
    won: Decimal,
    sign: int,
) -> tuple[Posting, ...]:
    """Of a contract nothing changes hands but what is won by closing it; of an option its premium,
    which that is a part of. `won` is signed already where a trade is taken back."""
    own, venue, asset = execution.sub_account, venue_book(state.exchange), trade.settlement_asset
    amount, reason = won, Reason.REALIZED_PNL if sign > 0 else Reason.REALIZED_PNL_VOID
    if trade.contract is not None and trade.contract.premium_paid:
        amount = trade.value * (-sign if trade.quantity > 0 else sign)
        reason = Reason.TRADE if sign > 0 else Reason.TRADE_VOID
    moved = []
    if amount:
        moved = [
            Posting(book=own, asset=asset, amount=amount, reason=reason),
            Posting(book=venue, asset=asset, amount=-amount, reason=reason),
        ]
    return (*moved, *_fee_postings(state, own, execution.charged, sign))


def _fee_postings(state: AccountState, own: str, fees: tuple[Fee, ...], sign: int) -> list[Posting]:
    reason, book = Reason.FEE if sign > 0 else Reason.FEE_VOID, fees_book(state.exchange)
    return [
        posting
        for fee in fees
        for posting in (
            Posting(book=own, asset=fee.asset, amount=-fee.amount * sign, reason=reason),
            Posting(book=book, asset=fee.asset, amount=fee.amount * sign, reason=reason),
        )
    ]


def _corrected_postings(
    state: AccountState, corrected: OrderCommissionCorrected, reckoned: history.Reckoned
) -> tuple[Posting, ...]:
    """What was charged back, what is charged instead. In the base asset of what is SPOT it is what
    the position is more or less by: a split since has made that another quantity."""
    own = corrected.sub_account
    is_spot = all(position.contract is None for position in reckoned.positions)
    base = corrected.base_asset if is_spot else None
    moved = []
    for fees, sign in ((corrected.previous_fees, -1), (corrected.charged, 1)):
        others = tuple(fee for fee in fees if fee.asset != base)
        moved += _fee_postings(state, own, others, sign)
    if base is not None:
        less = tuple(Fee(asset, -more) for asset, more in _coins(state, reckoned, base).items())
        moved += _fee_postings(state, own, less, 1)
    return tuple(moved)

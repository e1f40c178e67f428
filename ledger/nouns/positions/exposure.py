"""Positions: what an order would close of them, and what it would open.

An open order that closes something has claimed it: what several together close is never more than
is held, so that none of them opens anything without its margin. Orders of one `oco_group` claim
together what the largest of them does.
"""

from decimal import Decimal
from uuid import UUID

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import GeneralRejection, Rejection
from ledger.nouns.accounts.events import AccountStatus, ClosingOrder, PositionMode
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.instruments.contract import Contract
from ledger.nouns.orders.events import PositionSide, Side
from ledger.nouns.positions.leverage import check_may_have_contracts
from ledger.nouns.positions.position import PositionKey
from ledger.nouns.positions.rejections import PositionRejection

OPENS = {PositionSide.LONG: Side.BUY, PositionSide.SHORT: Side.SELL}
"""With which side an order opens or adds, on an account in HEDGE mode."""


def check_order(
    state: AccountState, contract: Contract | None, *, key: PositionKey, budget: Decimal | None
) -> None:
    """Whether the account may trade it in this way at all."""
    hedges = contract is not None and state.position_mode is PositionMode.HEDGE
    if contract is not None:
        check_may_have_contracts(state)
        if budget is not None:
            raise Rejection(
                GeneralRejection.INVALID_COMMAND,
                f"{key.instrument} is ordered by quantity, not by quote_quantity",
                "give quantity instead",
            )
    if hedges is (key.position_side is PositionSide.BOTH):
        raise Rejection(
            PositionRejection.WRONG_POSITION_SIDE,
            f"{key.instrument} on account {state.account_id} is held "
            + ("LONG and SHORT apart" if hedges else "one way"),
        )


def closing_quantity(
    state: AccountState,
    contract: Contract | None,
    *,
    key: PositionKey,
    side: Side,
    quantity: Decimal | None,
    reduce_only: bool,
    order_id: UUID,
    oco_group: UUID | None = None,
) -> Decimal:
    """How much of what an order has left to trade closes something. Raises Rejection when that is
    not all of it and must be."""
    opens = OPENS.get(key.position_side)
    must_close = reduce_only or (opens is not None and opens is not side)
    if not must_close and (contract is None or opens is side):
        return ZERO
    most = closable(state, key=key, side=side, order_id=order_id, oco_group=oco_group)
    if not must_close:
        return min(quantity or ZERO, most)
    if quantity is None or quantity > most:
        wanted = "an order by budget" if quantity is None else f"{side} {shown(quantity)}"
        raise Rejection(
            PositionRejection.NOTHING_TO_REDUCE,
            f"{wanted} of {key.instrument} may only close what is held: there is "
            f"{shown(most)} to close in {key.sub_account}",
        )
    return quantity


def closable(
    state: AccountState,
    *,
    key: PositionKey,
    side: Side,
    order_id: UUID | None = None,
    oco_group: UUID | None = None,
) -> Decimal:
    """What an order on this side may close: what is held the other way, less what other open orders
    close already."""
    position = state.position(key)
    if position is None or not position.is_open:
        return ZERO
    if (position.quantity > 0) is (side is Side.BUY):
        return ZERO
    claims: dict[UUID, Decimal] = {}
    for other, hold in state.holds.items():
        claim = hold.closing
        if claim is None or other == order_id or hold.sub_account != key.sub_account:
            continue
        if not _is_of(claim, key, side) or (oco_group and claim.oco_group == oco_group):
            continue
        claimant = claim.oco_group or other
        claims[claimant] = max(claims.get(claimant, ZERO), claim.quantity)
    return max(abs(position.quantity) - sum(claims.values(), ZERO), ZERO)


def may_still_close(state: AccountState, order_id: UUID) -> Decimal:
    """How much an open order may fill without opening anything: the rest of it, or what is left of
    what it was to close."""
    hold = state.holds.get(order_id)
    if hold is None or hold.closing is None:
        return ZERO
    claim = hold.closing
    position = state.position(PositionKey(hold.sub_account, claim.instrument, claim.position_side))
    if position is None or (position.quantity > 0) is (claim.side is Side.BUY):
        return ZERO
    return min(claim.quantity, abs(position.quantity))


def raises_exposure(
    state: AccountState,
    *,
    key: PositionKey,
    side: Side,
    quantity: Decimal,
    order_id: UUID | None = None,
    base_asset: str | None = None,
) -> bool:
    """Whether an order would open or add to something. `base_asset` is that of a SPOT instrument:
    selling what is there of it does not, however it came."""
    if base_asset is not None and side is Side.SELL:
        held = max(state.balance(key.sub_account, base_asset).total, ZERO)
        return quantity > held
    return quantity > closable(state, key=key, side=side, order_id=order_id)


def check_halted(
    state: AccountState,
    *,
    key: PositionKey,
    side: Side,
    quantity: Decimal | None,
    order_id: UUID,
    base_asset: str | None,
) -> None:
    """Whether an account that takes no new risk may trade this. A budget may buy any quantity, so
    it never may."""
    if state.status is not AccountStatus.HALTED:
        return
    if quantity is None or raises_exposure(
        state, key=key, side=side, quantity=quantity, order_id=order_id, base_asset=base_asset
    ):
        wanted = "an order by budget" if quantity is None else f"{side} {shown(quantity)}"
        raise Rejection(
            AccountRejection.ACCOUNT_HALTED,
            f"account {state.account_id} is halted, and {wanted} of {key.instrument} is more than "
            f"there is to get out of in {key.sub_account}",
        )


def _is_of(claim: ClosingOrder, key: PositionKey, side: Side) -> bool:
    return (
        claim.side is side
        and claim.instrument == key.instrument
        and claim.position_side is key.position_side
    )

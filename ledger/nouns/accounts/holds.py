"""Accounts: what open orders hold, alone and in groups.

    changes_for      what becomes locked or free for an order to hold what it must
    check_group      whether an order may join the others of its group, at its price
    is_overfilled    whether the orders of a group have traded too much together

Orders of one `oco_group`, sub-account and side cancel one another as far as they trade: a stop loss
and a take profit for the same coins. So they hold once: one of them what the largest takes for what
the others have left it to trade, the others nothing. Of every open order there is a hold, be it of
nothing: the account knows which are open.
"""

from decimal import Decimal
from uuid import UUID

from ledger.kernel.money import ZERO, shown
from ledger.kernel.rejection import Rejection
from ledger.nouns.accounts.events import ClosingOrder, HoldChange, OcoGroup, OcoMember
from ledger.nouns.accounts.rejections import AccountRejection
from ledger.nouns.accounts.state import AccountState, Hold
from ledger.nouns.orders.events import Purpose, Side
from ledger.nouns.orders.state import RequiredHold

MAX_ORDERS_OF_GROUP = 20
"""Open orders of a group on one side: an exit has one to three, and an event about one of them
tells of all."""
_FROM_LOW_TO_HIGH = {Purpose.STOP_LOSS: 0, Purpose.ENTRY: 1, Purpose.TAKE_PROFIT: 2}
"""Where the prices of a position that gains as its price rises stand; of a short one the other way
round."""

Holds = tuple[tuple[HoldChange, ...], OcoGroup | None]
"""What becomes locked or free, and the order's group after it, if that changed."""


def changes_for(state: AccountState, required: RequiredHold, traded: Decimal = ZERO) -> Holds:
    """What changes for the order to hold what it must, once `traded` more of it has traded."""
    if required.oco_group is None:
        return _own_change(state, required, required.amount), None
    before = state.oco_group(
        required.oco_group, required.sub_account, required.asset, required.side
    )
    if before is None:
        if required.member is None:  # its group has ended with its last order
            return _own_change(state, required, ZERO), None
        before = _empty_group(required, required.oco_group)
    others = tuple([one for one in before.members if one.order_id != required.order_id])
    group = OcoGroup(
        oco_group=before.oco_group,
        sub_account=before.sub_account,
        asset=before.asset,
        side=before.side,
        traded=before.traded + traded,
        members=others if required.member is None else (*others, required.member),
    )
    wanted = _of_group(state, group)
    changes = _own_change(state, required, wanted.pop(required.order_id, ZERO))
    for order_id, amount in wanted.items():
        known = state.holds.get(order_id)
        closing = None if known is None else known.closing
        changes += _change(required, known, order_id, amount, is_open=True, closing=closing)
    return changes, None if group == before else group


def _empty_group(required: RequiredHold, oco_group: UUID) -> OcoGroup:
    return OcoGroup(
        oco_group=oco_group,
        sub_account=required.sub_account,
        asset=required.asset,
        side=required.side,
        traded=ZERO,
        members=(),
    )


def _of_group(state: AccountState, group: OcoGroup) -> dict[UUID, Decimal]:
    """What each open order of a group holds: one of them what the largest takes, the others
    nothing. As long as it is the largest, the same one."""
    takes = {one.order_id: _takes(group, one) for one in group.members}
    if not takes:
        return {}
    largest = max(takes, key=lambda order: (takes[order], state.held(order), -order.int))
    return {order: amount if order == largest else ZERO for order, amount in takes.items()}


def _takes(group: OcoGroup, member: OcoMember) -> Decimal:
    """What an order would have to hold for what the others have left it to trade."""
    return max(member.quantity - group.traded, ZERO) * member.unit


def _own_change(
    state: AccountState, required: RequiredHold, amount: Decimal
) -> tuple[HoldChange, ...]:
    """What changes for the order that this is about."""
    order_id = required.order_id
    known = state.holds.get(order_id)
    is_open, closing = required.is_open, required.closing
    return _change(required, known, order_id, amount, is_open=is_open, closing=closing)


def _change(
    required: RequiredHold,
    known: Hold | None,
    order_id: UUID,
    amount: Decimal,
    *,
    is_open: bool,
    closing: ClosingOrder | None,
) -> tuple[HoldChange, ...]:
    """From what an order holds to what it shall."""
    released: tuple[HoldChange, ...] = ()
    if known is not None and known.asset != required.asset:  # it has another name
        released = (
            HoldChange(
                order_id=order_id,
                sub_account=known.sub_account,
                asset=known.asset,
                amount=-known.amount,
            ),
        )
        known = None
    if known is None:
        more, stays = amount, not is_open and closing is None
    else:
        more, stays = amount - known.amount, is_open and closing == known.closing
    if stays and not more:
        return released
    change = HoldChange(
        order_id=order_id,
        sub_account=required.sub_account,
        asset=required.asset,
        amount=more,
        is_open=is_open and not amount,
        closing=closing,
    )
    return (*released, change) if released else (change,)


def is_overfilled(state: AccountState, group: OcoGroup | None) -> bool:
    """Whether the orders of a group have traded more than the largest of them may."""
    if group is None:
        return False
    before = state.oco_group(group.oco_group, group.sub_account, group.asset, group.side)
    members = group.members if before is None else (*group.members, *before.members)
    return group.traded > max((one.quantity for one in members), default=ZERO)


def check_group(state: AccountState, required: RequiredHold) -> None:
    """Whether an order may be one of its group: there is room, and the stop loss and the take
    profit of a position are on their sides of its entry, and of each other."""
    joins, oco_group = required.member, required.oco_group
    if joins is None or oco_group is None:
        return
    for group in state.oco_groups.get(oco_group, ()):
        others = [one for one in group.members if one.order_id != joins.order_id]
        same = (group.sub_account, group.side) == (required.sub_account, required.side)
        if same and len(others) >= MAX_ORDERS_OF_GROUP:
            raise Rejection(
                AccountRejection.OCO_GROUP_FULL,
                f"group {oco_group} has {len(others)} open orders on this side",
            )
        for other in others:
            _check_levels(joins, required.side, other, group.side)


def _check_levels(one: OcoMember, side: Side, other: OcoMember, other_side: Side) -> None:
    rank, other_rank = _rank(one), _rank(other)
    is_long = _is_of_long(one, side)
    if one.instrument != other.instrument or is_long is not _is_of_long(other, other_side):
        return
    if rank is None or other_rank is None or rank == other_rank:
        return
    if one.level is None or other.level is None:
        return
    belongs_below = (rank < other_rank) is is_long
    if one.level < other.level if belongs_below else one.level > other.level:
        return
    raise Rejection(
        AccountRejection.EXIT_ON_WRONG_SIDE,
        f"a {one.purpose} at {shown(one.level)} does not go with the {other.purpose} at "
        f"{shown(other.level)} of a {'long' if is_long else 'short'} position",
    )


def _rank(member: OcoMember) -> int | None:
    return None if member.purpose is None else _FROM_LOW_TO_HIGH.get(member.purpose)


def _is_of_long(member: OcoMember, side: Side) -> bool:
    """Whether it opens, or closes, a position that gains as its price rises."""
    return (side is Side.BUY) is (member.purpose is Purpose.ENTRY)

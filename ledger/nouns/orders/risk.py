"""Orders: as limits see them (`ledger/nouns/limits`).

check_new       an order that is asked for
check_replace   an open one, as it would become
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import UUID

from ledger.kernel.unit_of_work import UnitOfWork
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.allocations.handlers import allocations_of
from ledger.nouns.limits.assess import LimitExceeded, assess, said_of
from ledger.nouns.limits.decision import RiskDecision
from ledger.nouns.limits.measures import OrderToCheck
from ledger.nouns.limits.risk_book import signature
from ledger.nouns.limits.state import LimitBook
from ledger.nouns.orders.commands import RequestReplace
from ledger.nouns.orders.events import OrderType, PositionSide, Purpose, Side, SubmitTerms
from ledger.nouns.orders.state import OrderState
from ledger.nouns.positions.position import PositionKey


def check_new(
    work: UnitOfWork, owner: AccountState, order_id: UUID, terms: SubmitTerms
) -> RiskDecision | None:
    """What there is to say of a new order. Raises Rejection."""
    books = said_of(work, owner, terms.get("strategy_id"), terms["instrument"])
    if not books:
        return None
    key = PositionKey(
        terms["sub_account"],
        terms["instrument"],
        terms.get("position_side") or PositionSide.BOTH,
    )
    order = OrderToCheck(
        order_id=order_id,
        key=key,
        side=terms["side"],
        order_type=terms["order_type"],
        quantity=terms.get("quantity"),
        budget=terms.get("quote_quantity"),
        price=terms.get("price"),
        stop_price=terms.get("stop_price"),
        strategy_id=terms.get("strategy_id"),
        base_asset=terms["base_asset"],
        quote_asset=terms["quote_asset"],
        contract=terms.get("contract"),
        oco_group=terms.get("oco_group"),
        reduce_only=terms.get("reduce_only", False),
        stop_loss=_stop_loss(
            owner,
            terms["side"],
            terms["order_type"],
            terms.get("stop_price"),
            terms.get("oco_group"),
        ),
        signature=signature(terms),
    )
    return _assessed(work, owner, order, books)


def check_replace(
    work: UnitOfWork, owner: AccountState, state: OrderState, data: RequestReplace
) -> RiskDecision | None:
    """What there is to say of an open order as it would become. Raises Rejection."""
    books = said_of(work, owner, state.strategy_id, state.instrument)
    if not books:
        return None
    stop_price = state.stop_price if data.stop_price is None else data.stop_price
    order = OrderToCheck(
        order_id=state.order_id,
        key=PositionKey(
            state.sub_account, state.instrument, state.position_side or PositionSide.BOTH
        ),
        side=state.side,
        order_type=state.order_type,
        quantity=state.quantity if data.quantity is None else data.quantity,
        budget=state.quote_quantity,
        price=state.price if data.price is None else data.price,
        stop_price=stop_price,
        filled=state.cum_qty,
        strategy_id=state.strategy_id,
        base_asset=state.base_asset,
        quote_asset=state.quote_asset,
        contract=state.contract,
        oco_group=state.oco_group,
        reduce_only=state.reduce_only,
        stop_loss=_stop_loss(owner, state.side, state.order_type, stop_price, state.oco_group),
        replaces=True,
    )
    return _assessed(work, owner, order, books)


def _assessed(
    work: UnitOfWork, owner: AccountState, order: OrderToCheck, books: Sequence[LimitBook]
) -> RiskDecision | None:
    found = assess(work, owner, order, books, _multiplier(work, order.strategy_id))
    if found.refused:
        assert found.decision is not None
        raise LimitExceeded(found.decision, found.tripped)
    return found.decision


def _multiplier(work: UnitOfWork, strategy_id: str | None) -> Callable[[], Decimal | None]:
    def found() -> Decimal | None:
        allocations = None if strategy_id is None else allocations_of(work)
        terms = None if allocations is None else allocations.strategies.get(strategy_id or "")
        return None if terms is None else terms.risk_multiplier

    return found


def _stop_loss(
    owner: AccountState,
    side: Side,
    order_type: OrderType | None,
    stop_price: Decimal | None,
    oco_group: UUID | None,
) -> Decimal | None:
    """Where the loss of an order would be taken: the stop_price of one that is not itself set off
    by it, or the stop loss of its group."""
    if stop_price is not None and order_type in _NO_STOPS:
        return stop_price
    if oco_group is None:
        return None
    levels = [
        member.level
        for group in owner.oco_groups.get(oco_group, ())
        for member in group.members
        if member.purpose is Purpose.STOP_LOSS and group.side is not side
    ]
    known = [level for level in levels if level is not None]
    return min(known, default=None) if side is Side.BUY else max(known, default=None)


_NO_STOPS = frozenset({OrderType.MARKET, OrderType.LIMIT, OrderType.LIMIT_MAKER})

"""Facts about orders: recorded on the order, and the account follows.

After each of them the account holds what `order.hold_required` says, and a trade has moved its
money. The account's event names the order's event as its cause.
"""

from uuid import UUID

from ledger import command_data as c
from ledger.kernel.event import Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.rules import MAIN
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders.events import OrderEvent, OrderFillConflicted
from ledger.nouns.orders.handlers import check_own
from ledger.nouns.orders.rules import OrderFilled, OrderFillVoided, OrderState, OrderType
from ledger.write.unit_of_work import Work


def _order_of_fact(work: Work, data: c.OrderFactData) -> OrderState:
    """The order that a fact is about. One we never saw begins here, if the fact tells enough."""
    work.account()
    state = work.order_if_known(data.order_id)
    if state is not None:
        check_own(work, state)
        return state
    if data.instrument is None or data.side is None or data.quantity is None:
        missing = [n for n in ("instrument", "side", "quantity") if getattr(data, n) is None]
        raise Rejection(
            "UNKNOWN_ORDER",
            f"there is no order {data.order_id}: submit it first, or, if it was placed outside of "
            f"the ledger, tell its {', '.join(missing)} too",
        )
    listed = work.instrument(data.instrument)
    priced = OrderType.MARKET if data.price is None else OrderType.LIMIT
    reported = order_rules.report(
        account_id=work.account_id,
        instrument=data.instrument,
        base_asset=listed.base_asset,
        quote_asset=listed.quote_asset,
        side=data.side,
        order_type=data.order_type or priced,
        sub_account=MAIN,
        quantity=data.quantity,
        price=data.price,
        client_order_id=data.client_order_id,
        venue_order_id=data.venue_order_id,
    )
    work.on_order(data.order_id, reported)
    begun = work.order_if_known(data.order_id)
    assert begun is not None
    return begun


def _record_fact(work: Work, state: OrderState, events: tuple[OrderEvent, ...]) -> None:
    """Records a fact on its order and lets the account follow."""
    cause = work.on_order(state.order_id, events)
    owner = work.account()
    required = order_rules.hold_required(state)
    match events:
        case (OrderFilled() as execution,):
            followed = account_rules.settle(
                owner, order_id=state.order_id, execution=execution, hold_required=required
            )
        case (OrderFillVoided() as execution,):
            followed = account_rules.void_trade(
                owner, order_id=state.order_id, execution=execution, hold_required=required
            )
        case _:
            followed = account_rules.set_hold(
                owner,
                order_id=state.order_id,
                sub_account=state.sub_account,
                asset=order_rules.hold_asset(state),
                required=required,
            )
    work.on_account(followed, cause or _last_event(work))


def _last_event(work: Work) -> UUID | None:
    """Of a fact that changed nothing: the report of its order, if that is new."""
    return work.events[-1].id if work.events else None


def accept_order(work: Work, data: c.AcceptOrder) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.accept(state, venue_order_id=data.venue_order_id))


def reject_order(work: Work, data: c.RejectOrder) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.reject(state, reason=data.reason))


def record_fill(work: Work, data: c.RecordFill) -> None:
    """A known trade with other content is recorded as a conflict and moves no money; the sender
    must look into it, so its outcome is REJECTED."""
    state = _order_of_fact(work, data)
    events = order_rules.fill(
        state,
        trade_id=data.trade_id,
        last_qty=data.last_qty,
        last_px=data.last_px,
        commission=data.commission,
        commission_asset=data.commission_asset,
        liquidity_side=data.liquidity_side,
    )
    _record_fact(work, state, events)
    if events and isinstance(events[0], OrderFillConflicted):
        work.denied = Rejection(
            "FILL_CONFLICT",
            f"trade {data.trade_id!r} of order {data.order_id} is recorded with another content: "
            "no money moved; void the first report if it was wrong, or give the trade its own id",
        )


def void_fill(work: Work, data: c.VoidFill) -> None:
    state = _order_of_fact(work, data)
    _record_fact(
        work, state, order_rules.void_fill(state, trade_id=data.trade_id, reason=data.reason)
    )


def cancel_order(work: Work, data: c.CancelOrder) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.cancel(state, reason=data.reason))


def reject_cancel(work: Work, data: c.RejectCancel) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.reject_cancel(state, reason=data.reason))


def replace_order(work: Work, data: c.ReplaceOrder) -> None:
    state = _order_of_fact(work, data)
    events = order_rules.replace(
        state,
        quantity=data.quantity,
        price=data.price,
        stop_price=data.stop_price,
        venue_order_id=data.venue_order_id,
    )
    _record_fact(work, state, events)


def reject_replace(work: Work, data: c.RejectReplace) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.reject_replace(state, reason=data.reason))


def expire_order(work: Work, data: c.ExpireOrder) -> None:
    state = _order_of_fact(work, data)
    _record_fact(work, state, order_rules.expire(state, reason=data.reason))

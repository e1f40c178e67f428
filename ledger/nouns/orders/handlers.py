"""Requests about orders: asked of the rules of the account, the allocation and the instrument."""

from uuid import UUID

from ledger import command_data as c
from ledger.kernel.event import Rejection
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.instruments import rules as instrument_rules
from ledger.nouns.orders import rules as order_rules
from ledger.nouns.orders.events import Terms
from ledger.nouns.orders.rules import OrderState, OrderType
from ledger.write.unit_of_work import Work


def submit_order(work: Work, data: c.SubmitOrder) -> None:
    """Refusals by the rules leave a denied order. Not so an order id that is taken, or an account
    or instrument that is unknown: there is nothing to record such an attempt on."""
    state = work.account()
    listed = work.instrument(data.instrument)
    known = work.order_if_known(data.order_id)
    terms: Terms = {
        "account_id": work.account_id,
        "instrument": data.instrument,
        "base_asset": listed.base_asset,
        "quote_asset": listed.quote_asset,
        "side": data.side,
        "order_type": data.order_type,
        "sub_account": allocation_rules.sub_account_of(data.strategy_id),
        "quantity": data.quantity,
        "quote_quantity": data.quote_quantity,
        "price": data.price,
        "stop_price": data.stop_price,
        "time_in_force": data.time_in_force,
        "post_only": data.post_only,
        "reduce_only": data.reduce_only,
        "iceberg_qty": data.iceberg_qty,
        "position_side": data.position_side,
        "strategy_id": data.strategy_id,
        "fee_rate": data.fee_rate,
        "client_order_id": data.client_order_id,
    }
    order_rules.check_is_new(known, data.order_id)
    try:
        account_rules.check_order(state, instrument=data.instrument)
        if data.strategy_id is not None:
            allocation_rules.check_order(
                work.allocations(), account_id=work.account_id, strategy_id=data.strategy_id
            )
        instrument_rules.check_order(
            listed,
            quantity=data.quantity,
            price=None if data.order_type is OrderType.MARKET else data.price,
            stop_price=data.stop_price,
        )
        submitted = order_rules.submit(known, order_id=data.order_id, **terms)
        begun = order_rules.evolve(None, submitted[0], data.order_id)
        held = account_rules.hold(
            state,
            order_id=data.order_id,
            sub_account=begun.sub_account,
            asset=order_rules.hold_asset(begun),
            amount=order_rules.hold_required(begun),
        )
    except Rejection as refused:
        work.denied = refused
        denied = order_rules.deny(
            known, order_id=data.order_id, code=refused.code, reason=refused.message, **terms
        )
        work.on_order(data.order_id, denied)
        return
    work.on_account(held, work.on_order(data.order_id, submitted))


def _own_order(work: Work, order_id: UUID) -> OrderState:
    state = work.order_if_known(order_id)
    if state is None:
        raise Rejection("UNKNOWN_ORDER", f"there is no order {order_id}: submit it first")
    check_own(work, state)
    return state


def check_own(work: Work, state: OrderState) -> None:
    if state.account_id != work.account_id:
        raise Rejection(
            "ORDER_OF_ANOTHER_ACCOUNT",
            f"order {state.order_id} is not of account {work.account_id}: "
            "send the command for the account that the order was submitted on",
        )


def request_cancel(work: Work, data: c.RequestCancel) -> None:
    work.account()
    state = _own_order(work, data.order_id)
    work.on_order(data.order_id, order_rules.request_cancel(state, reason=data.reason))


def request_replace(work: Work, data: c.RequestReplace) -> None:
    """The funds must be there for the new terms; they are held once the venue has replaced."""
    owner = work.account()
    state = _own_order(work, data.order_id)
    account_rules.check_active(owner)
    instrument_rules.check_order(
        work.instrument(state.instrument),
        quantity=data.quantity,
        price=data.price,
        stop_price=data.stop_price,
    )
    events = order_rules.request_replace(
        state, quantity=data.quantity, price=data.price, stop_price=data.stop_price
    )
    account_rules.check_hold(
        owner,
        order_id=data.order_id,
        sub_account=state.sub_account,
        asset=order_rules.hold_asset(state),
        required=order_rules.hold_if_replaced(
            state, quantity=data.quantity, price=data.price, stop_price=data.stop_price
        ),
    )
    work.on_order(data.order_id, events)

"""The open orders of a scope, from the log itself: whoever stops trading must not wait for a read
model that is behind.

    accounts    those of the scope, by the index of rare events
    holds       the state of an account has every open order
    orders      their states say which strategy and instrument they are of
"""

from collections.abc import Iterator, Sequence
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import psycopg

from ledger.nouns.accounts.events import Environment
from ledger.nouns.accounts.state import AccountState
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.orders.state import OrderState
from ledger.nouns.positions.position import margin_hold_id
from ledger.write import stream_reader
from ledger.write.stream_reader import Stream

GROUP = 500
"""Streams that are read at once: some tens of milliseconds."""

_ACCOUNTS: LiteralString = """
    SELECT stream_id FROM public.event_store WHERE event_type = 'account.opened'
    AND (%(user)s::text IS NULL OR event_data->>'user_id' = %(user)s) ORDER BY position"""


class OpenOrder(NamedTuple):
    account_id: UUID
    order_id: UUID


def open_orders(
    connection: psycopg.Connection[Any], scope: LimitScope, reference: str | None
) -> Iterator[OpenOrder]:
    """Every open order of the scope, account by account."""
    of_some = scope in (LimitScope.STRATEGY, LimitScope.INSTRUMENT)
    for account_id, orders in _by_account(connection, scope, reference):
        if of_some:
            states = _states(connection, orders)
            orders = [one for one, state in states if _is_of(state, scope, reference)]
        yield from (OpenOrder(account_id, one) for one in orders)


def _by_account(
    connection: psycopg.Connection[Any],
    scope: LimitScope,
    reference: str | None,
    *,
    with_backtests: bool = True,
) -> Iterator[tuple[UUID, Sequence[UUID]]]:
    """The open orders of each account that the scope may have to do with."""
    if scope is LimitScope.ACCOUNT:
        accounts = [UUID(reference)]
    else:
        user = reference if scope is LimitScope.USER else None
        accounts = [row[0] for row in connection.execute(_ACCOUNTS, {"user": user})]
    for start in range(0, len(accounts), GROUP):
        found = stream_reader.read(connection, accounts[start : start + GROUP])
        for account_id, stream in found.items():
            state = stream.state if isinstance(stream, Stream) else None
            if isinstance(state, AccountState) and (
                with_backtests or state.environment is not Environment.BACKTEST
            ):
                yield account_id, list(_orders_of(state))


def orders_left_alone(
    connection: psycopg.Connection[Any], scope: LimitScope, reference: str | None
) -> Iterator[OpenOrder]:
    """The same, of those whose cancel nobody has asked for, and of no backtest."""
    for account_id, orders in _by_account(connection, scope, reference, with_backtests=False):
        for order_id, state in _states(connection, orders):
            if _is_of(state, scope, reference) and not state.cancel_pending:
                yield OpenOrder(account_id, order_id)


def _orders_of(account: AccountState) -> Iterator[UUID]:
    """What is held under another id is the margin of a position."""
    positions = {
        margin_hold_id(account.account_id, position.key)
        for position in account.positions.values()
        if position.contract is not None
    }
    return (one for one in account.holds if one not in positions)


def _states(
    connection: psycopg.Connection[Any], orders: Sequence[UUID]
) -> Iterator[tuple[UUID, OrderState]]:
    for start in range(0, len(orders), GROUP):
        found = stream_reader.read(connection, orders[start : start + GROUP])
        for order_id, stream in found.items():
            state = stream.state if isinstance(stream, Stream) else None
            if isinstance(state, OrderState):
                yield order_id, state


def _is_of(state: OrderState, scope: LimitScope, reference: str | None) -> bool:
    if scope is LimitScope.STRATEGY:
        return state.strategy_id == reference
    return scope is not LimitScope.INSTRUMENT or state.instrument == reference

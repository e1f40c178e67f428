"""Reading the read models: the one place that knows which view a question is about.

Only the public names are read (views that survive a rebuild), with the columns that they have.
Amounts are plain decimal strings, times ISO 8601 UTC, ids text.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import LiteralString, NamedTuple
from uuid import UUID

from psycopg import sql

from ledger.kernel import money
from ledger.nouns.orders.status import OrderStatus


class Question(NamedTuple):
    """What can be asked: the view, which is also the name of the read model behind it, what its
    rows can be chosen by, and their order."""

    view: LiteralString
    chosen_by: tuple[LiteralString, ...]
    order_by: LiteralString


BALANCES = Question("balances", ("account_id", "asset"), "sub_account, asset")
ORDERS = Question("orders", ("account_id", "status"), "created_at DESC, order_id DESC")
ORDER = Question("orders", ("order_id", "account_id"), "order_id")
FILLS = Question("order_fills", ("account_id", "order_id"), "position DESC")
TRANSACTIONS = Question("transactions", ("account_id", "asset"), "position DESC, line DESC")
ALLOCATIONS = Question("user_strategy_assignments", ("account_id",), "strategy_id")
SNAPSHOTS = Question("portfolio_snapshots", ("account_id",), '"time" DESC')

POSITION = "SELECT last_processed_position FROM event_projections WHERE projection_name = %s"
"""How far a read model is. Read in the snapshot that reads its rows, it is what they are as of."""


class UnknownStatus(ValueError):
    """No order has such a status."""


def statement(question: Question, conditions: Iterable[str]) -> sql.Composed:
    """The query, with a parameter for each condition and for `limit`."""
    tests = [
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name in conditions
    ]
    return sql.SQL("SELECT * FROM {} WHERE {} ORDER BY {} LIMIT %(limit)s").format(
        sql.Identifier(question.view), sql.SQL(" AND ").join(tests), sql.SQL(question.order_by)
    )


def order_status(text: str) -> str:
    """The status as it is written. Raises UnknownStatus."""
    status = "CANCELLED" if text.upper() == "CANCELED" else text.upper()
    known = [str(member.value) for member in OrderStatus]
    if status not in known:
        raise UnknownStatus(f"{text!r} is no order status; there are: {', '.join(known)}")
    return status


def plain(value: object) -> object:
    """The value as JSON has it."""
    if isinstance(value, Decimal):
        return money.shown(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value) if isinstance(value, UUID) else value

"""Transactions as they were: the rows there are, which never change.

With a time of the venue's they come by that time, and `closing_balance` is what the book held
after the movement in that order.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg

from ledger.eventstore.moments import Moment
from ledger.kernel.money import exact
from projections.past.balances import books_at
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement
from projections.read_models.transactions import CREDIT

_ROWS = """
    SELECT * FROM public.transactions
    WHERE account_id = %(account_id)s AND position <= %(known_at)s
          AND (%(until)s::timestamptz IS NULL OR "timestamp" <= %(until)s)
          AND (%(asset)s::text IS NULL OR asset = %(asset)s)
    ORDER BY """


def transactions_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[Row]:
    """Rows of an account, newest first."""
    given = {"asset": None, **asked, "known_at": moment.known_at, "until": moment.effective_at}
    if moment.effective_at is None:
        yield from stream(connection, SqlStatement(f"{_ROWS}position DESC, line DESC", given))
        return
    order = '"timestamp" DESC, position DESC, line DESC'
    books = books_at(connection, asked["account_id"], moment)
    left: dict[tuple[str, str], Decimal] = {}
    for row in stream(connection, SqlStatement(_ROWS + order, given)):
        book = (row["sub_account"], row["asset"])
        closing = left.get(book, books.total(*book))
        with exact():
            signed = row["amount"] if row["direction"] == CREDIT else -row["amount"]
            left[book] = closing - signed
        yield {**row, "closing_balance": closing}

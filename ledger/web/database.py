"""The database as the HTTP server uses it: one pool, every request as who asks.

    reading     a transaction that changes nothing, of one snapshot, as the role of the person, who
                sees the rows that row-level security shows
    elevated    inside of it, as auditor: for what was found to be the person's own
    keeping     a transaction on what the server itself keeps: sessions, approvals
    operating   a connection of an operator's, for deeds that are recorded

The login has none of these rights until it works as one of the roles, and then for the length of
the transaction only: a connection goes back to the pool as nobody.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import psycopg
from psycopg.pq import TransactionStatus

from ledger.operate.database import connect, thread_pool
from ledger.operate.database_url import acting_as
from ledger.operate.roles import AUDITOR, OPERATOR
from ledger.web.person import OF_DATABASE, Person

HTTP = "ledger_http"
"""The role of the program: nobody's rights, and the right to work as who asks."""

_AS = """
    SELECT set_config('role', %(role)s, true), set_config('app.current_user_id', %(user)s, true),
        set_config('statement_timeout', %(timeout)s, true)"""
_ROLE = "SELECT set_config('role', %s, true)"


class WebDatabase:
    """Opened by `open`, for threads."""

    def __init__(self, database_url: str, *, size: int, statement_seconds: float) -> None:
        self.url = database_url
        self._pool = thread_pool(database_url, "web", size=size)
        self._timeout = f"{int(statement_seconds * 1_000)}ms"

    def open(self) -> Self:
        self._pool.open()
        return self

    def close(self) -> None:
        self._pool.close()

    @contextmanager
    def reading(self, person: Person) -> Iterator[psycopg.Connection[Any]]:
        """Raises PoolTimeout, psycopg.Error."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            user = "" if person.user_id is None else str(person.user_id)
            role = OF_DATABASE[person.role]
            connection.execute(_AS, {"role": role, "user": user, "timeout": self._timeout})
            yield connection

    @contextmanager
    def keeping(self) -> Iterator[psycopg.Connection[Any]]:
        """Raises PoolTimeout, psycopg.Error."""
        with self._pool.connection() as connection, connection.transaction():
            connection.execute("SELECT set_config('statement_timeout', %s, true)", [self._timeout])
            yield connection

    @contextmanager
    def operating(self) -> Iterator[psycopg.Connection[Any]]:
        """Raises psycopg.Error."""
        with connect(self.operator_url, "web deed") as connection:
            yield connection

    @property
    def auditor_url(self) -> str:
        return acting_as(self.url, AUDITOR)

    @property
    def operator_url(self) -> str:
        return acting_as(self.url, OPERATOR)


@contextmanager
def elevated(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """The rest of the block as auditor, in the transaction and its snapshot."""
    row = connection.execute("SELECT current_user").fetchone()
    assert row is not None
    connection.execute(_ROLE, [AUDITOR])
    try:
        yield
    finally:
        if connection.info.transaction_status is TransactionStatus.INTRANS:
            connection.execute(_ROLE, [row[0]])

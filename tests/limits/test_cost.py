"""What limits cost where there are none, and where there are."""

from typing import Any

import psycopg
import pytest

from tests.commands import command
from tests.limits.desk import Desk


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything that is asked of the database."""
    asked: list[str] = []
    execute = psycopg.Cursor.execute

    def noted(self: Any, query: Any, *given: Any, **named: Any) -> Any:
        asked.append(str(query))
        return execute(self, query, *given, **named)

    monkeypatch.setattr(psycopg.Cursor, "execute", noted)
    return asked


def test_no_limit_no_statement_and_limits_none_more_once_they_are_known(
    database_url: str, statements: list[str]
) -> None:
    desk = Desk(database_url)
    desk.deposit("100000")
    desk.price("100")
    desk.buy("1")

    def asked() -> int:
        statements.clear()
        assert desk.buy("1").accepted
        return len(statements)

    without = asked()
    desk.limit("MAX_EXPOSURE", "1000000", "USDT")
    desk.limit("MAX_DAILY_LOSS", "50", "%")
    desk.limit("ORDER_RATE", "1000", "ORDERS")
    desk.buy("1")
    assert asked() == without
    desk.ledger.close()


def test_the_first_order_of_a_process_asks_nothing_more_where_nothing_is_limited(
    database_url: str, statements: list[str]
) -> None:
    desk = Desk(database_url)
    desk.deposit("100000")
    desk.restart()
    statements.clear()
    assert desk.buy("1").accepted
    with_an_order = len(statements)
    desk.restart()
    statements.clear()
    assert desk.one(command("Deposit", desk.account, asset="USDT", amount="1")).accepted
    assert with_an_order == len(statements), "a deposit has nothing to do with limits"
    desk.ledger.close()

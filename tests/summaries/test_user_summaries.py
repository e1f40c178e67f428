"""Daily transactions, portfolios and statistics of users, against sums by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.session import reading
from ledger.write.ledger import Ledger
from projections.questions.catalogue import questions
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import command, open_account
from tests.databases import temporary_database
from tests.projections.workers import caught_up, running

ACCOUNT, OTHER, USER = uuid7(), uuid7(), uuid7()


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    """Two accounts of a user: money on two days of one, nothing yet in the other."""
    with temporary_database(postgres_url, template="ledger_template") as url:
        with Ledger(url) as ledger:
            commands = [
                open_account(ACCOUNT, user_id=USER),
                open_account(OTHER, user_id=USER, name="other"),
                _deposit("1000", "2026-03-02T06:00:00Z"),
                _deposit("500", "2026-03-02T18:00:00Z"),
                command("AssignStrategy", ACCOUNT, strategy_id="grid", allocation_percent="50"),
                _flow("-100", "FEE", "2026-03-03T12:00:00Z"),
                _flow("40", "INTEREST", "2026-03-03T18:00:00Z"),
            ]
            outcomes = ledger.execute(commands)
            assert all(one.status == "ACCEPTED" for one in outcomes), outcomes
        with running(url, all_projections(ProjectionSettings())):
            caught_up(url)
        yield url


def _deposit(amount: str, at: str) -> Any:
    return command("Deposit", ACCOUNT, asset="USDT", amount=amount, occurred_at=at)


def _flow(amount: str, kind: str, at: str) -> Any:
    told = {"flow_id": f"{kind}-1", "kind": kind, "asset": "USDT", "amount": amount}
    return command("RecordCashFlow", ACCOUNT, occurred_at=at, **told)


def found(url: str, name: str, **asked: Any) -> list[Any]:
    with reading(url) as connection:
        return questions()[name].find(connection, **asked)


def test_a_day_s_transactions_are_summed_with_what_the_sub_account_held(database_url: str) -> None:
    second, first = found(database_url, "daily_transactions", account_id=ACCOUNT)
    assert (first.day, first.sub_account, first.asset) == (
        datetime(2026, 3, 2, tzinfo=UTC),
        "main",
        "USDT",
    )
    assert (first.transaction_count, first.total_credits, first.total_debits) == (2, 1500, 0)
    assert (first.lowest_balance, first.highest_balance, first.closing_balance) == (
        1000,
        1500,
        1500,
    )
    assert first.average_balance == 1250
    assert first.time_weighted_balance == (6 * 0 + 12 * 1000 + 6 * 1500) / Decimal(24)
    assert (second.transaction_count, second.total_credits, second.total_debits) == (2, 40, 100)
    assert (second.lowest_balance, second.closing_balance, second.reason_count) == (1400, 1440, 2)
    assert second.time_weighted_balance == (12 * 1500 + 6 * 1400 + 6 * 1440) / Decimal(24)


def test_days_are_asked_for_by_their_time_and_of_a_user(database_url: str) -> None:
    asked = {"user_id": USER, "from_time": "2026-03-03", "to_time": "2026-03-04"}
    (row,) = found(database_url, "daily_transactions", **asked)
    assert row.closing_balance == 1440
    assert found(database_url, "daily_transactions", user_id=uuid7()) == []


def test_a_user_s_portfolio_is_what_each_sub_account_holds(database_url: str) -> None:
    rows = found(database_url, "user_portfolios", user_id=USER)
    assert [(row.account_id, row.sub_account, row.asset, row.total) for row in rows] == [
        (ACCOUNT, "main", "USDT", 1440)
    ]
    assert (rows[0].is_active, rows[0].environment) == (True, "PAPER")


def test_statistics_count_what_a_user_has(database_url: str) -> None:
    (row,) = found(database_url, "user_statistics", user_id=USER)
    assert (row.accounts, row.active_accounts, row.strategies, row.active_strategies) == (
        *(2, 2, 1, 1),
    )
    assert row.transactions == 4
    assert row.first_transaction_at == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert row.last_transaction_at == datetime(2026, 3, 3, 18, tzinfo=UTC)


def test_sums_are_of_what_whoever_asks_may_see(database_url: str) -> None:
    """The views show a user their own rows, and sums are made of these."""
    for somebody, rows in ((USER, 1), (uuid7(), 0)):
        with psycopg.connect(database_url) as connection:
            connection.execute("SET ROLE ledger_user")
            connection.execute(
                "SELECT set_config('app.current_user_id', %s, true)", [str(somebody)]
            )
            asked = {"account_id": UUID(str(ACCOUNT))}
            assert len(questions()["user_portfolios"].find(connection, **asked)) == rows

"""A ledger that has just started, and holds nothing in memory, decides like one that has."""

from uuid import UUID

from uuid_utils.compat import uuid7

from ledger.write.ledger import Ledger
from tests.commands import command, list_instrument, open_account, submit_order


def account_with_open_order(database_url: str, *, snapshot_interval: int) -> tuple[UUID, UUID]:
    account_id, order_id = uuid7(), uuid7()
    with Ledger(database_url, snapshot_interval=snapshot_interval) as ledger:
        outcomes = ledger.execute(
            [
                open_account(account_id),
                list_instrument(),
                command("Deposit", account_id, asset="USDT", amount="1000"),
                submit_order(account_id, order_id),
            ]
        )
    assert [outcome.status for outcome in outcomes] == ["ACCEPTED"] * 4
    return account_id, order_id


def test_a_replace_is_checked_against_the_instrument_it_does_not_name(database_url: str) -> None:
    account_id, order_id = account_with_open_order(database_url, snapshot_interval=1_000)
    wishes = ("101.005", "101.01")
    with Ledger(database_url) as started:
        outcomes = started.execute(
            [
                command("RequestReplace", account_id, order_id=order_id, price=price)
                for price in wishes
            ]
        )
    assert [outcome.code for outcome in outcomes] == ["PRICE_OFF_TICK", None]


def test_an_accounts_holds_are_read_back_from_its_snapshot(database_url: str) -> None:
    account_id, order_id = account_with_open_order(database_url, snapshot_interval=1)
    with Ledger(database_url) as started:
        outcomes = started.execute(
            [
                command("Withdraw", account_id, asset="USDT", amount="950.01"),
                command("CancelOrder", account_id, order_id=order_id),
                command("Withdraw", account_id, asset="USDT", amount="1000"),
            ]
        )
    assert [outcome.code for outcome in outcomes] == ["INSUFFICIENT_FUNDS", None, None]

"""The cache of states is believed only as far as the log tells of what is in it."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.audit.prove.verify import verify
from ledger.eventstore import snapshots
from ledger.kernel.command import FAILED
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.accounts.events import EXTERNAL, MAIN, AccountWithdrawn, Posting, Reason
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.write.ledger import Ledger
from tests.commands import command, open_account
from tests.roles.acting import acting_as

Connection = psycopg.Connection[Any]
INTERVAL = 5


@pytest.fixture
def account_id(database_url: str) -> UUID:
    """An account with 12 USDT, and snapshots of it at versions 5 and 10."""
    account_id = uuid7()
    with Ledger(database_url, snapshot_interval=INTERVAL) as ledger:
        ledger.execute([open_account(account_id)])
        for _ in range(12):
            ledger.execute([command("Deposit", account_id, asset="USDT", amount="1")])
    return account_id


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def withdrawal(database_url: str, account_id: UUID, amount: str) -> str | None:
    """The code of the outcome, decided by a ledger that has just started."""
    with Ledger(database_url) as started:
        return started.execute([command("Withdraw", account_id, asset="USDT", amount=amount)])[
            0
        ].code


def found(connection: Connection) -> list[str]:
    return [finding.message for finding in verify(connection).findings]


RICH = """jsonb_set(state, '{balances,main,USDT,total}', '"999999999"')"""


def test_a_snapshot_that_nobody_changed_is_used(
    database_url: str, account_id: UUID, connection: Connection
) -> None:
    (kept,) = snapshots.newest(connection, [account_id], [ACCOUNT.topic])
    assert kept.snapshot.event_version == 10
    assert kept.holds()
    assert found(connection) == []
    assert withdrawal(database_url, account_id, "12.01") == "INSUFFICIENT_FUNDS"
    assert withdrawal(database_url, account_id, "12") is None


@pytest.mark.parametrize(
    "deed",
    [
        f"UPDATE aggregate_snapshots SET state = {RICH}",
        f"UPDATE aggregate_snapshots SET state = {RICH}, event_version = event_version + 1",
        "UPDATE aggregate_snapshots SET state = '{}'",
        "UPDATE aggregate_snapshots SET state = '[1e400]'",
        f"""INSERT INTO aggregate_snapshots SELECT stream_id, 13, topic, {RICH}
            FROM aggregate_snapshots WHERE event_version = 10""",
        f"""INSERT INTO aggregate_snapshots SELECT stream_id, 1000000, topic, {RICH}
            FROM aggregate_snapshots WHERE event_version = 10""",
        """UPDATE aggregate_snapshots AS a SET state = b.state FROM aggregate_snapshots AS b
           WHERE a.event_version = 10 AND b.event_version = 5""",
        "DELETE FROM aggregate_snapshots",
    ],
)
def test_no_request_overdraws_whatever_the_cache_says(
    database_url: str, account_id: UUID, deed: str
) -> None:
    with acting_as(database_url, "ledger_writer") as writer:
        writer.execute(deed.encode())
        writer.commit()
    assert withdrawal(database_url, account_id, "12.01") == "INSUFFICIENT_FUNDS"
    assert withdrawal(database_url, account_id, "12") is None


def test_a_snapshot_that_was_changed_is_found_and_said(
    account_id: UUID, connection: Connection
) -> None:
    connection.execute(f"UPDATE aggregate_snapshots SET state = {RICH}".encode())
    assert found(connection) == [
        f"the cached state of stream {account_id} at version 10 was changed: it is not used, and "
        "can be deleted from aggregate_snapshots"
    ]


def test_a_state_that_an_event_tells_of_and_no_events_make_is_found(
    account_id: UUID, connection: Connection
) -> None:
    """Whoever writes into the log itself can have a cache believed, and stands in the log."""
    connection.execute("ALTER TABLE event_store DISABLE TRIGGER USER")
    connection.execute(f"UPDATE aggregate_snapshots SET state = {RICH}".encode())
    (kept,) = snapshots.newest(connection, [account_id], [ACCOUNT.topic])
    connection.execute(
        """UPDATE event_store SET metadata = jsonb_set(metadata, '{state}', to_jsonb(%s::text))
           WHERE stream_id = %s AND event_version = 10""",
        [kept.snapshot.digest(), account_id],
    )
    (message,) = found(connection)
    assert message.endswith("is not the one that its event tells of: the events make another")


def test_a_snapshot_of_a_time_before_events_told_of_them_is_not_used(
    database_url: str, account_id: UUID, connection: Connection
) -> None:
    connection.execute("ALTER TABLE event_store DISABLE TRIGGER USER")
    connection.execute("UPDATE event_store SET metadata = metadata - 'state'")
    connection.execute(f"UPDATE aggregate_snapshots SET state = {RICH}".encode())
    assert found(connection) == []
    assert withdrawal(database_url, account_id, "12.01") == "INSUFFICIENT_FUNDS"


def test_an_abandoned_decision_leaves_no_snapshot(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account_id = uuid7()
    with Ledger(database_url, snapshot_interval=2) as ledger:
        ledger.execute([open_account(account_id)])
        real = account_rules.deposit

        def recorded_and_then_wrong(*given: Any, **data: Any) -> Any:
            yield from real(*given, **data)
            raise ZeroDivisionError

        monkeypatch.setattr(account_rules, "deposit", recorded_and_then_wrong)
        deposit = command("Deposit", account_id, asset="USDT", amount="1")
        assert ledger.execute([deposit])[0].status == FAILED
        monkeypatch.setattr(account_rules, "deposit", real)
        assert connection.execute("SELECT FROM aggregate_snapshots").fetchall() == []
        ledger.execute([command("Deposit", account_id, asset="USDT", amount="3")])
    (kept,) = snapshots.newest(connection, [account_id], [ACCOUNT.topic])
    assert kept.holds()
    assert '"3"' in kept.snapshot.state
    assert found(connection) == []


# --- what is asserted of every event ------------------------------------------------------------


def unbalanced(*_: Any, **__: Any) -> Any:
    posting = Posting(book=MAIN, asset="USDT", amount=Decimal(1), reason=Reason.WITHDRAWAL)
    return (
        AccountWithdrawn(
            asset="USDT", amount=posting.amount, sub_account=MAIN, postings=(posting,)
        ),
    )


def unbounded(*_: Any, **data: Any) -> Any:
    amount = data["amount"]
    leave = Posting(book=MAIN, asset="USDT", amount=-amount, reason=Reason.WITHDRAWAL)
    arrive = Posting(book=EXTERNAL, asset="USDT", amount=amount, reason=Reason.WITHDRAWAL)
    return (
        AccountWithdrawn(asset="USDT", amount=amount, sub_account=MAIN, postings=(leave, arrive)),
    )


@pytest.mark.parametrize("rule", [unbalanced, unbounded])
def test_a_rule_that_makes_or_overdraws_money_is_a_fault_and_nothing_is_written(
    database_url: str,
    account_id: UUID,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    rule: Any,
) -> None:
    before = connection.execute("SELECT count(*) FROM event_store").fetchone()
    monkeypatch.setattr(account_rules, "withdraw", rule)
    with Ledger(database_url) as ledger:
        (outcome,) = ledger.execute([command("Withdraw", account_id, asset="USDT", amount="13")])
        assert outcome.status == FAILED
        assert connection.execute("SELECT count(*) FROM event_store").fetchone() == before
        monkeypatch.undo()
        withdraw = command("Withdraw", account_id, asset="USDT", amount="12")
        assert ledger.execute([withdraw])[0].code is None

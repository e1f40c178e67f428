"""From commands to recorded events and outcomes, on a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.kernel.command import Outcome
from ledger.kernel.rejection import Rejection
from ledger.nouns.orders import facts
from ledger.nouns.orders.rejections import OrderRejection
from ledger.write import failed_commands
from ledger.write.ledger import Ledger
from tests.commands import (
    USER,
    command,
    list_instrument,
    message,
    open_account,
    parsed,
    submit_order,
)

NOW = datetime(2026, 11, 21, 10, 0, tzinfo=UTC)


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with Ledger(database_url) as ledger:
        yield ledger


@pytest.fixture
def account_id(ledger: Ledger) -> UUID:
    """An account with 1000 USDT, and a listed instrument."""
    account_id = uuid7()
    outcomes = ledger.execute(
        [
            open_account(account_id),
            list_instrument(),
            command("Deposit", account_id, asset="USDT", amount="1000"),
        ]
    )
    assert [o.status for o in outcomes] == ["ACCEPTED"] * 3
    return account_id


def rows(database_url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(query).fetchall()


def types(outcome: Outcome) -> list[str]:
    return [event.type for event in outcome.events]


def test_an_outcome_names_the_events_and_where_they_are(ledger: Ledger, account_id: UUID) -> None:
    order_id = uuid7()
    [outcome] = ledger.execute([submit_order(account_id, order_id)])
    assert outcome.status == "ACCEPTED"
    assert outcome.code is None
    assert types(outcome) == ["order.submitted", "account.funds_held"]
    assert [e.position for e in outcome.events] == [4, 5]
    assert outcome.events[0].stream_id == order_id
    assert outcome.position == 5
    assert not outcome.replayed


def test_every_account_event_names_the_order_event_that_caused_it(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    order_id = uuid7()
    submitted = submit_order(account_id, order_id)
    [outcome] = ledger.execute([submitted])
    found = rows(
        database_url,
        "SELECT id, causation_id, correlation_id, user_id FROM event_store"
        " WHERE position >= 4 ORDER BY position",
    )
    assert found == [
        (outcome.events[0].id, submitted.id, submitted.id, USER),
        (outcome.events[1].id, outcome.events[0].id, submitted.id, USER),
    ]


def test_one_batch_decides_each_command_on_what_the_ones_before_it_left(
    ledger: Ledger, account_id: UUID
) -> None:
    orders = [uuid7() for _ in range(3)]
    outcomes = ledger.execute(
        [submit_order(account_id, order_id, quantity="4", price="100") for order_id in orders]
    )
    assert [(o.status, o.code) for o in outcomes] == [
        ("ACCEPTED", None),
        ("ACCEPTED", None),
        ("REJECTED", "INSUFFICIENT_FUNDS"),
    ]
    assert types(outcomes[2]) == ["order.denied"]


def test_a_resent_command_gets_the_same_outcome_again(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    deposit = command("Deposit", account_id, asset="BTC", amount="1")
    [first] = ledger.execute([deposit])
    [again] = ledger.execute([deposit])
    assert again.replayed
    assert (again.events, again.position) == (first.events, first.position)
    assert rows(database_url, "SELECT count(*) FROM event_store") == [(4,)]


def test_a_command_sent_twice_in_one_batch_has_one_effect(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    deposit = command("Deposit", account_id, asset="BTC", amount="1")
    first, again = ledger.execute([deposit, deposit])
    assert (first.replayed, again.replayed) == (False, True)
    assert first.events == again.events
    assert rows(database_url, "SELECT count(*) FROM event_store") == [(4,)]


def test_a_command_id_with_another_content_is_refused(ledger: Ledger, account_id: UUID) -> None:
    original = message("Deposit", account_id, asset="BTC", amount="1")
    changed = original | {"data": original["data"] | {"amount": "2"}}
    outcomes = ledger.execute([parsed(original), parsed(changed)])
    assert [(o.status, o.code) for o in outcomes] == [
        ("ACCEPTED", None),
        ("REJECTED", "COMMAND_ID_REUSED"),
    ]
    [later] = ledger.execute([parsed(changed)])
    assert later.code == "COMMAND_ID_REUSED"


def test_a_rejection_is_for_ever_too(ledger: Ledger, account_id: UUID) -> None:
    withdrawal = command("Withdraw", account_id, asset="USDT", amount="2000")
    [first] = ledger.execute([withdrawal])
    ledger.execute([command("Deposit", account_id, asset="USDT", amount="5000")])
    [again] = ledger.execute([withdrawal])
    assert (first.code, again.code, again.replayed) == (
        "INSUFFICIENT_FUNDS",
        "INSUFFICIENT_FUNDS",
        True,
    )


def test_an_outcome_can_be_asked_for(ledger: Ledger, account_id: UUID) -> None:
    deposit = command("Deposit", account_id, asset="BTC", amount="1")
    assert ledger.outcome(deposit.id) is None
    [outcome] = ledger.execute([deposit])
    assert ledger.outcome(deposit.id) == outcome


def test_a_message_that_cannot_be_read_is_rejected_and_writes_no_event(
    ledger: Ledger, database_url: str
) -> None:
    unreadable = parsed({"id": str(uuid7()), "type": "Deposit"})
    nameless = parsed({"type": "Deposit"})
    outcomes = ledger.execute([unreadable, nameless])
    assert [o.code for o in outcomes] == ["INVALID_COMMAND", "INVALID_COMMAND"]
    assert [o.command_id for o in outcomes] == [unreadable.id, None]
    assert rows(database_url, "SELECT count(*) FROM event_store") == [(0,)]
    assert rows(database_url, "SELECT command_id, status FROM command_inbox") == [
        (unreadable.id, "REJECTED")
    ]


def test_what_happened_in_the_future_is_refused(ledger: Ledger, account_id: UUID) -> None:
    def deposit_at(when: datetime) -> Outcome:
        deposit = command(
            "Deposit", account_id, asset="BTC", amount="1", occurred_at=when.isoformat()
        )
        [outcome] = ledger.execute([deposit], now=NOW)
        return outcome

    assert deposit_at(NOW + timedelta(minutes=4)).status == "ACCEPTED"
    assert deposit_at(NOW + timedelta(minutes=6)).code == "OCCURRED_IN_FUTURE"


def test_the_user_of_a_command_must_be_the_accounts(ledger: Ledger, account_id: UUID) -> None:
    def deposit_by(user_id: UUID) -> Outcome:
        deposit = message("Deposit", account_id, asset="BTC", amount="1")
        [outcome] = ledger.execute([parsed(deposit | {"userid": str(user_id)})])
        return outcome

    assert deposit_by(USER).status == "ACCEPTED"
    assert deposit_by(uuid4()).code == "NOT_YOUR_ACCOUNT"


def test_a_fill_on_an_order_of_another_account_is_refused(ledger: Ledger, account_id: UUID) -> None:
    order_id, other = uuid7(), uuid7()
    fill = {"order_id": order_id, "trade_id": "t1", "last_qty": "0.1", "last_px": "100"}
    outcomes = ledger.execute(
        [
            submit_order(account_id, order_id),
            open_account(other),
            command("RecordFill", other, **fill),
            command("RecordFill", account_id, **fill),
        ]
    )
    assert [o.code for o in outcomes] == [None, None, "ORDER_OF_ANOTHER_ACCOUNT", None]


def test_a_trade_known_with_another_content_is_recorded_and_moves_no_money(
    ledger: Ledger, account_id: UUID
) -> None:
    order_id = uuid7()
    fill = {"order_id": order_id, "trade_id": "t1", "last_qty": "0.1", "last_px": "100"}
    outcomes = ledger.execute(
        [
            submit_order(account_id, order_id),
            command("RecordFill", account_id, **fill),
            command("RecordFill", account_id, **fill),
            command("RecordFill", account_id, **(fill | {"last_px": "101"})),
        ]
    )
    assert types(outcomes[1]) == ["order.filled", "account.trade_settled"]
    assert (outcomes[2].status, types(outcomes[2])) == ("ACCEPTED", [])
    assert outcomes[3].code == "FILL_CONFLICT"
    assert types(outcomes[3]) == ["order.fill_conflicted"]


def test_a_fact_about_an_order_we_never_saw_begins_it(ledger: Ledger, account_id: UUID) -> None:
    order_id = uuid7()
    fill = {"order_id": order_id, "trade_id": "t1", "last_qty": "1", "last_px": "100"}
    unknown, known = ledger.execute(
        [
            command("RecordFill", account_id, **fill),
            command(
                "RecordFill",
                account_id,
                **fill,
                instrument="BINANCE:BTCUSDT",
                side="BUY",
                quantity="1",
            ),
        ]
    )
    assert unknown.code == "UNKNOWN_ORDER"
    assert "instrument, side, quantity" in (unknown.message or "")
    assert types(known) == ["order.reported", "order.filled", "account.trade_settled"]


def test_a_decision_that_is_given_up_halfway_leaves_no_trace(
    ledger: Ledger, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fact about an unseen order reports the order first; then this one is refused."""

    def refuse(*_: object, **__: object) -> None:
        raise Rejection(OrderRejection.ORDER_CLOSED, "it is")

    monkeypatch.setattr(facts, "void_fill", refuse)
    order_id = uuid7()
    described = {"instrument": "BINANCE:BTCUSDT", "side": "BUY", "quantity": "1"}
    void, submit = ledger.execute(
        [
            command("VoidFill", account_id, order_id=order_id, trade_id="t1", **described),
            submit_order(account_id, order_id),
        ]
    )
    assert (void.code, types(void)) == ("ORDER_CLOSED", [])
    assert submit.status == "ACCEPTED"
    assert submit.events[0].version == 1


def test_an_order_id_that_is_an_accounts_is_refused(ledger: Ledger, account_id: UUID) -> None:
    [outcome] = ledger.execute([submit_order(account_id, account_id)])
    assert outcome.code == "ID_TAKEN"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"price": "100.001"}, "PRICE_OFF_TICK"),
        ({"quantity": "0.000001"}, "QUANTITY_TOO_SMALL"),
        ({"quantity": "1001"}, "QUANTITY_TOO_LARGE"),
        ({"quantity": "0.100001"}, "QUANTITY_OFF_STEP"),
        ({"quantity": "11"}, "INSUFFICIENT_FUNDS"),
        ({"strategy_id": "momentum"}, "STRATEGY_NOT_ASSIGNED"),
        ({"order_type": "MARKET", "price": None}, "PRICE_ESTIMATE_REQUIRED"),
    ],
)
def test_an_order_that_the_rules_refuse_is_kept_as_denied(
    ledger: Ledger, account_id: UUID, changes: dict[str, Any], code: str
) -> None:
    [outcome] = ledger.execute([submit_order(account_id, uuid7(), **changes)])
    assert (outcome.status, outcome.code, types(outcome)) == ("REJECTED", code, ["order.denied"])


@pytest.mark.parametrize("kind", ["account", "instrument"])
def test_an_order_on_what_is_unknown_leaves_nothing(
    ledger: Ledger, account_id: UUID, kind: str
) -> None:
    an_account = uuid7() if kind == "account" else account_id
    an_instrument = "BINANCE:NONE" if kind == "instrument" else "BINANCE:BTCUSDT"
    [outcome] = ledger.execute([submit_order(an_account, uuid7(), instrument=an_instrument)])
    assert (outcome.code, outcome.events) == (f"UNKNOWN_{kind.upper()}", ())


def test_another_writers_events_are_seen_before_anything_is_decided_on_them(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    """Both ledgers have the account in memory; what one takes, the other does not give again."""
    with Ledger(database_url) as other:
        other.execute([command("Deposit", account_id, asset="BTC", amount="1")])
        ledger.execute([command("Withdraw", account_id, asset="USDT", amount="900")])
        [refused] = other.execute([command("Withdraw", account_id, asset="USDT", amount="900")])
        assert refused.code == "INSUFFICIENT_FUNDS"
        ledger.execute([command("Deposit", account_id, asset="USDT", amount="800")])
        [accepted] = other.execute([command("Withdraw", account_id, asset="USDT", amount="900")])
        assert accepted.status == "ACCEPTED"


def test_a_fault_of_ours_is_answered_failed_and_can_be_tried_again(
    ledger: Ledger, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger.nouns.accounts import rules as account_rules

    deposit = command("Deposit", account_id, asset="BTC", amount="1")
    with monkeypatch.context() as broken:
        broken.setattr(account_rules, "deposit", lambda *_, **__: 1 / 0)
        [failed] = ledger.execute([deposit])
        assert (failed.status, failed.code) == ("FAILED", "INTERNAL_ERROR")
        assert ledger.outcome(deposit.id) is None
    [accepted] = ledger.execute([deposit])
    assert accepted.status == "ACCEPTED"


def test_a_fault_on_the_last_try_is_kept(
    ledger: Ledger, account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger.nouns.accounts import rules as account_rules

    deposit = command("Deposit", account_id, asset="BTC", amount="1")
    monkeypatch.setattr(account_rules, "deposit", lambda *_, **__: 1 / 0)
    ledger.execute([deposit], last_tries=frozenset({deposit.id}))
    kept = ledger.outcome(deposit.id)
    assert kept is not None
    assert kept.status == "FAILED"


def test_another_copy_of_what_could_not_be_recorded_is_answered_and_not_decided(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    """A sender that waits sends again under its id: it was told FAILED, and that holds until an
    operator has the command tried again."""
    again = command("Deposit", account_id, account_id=account_id, asset="USDT", amount="1")
    kept = failed_commands.FailedMessage(
        again.id, "Deposit", "test", f"{account_id}.money.test", again.fingerprint, b"{}",
        "NOT_RECORDED", "refused", 5,
    )  # fmt: skip
    with psycopg.connect(database_url, autocommit=True) as connection:
        failed_commands.keep(connection, [kept])
        (told,) = ledger.execute([again])
        assert (told.status, told.code, told.replayed) == ("FAILED", "NOT_RECORDED", True)
        failed_commands.settle(connection, again.id, "RETRIED", by="olga", reason="mended")
        assert ledger.execute([again])[0].status == "ACCEPTED"


def test_a_long_stream_is_loaded_from_its_snapshot(account_id: UUID, database_url: str) -> None:
    deposits = [command("Deposit", account_id, asset="BTC", amount="1") for _ in range(25)]
    with Ledger(database_url, snapshot_interval=10) as writer:
        for start in range(0, 25, 5):
            writer.execute(deposits[start : start + 5])
    versions = rows(database_url, "SELECT event_version FROM aggregate_snapshots ORDER BY 1")
    assert [v for (v,) in versions] == [10, 20]
    with Ledger(database_url) as reader:
        enough = command("Withdraw", account_id, asset="BTC", amount="25")
        too_much = command("Withdraw", account_id, asset="BTC", amount="0.00000001")
        outcomes = reader.execute([enough, too_much])
    assert [o.code for o in outcomes] == [None, "INSUFFICIENT_FUNDS"]


def test_a_snapshot_that_cannot_be_saved_spoils_nothing(
    account_id: UUID, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise psycopg.OperationalError("no room")

    monkeypatch.setattr("ledger.eventstore.snapshots.save", refuse)
    with Ledger(database_url, snapshot_interval=1) as ledger:
        for _ in range(2):
            [outcome] = ledger.execute([command("Deposit", account_id, asset="BTC", amount="1")])
            assert outcome.status == "ACCEPTED"


def test_a_tiny_cache_changes_nothing_but_speed(account_id: UUID, database_url: str) -> None:
    orders = [uuid7() for _ in range(6)]
    with Ledger(database_url, max_cached_streams=1) as ledger:
        for order_id in orders:
            ledger.execute([submit_order(account_id, order_id, quantity="1")])
        outcomes = [
            ledger.execute([command("CancelOrder", account_id, order_id=order_id)])[0]
            for order_id in orders
        ]
    assert all(types(o) == ["order.cancelled", "account.funds_released"] for o in outcomes)


def test_metadata_says_who_sent_the_command(
    ledger: Ledger, account_id: UUID, database_url: str
) -> None:
    stored = rows(database_url, "SELECT metadata::text FROM event_store WHERE position = 1")
    metadata = orjson.loads(stored[0][0])
    assert metadata["source"] == "test"
    assert metadata["command_type"] == "OpenAccount"
    assert metadata["schema"] == 2

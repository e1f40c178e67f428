"""A batch can be decided while the one before it commits; nothing is kept on what never was."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.store import VersionConflict
from ledger.kernel.command import Command, InvalidCommand, Outcome
from ledger.write import ledger as application
from ledger.write.ledger import Ledger
from tests.commands import command, list_instrument, open_account


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with Ledger(database_url) as ledger:
        yield ledger


def account_with(ledger: Ledger, amount: str) -> UUID:
    account_id = uuid7()
    deposit = command("Deposit", account_id, asset="USDT", amount=amount)
    outcomes = ledger.execute([open_account(account_id), deposit])
    assert codes(outcomes) == [None, None]
    return account_id


def withdraw(account_id: UUID, amount: str) -> Command | InvalidCommand:
    return command("Withdraw", account_id, asset="USDT", amount=amount)


def codes(outcomes: list[Outcome]) -> list[str | None]:
    return [outcome.code for outcome in outcomes]


class Lost(Exception):
    pass


def lost(_: psycopg.Cursor[Any]) -> None:
    raise Lost


def test_a_batch_is_decided_on_what_the_one_before_will_leave(ledger: Ledger) -> None:
    account_id = account_with(ledger, "100")
    first = ledger.decide([withdraw(account_id, "60")])
    second = ledger.decide([withdraw(account_id, "60")])
    third = ledger.decide([withdraw(account_id, "40")])
    assert codes(ledger.commit(first)) == [None]
    assert codes(ledger.commit(second)) == ["INSUFFICIENT_FUNDS"]
    assert codes(ledger.commit(third)) == [None]


def test_what_was_decided_on_a_batch_that_is_not_kept_is_refused(ledger: Ledger) -> None:
    account_id = account_with(ledger, "100")
    withdrawal, other = withdraw(account_id, "60"), withdraw(account_id, "60")
    first = ledger.decide([withdrawal])
    second = ledger.decide([other])
    with pytest.raises(Lost):
        ledger.commit(first, fence=lost)
    with pytest.raises(VersionConflict):
        ledger.commit(second)
    assert codes(ledger.execute([other])) == [None]
    assert codes(ledger.execute([withdrawal])) == ["INSUFFICIENT_FUNDS"]


def test_a_batch_that_is_decided_again_comes_before_those_behind_it(ledger: Ledger) -> None:
    account_id = account_with(ledger, "100")
    withdrawal, other = withdraw(account_id, "60"), withdraw(account_id, "60")
    first = ledger.decide([withdrawal])
    with pytest.raises(Lost):
        ledger.commit(first, fence=lost)
    second = ledger.decide([other])  # by a worker that has not heard of it
    assert codes(ledger.execute([withdrawal])) == [None]
    with pytest.raises(VersionConflict):
        ledger.commit(second)
    assert codes(ledger.execute([other])) == ["INSUFFICIENT_FUNDS"]


def test_decisions_are_kept_in_their_order_only(ledger: Ledger) -> None:
    account_id = account_with(ledger, "100")
    ledger.decide([withdraw(account_id, "60")])
    second = ledger.decide([withdraw(account_id, "60")])
    with pytest.raises(VersionConflict):
        ledger.commit(second)


def test_another_writer_is_noticed_by_the_batch_that_read_what_it_changed(
    ledger: Ledger, database_url: str
) -> None:
    account_id, unrelated = account_with(ledger, "100"), account_with(ledger, "100")
    first = ledger.decide([withdraw(unrelated, "1")])
    withdrawal = withdraw(account_id, "60")
    second = ledger.decide([withdrawal])
    with Ledger(database_url) as other:
        assert codes(other.execute([withdraw(account_id, "60")])) == [None]
    assert codes(ledger.commit(first)) == [None]  # it finds out, and has not read the account
    with pytest.raises(VersionConflict):
        ledger.commit(second)
    assert codes(ledger.execute([withdrawal])) == ["INSUFFICIENT_FUNDS"]


def test_a_command_that_is_in_two_batches_has_one_effect(ledger: Ledger) -> None:
    account_id = account_with(ledger, "100")
    withdrawal = withdraw(account_id, "10")
    first, second = ledger.decide([withdrawal]), ledger.decide([withdrawal])
    [outcome] = ledger.commit(first)
    with pytest.raises(VersionConflict):
        ledger.commit(second)
    [again] = ledger.execute([withdrawal])
    assert again.replayed
    assert again.events == outcome.events


def test_a_refused_command_takes_back_its_own_and_nothing_of_the_batch_before(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ledger.write.ledger import decide

    def fail_afterwards(work: Any) -> None:
        decide(work)
        if work.command.type == "Deposit":
            raise RuntimeError("a fault of ours")

    account_id = account_with(ledger, "100")
    ledger.execute([list_instrument()])
    monkeypatch.setattr("ledger.write.ledger.decide", fail_afterwards)
    first = ledger.decide([withdraw(account_id, "60")])
    deposit = command("Deposit", account_id, asset="USDT", amount="1000")
    second = ledger.decide([deposit, withdraw(account_id, "60"), withdraw(account_id, "40")])
    assert codes(ledger.commit(first)) == [None]
    assert codes(ledger.commit(second)) == ["INTERNAL_ERROR", "INSUFFICIENT_FUNDS", None]


def test_a_writer_that_hangs_in_its_commit_holds_the_others_up_no_longer_than_that(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "STALLED_COMMIT_SECONDS", 0.2)
    account_id = account_with(ledger, "100")
    others: list[Outcome] = []

    def hang(cursor: psycopg.Cursor[Any]) -> None:
        """With the append lock held, until somebody else has committed."""
        others.extend(ledger.execute([withdraw(account_id, "40")]))
        cursor.execute("SELECT 1")

    with Ledger(database_url) as hung:
        mine = withdraw(account_id, "60")
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            hung.commit(hung.decide([mine]), fence=hang)
        assert codes([*others, *hung.execute([mine])]) == [None, None]

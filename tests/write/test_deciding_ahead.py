"""A batch can be decided while the one before it commits; nothing is kept on what never was."""

import os
import secrets
from collections import deque
from collections.abc import Iterator
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.eventstore.store import VersionConflict
from ledger.kernel.command import Command, InvalidCommand, Outcome
from ledger.write import ledger as application
from ledger.write import stream_reader
from ledger.write.aggregates import state_text
from ledger.write.ledger import Decision, Ledger
from ledger.write.stream_reader import Stream
from tests.commands import command, list_instrument, open_account

SEED = os.environ.get("LEDGER_TEST_SEED") or secrets.token_hex(4)
STEPS = 100 * max(int(os.environ.get("LEDGER_TEST_ROUNDS", "1")), 1)


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
    assert codes(ledger.commit(second)) == ["INSUFFICIENT_FUNDS"]
    assert ledger.execute([withdrawal])[0].replayed


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


def test_states_are_those_of_the_log_whatever_was_not_kept(
    ledger: Ledger, database_url: str
) -> None:
    """Batches decided ahead, kept, lost, refused for another writer's sake; at random."""
    random = Random(SEED)
    accounts = [account_with(ledger, "100") for _ in range(3)]
    ahead = deque[Decision]()
    with Ledger(database_url) as other, psycopg.connect(database_url) as connection:
        for step in range(STEPS):
            commands = [
                withdraw(random.choice(accounts), str(random.randint(1, 30)))
                if random.random() < 0.7
                else command("Deposit", random.choice(accounts), asset="USDT", amount="9")
                for _ in range(random.randint(1, 4))
            ]
            ahead.append(ledger.decide(commands))
            if random.random() < 0.2:
                other.execute([withdraw(random.choice(accounts), "1")])
            while ahead and random.random() < 0.6:
                try:
                    ledger.commit(ahead.popleft(), fence=lost if random.random() < 0.2 else None)
                except (Lost, VersionConflict):
                    ahead.clear()
            if not ahead:
                # Nobody else has written since, or this is told of it by its commit.
                ledger.execute(
                    [command("Deposit", one, asset="USDT", amount="1") for one in accounts]
                )
                ledger.decide([])
                known = {one: state_text(ledger._aggregates.peek(one)) for one in accounts}
                read = stream_reader.read(connection, accounts)
                assert known == {
                    one: state_text(stream.state)
                    for one, stream in read.items()
                    if isinstance(stream, Stream)
                }, f"step {step} (seed {SEED})"


def test_another_writer_costs_those_commands_only_that_read_what_it_changed(
    ledger: Ledger, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what hangs on them, in batches that were decided meanwhile too."""
    changed, linked, apart = (account_with(ledger, "100") for _ in range(3))
    first = ledger.decide([withdraw(apart, "60"), withdraw(changed, "60")])
    second = ledger.decide([withdraw(apart, "60"), withdraw(changed, "40"), withdraw(linked, "1")])
    with Ledger(database_url) as other:
        assert codes(other.execute([withdraw(changed, "50")])) == [None]
    read = list[UUID]()
    real = stream_reader.read

    def noted(connection: Any, wanted: Any) -> Any:
        read.extend(wanted)
        return real(connection, wanted)

    monkeypatch.setattr(stream_reader, "read", noted)
    assert codes(ledger.commit(first)) == [None, "INSUFFICIENT_FUNDS"]
    assert codes(ledger.commit(second)) == ["INSUFFICIENT_FUNDS", None, None]
    assert read == [changed]

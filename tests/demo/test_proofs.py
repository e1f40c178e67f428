"""The demo's claims find the faults that they are made to find."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import psycopg
from uuid_utils.compat import uuid7

from ledger.audit.witness.targets import DirectoryTarget
from ledger.demo import witness
from ledger.demo.proofs import Proof, answered, one_effect_each, one_outcome_each, prove
from ledger.demo.read_models import Verification
from ledger.demo.sender import Resent, Tally
from ledger.demo.temporary import Running
from ledger.write.ledger import Ledger
from tests.audit import history
from tests.commands import command, open_account

EQUAL = Verification(equal=True, projections=1, rows=1, differences=0)


def tally(*, failed: int = 0, resent: list[Resent] | None = None) -> Tally:
    twice = resent or []
    return Tally(
        source="test",
        messages=10 + len(twice),
        commands=10,
        by_status=Counter(ACCEPTED=10 - failed, FAILED=failed),
        resent=twice,
    )


def test_an_answer_that_did_not_come_is_a_fault() -> None:
    silent = tally()
    silent.messages += 1
    assert answered([tally()]).holds
    assert answered([silent]).faults == 1


def test_a_failed_command_is_a_fault() -> None:
    assert answered([tally(failed=2)]).faults == 2


def test_a_second_outcome_of_a_command_is_a_fault() -> None:
    assert one_outcome_each([tally(), tally()], 20).holds
    assert one_outcome_each([tally()], 11).faults == 1


def test_a_resend_with_an_effect_of_its_own_is_a_fault() -> None:
    command_id = uuid7()
    books = [tally(resent=[Resent(command_id, 2)])]
    assert one_effect_each(books, {command_id: 2}).holds
    assert one_effect_each(books, {command_id: 4}).faults == 1


def test_a_resend_that_was_answered_differently_is_a_fault() -> None:
    command_id = uuid7()
    books = tally(resent=[Resent(command_id, 2)])
    books.answered_differently.append(str(command_id))
    assert one_effect_each([books], {command_id: 2}).faults == 1


def test_a_claim_that_was_tried_on_nothing_does_not_hold() -> None:
    assert not Proof("all is well", 0, "orders", 0).holds


def faults_after(database_url: str, tampering: str) -> dict[str, int]:
    """The claims that fail on a small log without read models, after somebody changed it."""
    account_id: UUID = uuid7()
    started = datetime.now(UTC)
    with Ledger(database_url) as ledger:
        deposits = [
            command("Deposit", account_id, asset="USDT", amount=str(n)) for n in range(1, 9)
        ]
        ledger.execute([open_account(account_id), *deposits])
    books = Tally("test", 9, 9, {}, {"ACCEPTED": 9}, {})
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # past the triggers
        connection.execute(tampering)
        proofs = prove(connection, [books], EQUAL, started)
    return {proof.claim: proof.faults for proof in proofs if proof.faults}


def test_an_untouched_log_has_no_faults(database_url: str) -> None:
    assert faults_after(database_url, "SELECT 1") == {}


def test_a_missing_event_is_found_three_times_over(database_url: str) -> None:
    faults = faults_after(database_url, "DELETE FROM event_store WHERE position = 4")
    assert faults == {
        "the events of each command are those its outcome names": 1,
        "the log has no gap: count = highest position": 1,
        "no stream has a gap: its count = its highest version": 1,
    }


def test_a_missing_outcome_is_found(database_url: str) -> None:
    faults = faults_after(
        database_url,
        "DELETE FROM command_inbox WHERE command_id IN"
        " (SELECT command_id FROM command_inbox WHERE command_type = 'Deposit' LIMIT 1)",
    )
    assert faults["every command has one outcome in the inbox"] == 1


def test_a_changed_balance_is_found(database_url: str) -> None:
    faults = faults_after(
        database_url,
        "INSERT INTO balances VALUES (gen_random_uuid(), NULL, 'main', 'USDT', 5, 4, 1, now(), 1)",
    )
    assert faults == {
        "per account and asset, balances + contra balances = 0": 1,
        "each balance = the sum of its transactions": 1,
        "nothing is locked where neither an order nor a position is open": 1,
    }


def test_an_altered_event_is_a_fault_on_the_word_of_the_heads_that_were_kept(
    database_url: str, tmp_path: Path
) -> None:
    ledger = Running(database_url, "", tmp_path)
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 8)
        (head,) = history.seal(connection, None)
        with DirectoryTarget(tmp_path / "witness") as target:
            target.keep(head, 0)
        assert witness.prove(ledger, tmp_path / "witness", 8).holds
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE event_store SET user_id = NULL WHERE position = 2")
        connection.execute("DELETE FROM event_seals")
        connection.execute("UPDATE event_projections SET last_processed_position = 0")
        history.seal(connection, None)
    assert witness.prove(ledger, tmp_path / "witness", 8).faults == 1

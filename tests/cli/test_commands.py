"""ledgerctl commands failed: an operator settles what the ledger could not decide."""

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest

from ledger.client.client import LedgerClient
from ledger.operate import roles
from ledger.write import failed_commands
from ledger.write.failed_commands import FailedMessage, NotWaiting
from ledger.write.ledger import decide
from tests.cli.running import Finished, run
from tests.programs.services import client, open_account, rows, running_worker
from tests.roles.acting import acting_as, login_of

LIMITS = {"command_retry_wait_seconds": 0.01, "command_max_deliver": 2}
DEPOSIT = {"asset": "USDT", "amount": "5", "reference": "fails"}
COMMAND_ID = UUID("018f0000-0000-7000-8000-00000000000f")
SETTLED = ("--by", "olga", "--reason", "the fault is corrected")


class Fault:
    """A fault of ours that hits deposits with a reference of `fails` until it is corrected."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.corrected = False
        monkeypatch.setattr("ledger.write.ledger.decide", self._decide)

    def _decide(self, work: Any) -> None:
        reference = getattr(work.command.data, "reference", None) or ""
        if reference.startswith("fails") and not self.corrected:
            raise RuntimeError("a fault of ours")
        decide(work)


async def failed_deposit(ledger: LedgerClient, account_id: UUID, reference: str = "fails") -> UUID:
    data = DEPOSIT | {"reference": reference}
    outcome = await ledger.submit("Deposit", data, account_id=account_id)
    assert outcome.status == "FAILED"
    assert outcome.command_id is not None
    return outcome.command_id


async def test_a_failed_command_is_listed_shown_and_decided_after_all_under_its_id(
    tmp_path: Path, database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(monkeypatch)

    async def ledgerctl(*arguments: str) -> Finished:
        return await run(
            *("commands", "failed", *arguments),
            cwd=tmp_path,
            LEDGER_DATABASE_URL=database_url,
            LEDGER_NATS_URL=nats_url,
        )

    async with (
        running_worker(database_url, nats_url, **LIMITS),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        first = await failed_deposit(ledger, account_id)
        second = await failed_deposit(ledger, account_id, "fails, too")

        listed, shown, still_broken = await asyncio.gather(
            ledgerctl("list", "--json"),
            ledgerctl("show", str(first)),
            ledgerctl("retry", str(second), *SETTLED, "--json"),
        )
        waiting = {row["command_id"]: row for row in orjson.loads(listed.stdout)}
        assert waiting[str(first)]["code"] == "INTERNAL_ERROR"
        assert waiting[str(first)]["tries"] == 2
        assert '"reference":"fails"' in shown.stdout
        assert still_broken.exit_code == 1
        assert orjson.loads(still_broken.stdout)[0]["status"] == "FAILED"

        fault.corrected = True
        retried = await ledgerctl("retry", "--all", *SETTLED, "--json")
        assert retried.exit_code == 0, retried.stderr
        outcomes = orjson.loads(retried.stdout)
        assert [(one["command_id"], one["status"]) for one in outcomes] == [
            (str(first), "ACCEPTED"),
            (str(second), "ACCEPTED"),
        ]
        for command_id, reference in ((first, "fails"), (second, "fails, too")):
            asked = await ledger.outcome(command_id)
            assert asked.status == "ACCEPTED"
            assert asked.events[0].type == "account.deposited"
            data = DEPOSIT | {"reference": reference}
            again = await ledger.submit(
                "Deposit", data, account_id=account_id, command_id=command_id
            )
            assert (again.status, again.replayed) == ("ACCEPTED", True)
        nothing, everything = await asyncio.gather(
            ledgerctl("list"), ledgerctl("list", "--all", "--json")
        )
    assert nothing.stdout == "no failed command waits\n"
    history = [
        (row["command_id"], row["status"], row["settled_by"])
        for row in orjson.loads(everything.stdout)
    ]
    assert sorted(history) == sorted(
        [(str(first), "RETRIED", "olga"), *2 * [(str(second), "RETRIED", "olga")]]
    )
    deposits = "SELECT count(*) FROM event_store WHERE event_type = 'account.deposited'"
    assert rows(database_url, deposits) == [(2,)]


async def test_a_dismissed_command_stays_failed_even_when_the_fault_is_gone(
    tmp_path: Path, database_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = Fault(monkeypatch)
    async with (
        running_worker(database_url, nats_url, **LIMITS),
        await client(nats_url) as ledger,
    ):
        account_id = await open_account(ledger)
        command_id = await failed_deposit(ledger, account_id)
        arguments = ("commands", "failed", "dismiss", str(command_id), "--by", "olga")

        async def dismiss(reason: str) -> Finished:
            return await run(
                *arguments, "--reason", reason, cwd=tmp_path, LEDGER_DATABASE_URL=database_url
            )

        dismissed = await dismiss("sent again under a new id")
        assert dismissed.exit_code == 0, dismissed.stderr
        fault.corrected = True
        again = await ledger.submit(
            "Deposit", DEPOSIT, account_id=account_id, command_id=command_id
        )
        assert again.status == "FAILED"
        refused, listed = await asyncio.gather(
            dismiss("twice"),
            run(
                *("commands", "failed", "list", "--all"),
                cwd=tmp_path,
                LEDGER_DATABASE_URL=database_url,
            ),
        )
        _, row = listed.stdout.splitlines()
        assert row.startswith(f"{command_id}  INTERNAL_ERROR  Deposit  ")
        assert f"{account_id}  test    anonymous" in row
    assert "dismissed by olga: sent again under a new id" in listed.stdout
    assert refused.exit_code == 1
    assert "does not wait" in refused.stderr


def keep_one(database_url: str) -> None:
    with acting_as(database_url, "ledger_writer") as connection:
        failed_commands.keep(
            connection,
            [
                FailedMessage(
                    command_id=COMMAND_ID, command_type="Deposit", source="a", sent_to="b",
                    fingerprint=b"\1" * 32, body=b"{}", code="NOT_RECORDED", message="m", tries=5,
                )
            ],
        )  # fmt: skip


def record_outcome(database_url: str, status: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """INSERT INTO command_inbox (command_id, command_type, subject, source, fingerprint,
                   status, outcome, decided_at)
               VALUES (%s, 'Deposit', 'b', 'a', '\\x01', %s, '{}', now())""",
            (COMMAND_ID, status),
        )


def test_a_message_that_comes_again_after_a_crash_is_kept_once(database_url: str) -> None:
    keep_one(database_url)
    keep_one(database_url)
    with psycopg.connect(database_url) as connection:
        assert len(failed_commands.find(connection)) == 1


def test_a_command_that_could_not_be_recorded_has_an_outcome_once_it_is_dismissed(
    database_url: str,
) -> None:
    keep_one(database_url)
    with login_of(database_url, "ledger_operator") as login, psycopg.connect(login) as connection:
        failed_commands.settle(
            connection, COMMAND_ID, "DISMISSED", by="olga", reason="it is obsolete"
        )
    found = rows(database_url, "SELECT status, code, outcome->>'status' FROM command_inbox")
    assert found == [("FAILED", "NOT_RECORDED", "FAILED")]
    settled = rows(database_url, "SELECT status, settled_by, reason, login FROM failed_commands")
    assert settled[0][:3] == ("DISMISSED", "olga", "it is obsolete")
    assert login.split("//")[1].startswith(settled[0][3])


@pytest.mark.parametrize("deed", ["RETRIED", "DISMISSED"])
def test_no_outcome_but_failed_is_ever_taken_away(
    database_url: str, deed: failed_commands.Deed
) -> None:
    keep_one(database_url)
    record_outcome(database_url, "ACCEPTED")
    url = roles.at_terminal(database_url)
    with psycopg.connect(url) as connection:
        with pytest.raises(NotWaiting, match="decided meanwhile: it is ACCEPTED"):
            failed_commands.settle(connection, COMMAND_ID, deed, by="olga", reason="r")
        connection.rollback()
        assert failed_commands.find(connection) == []  # nothing is left to do for a person
    assert rows(database_url, "SELECT status FROM command_inbox") == [("ACCEPTED",)]


def test_who_and_why_are_required(database_url: str) -> None:
    keep_one(database_url)
    with psycopg.connect(database_url) as connection, pytest.raises(NotWaiting, match="is kept"):
        failed_commands.settle(connection, COMMAND_ID, "RETRIED", by=" ", reason="r")


def test_an_operator_cannot_take_outcomes_away_otherwise(database_url: str) -> None:
    record_outcome(database_url, "FAILED")
    with acting_as(database_url, "ledger_operator") as connection:
        for statement in ("DELETE FROM command_inbox", "DELETE FROM failed_commands"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())

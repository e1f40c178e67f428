"""A stream that cannot be read holds up the commands that need it, and nothing else."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors
from uuid_utils.compat import uuid7

from ledger.audit.prove.verify import verify
from ledger.eventstore import snapshots
from ledger.kernel.command import Outcome
from ledger.kernel.rejection import GeneralRejection
from ledger.nouns.accounts.invariants import ACCOUNT
from ledger.vitals import database
from ledger.vitals.examination import Vitals
from ledger.write import aggregates, held_streams, stream_reader
from ledger.write.deciders import AGGREGATES
from ledger.write.held_streams import CannotRepair
from ledger.write.ledger import Ledger
from tests.commands import command, open_account
from tests.roles.acting import acting_as
from tests.write.damage import DAMAGES, appended, rows

HELD = ("FAILED", GeneralRejection.STREAM_HELD)
ACCEPTED = ("ACCEPTED", None)
BY: dict[str, Any] = {"by": "ada", "reason": "a test"}


@pytest.fixture
def accounts(database_url: str) -> list[UUID]:
    """Two accounts."""
    made = [uuid7(), uuid7()]
    with Ledger(database_url) as ledger:
        ledger.execute([open_account(one) for one in made])
    return made


@pytest.fixture
def ledger(database_url: str) -> Iterator[Ledger]:
    with Ledger(database_url) as opened:
        yield opened


def deposits(ledger: Ledger, *account_ids: UUID) -> list[Outcome]:
    """One each, in one batch."""
    return ledger.execute([command("Deposit", i, asset="USDT", amount="1") for i in account_ids])


def told(outcomes: list[Outcome]) -> list[tuple[str, str | None]]:
    return [(outcome.status, outcome.code) for outcome in outcomes]


def held(database_url: str) -> dict[UUID, tuple[int | None, int]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return {
            one.stream_id: (one.event_version, one.commands)
            for one in held_streams.find(connection)
        }


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("known", [False, True], ids=["read anew", "in memory"])
def test_only_commands_that_need_it_fail_and_at_once(
    database_url: str,
    accounts: list[UUID],
    ledger: Ledger,
    damage: Callable[[str, UUID], int],
    known: bool,
) -> None:
    bad, good = accounts
    if known:
        deposits(ledger, bad, good)
    version = damage(database_url, bad)
    outcomes = deposits(ledger, good, bad, good, bad)
    assert told(outcomes) == [ACCEPTED, HELD, ACCEPTED, HELD]
    assert str(bad) in str(outcomes[1].message)
    at = held(database_url)[bad]
    assert at in [(version, 2), (None, 2)]  # the database cannot say at which row it stumbles
    assert outcomes[1].command_id is not None
    assert ledger.outcome(outcomes[1].command_id) == outcomes[1]


def test_status_doctor_and_an_alert_name_it(
    database_url: str, accounts: list[UUID], ledger: Ledger
) -> None:
    def named() -> list[str]:
        found = Vitals(database.ask(database_url), reasons=database.reasons(database_url)).alarms()
        return [text for one, text in found if one.condition.alert == "LedgerStreamHeld"]

    appended(database_url, accounts[0], "account.of_tomorrow")
    assert named() == []
    deposits(ledger, *accounts)
    (message,) = named()
    assert f"account {accounts[0]} at version 2" in message


def test_a_flood_of_commands_that_need_it_reads_nothing(
    database_url: str, accounts: list[UUID], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = accounts
    appended(database_url, bad, "account.of_tomorrow")
    deposits(ledger, bad, good)
    monkeypatch.setattr(stream_reader, "read", None)
    assert told(deposits(ledger, *[bad] * 5, good)) == [HELD] * 5 + [ACCEPTED]


def test_it_is_read_again_after_a_while(
    database_url: str, accounts: list[UUID], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregates, "HELD_SECONDS", 0.0)
    evolve = ACCOUNT.evolve

    def not_by_this_code(*_: Any) -> None:
        raise TypeError("an event of tomorrow")

    vars(ACCOUNT)["evolve"] = not_by_this_code
    try:
        assert told(deposits(ledger, accounts[0])) == [HELD]
    finally:
        vars(ACCOUNT)["evolve"] = evolve
    assert told(deposits(ledger, accounts[0])) == [ACCEPTED]
    assert accounts[0] in held(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert held_streams.examine(connection) == [accounts[0]]
    assert held(database_url) == {}


def test_an_order_that_cannot_be_read_leaves_its_account_alone(
    database_url: str, accounts: list[UUID], ledger: Ledger
) -> None:
    order_id = uuid7()
    appended(database_url, order_id, "account.opened", data="{}")
    cancel = command("RequestCancel", accounts[0], order_id=order_id)
    assert told(ledger.execute([cancel])) == [HELD]
    assert told(deposits(ledger, accounts[0])) == [ACCEPTED]


def test_the_id_of_a_stream_that_no_command_is_about_is_taken(
    database_url: str, accounts: list[UUID], ledger: Ledger
) -> None:
    """Whoever sends such a command holds up nobody."""
    with psycopg.connect(database_url) as connection:
        connection.execute("ALTER TABLE event_store DISABLE TRIGGER event_store_is_append_only")
        connection.execute(
            "UPDATE event_store SET stream_type = 'shop', event_type = 'shop.opened' "
            "WHERE stream_id = %s",
            [accounts[0]],
        )
    assert told(deposits(ledger, *accounts)) == [("REJECTED", GeneralRejection.ID_TAKEN), ACCEPTED]


# --- repairs -----------------------------------------------------------------------------------


def test_an_operator_passes_over_an_event_and_the_stream_goes_on_at_once(
    database_url: str, accounts: list[UUID]
) -> None:
    bad, _ = accounts
    with Ledger(database_url, snapshot_interval=3) as ledger:
        deposits(ledger, bad)
        version = appended(database_url, bad, "account.of_tomorrow")
        assert told(deposits(ledger, bad)) == [HELD]
        with acting_as(database_url, "ledger_operator") as operator:
            operator.autocommit = True
            position = held_streams.repair(operator, bad, version, **BY)
        outcomes = deposits(ledger, bad, bad, bad)
        assert told(outcomes) == [ACCEPTED] * 3
        assert [outcome.events[0].version for outcome in outcomes] == [4, 5, 6]
    assert rows(database_url, "SELECT event_type FROM event_store WHERE position = %s", position)
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert list(snapshots.newest(connection, [bad], [ACCOUNT.topic]))
        assert held_streams.examine(connection) == [bad]
        assert [finding.message for finding in verify(connection).findings] == []


def test_an_operator_accepts_a_gap_and_who_verifies_is_not_alarmed_by_it_any_more(
    database_url: str, accounts: list[UUID], ledger: Ledger
) -> None:
    bad, _ = accounts
    version = DAMAGES["gap"](database_url, bad)
    assert told(deposits(ledger, bad)) == [HELD]
    with psycopg.connect(database_url, autocommit=True) as connection:
        (finding,) = verify(connection).findings
        assert finding.tampering == "inserted"
        assert "inserted with a gap" in finding.message
        held_streams.repair(connection, bad, version, **BY)
        assert verify(connection).findings == ()
    reactivate = command("ReactivateAccount", bad, reason="a test", actor="ada")
    (outcome,) = ledger.execute([reactivate])  # the event behind the gap counts: it suspends
    assert (outcome.status, outcome.events[0].version) == ("ACCEPTED", version + 1)


def test_only_the_event_at_which_a_stream_is_held_is_repaired(
    database_url: str, accounts: list[UUID], ledger: Ledger
) -> None:
    bad, good = accounts
    appended(database_url, bad, "account.of_tomorrow")
    with psycopg.connect(database_url, autocommit=True) as connection:
        for stream_id, version, message in (
            (good, 1, "can be read"),
            (bad, 1, "is held at version 2"),
        ):
            with pytest.raises(CannotRepair, match=message):
                held_streams.repair(connection, stream_id, version, **BY)
        held_streams.repair(connection, bad, 2, **BY)
        with pytest.raises(CannotRepair):
            held_streams.repair(connection, bad, 2, **BY)


# --- what makes streams unreadable is refused or mended --------------------------------------


def test_the_database_refuses_a_gap_whoever_appends(
    database_url: str, accounts: list[UUID]
) -> None:
    with acting_as(database_url, "ledger_writer") as writer, pytest.raises(errors.IntegrityError):
        writer.execute(
            """INSERT INTO event_store (position, id, stream_id, stream_type, event_type,
                   event_version, event_data, occurred_at)
               SELECT head + 1, gen_random_uuid(), %s, 'account', 'account.suspended', 8,
                   '{"reason": "x"}', now()
               FROM begin_append(1, 'ledger_events')""",
            [accounts[0]],
        )


def test_a_snapshot_of_another_shape_is_deleted_and_the_log_read_instead(
    database_url: str, accounts: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shape of a state changed, and nobody raised its version."""
    with Ledger(database_url, snapshot_interval=2) as ledger:
        deposits(ledger, *[accounts[0]] * 6)
    assert len(rows(database_url, "SELECT FROM aggregate_snapshots")) == 2

    class Changed(ACCOUNT.state):  # type: ignore[misc,name-defined]
        new: int

    monkeypatch.setitem(
        AGGREGATES, "account", ACCOUNT.__class__(**(vars(ACCOUNT) | {"state": Changed}))
    )
    with Ledger(database_url) as ledger:
        assert told(deposits(ledger, *accounts)) == [ACCEPTED, ACCEPTED]
    assert len(rows(database_url, "SELECT FROM aggregate_snapshots")) == 1


def test_of_many_writers_on_one_account_none_starves(
    database_url: str, accounts: list[UUID]
) -> None:
    def withdraw(_: int) -> list[tuple[str, str | None]]:
        with Ledger(database_url) as ledger:
            return [told(deposits(ledger, accounts[0]))[0] for _ in range(15)]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(withdraw, range(4))) == [[ACCEPTED] * 15] * 4

"""What operators do is in the log: with the deed or not at all, and nothing else can be appended
that way."""

from uuid import uuid4

import orjson
import psycopg
import pytest
from psycopg import errors

from ledger.eventstore import reader
from ledger.eventstore.reader import RecordedEvent
from ledger.nouns.projections import events as projection_events
from ledger.nouns.projections.events import (
    ProjectionEventSkipped,
    ProjectionPaused,
    ProjectionRebuilt,
)
from ledger.operate import roles
from ledger.operate.plugins import migrate_all
from ledger.write.ledger import Ledger
from projections.engine import operator_events, pause
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import rebuild
from projections.engine.builds.rollback import rollback
from projections.engine.connection import connect
from projections.engine.operator_events import Deed
from projections.read_models import balances
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.commands import command, open_account
from tests.projections.workers import caught_up, running
from tests.roles.acting import acting_as, login_of

LIMITS = Limits(batch_positions=200, rows_in_memory=1_000)
PAUSED = ProjectionPaused(projection_name="orders", actor="ada", reason="the disk is full")


def log_of(database_url: str) -> list[RecordedEvent]:
    with psycopg.connect(database_url) as connection:
        return reader.read(connection, after=0, up_to=reader.head(connection))


def test_a_rebuild_is_in_the_log_with_actor_reason_time_and_login(database_url: str) -> None:
    migrate_all(database_url)
    with login_of(database_url, "ledger_operator") as login:
        url = roles.at_terminal(login)
        rebuild(url, balances.PROJECTION, LIMITS, deed=Deed("ada", "a disk was replaced"))
        rebuild(url, balances.PROJECTION, LIMITS)
    first, second = log_of(database_url)
    done = first.decoded()
    assert isinstance(done, ProjectionRebuilt)
    assert (done.projection_name, done.actor, done.reason) == (
        "balances",
        "ada",
        "a disk was replaced",
    )
    assert done.details["generation"] == 2
    assert done.details["differences"] == 0
    assert first.event_type == "projection.rebuilt"
    assert (first.stream_type, first.stream_id) == (
        "projection",
        projection_events.stream_id("balances"),
    )
    assert login.split("//")[1].startswith(orjson.loads(first.metadata)["login"])
    assert first.occurred_at == first.recorded_at
    assert (first.position, first.event_version) == (1, 1)
    assert (second.position, second.event_version) == (2, 2)
    repeated = second.decoded()
    assert isinstance(repeated, ProjectionRebuilt)
    assert repeated.actor == operator_events.whoever_this_is()


def test_steering_and_going_back_are_in_the_log_too(database_url: str) -> None:
    migrate_all(database_url)
    ada = Deed("ada", "month end")
    with login_of(database_url, "ledger_operator") as login:
        url = roles.at_terminal(login)
        with connect(url, "steering", by_key=False) as connection:
            for _ in range(2):  # the second changes nothing, and there is nothing to tell of it
                pause.pause(connection, ["balances"], ada)
            pause.resume(connection, ["balances"], ada)
        rebuild(url, balances.PROJECTION, LIMITS, deed=ada)
        rollback(url, balances.PROJECTION, LIMITS, deed=ada)
    told = [(one.event_type, one.decoded()) for one in log_of(database_url)]
    assert [kind for kind, _ in told] == [
        "projection.paused",
        "projection.resumed",
        "projection.rebuilt",
        "projection.rolled_back",
    ]
    for _, done in told:
        assert isinstance(done, projection_events.ProjectionOperation)
        assert (done.projection_name, done.actor, done.reason) == ("balances", "ada", "month end")


def test_what_is_taken_back_was_never_recorded(database_url: str) -> None:
    with acting_as(database_url, "ledger_operator") as connection:
        with connection.transaction(force_rollback=True):
            assert operator_events.record(connection, PAUSED) == 1
        assert operator_events.record(connection, PAUSED) == 1
    assert len(log_of(database_url)) == 1


@pytest.mark.parametrize(
    "role",
    ["ledger_writer", "ledger_projector", "ledger_auditor", "ledger_user", "ledger_monitor"],
)
def test_only_operators_record_operations(database_url: str, role: str) -> None:
    with (
        acting_as(database_url, role) as connection,
        pytest.raises(errors.InsufficientPrivilege),
    ):
        operator_events.record(connection, PAUSED)


def test_an_operator_can_append_nothing_else(database_url: str) -> None:
    account_id = uuid4()
    with Ledger(database_url) as ledger:
        ledger.execute([open_account(account_id)])
    statement = "SELECT record_operation(gen_random_uuid(), %s, %s, %s, 'ledger_events')"
    data = '{"projection_name": "orders", "actor": "ada"}'
    stream_id = projection_events.stream_id("orders")
    with acting_as(database_url, "ledger_operator") as connection:
        for parameters in (
            (account_id, "projection.paused", data),  # an account's stream
            (stream_id, "account.deposited", data),  # an event about money
            (stream_id, "projection.paused", '{"projection_name": "orders"}'),  # by nobody
            (stream_id, "projection.paused", '{"projection_name": "orders", "actor": " "}'),
            (stream_id, "projection.paused", '{"actor": "ada"}'),  # about nothing
        ):
            with pytest.raises(errors.CheckViolation):
                connection.execute(statement, parameters)
        operator_events.record(connection, PAUSED)
        with pytest.raises(errors.CheckViolation, match="not that of projection balances"):
            connection.execute(
                statement,
                (stream_id, "projection.paused", '{"projection_name":"balances","actor":"ada"}'),
            )
        for forbidden in ("INSERT INTO event_store DEFAULT VALUES", "SELECT begin_append(1, 'x')"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_an_operators_own_objects_cannot_get_between_the_record_and_the_log(
    database_url: str,
) -> None:
    with psycopg.connect(database_url, autocommit=True) as owner:  # operators could not
        owner.execute(
            """CREATE FUNCTION public.btrim(text) RETURNS text LANGUAGE plpgsql AS
               $$BEGIN RAISE EXCEPTION 'called with the rights of %', current_user; END$$"""
        )
    with acting_as(database_url, "ledger_operator") as connection:
        connection.execute("CREATE TEMPORARY TABLE event_store (LIKE public.event_store)")
        connection.execute("SET search_path = pg_temp, public, pg_catalog")
        operator_events.record(connection, PAUSED)
    assert [event.event_type for event in log_of(database_url)] == ["projection.paused"]


def test_commands_go_on_after_an_operation_and_see_what_it_left(database_url: str) -> None:
    account_id = uuid4()
    with Ledger(roles.as_role(database_url, roles.WRITER, "a test")) as ledger:
        ledger.execute([open_account(account_id)])
        with acting_as(database_url, "ledger_operator") as connection:
            operator_events.record(connection, PAUSED)
        (outcome,) = ledger.execute([command("Deposit", account_id, asset="USDT", amount="5")])
        assert outcome.status == "ACCEPTED"
        assert (outcome.events[0].position, outcome.events[0].version) == (3, 2)
    assert [event.position for event in log_of(database_url)] == [1, 2, 3]


def test_read_models_move_past_operations_and_say_nothing_of_them(database_url: str) -> None:
    projections = all_projections(ProjectionSettings())
    with acting_as(database_url, "ledger_operator") as connection:
        operator_events.record(connection, PAUSED)
        operator_events.record(
            connection,
            ProjectionEventSkipped(
                projection_name="orders", actor="ada", reason="a test", details={"position": 7}
            ),
        )
    with running(database_url, projections):
        caught_up(database_url)
    with psycopg.connect(database_url) as connection:
        assert connection.execute(
            "SELECT DISTINCT last_processed_position, total_events_processed FROM event_projections"
        ).fetchall() == [(2, 0)]


def test_listeners_are_told_of_operations(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as listener:
        listener.execute(f"LISTEN {reader.NOTIFY_CHANNEL}".encode())
        with acting_as(database_url, "ledger_operator") as connection:
            operator_events.record(connection, PAUSED)
        (told,) = listener.notifies(timeout=5, stop_after=1)
    assert told.payload == "1"

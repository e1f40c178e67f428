"""What each role may do, asked of the catalogue: whatever table is added, it is asked about."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql

from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.roles.acting import ROLES, acting_as, login_of

CHANGES = ("INSERT", "UPDATE", "DELETE", "TRUNCATE")

_RELATIONS = """
    SELECT nspname, relname, relkind FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND nspname !~ '^(pg_|information_schema)'
    ORDER BY 1, 2"""  # noqa: E501
READ_MODELS = {
    table.name
    for projection in all_projections(ProjectionSettings())
    for table in projection.tables
}


@pytest.fixture(scope="module")
def database_url(postgres_url: str) -> Iterator[str]:
    """One for all: nobody here manages to change it."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        yield url


def relations(database_url: str) -> list[tuple[str, str, str]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(_RELATIONS).fetchall()


def privileges(database_url: str, role: str) -> dict[str, set[str]]:
    """What the role may do with whole relations, or with some of their columns."""
    query = f"""
        SELECT nspname || '.' || relname, array_agg(privilege) FROM ({_RELATIONS.replace("relkind FROM", "relkind, pg_class.oid FROM")}) AS r,
            unnest(%(privileges)s::text[]) AS privilege
        WHERE has_table_privilege(%(role)s, r.oid, privilege)
            OR privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                AND has_any_column_privilege(%(role)s, r.oid, privilege)
        GROUP BY 1"""  # noqa: E501
    names = ["SELECT", *CHANGES, "REFERENCES", "TRIGGER"]
    with psycopg.connect(database_url) as connection:
        return {
            name: set(found)
            for name, found in connection.execute(
                query.encode(), {"role": role, "privileges": names}
            )
        }


def attempt(connection: psycopg.Connection[Any], statement: sql.Composed) -> bool:
    """Whether it is allowed; whatever it does is taken back."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except errors.InsufficientPrivilege:
        return False
    except (
        errors.ObjectNotInPrerequisiteState,
        errors.FeatureNotSupported,
        errors.WrongObjectType,
    ):
        return False  # a view that nobody can write to, or that cannot be truncated
    except psycopg.Error:
        return True  # refused for what was in it, not for who it was
    return True


def test_the_auditor_can_read_everything(database_url: str) -> None:
    with acting_as(database_url, "ledger_auditor") as connection:
        for schema, name, _ in relations(database_url):
            connection.execute(
                sql.SQL("SELECT FROM {} LIMIT 1").format(sql.Identifier(schema, name))
            )


def test_the_auditor_can_change_nothing(database_url: str) -> None:
    found = privileges(database_url, "ledger_auditor")
    assert len(found) > 15
    assert {name: rights for name, rights in found.items() if rights != {"SELECT"}} == {}
    with acting_as(database_url, "ledger_auditor") as connection:
        for schema, name, _ in relations(database_url):
            relation = sql.Identifier(schema, name)
            for statement in ("INSERT INTO {} DEFAULT VALUES", "DELETE FROM {}", "TRUNCATE {}"):
                allowed = attempt(connection, sql.SQL(statement).format(relation))
                assert not allowed, f"{statement} {schema}.{name}"


def test_the_auditor_can_make_nothing_and_call_nothing_that_writes(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        places = connection.execute(
            """SELECT nspname FROM pg_namespace
               WHERE nspname !~ '^pg_' AND has_schema_privilege('ledger_auditor', oid, 'CREATE')"""
        ).fetchall()
        sequences = connection.execute(
            """SELECT relname FROM pg_class WHERE CASE relkind WHEN 'S'
               THEN has_sequence_privilege('ledger_auditor', oid, 'USAGE, UPDATE') END"""
        ).fetchall()
        functions = connection.execute(
            """SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
               AND (prosecdef OR provolatile = 'v') AND prorettype <> 'trigger'::regtype
               AND has_function_privilege('ledger_auditor', oid, 'EXECUTE')"""
        ).fetchall()
        member_of = connection.execute(
            """SELECT rolname FROM pg_roles WHERE rolname <> 'ledger_auditor'
               AND pg_has_role('ledger_auditor', oid, 'MEMBER')"""
        ).fetchall()
    # They tell numbers: what everybody's queries of the read models depend on, how the ledger is,
    # how far it is, who is in the way of appends, which statements and transactions take long, what
    # read models take.
    told = [
        *(("append_blockers",), ("generation_bytes",), ("live_generation",), ("log_standing",)),
        *(("long_transactions",), ("series_stored",), ("statement_statistics",), ("vitals",)),
    ]
    assert (places, sequences, sorted(functions), member_of) == ([], [], told, [])


def test_the_writer_can_append_and_nothing_else(database_url: str) -> None:
    assert privileges(database_url, "ledger_writer") == {
        "public.event_store": {"SELECT", "INSERT"},
        "public.log_incarnations": {"SELECT"},
        "public.event_seals": {"SELECT"},
        "public.event_archives": {"SELECT"},
        "public.archived_events": {"SELECT"},
        "public.command_inbox": {"SELECT", "INSERT"},
        "public.unreadable_messages": {"INSERT"},
        "public.failed_commands": {"INSERT", "SELECT"},
        "public.held_streams": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "public.aggregate_snapshots": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "public.command_workers": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "public.command_partitions": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "public.schema_migrations": {"SELECT"},
    }


def test_the_writer_cannot_read_balances_nor_any_other_read_model(database_url: str) -> None:
    read_models = [
        (schema, name) for schema, name, _ in relations(database_url) if name in READ_MODELS
    ]
    assert ("public", "balances") in read_models
    assert ("balances_1", "balances") in read_models
    with acting_as(database_url, "ledger_writer") as connection:
        for schema, name in read_models:
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(sql.SQL("SELECT FROM {}").format(sql.Identifier(schema, name)))


def test_the_projector_cannot_append(database_url: str) -> None:
    assert privileges(database_url, "ledger_projector")["public.event_store"] == {"SELECT"}
    with acting_as(database_url, "ledger_projector") as connection:
        for statement in (
            "INSERT INTO event_store DEFAULT VALUES",
            "SELECT begin_append(1, 'ledger_events')",
            "SELECT record_operation(gen_random_uuid(), gen_random_uuid(), 'projection.paused',"
            " '{}', 'ledger_events')",
            "SELECT repair_stream(gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),"
            " 'stream.gap_accepted', '{}', 'ledger_events')",
            "CREATE TABLE public.mine ()",
            "CREATE OR REPLACE VIEW balances AS SELECT 1",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)


def test_monitoring_sees_how_far_everything_is_and_nothing_else(database_url: str) -> None:
    assert privileges(database_url, "ledger_monitor") == {
        "public.event_store": {"SELECT"},
        "public.event_partitions": {"SELECT"},
        "public.event_archives": {"SELECT"},
        "public.event_projections": {"SELECT"},
        "public.event_seals": {"SELECT"},
        "public.held_streams": {"SELECT"},
        "public.command_workers": {"SELECT"},
        "public.command_partitions": {"SELECT"},
        "public.clock_jobs": {"SELECT"},
        "public.database_performance_metrics": {"SELECT"},
        "public.slow_queries": {"SELECT"},
        "public.table_statistics": {"SELECT"},
        "public.tables_needing_maintenance": {"SELECT"},
        "public.unused_indexes": {"SELECT"},
        "public.projection_build_parts": {"SELECT"},
        "public.projection_builders": {"SELECT"},
        "public.projection_dead_letters": {"SELECT"},
        "public.projection_generations": {"SELECT"},
        "public.projection_leases": {"SELECT"},
        "public.retention_log": {"SELECT"},
        "public.schema_migrations": {"SELECT"},
    }
    with acting_as(database_url, "ledger_monitor") as connection:
        connection.execute("SELECT max(position), max(recorded_at) FROM event_store")
        for column in ("event_data", "user_id", "stream_id", "metadata"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(f"SELECT {column} FROM event_store".encode())


def test_a_user_reads_the_read_models_and_nothing_else(database_url: str) -> None:
    found = privileges(database_url, "ledger_user")
    # And as of when the rows are that it reads.
    assert {name.partition(".")[2] for name in found} <= READ_MODELS | {"event_projections"}
    assert all(rights == {"SELECT"} for rights in found.values())


def test_who_serves_by_http_has_nobodys_rights_until_it_works_as_somebody(
    database_url: str,
) -> None:
    """The exact list: what is not in it the program cannot do by itself."""
    assert privileges(database_url, "ledger_http") == {
        "public.event_projections": {"SELECT"},
        "public.schema_migrations": {"SELECT"},
        "public.web_sessions": {"SELECT", "INSERT", "UPDATE", "DELETE"},
        "public.web_approvals": {"SELECT", "INSERT", "UPDATE"},
        "public.web_token_uses": {"SELECT", "INSERT", "UPDATE"},
    }
    with psycopg.connect(database_url) as connection:
        becomes = connection.execute(
            """SELECT rolname FROM pg_roles WHERE rolname <> 'ledger_http'
               AND pg_has_role('ledger_http', oid, 'MEMBER') ORDER BY 1"""
        ).fetchall()
    # The operator brings what the projector may, and that what whoever watches sees.
    assert [name for (name,) in becomes] == [
        "ledger_auditor",
        "ledger_monitor",
        "ledger_operator",
        "ledger_projector",
        "ledger_user",
    ]
    with login_of(database_url, "ledger_http") as url, psycopg.connect(url) as connection:
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SELECT FROM balances")
        connection.rollback()
        connection.execute("SET LOCAL ROLE ledger_user")
        assert connection.execute("SELECT FROM balances").fetchall() == []
        connection.rollback()
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute("SET LOCAL ROLE ledger_writer")


def test_the_public_at_large_may_do_nothing(database_url: str) -> None:
    assert privileges(database_url, "public") == {}
    with psycopg.connect(database_url) as connection:
        assert connection.execute(
            "SELECT has_schema_privilege('public', 'public', 'CREATE')"
        ).fetchone() == (False,)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_can_change_history(database_url: str, role: str) -> None:
    assert privileges(database_url, role).get("public.event_store", set()) <= {"SELECT", "INSERT"}
    with acting_as(database_url, role) as connection:
        for statement in (
            "UPDATE event_store SET event_type = 'x'",
            "DELETE FROM event_store",
            "TRUNCATE event_store",
            "ALTER TABLE event_store DISABLE TRIGGER ALL",
            "DROP TABLE event_store",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_nothing_runs_with_the_rights_of_its_owner_but_what_is_granted_alone(
    database_url: str,
) -> None:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            """SELECT proname, proconfig[1:1] FROM pg_proc
               WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"""
        ).fetchall()
    assert found == [
        (name, ["search_path=pg_catalog, pg_temp"])
        for name in (
            "add_series_partitions",
            "analyze_generation",
            "append_blockers",
            "begin_append",
            "copy_access",
            "create_generation",
            "cut_series",
            "drop_generation",
            "end_append_blocker",
            "forget_outcomes",
            "forget_unreadable_messages",
            "generation_bytes",
            "give_generation",
            "guard_appended_events",
            "guard_records",
            "index_generation",
            "journal_archives",
            "journal_records",
            "live_generation",
            "log_standing",
            "long_transactions",
            "make_event_partition",
            "mark_generation",
            "readers_in_the_way",
            "record_operation",
            "register_streams",
            "repair_stream",
            "series_stored",
            "settle_failed_command",
            "show_generation",
            "statement_statistics",
            "vitals",
        )
    ]


def test_every_table_of_a_read_model_has_row_level_security(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        found: dict[str, bool] = dict(
            connection.execute(
                """SELECT relname, relrowsecurity FROM pg_class
                   JOIN pg_namespace AS n ON n.oid = relnamespace
                   WHERE relkind IN ('r', 'p') AND nspname ~ '_[0-9]+$' AND nspname !~ '^pg_'"""
            ).fetchall()
        )
        views: dict[str, list[str]] = dict(
            connection.execute(
                """SELECT relname, reloptions FROM pg_class
                   WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace"""
            ).fetchall()
        )
    assert found == dict.fromkeys(READ_MODELS, True)
    assert all(options == ["security_invoker=true"] for options in views.values())

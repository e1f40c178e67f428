"""Time series as hypertables of TimescaleDB, where a server has it: what is theirs alone. What they
have in common with partitions is in test_series.py."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import errors, sql

from ledger.operate import production
from projections.engine.builds import past, previous
from projections.engine.builds.rebuild import rebuild
from projections.engine.builds.rollback import rollback
from projections.engine.operator_events import Deed
from tests.portfolio.test_series import (
    CLOCK,
    LIMITS,
    NAME,
    PROJECTION,
    asked,
    end,
    month_of,
    partitions,
    take,
    tell_half_a_year,
)
from tests.projections import log as events
from tests.projections.log import USER, opened_log
from tests.projections.workers import caught_up, running
from tests.roles.acting import acting_as

OTHER = UUID(int=77)


@pytest.fixture
def url(timescale_database_url: str) -> str:
    """Snapshots of two users in each of six months, kept as hypertables."""
    with opened_log(timescale_database_url) as log:
        log.append(OTHER, events.account_opened(user_id=OTHER), events.deposited("USDT", "7"))
    tell_half_a_year(timescale_database_url)
    with running(timescale_database_url, [PROJECTION]):
        caught_up(timescale_database_url, NAME)
    return timescale_database_url


def execute(database_url: str, statement: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(statement.encode())


def compress(database_url: str) -> None:
    """All that there are of snapshots, whatever the time is."""
    for part in partitions(database_url):
        execute(
            database_url,
            f"CALL convert_to_columnstore('{live_schema(database_url)}.{NAME}_{part}', true)",
        )


def live_schema(database_url: str) -> str:
    found = asked(
        database_url,
        f"""SELECT projection_name || '_' || generation FROM event_projections
            WHERE projection_name = '{NAME}'""",
    )
    return str(found[0][0])


def stored(database_url: str) -> tuple[Any, ...]:
    """Of snapshots: whether they are a hypertable, its parts, how many of those are compressed,
    bytes, why not."""
    (found,) = asked(
        database_url,
        f"""SELECT is_hypertable, parts, compressed, bytes, failure FROM series_stored()
            WHERE table_name = '{NAME}'""",
    )
    return found


def rows(database_url: str) -> list[tuple[Any, ...]]:
    return asked(database_url, f"SELECT * FROM {NAME} ORDER BY account_id, time, last_position")


def companions(database_url: str) -> int:
    """How many tables TimescaleDB keeps of compressed parts."""
    found = asked(
        database_url,
        """SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'compress_hyper%'
               AND relnamespace = '_timescaledb_internal'::regnamespace""",
    )
    return int(found[0][0])


def seen_by(database_url: str, user: UUID | None, relation: str = NAME) -> set[UUID]:
    with acting_as(database_url, "ledger_user", user) as connection:
        return {
            found for (found,) in connection.execute(f"SELECT user_id FROM {relation}".encode())
        }


def test_compressed_months_have_the_same_rows(url: str) -> None:
    before = rows(url)
    compress(url)
    assert stored(url)[:3] == (True, 5, 5)
    parts = f"SELECT parts FROM table_statistics WHERE table_name = '{NAME}'"
    assert asked(url, parts) == [(6,)]  # itself among them
    assert rows(url) == before
    assert rebuild(url, PROJECTION, LIMITS).equal
    assert rows(url) == before


def test_months_that_are_over_for_a_week_are_compressed_by_a_job(url: str) -> None:
    jobs = asked(
        url,
        f"""SELECT j.job_id, (SELECT count(*) FROM series_parts('{NAME}_1', '{NAME}') AS p
                WHERE p.until < now() - interval '7 days')
            FROM timescaledb_information.jobs AS j WHERE j.hypertable_name = '{NAME}'""",
    )
    ((job, months),) = jobs
    execute(url, f"CALL run_job({job})")
    assert stored(url)[2] == months


def test_what_comes_for_a_compressed_month_is_kept_and_the_month_is_dropped_with_it(
    url: str,
) -> None:
    compress(url)
    with opened_log(url) as log:
        log._versions[CLOCK] = 18
        take(log, month_of(5) + timedelta(days=3))
        take(log, month_of(2))
    with running(url, [PROJECTION]):
        caught_up(url, NAME)
    assert (partitions(url)["202605"], partitions(url)["202602"]) == (6, 2)
    assert rebuild(url, PROJECTION, LIMITS).equal
    compress(url)
    with opened_log(url) as log:
        log._versions[CLOCK] = 20
        end(log, month_of(8))
    with running(url, [PROJECTION]):
        caught_up(url, NAME)
    assert partitions(url).keys() & {"202602", "202605"} == set()
    assert companions(url) == 5 + stored(url)[2]
    assert partitions(url)["202606"] == 4


def test_a_compressed_month_that_is_being_read_is_emptied(url: str) -> None:
    compress(url)
    with psycopg.connect(url) as reader:
        reader.execute(f"SELECT count(*) FROM {NAME}_1.{NAME}_202605".encode())
        with opened_log(url) as log:
            log._versions[CLOCK] = 18
            end(log, month_of(8))
        with running(url, [PROJECTION]):
            caught_up(url, NAME)
        reader.rollback()
    assert partitions(url)["202605"] == 0


def test_a_user_sees_their_rows_alone_and_no_function_of_theirs_sees_others(url: str) -> None:
    compress(url)
    for user in (USER, OTHER):
        for relation in (NAME, f"{NAME}_1.visible_{NAME}"):
            assert seen_by(url, user, relation) == {user}
    assert seen_by(url, None) == set()
    for relation in (f"{NAME}_1.{NAME}", f"{NAME}_1.{NAME}_202605"):
        with pytest.raises(errors.InsufficientPrivilege):
            seen_by(url, USER, relation)
    with psycopg.connect(url, autocommit=True) as connection:
        name = sql.Identifier(connection.info.dbname)
        connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO ledger_user").format(name))
    with acting_as(url, "ledger_user", USER) as connection:
        heard: set[str] = set()
        connection.add_notice_handler(lambda notice: heard.add(notice.message_primary or ""))
        connection.execute(
            """CREATE FUNCTION pg_temp.peek(seen uuid) RETURNS boolean COST 0.0001
               LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', seen; RETURN true; END$$"""
        )
        connection.execute(f"SELECT FROM {NAME} WHERE pg_temp.peek(user_id)".encode())
        assert heard == {str(USER)}
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"DELETE FROM {NAME}_1.visible_{NAME}".encode())
    with acting_as(url, "ledger_auditor") as connection:
        assert connection.execute(f"SELECT FROM {NAME}".encode()).rowcount == 8
    with psycopg.connect(url) as connection:
        assert production._rows(connection).status == "ok"


def test_a_database_goes_from_one_to_the_other_and_back_with_its_rights(url: str) -> None:
    before = rows(url)
    execute(
        url,
        f"""CREATE ROLE reader_of_{NAME};
            GRANT SELECT ON {NAME} TO reader_of_{NAME};
            GRANT USAGE ON SCHEMA {NAME}_1 TO reader_of_{NAME};
            GRANT SELECT ON {NAME}_1.visible_{NAME} TO reader_of_{NAME};
            DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET ledger.series_storage = partitions',
                current_database()); END$$""",
    )
    try:
        assert rebuild(url, PROJECTION, LIMITS).equal
        assert not stored(url)[0]
        for _ in range(2):
            assert rows(url) == before
            assert (seen_by(url, USER), seen_by(url, OTHER)) == ({USER}, {OTHER})
            with acting_as(url, f"reader_of_{NAME}") as connection:
                assert connection.execute(f"SELECT FROM {NAME}".encode()).rowcount == 0
            rollback(url, PROJECTION, LIMITS)
        assert not stored(url)[0]
        rollback(url, PROJECTION, LIMITS)
        assert stored(url)[0]
    finally:
        execute(url, f"DROP OWNED BY reader_of_{NAME}; DROP ROLE reader_of_{NAME}")


def test_a_policy_of_somebody_s_own_that_a_hypertable_cannot_have_is_named(url: str) -> None:
    setting = """DO $$BEGIN EXECUTE format('ALTER DATABASE %I {} ledger.series_storage {}',
        current_database()); END$$"""
    execute(url, setting.format("SET", "= partitions"))
    rebuild(url, PROJECTION, LIMITS)
    execute(url, f"CREATE POLICY large_ones ON {NAME}_2.{NAME} TO ledger_user USING (equity > 9)")
    execute(url, setting.format("RESET", ""))
    with pytest.raises(psycopg.Error, match="large_ones"):
        rebuild(url, PROJECTION, LIMITS)
    assert not stored(url)[0]


def test_a_past_build_is_partitioned_and_shows_users_their_rows(url: str) -> None:
    past.look(url, [PROJECTION], 20, LIMITS)
    assert seen_by(url, USER, f"past_20.{NAME}") == {USER}


def test_a_generation_that_is_dropped_leaves_nothing_of_its_own(url: str) -> None:
    compress(url)
    rebuild(url, PROJECTION, LIMITS)
    compress(url)
    was = previous.drop(url, [PROJECTION], 10, Deed("test", "none"))
    assert [one.generation for one in was] == [1]
    names = asked(url, "SELECT DISTINCT hypertable_schema FROM timescaledb_information.hypertables")
    assert names == [(f"{NAME}_2",)]
    assert companions(url) == stored(url)[2] == 5

"""Time series by the month: made ahead, dropped when they are over, the same when made anew. In
partitions, and in the chunks of TimescaleDB's hypertables where a server has it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger.eventstore import reader
from ledger.eventstore.moments import InvalidMoment, Moment, moment
from ledger.nouns.clock import state as clock_state
from ledger.nouns.clock.events import CalendarPeriod, PeriodsEnded, SnapshotKind, SnapshotsTaken
from projections.engine.builds.candidate import Limits, Shadow, no_progress
from projections.engine.builds.rebuild import rebuild
from projections.engine.connection import connect
from projections.engine.live import source
from projections.engine.live.rows import RowSet
from projections.past.fold import fold_told
from projections.portfolio import series
from projections.portfolio.performance_rows import PERFORMANCE
from projections.portfolio.risk_rows import RISK
from projections.questions.catalogue import questions
from projections.questions.question import Question
from projections.registry import find
from projections.settings import ProjectionSettings
from tests.conftest import TEMPLATE
from tests.databases import temporary_database
from tests.projections import log as events
from tests.projections.log import ACCOUNT, START, Log, opened_log
from tests.projections.workers import caught_up, running
from tests.roles.acting import acting_as

NAME = "portfolio_snapshots"
PROJECTION = find(NAME, ProjectionSettings(portfolio_snapshot_retention_days=60))
CLOCK = clock_state.stream_id()
MEASURED = ("the account", "its user", "the environment")
LIMITS = Limits(batch_positions=7, rows_in_memory=100)


def month_of(number: int) -> datetime:
    return datetime(2026 + (number - 1) // 12, (number - 1) % 12 + 1, 1, tzinfo=UTC)


def take(log: Log, time: datetime) -> None:
    taken = SnapshotsTaken(kind=SnapshotKind.SCHEDULED, time=time)
    log.append(CLOCK, taken, user_id=None)


def end(log: Log, time: datetime) -> None:
    periods = (CalendarPeriod.DAY, CalendarPeriod.MONTH)
    log.append(CLOCK, PeriodsEnded(time=time, periods=periods), user_id=None)


def asked(database_url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url) as connection:
        return connection.execute(statement.encode()).fetchall()


@pytest.fixture(params=["partitions", "hypertables"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh migrated database, of each way to keep a time series."""
    server = {"partitions": "postgres_url", "hypertables": "timescale_url"}[request.param]
    with temporary_database(request.getfixturevalue(server), template=TEMPLATE) as url:
        yield url


def is_hypertable(database_url: str) -> bool:
    stored = "SELECT is_hypertable FROM series_stored() WHERE table_name = 'portfolio_snapshots'"
    return asked(database_url, stored) == [(True,)]


def partitions(database_url: str, table: str = NAME) -> dict[str, int]:
    """Those of the live generation, and how many rows each has."""
    found = asked(
        database_url,
        f"""SELECT c.relname, n.nspname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            JOIN event_projections AS p ON n.nspname = p.projection_name || '_' || p.generation
            WHERE inhparent = to_regclass(n.nspname || '.{table}')""",
    )
    return {
        name.removeprefix(f"{table}_"): int(
            asked(database_url, f"SELECT count(*) FROM {schema}.{name}")[0][0]
        )
        for name, schema in found
    }


@pytest.fixture
def half_a_year(database_url: str) -> str:
    """A snapshot in each of six months, each ended."""
    tell_half_a_year(database_url)
    with running(database_url, [PROJECTION]):
        caught_up(database_url, NAME)
    return database_url


def tell_half_a_year(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        for number in range(1, 7):
            take(log, month_of(number))
            take(log, month_of(number) + timedelta(days=7))
            end(log, month_of(number + 1))


def test_partitions_are_made_ahead_and_dropped_when_their_time_is_over(half_a_year: str) -> None:
    found = partitions(half_a_year)
    if not is_hypertable(half_a_year):  # which has none of what has no month
        assert found.pop("default") == 0
    assert found == {
        "202605": 2,
        "202606": 2,
        "202607": 0,
        "202608": 0,
        "202609": 0,
    }
    assert partitions(half_a_year, "portfolio_hourly").keys() >= {"202601", "202606"}
    kept = asked(half_a_year, "SELECT count(*), min(time) FROM portfolio_daily")
    assert kept == [(12, month_of(1))]


def test_hours_and_what_was_risked_in_them_are_dropped_alike(database_url: str) -> None:
    tell_half_a_year(database_url)
    projection = find(NAME, ProjectionSettings(portfolio_hourly_retention_days=60))
    with running(database_url, [projection]):
        caught_up(database_url, NAME)
    for table, rows in (("portfolio_hourly", 2), ("risk_metrics", 2 * len(MEASURED))):
        found = partitions(database_url, table)
        assert (found["202605"], found["202606"]) == (rows, rows)
        assert "202604" not in found
    assert rebuild(database_url, projection, LIMITS).equal


def test_what_was_dropped_is_recorded(half_a_year: str) -> None:
    with opened_log(half_a_year) as log:
        log._versions[CLOCK] = 18
        end(log, month_of(8))
    with running(half_a_year, [PROJECTION]):
        caught_up(half_a_year, NAME)
    told = asked(half_a_year, "SELECT dropped, amount, older_than FROM retention_log ORDER BY id")
    assert told[-1] == (NAME, 2, month_of(6))
    assert partitions(half_a_year)["202606"] == 2


def test_made_anew_the_rows_are_the_same_and_those_that_were_dropped_stay_so(
    half_a_year: str,
) -> None:
    report = rebuild(half_a_year, PROJECTION, LIMITS)
    assert report.equal
    assert partitions(half_a_year)["202605"] == 2
    assert "202601" not in partitions(half_a_year)


def test_what_comes_for_a_month_that_was_dropped_stays_whatever_the_batches_are(
    half_a_year: str,
) -> None:
    with opened_log(half_a_year) as log:
        log._versions[CLOCK] = 18
        take(log, month_of(2))
    with running(half_a_year, [PROJECTION]):
        caught_up(half_a_year, NAME)
    assert partitions(half_a_year)["202602"] == 1
    for batch in (1, 1_000):
        assert rebuild(half_a_year, PROJECTION, Limits(batch, 100)).equal


def test_users_see_their_rows_through_the_view_and_no_partition(half_a_year: str) -> None:
    with opened_log(half_a_year) as log:
        log._versions[CLOCK] = 18
        other = events.ORDER
        log.append(other, events.account_opened(user_id=other), events.deposited("USDT", "7"))
        take(log, month_of(7))
    with running(half_a_year, [PROJECTION]):
        caught_up(half_a_year, NAME)
    with acting_as(half_a_year, "ledger_user", events.USER) as connection:
        found = connection.execute("SELECT DISTINCT equity FROM portfolio_snapshots").fetchall()
        assert found == [(Decimal(5),)]
        for partition in partitions(half_a_year):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT FROM {NAME}_1.{NAME}_{partition}".encode())


@pytest.mark.parametrize("database_url", ["partitions"], indirect=True)
def test_rows_without_a_partition_are_kept_and_find_one_in_a_rebuild(half_a_year: str) -> None:
    """Somebody reads what has no partition, for long: none can be attached."""
    with psycopg.connect(half_a_year) as reader:
        reader.execute(f"SELECT FROM {NAME}_1.{NAME}_default".encode())
        with opened_log(half_a_year) as log:
            log._versions[CLOCK] = 18
            take(log, month_of(24))
        with running(half_a_year, [PROJECTION]):
            caught_up(half_a_year, NAME)
        reader.rollback()
    assert partitions(half_a_year)["default"] == 1
    assert rebuild(half_a_year, PROJECTION, LIMITS).equal
    assert partitions(half_a_year)["default"] == 0
    assert partitions(half_a_year)["202712"] == 1


@pytest.mark.parametrize("database_url", ["partitions"], indirect=True)
def test_rows_without_a_partition_are_cut_as_well(half_a_year: str) -> None:
    with psycopg.connect(half_a_year) as reader:
        reader.execute(f"SELECT FROM {NAME}_1.{NAME}_default".encode())
        with opened_log(half_a_year) as log:
            log._versions[CLOCK] = 18
            take(log, month_of(24))
        with running(half_a_year, [PROJECTION]):
            caught_up(half_a_year, NAME)
        reader.rollback()
    assert partitions(half_a_year)["default"] == 1
    with opened_log(half_a_year) as log:
        log._versions[CLOCK] = 19
        end(log, month_of(30))
    with running(half_a_year, [PROJECTION]):
        caught_up(half_a_year, NAME)
    assert partitions(half_a_year)["default"] == 0
    assert asked(half_a_year, "SELECT count(*) FROM portfolio_snapshots") == [(0,)]


def test_nobody_is_held_up_by_a_reader_of_what_is_over(half_a_year: str) -> None:
    with psycopg.connect(half_a_year) as reader:
        reader.execute(f"SELECT count(*) FROM {NAME}_1.{NAME}_202605".encode())
        with opened_log(half_a_year) as log:
            log._versions[CLOCK] = 18
            end(log, month_of(9))
        with running(half_a_year, [PROJECTION]):
            caught_up(half_a_year, NAME)
        reader.rollback()
    assert partitions(half_a_year)["202605"] == 0
    assert asked(half_a_year, "SELECT count(*) FROM portfolio_snapshots") == [(0,)]


@pytest.mark.parametrize("database_url", ["partitions"], indirect=True)
def test_batches_end_before_snapshots_of_many_accounts_fill_the_memory(database_url: str) -> None:
    with opened_log(database_url) as log:
        for number in range(30):
            log.append(UUID(int=number + 1), events.account_opened(), events.deposited("USDT", "5"))
        for number in range(20):
            take(log, month_of(1) + timedelta(minutes=number))
    most: list[int] = []

    def seen(rows: RowSet) -> None:
        most.append(rows[series.SNAPSHOTS].unwritten)

    watched = replace(PROJECTION, finish=seen)
    with connect(database_url, "test", by_key=False) as connection:
        shadow = Shadow(
            connection, watched, f"{NAME}_watched", Limits(1_000, 500),
            logged=True, on_progress=no_progress,
        )  # fmt: skip
        shadow.fold_to(80)
        assert sum(most) == 600
        assert max(most) <= 90


@pytest.mark.parametrize("database_url", ["partitions"], indirect=True)
def test_an_account_is_told_as_it_was_known_and_as_it_is_known_of_a_time(
    half_a_year: str,
) -> None:
    question: Question[Any] = questions()["snapshots"]
    with psycopg.connect(half_a_year) as connection, connection.transaction():
        known = question.at(connection, moment(connection, known_at="16"), account_id=ACCOUNT)
        now = question.at(
            connection, moment(connection, effective_at="2026-03-09T00:00Z"), account_id=ACCOUNT
        )
    assert [row.last_position for row in known] == [16, 15]
    assert [(row.time, row.equity, row.external_flows) for row in now] == [
        (datetime(2026, 3, 9, tzinfo=UTC), 5, 5)
    ]


def test_performance_risk_and_equity_are_told_as_they_were_known(database_url: str) -> None:
    """As a fold of the log up to there has them, periods that were under way then, too."""
    begin = START.replace(hour=0) + timedelta(days=1)
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "1000"))
        log.account(events.settled("1", "100"))
        for hours in (0, 1, 5, 24, 30, 48, 50):
            take(log, begin + timedelta(hours=hours))
            log.account(events.settled("1", str(100 + hours)))
        named = SnapshotsTaken(
            kind=SnapshotKind.MANUAL, time=begin + timedelta(hours=51), account_id=ACCOUNT
        )
        log.append(CLOCK, named, user_id=None)
    with running(database_url, [PROJECTION]):
        caught_up(database_url, NAME)
    with psycopg.connect(database_url) as connection, connection.transaction():
        recorded = source.read(
            connection, after=0, up_to=reader.head(connection), event_types=PROJECTION.event_types
        )
        for position in (3, 4, 9, 12, len(recorded)):
            told = [(one, one.decoded()) for one in recorded if one.position <= position]
            for name, table in (("performance", PERFORMANCE), ("risk", RISK)):
                question: Question[Any] = questions()[name]
                known = question.at(connection, Moment(position), account_id=ACCOUNT)
                expected = [row for row in fold_told(table, told) if row["account_id"] == ACCOUNT]
                assert len(known) == len(expected)
                for row in known:
                    assert {name: getattr(row, name) for name in table.columns} in expected
        equity: Question[Any] = questions()["equity"]
        position = len(recorded)
        now = equity.find(connection, account_id=ACCOUNT)
        assert equity.at(connection, Moment(position), account_id=ACCOUNT) == now
        earlier = equity.at(connection, Moment(9), account_id=ACCOUNT)
        assert (earlier[0].equity, earlier[0].last_position) == (1002, 8)
        assert {row.time: row.last_position for row in now}[earlier[0].time] > 9
        with pytest.raises(InvalidMoment, match="as they were known"):
            equity.moment(
                connection,
                {"account_id": ACCOUNT},
                known_at=None,
                effective_at="2026-03-02T00:00Z",
            )

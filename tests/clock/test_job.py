"""When jobs are due, and under which ids their commands go."""

from datetime import UTC, datetime, time, timedelta

from uuid_utils.compat import uuid7

from ledger.clock.job import DueCommand, Job, command_id
from ledger.clock.jobs import all_jobs
from ledger.nouns.clock.commands import EndPeriods
from ledger.operate.settings import Settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def every(what: timedelta | time, made_up: int | None = None) -> Job:
    return Job("test", "a test", every=what, commands=lambda _, __: (), made_up=made_up)


def test_moments_of_an_interval_are_the_same_for_all() -> None:
    job = every(30 * SECOND)
    assert job.newest(NOON) == job.newest(NOON + 29 * SECOND) == NOON
    assert job.newest(NOON + 30 * SECOND) == NOON + 30 * SECOND


def test_a_time_of_day_is_due_once_a_day_in_utc() -> None:
    job = every(time(13))
    assert job.newest(NOON) == NOON.replace(day=28, month=2, hour=13)
    assert job.newest(NOON.replace(hour=13)) == NOON.replace(hour=13)


def test_what_was_missed_is_made_up_in_its_order() -> None:
    assert every(30 * SECOND).due(NOON, NOON + 95 * SECOND) == (
        [NOON + 30 * SECOND, NOON + 60 * SECOND, NOON + 90 * SECOND],
        0,
    )
    assert every(30 * SECOND).due(NOON, NOON + SECOND) == ([], 0)


def test_of_a_long_outage_the_newest_are_made_up_and_the_others_counted() -> None:
    moments, passed_over = every(30 * SECOND, made_up=2).due(NOON, NOON + timedelta(hours=1))
    assert moments == [NOON + timedelta(minutes=59.5), NOON + timedelta(hours=1)]
    assert passed_over == 118


def test_a_clock_that_goes_back_finds_nothing_due() -> None:
    assert every(30 * SECOND).due(NOON, NOON - timedelta(hours=1)) == ([], 0)


def test_ids_are_those_of_job_moment_account_and_key() -> None:
    data, account = EndPeriods(time=NOON), uuid7()
    commands = [DueCommand(data), DueCommand(data, account), DueCommand(data, account, "a")]
    ids = {command_id("a", NOON, one) for one in commands}
    ids |= {command_id("b", NOON, commands[0]), command_id("a", NOON + SECOND, commands[0])}
    assert len(ids) == 5
    assert command_id("a", NOON, DueCommand(data)) in ids


def test_the_ledgers_own_jobs_are_registered() -> None:
    jobs = {job.name: job for job in all_jobs(Settings(portfolio_snapshot_seconds=60))}
    assert jobs["snapshots"].every == timedelta(minutes=1)
    assert jobs["periods"].every == time(0)

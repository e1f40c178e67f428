"""Projection workers and their database die at random points: every event is applied once.

Two `ledgerctl serve projections` compete for the read models while one of them, both or the
database are killed, again and again. `make faults` does many rounds (LEDGER_TEST_ROUNDS).
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from benchmarks.event_mix import EventMix, append_mix
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from projections.engine.builds import rebuild
from projections.engine.builds.candidate import Limits
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.projections.workers import caught_up, statuses, wait_until

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "4"))
EVENTS_PER_ROUND = 250
LONGEST_WORK_SECONDS = 0.4
"""A fault comes within this time after new events: most often in the middle of the work on them."""
TAKEOVER_SECONDS = 10.0
PROJECTIONS = all_projections(ProjectionSettings())


class Service:
    """`ledgerctl serve projections` as a process."""

    def __init__(self, log: Path, database_url: str, **settings: str) -> None:
        self._log = log
        self._environment = os.environ | settings | {
            "LEDGER_DATABASE_URL": database_url,
            "LEDGER_METRICS_PORT": "0",
        }  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ledger", "serve", "projections"],
                cwd=self._log.parent,
                env=self._environment,
                stderr=log,
            )

    def restart_if_ended(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self.start()

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.send(signal.SIGCONT)
            self._process.terminate()
            assert self._process.wait(30) == 0, self.said()[-2_000:]

    def said(self) -> str:
        return self._log.read_text() if self._log.exists() else ""


def owners(database_url: str) -> set[int]:
    """The processes that own the projections."""
    rows = statuses(database_url).values()
    return {int((row.owner or "::0").split(":")[1] or 0) if row.is_owned else 0 for row in rows}


def workers_connected(database_url: str) -> dict[str, int]:
    """How many workers of each projection have a session at the database."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            """SELECT projection.name, count(session.pid)
            FROM unnest(%s::text[]) AS projection (name)
            LEFT JOIN pg_stat_activity AS session
                ON session.application_name = 'ledger ' || projection.name
            GROUP BY projection.name""",
            [[projection.name for projection in PROJECTIONS]],
        ).fetchall()
    return dict(rows)


def of_each(workers: int) -> dict[str, int]:
    """So many workers of each projection."""
    return {projection.name: workers for projection in PROJECTIONS}


def every_event_was_applied_once(database_url: str) -> None:
    for projection in PROJECTIONS:
        limits = Limits(batch_positions=20_000, rows_in_memory=50_000)
        report = rebuild.verify(database_url, projection, limits)
        assert report.equal, report
        assert report.parked == 0
        with psycopg.connect(database_url) as connection:
            counted = connection.execute(
                """SELECT total_events_processed,
                       (SELECT count(*) FROM event_store WHERE event_type = ANY(%s))
                   FROM event_projections WHERE projection_name = %s""",
                [projection.event_types, projection.name],
            ).fetchone()
        assert counted is not None
        assert counted[0] == counted[1] == report.events


def _at_work(services: list[Service], database_url: str) -> bool:
    """Whether every projection has an owner. Starts what has ended, as a process manager would:
    a service that finds no database when it starts says so and ends."""
    for service in services:
        service.restart_if_ended()
    return 0 not in owners(database_url)


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Service]]:
    """To be filled by the test; stopped at its end."""
    running: list[Service] = []
    try:
        yield running
    finally:
        for service in running:
            service.stop()


@pytest.mark.timeout(120 + 15 * ROUNDS)
def test_killed_workers_and_crashes_of_the_database_change_no_row(
    postgres_server: EmbeddedPostgres,
    services: list[Service],
    tmp_path: Path,
    record_property: Any,
) -> None:
    migrate_all(postgres_server.url)
    settings = {"LEDGER_PROJECTION_BATCH_POSITIONS": "20", "LEDGER_PROJECTION_LEASE_SECONDS": "1"}
    services += [
        Service(tmp_path / f"{name}.log", postgres_server.url, **settings)
        for name in ("one", "two")
    ]
    seed = random.SystemRandom().randrange(10**6)
    chance, mix = random.Random(seed), EventMix(accounts=5, seed=seed)
    record_property("seed", seed)
    sys.stdout.write(f"seed {seed}\n")  # shown if the test fails
    in_work = 0
    for number in range(ROUNDS):
        wait_until(lambda: _at_work(services, postgres_server.url), "workers")
        with psycopg.connect(postgres_server.url, autocommit=True) as connection:
            append_mix(connection, mix, EVENTS_PER_ROUND)
        time.sleep(chance.uniform(0, LONGEST_WORK_SECONDS))
        in_work += any(row.lag_events for row in statuses(postgres_server.url).values())
        # Each kind of fault in turn; when it strikes is left to chance.
        if number % 4 == 3:
            chance.choice(services).kill()
            postgres_server.stop("immediate")
            postgres_server.start()
        elif number % 4 == 1:
            postgres_server.stop("immediate")
            postgres_server.start()
        else:
            for service in services if number % 4 == 2 else [chance.choice(services)]:
                service.kill()
    wait_until(lambda: _at_work(services, postgres_server.url), "workers")
    caught_up(postgres_server.url, seconds=30 + 3 * ROUNDS)
    every_event_was_applied_once(postgres_server.url)
    sys.stdout.write(f"{ROUNDS} faults, {in_work} of them in the middle of work\n")


def test_a_worker_that_hangs_is_followed_within_ten_seconds_and_steps_back_when_it_wakes(
    postgres_server: EmbeddedPostgres, services: list[Service], tmp_path: Path
) -> None:
    url = postgres_server.url
    migrate_all(url)
    mix = EventMix(accounts=5, seed=1)
    for name in ("first", "second"):
        services.append(
            Service(tmp_path / f"{name}.log", url, LEDGER_PROJECTION_BATCH_POSITIONS="20")
        )
        services[-1].start()
        wait_until(lambda: owners(url) == {services[0].pid}, "the first to own all")
    first, second = services
    wait_until(lambda: "projections.started" in second.said(), "the second to stand by")
    with psycopg.connect(url, autocommit=True) as connection:
        append_mix(connection, mix, 2_000)
    first.send(signal.SIGSTOP)
    hung_at = time.monotonic()
    wait_until(lambda: owners(url) == {second.pid}, "the second to take over", second.said)
    took_over = time.monotonic() - hung_at
    assert took_over < TAKEOVER_SECONDS
    sys.stdout.write(f"taken over after {took_over:.1f} s\n")
    caught_up(url)
    epochs = {name: row.epoch for name, row in statuses(url).items()}
    assert workers_connected(url) == of_each(1), "the sessions of who was followed are ended"
    first.send(signal.SIGCONT)
    with psycopg.connect(url, autocommit=True) as connection:
        append_mix(connection, mix, 2_000)
    wait_until(
        lambda: workers_connected(url) == of_each(2),
        "all workers of the first to stand by beside those of the second",
        lambda: (workers_connected(url), first.said()),
    )
    assert '"projection.interrupted"' in first.said(), "it tells what it noticed"
    caught_up(url)
    assert {name: row.epoch for name, row in statuses(url).items()} == epochs
    assert owners(url) == {second.pid}
    every_event_was_applied_once(url)
    second.kill()
    wait_until(lambda: owners(url) == {first.pid}, "the first to take over again")

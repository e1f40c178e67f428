"""Seals: `python -m benchmarks.seals [--json] [--events N] [--turns N]`.

    append      groups of events appended as the command worker does, with the sealer's service at
                work in a process of its own and without, in turns
    seal        everything appended sealed at once
    verify      the whole log verified as `ledgerctl audit verify` does, with a process for each
                core, and with one

`ratio` is appending with the sealer to appending without it. The machine's cores are shared by the
appender, PostgreSQL and the sealer. On a busy machine `verify_per_cpu_s` says more than the rates:
events per second of processor time of the one process that verifies, PostgreSQL's not counted.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from benchmarks.append import GROUP, _new_events
from benchmarks.harness import migrated_database, quiet, report, take_turns
from ledger.audit.prove.sealer import SealerOptions, seal_all
from ledger.audit.prove.verify import verify, verify_database
from ledger.eventstore import store
from ledger.operate.settings import Settings

APPENDED_AT_ONCE = 50_000
"""Events of one turn of appending."""
LOAD_GROUP = 10_000
"""Events per transaction when the log is only filled."""
START_SECONDS = 30.0


def main() -> None:
    quiet()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--json", action="store_true")
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--turns", type=int, default=3)
    options = arguments.parse_args()

    with migrated_database() as url, psycopg.connect(url, autocommit=True) as connection:

        def append_alone() -> float:
            return _append(connection, APPENDED_AT_ONCE, GROUP)

        def append_with_sealer() -> float:
            with _sealer(url, connection):
                return _append(connection, APPENDED_AT_ONCE, GROUP)

        append_alone()  # the first turn finds an empty log
        alone, with_sealer = take_turns(options.turns, append_alone, append_with_sealer)
        while (missing := options.events - _head(connection)) > 0:
            _append(connection, min(missing, APPENDED_AT_ONCE), LOAD_GROUP)
        settings = Settings()
        sealing = SealerOptions(
            settings.seal_block_events,
            settings.seal_block_age_seconds,
            Ed25519PrivateKey.generate(),
        )
        before = _sealed(connection)
        started = time.perf_counter()
        seals = sum(1 for _ in seal_all(connection, sealing))
        seal_rate = (_sealed(connection) - before) / (time.perf_counter() - started)
        started = time.perf_counter()
        verdict = verify_database(url)
        assert verdict.consistent, verdict.first
        all_cores = verdict.events / (time.perf_counter() - started)
        started, worked = time.perf_counter(), time.process_time()
        assert verify(connection).consistent
        one_process = verdict.events / (time.perf_counter() - started)
        per_cpu_second = verdict.events / (time.process_time() - worked)
    report(
        "seals",
        {
            "append_per_s": alone,
            "append_with_sealer_per_s": with_sealer,
            "ratio": with_sealer / alone,
            "seal_per_s": seal_rate,
            "verify_per_s": all_cores,
            "verify_one_process_per_s": one_process,
            "verify_per_cpu_s": per_cpu_second,
            "events": verdict.events,
            "seals": verdict.seals,
            "sealed_at_once": seals,
        },
    )


def _append(connection: psycopg.Connection[tuple[object, ...]], count: int, group: int) -> float:
    events = _new_events(count)
    started = time.perf_counter()
    for start in range(0, count, group):
        part = events[start : start + group]
        with connection.transaction(), connection.cursor() as cursor:
            store.copy_events(cursor, part, store.begin_append(cursor, len(part)))
    return count / (time.perf_counter() - started)


@contextmanager
def _sealer(url: str, connection: psycopg.Connection[tuple[object, ...]]) -> Iterator[None]:
    """`ledgerctl serve seals`, from the moment at which it has sealed what there was."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "serve", "seals"],
        env=os.environ | {"LEDGER_DATABASE_URL": url, "LEDGER_LOG_LEVEL": "ERROR"},
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while _head(connection) - _sealed(connection) >= GROUP:
            assert time.monotonic() < deadline, "the sealer does not catch up"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def _head(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    return _number(connection, "SELECT coalesce(max(position), 0) FROM event_store")


def _sealed(connection: psycopg.Connection[tuple[object, ...]]) -> int:
    return _number(connection, "SELECT coalesce(max(last_position), 0) FROM event_seals")


def _number(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(str(row[0]))


if __name__ == "__main__":
    main()

"""Old snapshots through swaps of every read model: never empty, never mixed, never another's.

    round     `ledgerctl projections rebuild --all`, then a rollback of every read model, and
              forward again, all at once, by a login that is an operator and nothing more
    reader    takes a snapshot, lets some time go by, and reads through the public views. It must
              see what its own snapshot says is live: the same rows, by a hash, as in the tables of
              the generation that its event_projections names; and the books must balance
    writer    appends all the while, so that swaps have something to fold

`make faults ROUNDS=100` is the whole; the suite runs a part.
"""

import asyncio
import os
import secrets
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import orjson
import psycopg
import pytest
from psycopg import IsolationLevel, sql

from benchmarks.event_mix import EventMix, append_mix
from ledger.operate.plugins import migrate_all
from projections.engine.builds.candidate import Limits
from projections.engine.builds.rebuild import verify_all
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.cli import running as ledgerctl
from tests.projections.everything import append_everything
from tests.projections.workers import caught_up, running
from tests.roles.acting import login_of

ROUNDS = int(os.environ.get("LEDGER_TEST_ROUNDS", "1"))
SEED = os.environ.get("LEDGER_TEST_SEED") or secrets.token_hex(4)
ROUND_SECONDS = 120
PROJECTIONS = all_projections(ProjectionSettings())
VIEWS = [(p.name, table.name) for p in PROJECTIONS for table in p.public_tables]
VIEWS_OF_A_READER = 4
THINK_SECONDS = 0.4
"""Most that a reader does between its snapshot and its first look: longer than a swap."""
EVENTS_AT_ONCE, BETWEEN_APPENDS_SECONDS = 3, 0.1

_HASH = "SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text COLLATE \"C\")) FROM {} AS t"
_LIVE = "SELECT projection_name, generation FROM event_projections"
_UNBALANCED = """
    SELECT asset, sum(total) FROM (SELECT asset, total FROM balances
        UNION ALL SELECT asset, total FROM contra_balances) AS books
    GROUP BY asset HAVING sum(total) <> 0"""

Read: TypeAlias = "Callable[[psycopg.Connection[Any], Random, threading.Event], None]"


@dataclass
class Seen:
    """What the readers did, and what they should not have seen."""

    transactions: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)


def _generations(reader: psycopg.Connection[Any]) -> dict[str, int]:
    return dict(reader.execute(_LIVE).fetchall())


def _check(reader: psycopg.Connection[Any], random: Random, live: dict[str, int]) -> None:
    for projection, name in random.sample(VIEWS, VIEWS_OF_A_READER):
        view, table = (
            sql.Identifier("public", name),
            sql.Identifier(f"{projection}_{live[projection]}", name),
        )
        shown = reader.execute(sql.SQL(_HASH).format(view)).fetchone()
        meant = reader.execute(sql.SQL(_HASH).format(table)).fetchone()
        assert shown is not None
        assert shown == meant, f"{name}: {shown} instead of generation {live[projection]}: {meant}"
        assert shown[0] > 0, f"{name} is empty"
    assert reader.execute(_UNBALANCED).fetchall() == []


def _late_look(reader: psycopg.Connection[Any], random: Random, stop: threading.Event) -> None:
    live = _generations(reader)
    stop.wait(random.uniform(0, THINK_SECONDS))
    _check(reader, random, live)


def _cursor(reader: psycopg.Connection[Any], random: Random, stop: threading.Event) -> None:
    """Some of the rows, the rest much later."""
    live = _generations(reader)
    projection, name = random.choice(VIEWS)
    table = sql.Identifier(f"{projection}_{live[projection]}", name)
    with reader.cursor(name="long") as cursor:
        cursor.execute(
            sql.SQL("SELECT t::text FROM {} AS t").format(sql.Identifier("public", name))
        )
        shown = cursor.fetchmany(2)
        stop.wait(random.uniform(0, THINK_SECONDS))
        shown += cursor.fetchall()
    meant = reader.execute(sql.SQL("SELECT t::text FROM {} AS t").format(table)).fetchall()
    assert sorted(shown) == sorted(meant), f"{name}: {len(shown)} rows instead of {len(meant)}"


def _copy(reader: psycopg.Connection[Any], random: Random, stop: threading.Event) -> None:
    live = _generations(reader)
    stop.wait(random.uniform(0, THINK_SECONDS))
    projection, name = random.choice(VIEWS)
    table = sql.Identifier(f"{projection}_{live[projection]}", name)
    statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT")
    copied = []
    for relation in (sql.Identifier("public", name), table):
        with reader.cursor() as cursor, cursor.copy(statement.format(relation)) as copy:
            copied.append(sorted(b"".join(copy).splitlines()))
    assert copied[0] == copied[1], f"{name}: {len(copied[0])} rows instead of {len(copied[1])}"


def _imported(reader: psycopg.Connection[Any], random: Random, stop: threading.Event) -> None:
    """The snapshot of another, who leaves at once."""
    (snapshot,) = reader.execute("SELECT pg_export_snapshot()").fetchone() or ("",)
    with psycopg.connect(reader.info.dsn) as second:
        second.isolation_level = IsolationLevel.REPEATABLE_READ
        second.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(sql.Literal(snapshot)))
        live = _generations(second)
        reader.commit()
        stop.wait(random.uniform(0, THINK_SECONDS))
        _check(second, random, live)


READERS: dict[str, tuple[IsolationLevel, Read]] = {
    "repeatable read": (IsolationLevel.REPEATABLE_READ, _late_look),
    "serializable": (IsolationLevel.SERIALIZABLE, _late_look),
    "cursor": (IsolationLevel.REPEATABLE_READ, _cursor),
    "copy": (IsolationLevel.REPEATABLE_READ, _copy),
    "imported snapshot": (IsolationLevel.REPEATABLE_READ, _imported),
}


def _read(url: str, kind: str, seen: Seen, stop: threading.Event) -> None:
    level, read = READERS[kind]
    random = Random(f"{SEED} {kind}")
    with psycopg.connect(url, application_name=kind) as reader:
        reader.isolation_level = level
        while not stop.is_set():
            try:
                read(reader, random, stop)
                seen.transactions[kind] += 1
            except (AssertionError, psycopg.Error) as error:
                seen.failures.append(f"{kind}: {error}")
                stop.set()
            reader.rollback()


def _write(url: str, mix: EventMix, stop: threading.Event) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.wait(BETWEEN_APPENDS_SECONDS):
            append_mix(connection, mix, EVENTS_AT_ONCE)


@contextmanager
def _traffic(
    database_url: str, reader_url: str, mix: EventMix, seen: Seen
) -> Iterator[threading.Event]:
    stop = threading.Event()
    threads = [threading.Thread(target=_write, args=(database_url, mix, stop))]
    threads += [
        threading.Thread(target=_read, args=(reader_url, kind, seen, stop)) for kind in READERS
    ]
    with running(database_url, PROJECTIONS):
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        caught_up(database_url)


@pytest.mark.timeout((ROUNDS + 1) * ROUND_SECONDS)
async def test_an_old_snapshot_sees_what_was_live_when_it_was_taken(
    database_url: str, tmp_path: Path
) -> None:
    migrate_all(database_url)
    mix = append_everything(database_url)
    with running(database_url, PROJECTIONS):
        caught_up(database_url)
    seen, swaps, longest = Seen(), 0, 0.0
    with (
        login_of(database_url, "ledger_operator") as operator,
        login_of(database_url, "ledger_auditor") as auditor,
    ):

        async def swapped(*arguments: str) -> list[dict[str, Any]]:
            done = await ledgerctl.run(
                "projections", *arguments, "--json", cwd=tmp_path, LEDGER_DATABASE_URL=operator
            )
            assert done.exit_code == 0, done.stderr
            said: dict[str, Any] = orjson.loads(done.stdout)
            found: list[dict[str, Any]] = said.get("projections", [said])
            assert all(one["still_read_by"] == [] for one in found), found
            return found

        with _traffic(database_url, auditor, mix, seen) as stop:
            for _ in range(ROUNDS):
                found = await swapped("rebuild", "--all")
                for _ in ("back", "forward"):
                    rollbacks = (swapped("rollback", projection.name) for projection in PROJECTIONS)
                    found += chain.from_iterable(await asyncio.gather(*rollbacks))
                swaps += len(found)
                longest = max([longest, *(one["swap_lock_ms"] for one in found)])
                if stop.is_set():
                    break
    sys.stderr.write(
        f"\nseed {SEED}: {swaps} swaps, no reader waited longer than {longest} ms; "
        f"transactions: {dict(seen.transactions)}\n"
    )
    assert seen.failures == []
    assert swaps == ROUNDS * 3 * len(PROJECTIONS)
    assert min(seen.transactions[kind] for kind in READERS) > 0
    limits = Limits(batch_positions=1_000, rows_in_memory=1_000)
    assert all(
        r.equal for r in await asyncio.to_thread(verify_all, database_url, PROJECTIONS, limits)
    )

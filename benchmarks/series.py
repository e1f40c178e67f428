"""What time series cost to keep and to ask, in partitions and as hypertables of TimescaleDB.

    python -m benchmarks.series --url postgresql://… --rows 1000000 --json

ACCOUNTS accounts, each with snapshots at even steps over a year, made by SQL in the shape of the
fold's: the equity wanders, most of the rest follows from it or stays. Written in order of time, a
day at once; then old months are compressed, where the database can, and the
questions of an account and of a user are asked as the query service asks them, each of ASKED
others, by somebody who sees every row and by the user. `--url`: a superuser's, of a server that may
have TimescaleDB; without it one of our own is started, which has partitions alone.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID, uuid4, uuid5

import psycopg
from psycopg import sql

from benchmarks.harness import directory, quiet
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from projections.questions import answers
from projections.questions.catalogue import questions

ACCOUNTS, USERS, ASKED = 100, 50, 100
BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
YEAR = timedelta(days=365)
NAME = "portfolio_snapshots"
STORAGES = ("partitions", "hypertables")


def account(number: int) -> UUID:
    return uuid5(UUID(int=1), str(number))


def user(number: int) -> UUID:
    return uuid5(UUID(int=2), str(number % USERS))


def measure(server_url: str, storage: str, rows: int) -> dict[str, Any]:
    with _database(server_url, storage) as url, psycopg.connect(url, autocommit=True) as connection:
        step = YEAR * ACCOUNTS / rows
        _make_accounts(connection)
        figures: dict[str, Any] = {"rows": rows, "rows written per s": _write(connection, step)}
        connection.execute("VACUUM ANALYZE")
        figures["bytes per row"] = _bytes(connection) / rows
        figures |= _asked(url, "")
        if storage == "hypertables":
            started = time.perf_counter()
            _compress(connection)
            figures["rows compressed per s"] = rows / (time.perf_counter() - started)
            connection.execute("VACUUM ANALYZE")
            figures["bytes per row, compressed"] = _bytes(connection) / rows
            figures |= _asked(url, ", compressed")
        return figures


@contextmanager
def _database(server_url: str, storage: str) -> Iterator[str]:
    name = f"bench_{uuid4().hex}"
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    with psycopg.connect(server_url, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            if storage == "hypertables":
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute("CREATE EXTENSION timescaledb")
            migrate_all(url)
            yield url
        finally:
            server.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))


def _make_accounts(connection: psycopg.Connection[Any]) -> None:
    connection.execute(
        """CREATE TEMPORARY TABLE made (number integer, account_id uuid, user_id uuid)""",
    )
    with connection.cursor().copy("COPY made FROM STDIN") as copy:
        for number in range(ACCOUNTS):
            copy.write_row((number, account(number), user(number)))
    connection.execute(
        """INSERT INTO accounts_1.accounts
            SELECT row.* FROM made, jsonb_populate_record(NULL::accounts_1.accounts,
                jsonb_build_object(
                'account_id', account_id, 'user_id', user_id, 'exchange', 'BINANCE',
                'account_name', 'account ' || number, 'account_type', 'CASH',
                'environment', 'LIVE', 'base_currency', 'USDT', 'status', 'ACTIVE',
                'created_at', %(begin)s::timestamptz, 'updated_at', %(begin)s::timestamptz,
                'last_position', number, 'cost_basis', 'FIFO',
                'position_mode', 'NETTING')) AS row""",
        {"begin": BEGIN},
    )
    # A day each, as `query equity` reads them.
    connection.execute(
        f"""INSERT INTO {NAME}_1.performance_metrics
            SELECT row.* FROM made CROSS JOIN generate_series(%(begin)s::timestamptz,
                %(begin)s::timestamptz + interval '364 days', interval '1 day') AS day
            CROSS JOIN (SELECT jsonb_object_agg(attname, 0) AS of FROM pg_attribute
                WHERE attrelid = '{NAME}_1.performance_metrics'::regclass AND attnum > 0
                    AND attnotnull AND atttypid IN ('numeric'::regtype, 'integer'::regtype,
                        'bigint'::regtype)) AS zeros,
                jsonb_populate_record(NULL::{NAME}_1.performance_metrics, zeros.of
                || jsonb_build_object('time', day, 'series', account_id, 'scope', 'ACCOUNT',
                    'account_id', account_id, 'user_id', user_id, 'environment', 'LIVE',
                    'period_type', 'DAILY', 'period_end', day + interval '1 day',
                    'currency', 'USDT',
                    'closing_balance', 10000 + random() * 100, 'data_points_count', 288,
                    'calculation_method', 'x', 'null_reasons', '{{}}'::jsonb, 'is_closed', true,
                    'through', day, 'updated_at', day)) AS row""".encode(),
        {"begin": BEGIN},
    )


def _write(connection: psycopg.Connection[Any], step: timedelta) -> float:
    """Rows a second."""
    connection.execute(
        "SELECT public.add_series_partitions(%s, %s, %s, %s, false)",
        [f"{NAME}_1", NAME, BEGIN, BEGIN + YEAR],
    )
    started, written, day = time.perf_counter(), 0, timedelta(days=1)
    for number in range(YEAR // day):
        written += connection.execute(
            _ROWS.encode(),
            {"from": BEGIN + number * day, "to": BEGIN + (number + 1) * day, "step": step},
        ).rowcount
    return written / (time.perf_counter() - started)


_ROWS = f"""
    INSERT INTO {NAME}_1.{NAME}
    SELECT at, user_id, account_id, 'BINANCE', 'LIVE', 'USDT', cash, cash - 3003, '[]', at, place,
        'SCHEDULED', worth, worth, worth - cash, 120.5, 14.2375, 0, 10000, worth / 10, worth / 20,
        3, worth * 0.8, worth * 0.8, worth * 0.6, 0.8, 0.05, round(worth * 0.021, 8), 0.08, 0.4,
         31.5, 1.0002, at - interval '12 seconds', 12, round(cash * 1.0002, 8),
        round((cash - 3003) * 1.0002, 8), round(worth * 1.0002, 8),
        round((worth - cash) * 1.0002, 8), 120.5241, round(worth * 0.10002, 8),
        round(worth * 0.05001, 8), round(worth * 0.80016, 8), round(worth * 0.0210042, 8), 0.08, 4,
        4, 12, 1, false, place, '{{}}'
    FROM (SELECT at, user_id, account_id, extract(epoch FROM at)::bigint AS place,
              round((9000 + number + 10 * floor(extract(epoch FROM at) / 86400) %% 700)::numeric,
                  4) AS cash,
              round((10000 + number + 500 * sin(extract(epoch FROM at) / 20000 + number)
                  + random() * 10)::numeric, 8) AS worth
          FROM generate_series(%(from)s::timestamptz,
              %(to)s::timestamptz - interval '1 microsecond', %(step)s::interval) AS at
              CROSS JOIN made) AS walk"""


def _compress(connection: psycopg.Connection[Any]) -> None:
    """As TimescaleDB's scheduler does."""
    jobs = connection.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = %s", [NAME]
    ).fetchall()
    for (job,) in jobs:
        connection.execute(sql.SQL("CALL run_job({})").format(job))


def _bytes(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute(
        "SELECT bytes FROM public.series_stored() WHERE table_name = %s", [NAME]
    ).fetchone()
    assert row is not None
    return int(row[0])


def _asked(url: str, how: str) -> dict[str, Any]:
    """p50 and p95 of each question, in milliseconds."""
    end = BEGIN + YEAR
    old = {"from_time": BEGIN + timedelta(days=40), "to_time": BEGIN + timedelta(days=41)}
    asked: dict[str, tuple[str, Any, int]] = {
        "equity of a year": (
            "equity", lambda n: {"account_id": account(n), "from_time": BEGIN}, 366,
        ),
        "portfolio of a user": ("portfolio", lambda n: {"user_id": user(n)}, 10),
        "portfolio of a user half a year ago": (
            "portfolio", lambda n: {"user_id": user(n), "at": end - YEAR / 2}, 10,
        ),
        "newest 100 of an account": ("snapshots", lambda n: {"account_id": account(n)}, 100),
        "newest 100 of a user": ("snapshots", lambda n: {"user_id": user(n)}, 100),
        "an old day of an account": (
            "snapshots", lambda n: {"account_id": account(n), **old}, 3_000,
        ),
    }  # fmt: skip
    figures: dict[str, Any] = {}
    with psycopg.connect(url) as connection:
        for role in ("ledger_projector", "ledger_user"):
            for name, (question, given, limit) in asked.items():
                taken = [
                    _one(connection, role, question, given(number), limit, user(number))
                    for number in range(ASKED)
                ]
                middle, late = statistics.median(taken), statistics.quantiles(taken, n=20)[-1]
                figures[f"{name}{how}, {role}: p50, p95 ms"] = (round(middle, 2), round(late, 2))
    return figures


def _one(
    connection: psycopg.Connection[Any],
    role: str,
    question: str,
    given: dict[str, Any],
    limit: int,
    user_id: UUID,
) -> float:
    with connection.transaction():
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
        connection.execute("SELECT set_config('app.current_user_id', %s, true)", [str(user_id)])
        started = time.perf_counter()
        page = answers.page(connection, questions()[question], given, limit=limit)
        assert page.rows
        return (time.perf_counter() - started) * 1_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--storage", choices=STORAGES, action="append")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        url = chosen.url
        if url is None:
            place = stack.enter_context(directory())
            url = stack.enter_context(EmbeddedPostgres(place)).url
        storages = chosen.storage or (STORAGES if chosen.url else STORAGES[:1])
        for storage in storages:
            figures = measure(url, storage, chosen.rows)
            print(json.dumps({storage: figures}, indent=None if chosen.json else 2), flush=True)


if __name__ == "__main__":
    quiet()
    main()

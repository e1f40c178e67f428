"""What snapshots of many accounts cost: to reckon and write them, to keep them, to ask for them.

    python -m benchmarks.snapshots --json

A log of ACCOUNTS accounts, each with a trade in one of INSTRUMENTS and open, and then, every 30 s
of its time, prices of all instruments and a snapshot of all accounts. It is folded as a rebuild
folds it; then the rows of one account are asked for as `ledgerctl query` asks.
"""

import statistics
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

import psycopg

from benchmarks.harness import migrated_database, quiet, report
from ledger.eventstore import codec, store
from ledger.kernel.environment import Environment
from ledger.kernel.event import Event
from ledger.nouns.accounts.events import (
    AccountDeposited,
    AccountOpened,
    AccountType,
    Posting,
    Reason,
    TradeSettled,
)
from ledger.nouns.clock import state as clock_state
from ledger.nouns.clock.events import SnapshotKind, SnapshotsTaken
from ledger.nouns.orders.events import Side
from ledger.nouns.prices import state as price_state
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from projections.engine.builds.candidate import Limits, Shadow, no_progress
from projections.engine.builds.generations import point_views
from projections.engine.connection import connect
from projections.install import install
from projections.registry import find
from projections.settings import ProjectionSettings

ACCOUNTS, INSTRUMENTS, MOMENTS = 1_000, 20, 120
"""An hour at 30 s."""
STEP = timedelta(seconds=30)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
ASKED = 50
_ACCOUNTS = [uuid5(UUID(int=1), str(number)) for number in range(ACCOUNTS)]
_NAME = "portfolio_snapshots"


def measure(database_url: str) -> dict[str, Any]:
    install(database_url)
    head = _write_log(database_url)
    projection = find(_NAME, ProjectionSettings())
    with connect(database_url, "benchmark", by_key=False) as connection:
        shadow = Shadow(
            connection,
            projection,
            f"{_NAME}_2",
            Limits(batch_positions=20_000, rows_in_memory=50_000),
            logged=True,
            on_progress=no_progress,
        )
        started, processor = time.perf_counter(), time.process_time()
        shadow.fold_to(head)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        connection.execute("ANALYZE")
        rows = ACCOUNTS * MOMENTS
        figures: dict[str, Any] = {
            "snapshots": rows,
            "snapshots_per_s": rows / seconds,
            "processor_us_per_snapshot": processor / rows * 1e6,
            "day_of_1000_accounts_at_30s_minutes": 2_880_000 / (rows / seconds) / 60,
        }
        for table in ("portfolio_snapshots", "portfolio_hourly", "asset_values"):
            size, count = _size(connection, table)
            figures[f"{table}: bytes per row"] = size / count
        point_views(connection, projection, f"{_NAME}_2")
        figures["newest 100 of an account: p95 ms"] = _p95(connection)
    return figures


def _size(connection: psycopg.Connection[Any], table: str) -> tuple[int, int]:
    row = connection.execute(
        f"""SELECT sum(bytes), (SELECT count(*) FROM {_NAME}_2.{table})
            FROM public.series_parts('{_NAME}_2', '{table}')""".encode()
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _p95(connection: psycopg.Connection[Any]) -> float:
    taken = []
    for account in _ACCOUNTS[:ASKED]:
        started = time.perf_counter()
        found = connection.execute(
            """SELECT * FROM public.portfolio_snapshots WHERE account_id = %s
               ORDER BY "time" DESC, last_position DESC LIMIT 100""",
            [account],
        ).fetchall()
        taken.append((time.perf_counter() - started) * 1_000)
        assert len(found) == 100
    return statistics.quantiles(taken, n=20)[-1]


# --- the log ------------------------------------------------------------------------------


def _write_log(database_url: str) -> int:
    versions: dict[UUID, int] = {}
    with psycopg.connect(database_url, autocommit=True) as connection:
        events = [one for number in range(ACCOUNTS) for one in _of_account(number)]
        for moment in range(MOMENTS):
            events += _of_moment(BEGIN + moment * STEP)
        for first in range(0, len(events), 1_000):
            chunk = [_new(*one, versions) for one in events[first : first + 1_000]]
            with connection.transaction(), connection.cursor() as cursor:
                appended = store.begin_append(cursor, len(chunk))
                store.copy_events(cursor, chunk, appended)
    return len(events)


def _of_account(number: int) -> list[tuple[UUID, Event]]:
    account = _ACCOUNTS[number]
    instrument = f"BINANCE:C{number % INSTRUMENTS}USDT"
    opened = AccountOpened(
        user_id=account,
        exchange="BINANCE",
        name=f"account {number}",
        account_type=AccountType.CASH,
        environment=Environment.LIVE,
        base_currency="USDT",
    )
    paid = AccountDeposited(
        asset="USDT",
        amount=Decimal(10_000),
        sub_account="main",
        postings=_legs("external", "USDT", "10000", Reason.DEPOSIT),
    )
    traded = TradeSettled(
        order_id=uuid4(),
        trade_id="1",
        instrument=instrument,
        side=Side.BUY,
        last_qty=Decimal("0.5"),
        last_px=Decimal("100.25"),
        postings=(
            *_legs("venue:BINANCE", f"C{number % INSTRUMENTS}", "0.5", Reason.TRADE),
            *_legs("venue:BINANCE", "USDT", "-50.125", Reason.TRADE),
        ),
    )
    return [(account, event) for event in (opened, paid, traded)]


def _legs(other: str, asset: str, amount: str, reason: Reason) -> tuple[Posting, ...]:
    moved = Decimal(amount)
    return (
        Posting(book="main", asset=asset, amount=moved, reason=reason),
        Posting(book=other, asset=asset, amount=-moved, reason=reason),
    )


def _of_moment(time: datetime) -> list[tuple[UUID, Event]]:
    step = (time - BEGIN) // STEP
    prices = {
        f"BINANCE:C{number}USDT": Decimal(100 + (step * 7 + number) % 11) for number in range(20)
    }
    told = PricesRecorded(
        venue="BINANCE", source="feed", kind=PriceKind.MARK, time=time, prices=prices
    )
    taken = SnapshotsTaken(kind=SnapshotKind.SCHEDULED, time=time)
    return [(price_state.stream_id("BINANCE"), told), (clock_state.stream_id(), taken)]


def _new(stream: UUID, event: Event, versions: dict[UUID, int]) -> store.NewEvent:
    version = versions[stream] = versions.get(stream, 0) + 1
    return store.NewEvent(
        id=uuid4(),
        stream_id=stream,
        stream_type=event.type.partition(".")[0],
        event_type=event.type,
        event_version=version,
        data=codec.encode(event),
        metadata='{"schema": 2}' if event.schema == 2 else "{}",
        correlation_id=None,
        causation_id=None,
        user_id=stream if isinstance(event, AccountOpened) else None,
        occurred_at=BEGIN,
    )


if __name__ == "__main__":
    quiet()
    with migrated_database() as url:
        report("snapshots", measure(url))

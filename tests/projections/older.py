"""Transactions that began before a swap, on a ledger with an order and a deposit."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from psycopg import IsolationLevel

from projections.engine.builds import candidate
from projections.engine.builds.rebuild import rebuild
from projections.read_models import balances, orders
from tests.projections import log as events
from tests.projections.log import opened_log
from tests.projections.workers import caught_up, running

LIMITS = candidate.Limits(batch_positions=200, rows_in_memory=1000, swap_patience_seconds=0.1)
BOTH = [balances.PROJECTION, orders.PROJECTION]
TOTAL = "SELECT total FROM balances"
VIEW = "SELECT pg_get_viewdef('public.balances'::regclass)"


def fill(database_url: str) -> None:
    with opened_log(database_url) as log:
        log.account(events.account_opened(), events.deposited("USDT", "5"))
        log.order(events.submitted(), events.accepted())
    with running(database_url, BOTH):
        caught_up(database_url, "balances", "orders")


def deposit(database_url: str, amount: str, version: int) -> None:
    with opened_log(database_url) as log:
        log._versions[events.ACCOUNT] = version
        log.account(events.deposited("USDT", amount))
    with running(database_url, BOTH):
        caught_up(database_url, "balances")


@contextmanager
def older(
    database_url: str, level: IsolationLevel = IsolationLevel.REPEATABLE_READ
) -> Iterator[psycopg.Connection[Any]]:
    """A transaction with a snapshot that has looked at something else."""
    with psycopg.connect(database_url, application_name="month end report") as reader:
        reader.isolation_level = level
        reader.execute("SELECT count(*) FROM symbols")
        yield reader


@contextmanager
def older_than_a_rebuild(
    database_url: str, level: IsolationLevel = IsolationLevel.REPEATABLE_READ
) -> Iterator[psycopg.Connection[Any]]:
    """The same, with a snapshot from between the build and the swap of a rebuild of balances."""
    with ExitStack() as stack:
        readers: list[psycopg.Connection[Any]] = []

        def begin(progress: candidate.BuildProgress) -> None:
            if progress.phase == "COMPARING":
                readers.append(stack.enter_context(older(database_url, level)))

        report = rebuild(database_url, balances.PROJECTION, LIMITS, on_progress=begin)
        assert report.swapped is not None
        (reader,) = readers
        assert f"session {reader.info.backend_pid} (month" in "".join(report.swapped.still_read_by)
        yield reader


def now(database_url: str, query: str = TOTAL) -> list[tuple[Any, ...]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()

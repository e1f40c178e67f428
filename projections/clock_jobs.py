"""What the clock finds due in the read models (ledger/clock/job.py).

    expiries     an order whose time is over and that is still open: its cancellation is asked for.
                 That it has expired only the venue can tell, or the gateway that never sent it:
                 until then it may trade, and holds what it holds. A DAY order without `expires_at`
                 ends when its venue says; nobody here knows that venue's day.
    rebalances   each midnight, accounts with a strategy of `auto_rebalance`
    rebalance_snapshots    what those are worth after it
    risk_scores    accounts whose risk score is too high, or no more (risk_scores.py)

Backtests have a time of their own, and are left out.
"""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg

from ledger.clock.job import DueCommand, Job
from ledger.nouns.allocations.commands import RebalanceAllocations
from ledger.nouns.clock.commands import TakeSnapshots
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.orders.commands import RequestCancel
from ledger.operate.settings import Settings
from projections import risk_scores

EXPIRY_SECONDS = 10
"""Between two looks for orders whose time is over: they are minutes and days."""
EXPIRED = "its time in force is over"
"""The reason of the request."""
SCORES_SECONDS = 300
"""Between two looks at risk scores. There is one each hour, some seconds after it: so its account
is told of within five minutes, and most looks send nothing."""

_EXPIRED = """
    SELECT account_id, order_id FROM public.orders
    WHERE status IN ('PENDING', 'NEW', 'PARTIALLY_FILLED') AND expires_at <= %s
        AND NOT cancel_requested AND environment IS DISTINCT FROM 'BACKTEST'
    ORDER BY expires_at, order_id"""
_REBALANCED = """
    SELECT DISTINCT account_id FROM public.user_strategy_assignments AS a
    JOIN public.accounts AS of_user USING (account_id)
    WHERE a.is_active AND a.auto_rebalance AND of_user.status = 'ACTIVE'
        AND of_user.environment <> 'BACKTEST'
    ORDER BY account_id"""


def jobs(_: Settings) -> Iterable[Job]:
    """All of the read side."""
    yield Job(
        "expiries",
        "orders whose time is over",
        every=timedelta(seconds=EXPIRY_SECONDS),
        commands=_expiries,
        made_up=1,
    )
    yield Job(
        "rebalances",
        "accounts with a strategy of auto_rebalance",
        every=time(0),
        commands=_rebalances,
        made_up=1,
    )
    yield Job(
        "rebalance_snapshots",
        "what those are worth after it",
        every=time(0, 1),
        commands=_rebalance_snapshots,
        made_up=1,
    )
    yield Job(
        "risk_scores",
        "accounts whose risk score is too high, or no more",
        every=timedelta(seconds=SCORES_SECONDS),
        commands=risk_scores.commands,
        made_up=1,
    )


def _expiries(connection: psycopg.Connection[Any], due: datetime) -> Iterable[DueCommand]:
    for account_id, order_id in connection.execute(_EXPIRED, [due]).fetchall():
        yield DueCommand(
            RequestCancel(order_id=order_id, reason=EXPIRED), account_id, str(order_id)
        )


def _rebalances(connection: psycopg.Connection[Any], _: datetime) -> Iterable[DueCommand]:
    for account_id in _rebalanced(connection):
        yield DueCommand(RebalanceAllocations(), account_id)


def _rebalance_snapshots(
    connection: psycopg.Connection[Any], due: datetime
) -> Iterable[DueCommand]:
    for account_id in _rebalanced(connection):
        taken = TakeSnapshots(time=due, kind=SnapshotKind.REBALANCE, account_id=account_id)
        yield DueCommand(taken, key=str(account_id))


def _rebalanced(connection: psycopg.Connection[Any]) -> list[UUID]:
    return [account_id for (account_id,) in connection.execute(_REBALANCED).fetchall()]

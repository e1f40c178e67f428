"""All jobs there are: those of the ledger itself, and what other packages register under the entry
points "ledger.clock_jobs", each a function from the settings to jobs."""

import importlib.metadata
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from ledger.clock.job import DueCommand, Job
from ledger.kernel.errors import LedgerError
from ledger.nouns.clock.commands import EndPeriods, TakeSnapshots
from ledger.nouns.clock.events import SnapshotKind
from ledger.nouns.equity.commands import MarkEquity
from ledger.nouns.heartbeats.commands import MissHeartbeat
from ledger.nouns.limits.state import scope_key
from ledger.nouns.limits.terms import LimitMeasure, LimitScope
from ledger.nouns.orders.commands import RequestCancel
from ledger.operate.settings import Settings
from ledger.write.open_orders import orders_left_alone

ENTRY_POINTS = "ledger.clock_jobs"
SNAPSHOTS_MADE_UP = 20
"""Moments of snapshots that are made up after an outage, ten minutes of them: what is told later of
an earlier moment knows balances as they are now, so a longer gap stays one, and is seen as such."""


HEARTBEAT_LOOK_SECONDS = 5
"""Between two looks at who was not heard of: a promise is of five seconds or more."""
MISSED = "nothing was heard of who looks after it"
"""The reason of the request."""


class JobTwice(LedgerError):
    """Two jobs have one name."""


def all_jobs(settings: Settings) -> tuple[Job, ...]:
    """By name. Raises JobTwice."""
    found: list[Job] = []
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINTS):
        found += entry_point.load()(settings)
    for name, count in Counter(job.name for job in found).items():
        if count > 1:
            raise JobTwice(f"{count} jobs of the clock are called {name!r}: rename all but one")
    return tuple(sorted(found, key=lambda job: job.name))


def of_ledger(settings: Settings) -> Iterable[Job]:
    """Those of the ledger itself."""
    yield Job(
        "snapshots",
        "what every account is worth",
        every=timedelta(seconds=settings.portfolio_snapshot_seconds),
        commands=_snapshots,
        made_up=SNAPSHOTS_MADE_UP,
    )
    yield Job(
        "equity",
        "what losses are compared with: at the hour, so at 00:00 UTC too",
        every=timedelta(hours=1),
        commands=_equity,
        made_up=1,
    )
    yield Job(
        "heartbeats",
        "cancels of the orders of whoever promised to be heard of, and is not",
        every=timedelta(seconds=HEARTBEAT_LOOK_SECONDS),
        commands=_heartbeats,
        made_up=1,
    )
    yield Job("periods", "the end of each day, month …", every=time(0), commands=_periods)


def _snapshots(connection: psycopg.Connection[Any], due: datetime) -> Iterable[DueCommand]:
    if _has_accounts(connection):
        yield DueCommand(TakeSnapshots(time=due, kind=SnapshotKind.SCHEDULED))


def _periods(connection: psycopg.Connection[Any], due: datetime) -> Iterable[DueCommand]:
    if _has_accounts(connection):
        yield DueCommand(EndPeriods(time=due))


def _has_accounts(connection: psycopg.Connection[Any]) -> bool:
    """Before there is one, there is nothing to tell of a moment."""
    opened = "SELECT EXISTS (SELECT FROM public.event_store WHERE event_type = 'account.opened')"
    return connection.execute(opened).fetchone() == (True,)


_PROMISES: LiteralString = """
    SELECT newest.event_data->>'scope', newest.event_data->>'reference',
        newest.event_type = 'heartbeat.missed'
    FROM (SELECT DISTINCT stream_id FROM public.event_store
        WHERE event_type = 'heartbeat.promised') AS promised
    CROSS JOIN LATERAL (
        SELECT event_type, event_data FROM public.event_store AS event
        WHERE event.stream_id = promised.stream_id ORDER BY event_version DESC LIMIT 1) AS newest
    WHERE (newest.event_data->>'until')::timestamptz <= %s ORDER BY 1, 2"""


def _heartbeats(connection: psycopg.Connection[Any], due: datetime) -> Iterable[DueCommand]:
    """Of each that is missed: that it is, and the cancel of what rests and nobody has asked the
    cancel of yet. So until something is heard; what comes meanwhile is asked for too."""
    asked = set[UUID]()
    for name, reference, is_told in connection.execute(_PROMISES, [due]).fetchall():
        scope = LimitScope(name)
        if not is_told:
            data = MissHeartbeat(scope=scope, reference=reference)
            yield DueCommand(data, key=f"missed {scope_key(scope, reference)}")
        for order in orders_left_alone(connection, scope, reference):
            if order.order_id not in asked:
                asked.add(order.order_id)
                cancel = RequestCancel(order_id=order.order_id, reason=MISSED)
                yield DueCommand(cancel, order.account_id, key=str(order.order_id))


_LIMITED: LiteralString = """
    WITH losses AS (
        SELECT DISTINCT event_data->>'scope' AS scope, event_data->>'reference' AS reference
        FROM public.event_store WHERE event_type = 'limits.set'
        AND event_data->'terms'->>'measure' = ANY(%s)
    )
    SELECT DISTINCT opened.stream_id FROM public.event_store AS opened JOIN losses
    ON losses.scope = 'SYSTEM' OR losses.reference IN
        (opened.stream_id::text, opened.event_data->>'user_id')
    WHERE opened.event_type = 'account.opened' ORDER BY 1"""


def _equity(connection: psycopg.Connection[Any], _: datetime) -> Iterable[DueCommand]:
    """Of the accounts whose losses were ever limited."""
    losses = [LimitMeasure.MAX_DAILY_LOSS.value, LimitMeasure.MAX_DRAWDOWN.value]
    for (account_id,) in connection.execute(_LIMITED, [losses]):
        yield DueCommand(MarkEquity(), account_id=account_id)

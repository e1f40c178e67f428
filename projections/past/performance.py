"""Performance, risk and equity as they were known: of each period the newest row that had been told
until then.

Rows of periods that are over never change, and those of periods under way are kept as they were
told (`performance_history`), as long as hours are: so what was shown can be shown again. As of a
time of the venue's they are not told: curves are made of what was seen at snapshots, in the order
in which it was.
"""

from collections.abc import Iterator
from typing import Any

import psycopg

from ledger.eventstore.moments import Moment
from ledger.kernel.money import exact
from projections.portfolio.performance_rows import SeriesScope
from projections.portfolio.periods import PeriodType
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement
from projections.summaries.performance import Grain

_PERFORMANCE = """
    WITH told AS (
        SELECT * FROM public.performance_metrics
        WHERE account_id = %(account_id)s AND last_position <= %(known_at)s
            AND period_type = ANY(%(period_types)s)
        UNION ALL
        SELECT * FROM public.performance_history
        WHERE account_id = %(account_id)s AND last_position <= %(known_at)s
            AND period_type = ANY(%(period_types)s))
    SELECT DISTINCT ON ("time", period_type, series) * FROM told
    ORDER BY "time" DESC, period_type DESC, series DESC, last_position DESC"""
_RISK = """
    SELECT * FROM public.risk_metrics
    WHERE account_id = %(account_id)s AND last_position <= %(known_at)s
    ORDER BY "time" DESC, series DESC, last_position DESC"""
_GRAINS = {PeriodType.DAILY: Grain.DAY, PeriodType.HOURLY: Grain.HOUR}


def performance_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[Row]:
    """Rows of an account and its strategies, newest first."""
    yield from _told(connection, moment, asked, asked.get("period_type") or list(PeriodType))


def risk_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of an account, newest first."""
    given = {"account_id": asked["account_id"], "known_at": moment.known_at}
    yield from stream(connection, SqlStatement(_RISK, given))


def equity_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """What an account was worth at the end of each day, or hour, newest first."""
    wanted = asked.get("grain") or [Grain.DAY]
    kinds = [kind for kind, grain in _GRAINS.items() if grain in wanted]
    for row in _told(connection, moment, asked, kinds):
        if row["scope"] == SeriesScope.ACCOUNT and row["data_points_count"]:
            yield _equity(row)


def _told(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked, kinds: list[PeriodType]
) -> Iterator[Row]:
    given = {
        "account_id": asked["account_id"],
        "known_at": moment.known_at,
        "period_types": [kind.value for kind in kinds],
    }
    yield from stream(connection, SqlStatement(_PERFORMANCE, given))


def _equity(row: Row) -> Row:
    """As the question makes it of a row of performance."""
    same = (
        *("time", "account_id", "user_id", "environment", "currency", "external_flows"),
        *("realized_pnl", "unrealized_pnl", "commission", "funding", "usd_rate", "last_position"),
    )
    with exact():
        opening = row["closing_balance"] - row["total_pnl"] - row["external_flows"]
    return {name: row[name] for name in same} | {
        "grain": _GRAINS[PeriodType(row["period_type"])],
        "opening_equity": opening,
        "equity": row["closing_balance"],
        "highest_equity": row["peak_balance"],
        "lowest_equity": row["valley_balance"],
        "profit": row["total_pnl"],
        "snapshot_count": row["data_points_count"],
        "last_time": row["through"],
    }

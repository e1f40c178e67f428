"""Risk scores that are too high, as risk events (docs/risk.md).

    above 70    WARNING, until it is below 65
    above 90    CRITICAL, until it is below 85

Between an end and its beginning what was told stays, so a score that goes up and down about a
threshold is one event. Each hour's score (`risk_metrics`) is judged once: of what was told after it
(`risk_events`), by a person too, nothing is told again. A score that is not known changes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import class_row

from ledger.clock.job import DueCommand
from ledger.kernel.money import shown
from ledger.nouns.limits.terms import LimitScope
from ledger.nouns.risk.commands import ClearRisk, ReportRisk
from ledger.nouns.risk.events import RiskEventType, RiskSeverity, RiskThreshold

WARNING_ABOVE, WARNING_ENDS_BELOW = Decimal(70), Decimal(65)
CRITICAL_ABOVE, CRITICAL_ENDS_BELOW = Decimal(90), Decimal(85)
"""Of a score from 0 to 100."""
JUDGED_FOR = timedelta(hours=2)
"""How old a score may be: there is one each hour, and an older one says nothing of now."""

_SCORES = """
    SELECT account_id, account.status = 'CLOSED' AS is_closed, score.time, score.risk_score,
        score.risk_score_parts, measured.id AS cause,
        CASE WHEN newest.is_open THEN newest.severity END AS told
    FROM public.accounts AS account
    LEFT JOIN LATERAL (
        SELECT r.time, r.risk_score, r.risk_score_parts, r.last_position
        FROM public.risk_metrics AS r
        WHERE r.series = account.account_id::text AND r.time > %(since)s AND r.time <= %(due)s
        ORDER BY r.time DESC, r.last_position DESC LIMIT 1
    ) AS score ON true
    LEFT JOIN public.event_store AS measured ON measured.position = score.last_position
    LEFT JOIN LATERAL (
        SELECT e.severity, e.is_open, e.last_position FROM public.risk_events AS e
        WHERE e.account_id = account.account_id AND e.event_type = 'RISK_SCORE'
        ORDER BY e.number DESC LIMIT 1
    ) AS newest ON true
    WHERE account.environment <> 'BACKTEST' AND (
        (account.status = 'CLOSED' AND newest.is_open)
        OR (account.status <> 'CLOSED' AND score.risk_score IS NOT NULL
            AND score.last_position > coalesce(newest.last_position, 0)
            AND (newest.is_open OR score.risk_score > %(above)s)))
    ORDER BY account_id"""


class Score(NamedTuple):
    """Of an account, and what is told of it: `told` is the severity of the event that is open.
    `cause` is the event that it was measured upon. A closed account has none that matters."""

    account_id: UUID
    is_closed: bool
    time: datetime | None
    risk_score: Decimal | None
    risk_score_parts: Mapping[str, str] | None
    cause: UUID | None
    told: RiskSeverity | None


def commands(connection: psycopg.Connection[Any], due: datetime) -> Iterable[DueCommand]:
    """Of each account whose score has reached another band."""
    asked = {"due": due, "since": due - JUDGED_FOR, "above": WARNING_ABOVE}
    with connection.cursor(row_factory=class_row(Score)) as cursor:
        for score in cursor.execute(_SCORES, asked).fetchall():
            for data in judged(score):
                yield DueCommand(data, key=str(score.account_id))


def severity_of(score: Decimal, told: RiskSeverity | None) -> RiskSeverity | None:
    """Which band it is in; None below all of them."""
    is_critical, is_told = told is RiskSeverity.CRITICAL, told is not None
    if score > CRITICAL_ABOVE or (is_critical and score >= CRITICAL_ENDS_BELOW):
        return RiskSeverity.CRITICAL
    if score > WARNING_ABOVE or (is_told and score >= WARNING_ENDS_BELOW):
        return RiskSeverity.WARNING
    return None


def judged(score: Score) -> Iterator[ReportRisk | ClearRisk]:
    """What is to be told of it, if anything."""
    told = None if score.told is None else RiskSeverity(score.told)
    found = None
    if not score.is_closed:
        if score.risk_score is None:
            return
        found = severity_of(score.risk_score, told)
    if found is None and told is not None:
        yield _cleared(score)
    elif found is not None and found is not told:
        yield _reported(score, found)


def _cleared(score: Score) -> ClearRisk:
    return ClearRisk(
        event_type=RiskEventType.RISK_SCORE,
        scope=LimitScope.ACCOUNT,
        reference=str(score.account_id),
        value=None if score.is_closed else score.risk_score,
        cause=None if score.is_closed else score.cause,
        occurred_at=None if score.is_closed else score.time,
    )


def _reported(score: Score, severity: RiskSeverity) -> ReportRisk:
    assert score.risk_score is not None
    parts = {name: Decimal(used) for name, used in (score.risk_score_parts or {}).items()}
    worst = max(sorted(parts), key=parts.__getitem__, default="")
    of_parts = f", by its {worst.replace('_', ' ')}" if worst else ""
    is_critical = severity is RiskSeverity.CRITICAL
    return ReportRisk(
        event_type=RiskEventType.RISK_SCORE,
        scope=LimitScope.ACCOUNT,
        reference=str(score.account_id),
        severity=severity,
        threshold=RiskThreshold.LIMIT if is_critical else RiskThreshold.WARNING,
        measure="risk_score",
        value=score.risk_score,
        limit=CRITICAL_ABOVE,
        warning=WARNING_ABOVE,
        unit="of 100",
        message=f"the risk score is {shown(round(score.risk_score, 2))} of 100{of_parts}",
        account_id=score.account_id,
        cause=score.cause,
        occurred_at=score.time,
        data={name: shown(used) for name, used in parts.items()},
    )

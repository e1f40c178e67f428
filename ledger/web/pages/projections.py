"""Those who follow the log: read models, the publisher, the sealer; and what they could
not apply."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from psycopg.rows import dict_row

from ledger.web.answers import NotVisible, Reading
from ledger.web.pages.frame import show
from ledger.web.viewer import PageViewer

MOST_LETTERS = 500

_FOLLOWERS = """
    SELECT p.projection_name AS name, p.status, p.last_processed_position AS position,
        greatest(head.position - p.last_processed_position, 0) AS lag_events,
        coalesce(greatest(extract(epoch FROM clock_timestamp() - next.recorded_at), 0), 0)::float8
            AS lag_seconds,
        p.processing_rate_per_second AS rate, p.total_events_processed AS handled,
        p.generation, p.code_version, p.owner, p.error_message, p.paused_by, p.pause_reason,
        p.paused_at, p.last_processed_at, lease.leased_until > clock_timestamp() AS owned,
        build.phase AS build_phase, build.reached AS build_reached, build.target AS build_target,
        build.rate AS build_rate,
        EXISTS (SELECT FROM pg_namespace
            WHERE nspname = p.projection_name || '_' || p.generation) AS is_read_model,
        (SELECT count(*) FROM public.projection_dead_letters AS letter
            WHERE letter.projection_name = p.projection_name AND letter.status = 'PARKED'
                AND letter.generation = p.generation) AS letters
    FROM public.event_projections AS p
    CROSS JOIN (SELECT coalesce(max(position), 0) AS position FROM public.event_store
        WHERE position >= public.log_kept_from()) AS head
    LEFT JOIN public.event_store AS next ON next.position = p.last_processed_position + 1
    LEFT JOIN public.projection_leases AS lease USING (projection_name)
    LEFT JOIN LATERAL (
        SELECT phase, last_processed_position AS reached, target_position AS target,
            rate_per_second AS rate
        FROM public.projection_generations AS made
        WHERE made.projection_name = p.projection_name AND made.purpose = 'NEXT'
        ORDER BY made.started_at DESC LIMIT 1) AS build ON true
    ORDER BY p.projection_name"""
_LETTERS = """
    SELECT id, projection_name, partition_key, position, event_id, event_type, status, kind, error,
        attempts, parked_at
    FROM public.projection_dead_letters
    WHERE status = 'PARKED' OR %(all)s
    ORDER BY projection_name, position LIMIT %(limit)s"""
_LETTER = """
    SELECT id, projection_name, partition_key, position, event_id, event_type, status, kind, error,
        traceback, code_version, attempts, parked_at, updated_at, skipped_by, skip_reason
    FROM public.projection_dead_letters WHERE id = %(id)s"""

router = APIRouter()


@router.get("/projections")
def projections(request: Request, viewer: PageViewer) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
        rows = _rows(reading, _FOLLOWERS)
    return show(request, viewer, "projections.html", {"followers": rows}, standing=standing)


@router.get("/dead-letters")
def dead_letters(request: Request, viewer: PageViewer, show_all: bool = False) -> HTMLResponse:
    """Raises Problem."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
        rows = _rows(reading, _LETTERS, {"all": show_all, "limit": MOST_LETTERS})
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        cause = (row["error"] or row["kind"]).partition("\n")[0]
        groups.setdefault((row["projection_name"], cause), []).append(row)
    values = {"groups": groups, "count": len(rows), "show_all": show_all}
    return show(request, viewer, "dead_letters.html", values, standing=standing)


@router.get("/dead-letters/{letter_id}")
def dead_letter(request: Request, viewer: PageViewer, letter_id: UUID) -> HTMLResponse:
    """Raises Problem, NotVisible."""
    viewer.require("read_log")
    with viewer.reading() as reading:
        standing = reading.standing()
        rows = _rows(reading, _LETTER, {"id": letter_id})
    if not rows:
        raise NotVisible(f"there is no dead letter {letter_id}")
    return show(request, viewer, "dead_letter.html", {"letter": rows[0]}, standing=standing)


def _rows(reading: Reading, statement: str, given: Any = None) -> list[dict[str, Any]]:
    with reading.connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(statement.encode(), given)
        return cursor.fetchall()

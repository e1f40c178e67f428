"""Limits as they were: of each the newest change that had been told until then, by the rows there
are, which never change."""

from collections.abc import Iterator
from typing import Any

import psycopg

from ledger.eventstore.moments import Moment
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement

_ROWS = """
    SELECT newest.limit_id, newest.scope, newest.reference, newest.measure, told.value, told.unit,
           told.warning_threshold, told.time_window, told.effective_from, told.effective_until,
           told.description,
           CASE last.change WHEN 'REMOVED' THEN 'REMOVED' WHEN 'SET' THEN 'ACTIVE'
               ELSE 'PROPOSED' END AS status,
           CASE last.change WHEN 'PROPOSED' THEN last.value END AS proposed_value,
           CASE WHEN last.change IN ('PROPOSED', 'REMOVAL_PROPOSED') THEN last.sent_by END
               AS proposed_by,
           told.sent_by AS set_by,
           CASE last.change WHEN 'REMOVED' THEN last.approved_by ELSE told.approved_by END
               AS approved_by,
           told.occurred_at AS set_at, last.recorded_at AS updated_at,
           last.position AS last_position
    FROM public.limits newest
    CROSS JOIN LATERAL (
        SELECT * FROM public.limit_history history
        WHERE history.limit_id = newest.limit_id AND history.position <= %(known_at)s
              AND history.change = 'SET'
              AND (%(until)s::timestamptz IS NULL OR history.occurred_at <= %(until)s)
        ORDER BY history.position DESC LIMIT 1
    ) told
    CROSS JOIN LATERAL (
        SELECT * FROM public.limit_history history
        WHERE history.limit_id = newest.limit_id AND history.position <= %(known_at)s
              AND (%(until)s::timestamptz IS NULL OR history.occurred_at <= %(until)s)
        ORDER BY history.position DESC LIMIT 1
    ) last
    WHERE newest.reference = %(reference)s
    ORDER BY newest.limit_id"""


def limits_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of a reference."""
    given = {**asked, "known_at": moment.known_at, "until": moment.effective_at}
    yield from stream(connection, SqlStatement(_ROWS, given))

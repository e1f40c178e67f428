"""Prices as they were: of each kind and source the newest that was told until then, by the rows
there are, which never change."""

from collections.abc import Iterator
from typing import Any

import psycopg

from ledger.eventstore.moments import Moment
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement

_ROWS = """
    SELECT told.instrument, told.kind, told.source, told.price, told."time", told.recorded_at,
           told.position AS last_position
    FROM public.prices newest
    CROSS JOIN LATERAL (
        SELECT * FROM public.price_history history
        WHERE history.instrument = newest.instrument AND history.kind = newest.kind
              AND history.source = newest.source AND history.position <= %(known_at)s
              AND (%(until)s::timestamptz IS NULL OR history."time" <= %(until)s)
        ORDER BY history."time" DESC, history.position DESC
        LIMIT 1
    ) told
    WHERE newest.instrument = %(instrument)s
    ORDER BY told.kind, told.source"""


def prices_at(connection: psycopg.Connection[Any], moment: Moment, asked: Asked) -> Iterator[Row]:
    """Rows of an instrument."""
    given = {**asked, "known_at": moment.known_at, "until": moment.effective_at}
    yield from stream(connection, SqlStatement(_ROWS, given))

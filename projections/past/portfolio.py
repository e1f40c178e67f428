"""Snapshots as they were known, and what an account was worth at a time as it is known now.

Known at a moment: the rows that were told by then, which never change. With a time of the venue's:
one row, reckoned as the clock would have had it at that time, of all that happened until then and
is known: a fill that came late, a price that was told after the snapshot are in it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from ledger.eventstore.moments import Moment
from ledger.nouns.clock.events import SnapshotKind, SnapshotsTaken
from projections.engine.projection import Recorded
from projections.past.fold import fold_told
from projections.past.positions import Told, merged_until
from projections.portfolio.series import SNAPSHOTS
from projections.questions.answers import Row, stream
from projections.questions.question import Asked
from projections.questions.statement import SqlStatement

_ROWS = """
    SELECT * FROM public.portfolio_snapshots
    WHERE account_id = %(account_id)s AND last_position <= %(known_at)s
    ORDER BY "time" DESC, last_position DESC"""
_NOBODY = UUID(int=0)


def snapshots_at(
    connection: psycopg.Connection[Any], moment: Moment, asked: Asked
) -> Iterator[Row]:
    """Rows of an account, newest first."""
    if moment.effective_at is None:
        given = {"account_id": asked["account_id"], "known_at": moment.known_at}
        yield from stream(connection, SqlStatement(_ROWS, given))
        return
    told = merged_until(connection, moment, asked)
    taken = _taken(asked["account_id"], moment.effective_at, moment.known_at)
    for row in fold_told(SNAPSHOTS, [*told, taken]):
        yield row | {"updated_at": max(one.recorded_at for one, _ in told)}


def _taken(account_id: UUID, time: datetime, position: int) -> Told:
    event = SnapshotsTaken(kind=SnapshotKind.MANUAL, time=time, account_id=account_id)
    recorded = Recorded(position, _NOBODY, _NOBODY, event.type, 1, "", None, None, time, time)
    return recorded, event

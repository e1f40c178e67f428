"""How most folds change a row that is there: look it up, and note as of which event it is."""

from typing import Any

from ledger.kernel.errors import LedgerError
from projections.engine.live.rows import RowSet
from projections.engine.projection import Key, R, Recorded, Table


class MissingRow(LedgerError, LookupError):
    """An event changes a row that no event before it has begun."""


def changed(recorded: Recorded, table: Table[R], key: Key, rows: RowSet) -> R:
    """The row of a table with `updated_at` and `last_position`, to be changed in place, as of this
    event. Raises MissingRow."""
    row = rows[table].change(key)
    if row is None:
        raise MissingRow(
            f"{table.name} has no row {key!r} for {recorded.event_type} to change: the event that "
            "begins it is missing"
        )
    dated: Any = row
    dated.updated_at = recorded.recorded_at
    dated.last_position = recorded.position
    return row

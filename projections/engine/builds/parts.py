"""How far each part of a build is that several processes fill (parallel_fill.py).

A part's position moves in the transaction that writes its rows. So a filling that was interrupted,
by whatever, goes on from where each part is: with the same parts, however many processes there
are now.
"""

from typing import Any, TypeAlias

import psycopg

from ledger.kernel.errors import LedgerError
from projections.engine.live.source import Part

Begun: TypeAlias = tuple[int, ...]
"""The position of each part, in order of their numbers."""


class PartMoved(LedgerError):
    """Another process fills the same part, or the build was removed."""


_BEGIN = """
    INSERT INTO projection_build_parts (projection_name, schema_name, part_number)
    VALUES (%s, %s, %s)"""
_ADVANCE = """
    UPDATE projection_build_parts
    SET last_processed_position = %(to)s,
        total_events_processed = total_events_processed + %(handled)s
    WHERE projection_name = %(name)s AND schema_name = %(schema)s AND part_number = %(number)s
        AND last_processed_position = %(after)s"""


def begun(connection: psycopg.Connection[Any], name: str, schema: str) -> Begun:
    """Nothing if the build has no parts."""
    return tuple(
        position
        for (position,) in connection.execute(
            """SELECT last_processed_position FROM projection_build_parts
               WHERE projection_name = %s AND schema_name = %s ORDER BY part_number""",
            [name, schema],
        )
    )


def begin(connection: psycopg.Connection[Any], name: str, schema: str, part: Part) -> None:
    """Inside the caller's transaction, for all parts at once."""
    connection.execute(_BEGIN, [name, schema, part.number])


def advance(
    connection: psycopg.Connection[Any],
    name: str,
    schema: str,
    part: Part,
    *,
    after: int,
    to: int,
    handled: int,
) -> None:
    """Moves a part, inside the transaction that writes its rows. Raises PartMoved."""
    parameters = {
        "name": name,
        "schema": schema,
        "number": part.number,
        "after": after,
        "to": to,
        "handled": handled,
    }
    if connection.execute(_ADVANCE, parameters).rowcount != 1:
        raise PartMoved(
            f"part {part.number} of the build of {name} in {schema} is not at position {after} any "
            "more: another rebuild goes on with it, or it was removed"
        )


def finish(connection: psycopg.Connection[Any], name: str, schema: str) -> int:
    """Forgets the parts, inside the caller's transaction; returns the events they handled."""
    rows = connection.execute(
        """DELETE FROM projection_build_parts WHERE projection_name = %s AND schema_name = %s
           RETURNING total_events_processed""",
        [name, schema],
    )
    return sum(handled for (handled,) in rows)

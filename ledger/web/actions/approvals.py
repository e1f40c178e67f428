"""Approvals as they are kept: what one person asked for, another's word, and what became of it.

    asked       waits for fifteen minutes, then it is void
    decided     REFUSED is the end; APPROVED is done at once, under the id of the request
    finished    its result is kept

A server that ends between the word and the result leaves an approval without one. It is then not
taken for done, nor done by itself, as what was previewed may be something else by now: it is
offered again, to be finished or left. Of a command the outcome is looked for first, which has the
same id, so it has one effect however often it is begun.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, LiteralString, NamedTuple
from uuid import UUID

import msgspec
import orjson
from psycopg.rows import class_row, dict_row

from ledger.eventstore import inbox
from ledger.kernel.command import UNKNOWN, Outcome
from ledger.kernel.known_types import known

if TYPE_CHECKING:
    from ledger.web.answers import Reading
    from ledger.web.database import WebDatabase

APPROVAL_MINUTES = 15
"""After which a request for approval is void: what was previewed may be something else by then."""
UNFINISHED_SECONDS = 60.0
"""Without a result for so long, an approved deed is offered again. A command has its outcome in
five seconds; a read model that is still being made anew refuses to be begun a second time."""
MOST_SHOWN = 200
LEFT = "LEFT"
"""The result of what was approved and, as nothing came of it, is not to be done any more."""

_UNFINISHED: LiteralString = f"""
    decision = 'APPROVED' AND coalesce(result->>'status', '{UNKNOWN}') = '{UNKNOWN}'
        AND attempted_at < now() - %(patience)s * interval '1 second'"""
_ASK = """
    INSERT INTO public.web_approvals (id, action, arguments, effect, reason, requested_by,
        requested_at, expires_at)
    VALUES (%(id)s, %(action)s, %(arguments)s, %(effect)s, %(reason)s, %(by)s, now(),
        now() + %(minutes)s * interval '1 minute')
    ON CONFLICT (id) DO NOTHING"""
_LIST: LiteralString = f"""
    SELECT id, action, arguments, effect, reason, requested_by, requested_at, expires_at, decision,
        decided_by, decided_at, result, decision IS NULL AND expires_at > now() AS waits,
        coalesce({_UNFINISHED}, false) AS unfinished
    FROM public.web_approvals ORDER BY requested_at DESC LIMIT %(most)s"""
_GRANTED: LiteralString = "RETURNING action, arguments, reason, requested_by, decided_by"
_DECIDE: LiteralString = f"""
    UPDATE public.web_approvals SET decision = %(decision)s, decided_by = %(by)s,
        decided_at = now(), attempted_at = now()
    WHERE id = %(id)s AND decision IS NULL AND expires_at > now() AND requested_by <> %(by)s
    {_GRANTED}"""
_ATTEMPT: LiteralString = f"""
    UPDATE public.web_approvals SET attempted_at = now()
    WHERE id = %(id)s AND requested_by <> %(by)s AND {_UNFINISHED}
    {_GRANTED}"""
_KEEP = "UPDATE public.web_approvals SET result = %(result)s WHERE id = %(id)s"


class Granted(NamedTuple):
    """What somebody asked for and another decided."""

    action: str
    arguments: Mapping[str, Any]
    reason: str
    requested_by: str
    decided_by: str


def ask(database: "WebDatabase", asked: Mapping[str, Any]) -> None:
    """Keeps a request; the same twice is one."""
    given = {**asked, "arguments": orjson.dumps(asked["arguments"]).decode()}
    with database.keeping() as connection:
        connection.execute(_ASK, {**given, "minutes": APPROVAL_MINUTES})


def newest(database: "WebDatabase") -> list[dict[str, Any]]:
    """Those that were asked for last."""
    with database.keeping() as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_LIST, {"patience": UNFINISHED_SECONDS, "most": MOST_SHOWN})
        return cursor.fetchall()


def decide(
    database: "WebDatabase", approval_id: UUID, *, by: str, approved: bool
) -> Granted | None:
    """What this person decides, who did not ask for it; None if it does not wait for that."""
    decision = "APPROVED" if approved else "REJECTED"
    return _granted(database, _DECIDE, {"id": approval_id, "decision": decision, "by": by})


def attempt(database: "WebDatabase", approval_id: UUID, *, by: str) -> Granted | None:
    """What was approved and has no result yet; of several who ask at once, one gets it. None if
    there is no such."""
    given = {"id": approval_id, "by": by, "patience": UNFINISHED_SECONDS}
    return _granted(database, _ATTEMPT, given)


def keep(database: "WebDatabase", approval_id: UUID, result: Mapping[str, Any]) -> None:
    """Keeps what became of it."""
    told = orjson.dumps(result, default=str).decode()
    with database.keeping() as connection:
        connection.execute(_KEEP, {"id": approval_id, "result": told})


def outcome(reading: "Reading", approval_id: UUID) -> Outcome | None:
    """What became of the command, where the deed is one and was decided."""
    with reading.any_row() as connection:
        found = inbox.find(connection, [approval_id])
    if approval_id not in found:
        return None
    return msgspec.json.decode(found[approval_id][1], type=known(Outcome))


def _granted(
    database: "WebDatabase", statement: LiteralString, given: Mapping[str, Any]
) -> Granted | None:
    with (
        database.keeping() as connection,
        connection.cursor(row_factory=class_row(Granted)) as cursor,
    ):
        return cursor.execute(statement, given).fetchone()

"""What the demo claims, each claim with the query that would find its faults.

The services' own books (what they sent, what they were answered) are compared with the inbox and
the log; the rest is asked of the database alone. A claim holds if it was tried on something and no
fault was found.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from ledger.demo.read_models import Verification
from ledger.demo.sender import Tally
from ledger.kernel import read_side

if TYPE_CHECKING:
    from projections.claims import ReadModelClaim


class Proof(NamedTuple):
    """A claim, what it was tried on, and how many faults were found."""

    claim: str
    number: int
    of: str
    faults: int

    @property
    def holds(self) -> bool:
        return self.faults == 0 and self.number > 0


class _Check(NamedTuple):
    """A claim about the log and the inbox; those about the read models are the read side's."""

    claim: str
    of: str
    query: str
    """Gives (number, faults). May use %(sources)s, %(resent)s, %(started)s."""


_CHECKS = (
    _Check(
        "the events of each command are those its outcome names",
        "commands",
        """WITH stored AS (
               SELECT (metadata->>'command_id')::uuid AS command_id, count(*) AS events
               FROM event_store WHERE metadata->>'source' = ANY(%(sources)s) GROUP BY 1)
           SELECT count(*), count(*) FILTER (
               WHERE jsonb_array_length(outcome->'events') <> coalesce(events, 0))
           FROM command_inbox LEFT JOIN stored USING (command_id)
           WHERE source = ANY(%(sources)s)""",
    ),
    _Check(
        "no message was unreadable",
        "outcomes",
        """SELECT (SELECT count(*) FROM command_inbox WHERE source = ANY(%(sources)s)),
                  (SELECT count(*) FROM unreadable_messages WHERE received_at >= %(started)s)""",
    ),
    _Check(
        "the log has no gap: count = highest position",
        "events",
        "SELECT count(*), max(position) - count(*) FROM event_store",
    ),
    _Check(
        "no stream has a gap: its count = its highest version",
        "streams",
        """SELECT count(*), count(*) FILTER (WHERE events <> latest)
           FROM (SELECT count(*) AS events, max(event_version) AS latest
                 FROM event_store GROUP BY stream_id) AS streams""",
    ),
)

_RESENT = """
    SELECT command_id, count(events.position)
    FROM command_inbox LEFT JOIN event_store AS events
         ON (events.metadata->>'command_id')::uuid = command_id
            AND events.metadata->>'source' = ANY(%(sources)s)
    WHERE command_id = ANY(%(resent)s) GROUP BY 1"""


def prove(
    connection: psycopg.Connection[Any],
    tallies: Sequence[Tally],
    verification: Verification,
    started: datetime,
) -> list[Proof]:
    """Every claim. The read models must have caught up."""
    given: dict[str, Any] = {
        "sources": [tally.source for tally in tallies],
        "resent": [resent.command_id for tally in tallies for resent in tally.resent],
        "started": started,
    }
    decided = _one(
        connection, "SELECT count(*) FROM command_inbox WHERE source = ANY(%(sources)s)", given
    )[0]
    stored = dict(connection.execute(_RESENT, given).fetchall())
    return [
        answered(tallies),
        one_outcome_each(tallies, decided),
        one_effect_each(tallies, stored),
        *(_proof(connection, check, given) for check in _CHECKS),
        *(_proof(connection, claim, given) for claim in read_side.claims()),
        Proof(
            "the read models equal a fresh fold of the log",
            verification.rows,
            "rows",
            verification.differences if verification.equal else max(verification.differences, 1),
        ),
    ]


def added(counts: Iterable[dict[str, int]]) -> Counter[str]:
    """The counts of several services together."""
    return sum((Counter(one) for one in counts), Counter[str]())


def answered(tallies: Sequence[Tally]) -> Proof:
    """What was sent against what came back; FAILED is a fault too."""
    messages = sum(tally.messages for tally in tallies)
    statuses = added(tally.by_status for tally in tallies)
    answers = statuses.total() + sum(len(tally.resent) for tally in tallies)
    faults = abs(messages - answers) + statuses["FAILED"]
    return Proof("every message was answered, none with FAILED", messages, "messages", faults)


def one_outcome_each(tallies: Sequence[Tally], decided: int) -> Proof:
    commands = sum(tally.commands for tally in tallies)
    claim = "every command has one outcome in the inbox"
    return Proof(claim, commands, "commands", abs(commands - decided))


def one_effect_each(tallies: Sequence[Tally], stored: dict[Any, int]) -> Proof:
    """`stored` is how many events the log has of each command that was sent twice."""
    resent = [one for tally in tallies for one in tally.resent]
    differing = sum(len(tally.answered_differently) for tally in tallies)
    wrong = sum(stored.get(one.command_id) != one.events for one in resent)
    claim = "every resent command had one outcome and one effect"
    return Proof(claim, len(resent), "resent commands", differing + wrong)


def _proof(
    connection: psycopg.Connection[Any], check: "_Check | ReadModelClaim", given: dict[str, Any]
) -> Proof:
    number, faults = _one(connection, check.query, given)
    return Proof(check.claim, number or 0, check.of, abs(faults or 0))


def _one(connection: psycopg.Connection[Any], query: str, given: dict[str, Any]) -> Any:
    return connection.execute(query, given).fetchone()

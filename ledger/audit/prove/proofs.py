"""Proofs that one event is in the sealed log, made here and checked anywhere (check_proof.py)."""

from typing import Any
from uuid import UUID

import orjson
import psycopg

from ledger.audit.ask.printed_events import row_of
from ledger.audit.prove import seals
from ledger.audit.prove.canonical import leaf_hash, values
from ledger.audit.prove.check_proof import FORMAT
from ledger.audit.prove.merkle import path, root


class CannotProve(Exception):
    """There is no proof of the event."""


def prove(connection: psycopg.Connection[Any], event_id: UUID) -> dict[str, Any]:
    """The proof of an event, as an object for JSON. Raises CannotProve.

    A seal that is not signed is proved by a head that the reader kept: then the proof has all seals
    after it."""
    with connection.transaction():
        row = row_of(connection, event_id)
        if row is None:
            raise CannotProve(f"there is no event {event_id}. `ledgerctl audit events` finds it.")
        position = int(row[0] or 0)
        seal = seals.seal_of(connection, position)
        if seal is None:
            waiting = seals.unsealed(connection)
            raise CannotProve(
                f"event {event_id} at position {position} is not sealed yet, as are "
                f"{waiting.events} events. Wait for the sealer, or run: ledgerctl audit seal"
            )
        leaves = seals.leaves_of(connection, seal.number)
        index = position - seal.first_position
        if leaves[index] != leaf_hash(row) or root(leaves) != seal.root:
            raise CannotProve(
                f"event {event_id} at position {position} is not what was sealed. Run: "
                "ledgerctl audit verify"
            )
        chain = []
        if seal.signature is None:
            chain = [after.content() for after in seals.all_seals(connection, seal.number + 1)]
    return {
        "format": FORMAT,
        "event": values(row),
        "path": [node.hex() for node in path(leaves, index)],
        "seal": seal.content(),
        "signature": seal.signature.hex() if seal.signature is not None else None,
        "chain": chain,
    }


def proof_text(proof: dict[str, Any]) -> bytes:
    """The proof as a file, for people to read as well."""
    return orjson.dumps(proof, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

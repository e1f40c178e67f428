"""Proofs that one event is in the sealed log, made here and checked anywhere (check_proof.py)."""

from itertools import takewhile
from typing import Any
from uuid import UUID

import orjson
import psycopg

from ledger.audit.prove import seals
from ledger.audit.prove.canonical import leaf_hash, values
from ledger.audit.prove.check_proof import FORMAT
from ledger.audit.prove.merkle import path, root
from ledger.audit.prove.printed_events import row_of
from ledger.audit.prove.seals import Seal
from ledger.kernel.errors import LedgerError


class CannotProve(LedgerError):
    """There is no proof of the event."""


def prove(
    connection: psycopg.Connection[Any], event_id: UUID, to_head: Seal | None = None
) -> dict[str, Any]:
    """The proof of an event, as an object for JSON. Raises CannotProve.

    It leads to the head that the reader kept, if that is given. Otherwise to a signature of the key
    in force: the seal's own, or after changes of keys that of a later seal; and where nothing is
    signed, to the newest seal."""
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
        last = _last_seal(connection, seal, to_head)
        following = takewhile(
            lambda after: after.number <= last.number,
            seals.all_seals(connection, seal.number + 1) if last != seal else (),
        )
        chain = [after.content() for after in following]
    return {
        "format": FORMAT,
        "event": values(row),
        "path": [node.hex() for node in path(leaves, index)],
        "seal": seal.content(),
        "signature": last.signature.hex() if last.signature is not None else None,
        "chain": chain,
        "leads_to": last.hash.hex(),
    }


def _last_seal(connection: psycopg.Connection[Any], seal: Seal, to_head: Seal | None) -> Seal:
    """The seal that the proof of an event under `seal` leads to. Raises CannotProve."""
    if to_head is None:
        changes = seals.key_changes(connection, seals.NEWEST)
        if seal.signature is None:
            return seals.head(connection) or seal
        return seal if not changes or changes[-1].number < seal.number else changes[-1]
    ours = seals.numbered(connection, to_head.number)
    if ours is None or ours.hash != to_head.hash:
        raise CannotProve(
            f"seal {to_head.number} that was kept is not one of this ledger's: its history is not "
            "the one that the head was kept of. Run: ledgerctl audit verify --head HEAD.json"
        )
    if ours.number < seal.number:
        raise CannotProve(
            f"the head is older than the event: it is seal {ours.number} up to position "
            f"{ours.last_position}, and the event was sealed later, under seal {seal.number} from "
            f"position {seal.first_position} on. Give a head that was kept later"
        )
    return ours


def proof_text(proof: dict[str, Any]) -> bytes:
    """The proof as a file, for people to read as well."""
    return orjson.dumps(proof, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

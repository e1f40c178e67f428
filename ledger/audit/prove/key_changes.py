"""Changes of the signing key: a seal of its own that states the change.

    rotated    The old key signs the new one, and the new key signs as well: whoever knows the old
               key follows to the new one, and nothing after this seal can be made with the old one.
    lost       The old key is gone and signs nothing. The seal says so, with a reason, signed with
               the new key only: so it is worth as much as the new key's owner is trusted, and
               verification takes it from nobody but an auditor who was given the new key, or a head
               kept after it.

Such a seal has no events. Whatever waits to be sealed is sealed after it, with the new key. A key
that was in force once is never taken again.
"""

from typing import Any

import msgspec
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.prove import seals
from ledger.audit.prove.merkle import EMPTY_ROOT
from ledger.audit.prove.sealer import CannotSeal, head_to_go_on_from, insert, now, paused, place
from ledger.audit.prove.seals import Seal
from ledger.subscriptions import checkpoint
from ledger.subscriptions.checkpoint import Fenced

_KEYS = """
    SELECT public_key FROM event_seals WHERE public_key IS NOT NULL
    UNION SELECT previous_key FROM event_seals WHERE previous_key IS NOT NULL"""


def rotate(
    connection: psycopg.Connection[Any], old: Ed25519PrivateKey, new: Ed25519PrivateKey, reason: str
) -> Seal:
    """Puts the new key in force, signed by the old one. Raises CannotSeal or Fenced."""
    return _change(connection, "rotated", old, new, reason)


def replace_lost(connection: psycopg.Connection[Any], new: Ed25519PrivateKey, reason: str) -> Seal:
    """Puts the new key in force in place of one that is lost. Raises CannotSeal or Fenced."""
    return _change(connection, "lost", None, new, reason)


def _change(
    connection: psycopg.Connection[Any],
    change: str,
    old: Ed25519PrivateKey | None,
    new: Ed25519PrivateKey,
    reason: str,
) -> Seal:
    if not reason.strip():
        raise CannotSeal("a change of keys needs a reason, for those who will ask in years")
    while True:
        try:
            return _append(connection, change, old, new, reason)
        except Fenced:  # the service has just sealed a block: go on behind it
            if paused(connection):
                raise


def _append(
    connection: psycopg.Connection[Any],
    change: str,
    old: Ed25519PrivateKey | None,
    new: Ed25519PrivateKey,
    reason: str,
) -> Seal:
    with connection.transaction():
        connection.execute("SELECT public.commit_durably()")
        at = place(connection)
        checkpoint.hold(connection, at)
        before = head_to_go_on_from(connection, at)
        if before is None or before.public_key is None:
            raise CannotSeal(
                "no key is in force: there is no signed seal yet. The first key needs no change; "
                "set LEDGER_SEAL_KEY_FILE to it"
            )
        _check(connection, before.public_key, old, new)
        seal = seals.signed(
            Seal(
                number=before.number + 1,
                format=seals.FORMAT,
                first_position=before.last_position + 1,
                last_position=before.last_position,
                root=EMPTY_ROOT,
                previous_hash=before.hash,
                public_key=new.public_key().public_bytes_raw(),
                sealed_at=now(connection),
                hash=b"",
                signature=None,
                change=change,
                previous_key=before.public_key,
                reason=reason,
            ),
            new,
        )
        if old is not None:
            seal = msgspec.structs.replace(seal, previous_signature=old.sign(seal.text()))
        insert(connection, seal, [])
    return seal


def _check(
    connection: psycopg.Connection[Any],
    in_force: bytes,
    old: Ed25519PrivateKey | None,
    new: Ed25519PrivateKey,
) -> None:
    if old is not None and old.public_key().public_bytes_raw() != in_force:
        raise CannotSeal(
            f"the key in force is {in_force.hex()}, not the one that is to sign the change "
            f"({old.public_key().public_bytes_raw().hex()}). Set LEDGER_SEAL_KEY_FILE to the key "
            "in force; if it is lost, say so with --lost"
        )
    used = {row[0] for row in connection.execute(_KEYS)}
    if new.public_key().public_bytes_raw() in used:
        raise CannotSeal(
            "the new key was in force before, and a key never comes back. Make another: ledgerctl "
            "audit seal --new-key FILE"
        )

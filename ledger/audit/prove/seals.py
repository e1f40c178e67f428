"""Seals: what each says, how it is hashed and signed, which there are.

A seal stands for the block of events first_position … last_position. Its content is one JSON
object in RFC 8785 form: its number, the positions, the Merkle root over the block's events, the
hash of the seal before, when it was made, and the public key of its signature, if there is one. Its
hash is the SHA-256 of that text, its signature the Ed25519 signature of that text. So the hash of
the newest seal, the head, stands for every event up to its last position: kept outside, it holds
all of history in 32 bytes.

A seal also stands for the records beside the log: for the entries of their journal since the seal
before, by `journal_last` and `journal_root` (journal.py). Seals made before there was a journal
have neither. Where only such records wait to be sealed, a seal has no events: its block lies
between two others, and `last_position` is one less than `first_position`.
A seal at which the signing key changes says so (key_changes.py): its content also has what kind of
change it is, the key before and the reason. It has no events; first_position is then the position
after last_position.
"""

import time
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
import psycopg
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ledger.audit.prove.canonical import jcs
from ledger.audit.prove.merkle import HASH_BYTES
from ledger.kernel import strict_json
from ledger.kernel.errors import LedgerError

FORMAT = "ledger-seal/1"
PROJECTION = "seals"
"""The sealer's row in event_projections."""
NEWEST = 2**63 - 1
"""As a number: no seal has a higher one."""
NO_HASH = bytes(HASH_BYTES)
"""What the first seal has as the hash of the one before."""


class Seal(msgspec.Struct, frozen=True):
    """A row of event_seals without the leaf hashes. `sealed_at` is RFC 3339 in UTC."""

    number: int
    format: str
    first_position: int
    last_position: int
    root: bytes
    previous_hash: bytes
    public_key: bytes | None
    sealed_at: str
    hash: bytes
    signature: bytes | None
    journal_last: int | None = None
    journal_root: bytes | None = None
    change: str | None = None
    """'rotated' or 'lost' where the key changes; then previous_key and reason are there, too."""
    previous_key: bytes | None = None
    previous_signature: bytes | None = None
    reason: str | None = None

    @property
    def event_count(self) -> int:
        return self.last_position - self.first_position + 1

    def content(self) -> dict[str, Any]:
        """What is hashed and signed."""
        change: dict[str, Any] = {}
        if self.change is not None:
            previous = self.previous_key.hex() if self.previous_key is not None else None
            change = {"change": self.change, "previous_key": previous, "reason": self.reason}
        journal: dict[str, Any] = {}
        if self.journal_root is not None:
            root = self.journal_root.hex()
            journal = {"journal_last": self.journal_last, "journal_root": root}
        return (
            change
            | journal
            | {
                "first_position": self.first_position,
                "format": self.format,
                "last_position": self.last_position,
                "number": self.number,
                "previous_hash": self.previous_hash.hex(),
                "public_key": self.public_key.hex() if self.public_key is not None else None,
                "root": self.root.hex(),
                "sealed_at": self.sealed_at,
            }
        )

    def text(self) -> bytes:
        """The canonical form of the content."""
        return jcs(self.content())

    def computed_hash(self) -> bytes:
        """The hash that the content has."""
        return sha256(self.text()).digest()

    def document(self) -> dict[str, Any]:
        """The seal as it is published, printed and kept: content, hash and signature."""
        signature = self.signature.hex() if self.signature is not None else None
        document = {"seal": self.content(), "hash": self.hash.hex(), "signature": signature}
        if self.previous_signature is not None:
            document["previous_signature"] = self.previous_signature.hex()
        return document


class Unsealed(NamedTuple):
    """What was appended and not yet sealed: how many events, and since how many seconds the oldest
    of them waits."""

    events: int
    seconds: float


class UnreadableSeal(LedgerError):
    """A document is not a seal's."""


# Nothing of a seal is taken on trust here: a value that no seal can have must show up in the check.
_COLUMNS = """number, format, first_position, last_position, root, previous_hash, public_key,
    CASE WHEN isfinite(sealed_at) AND sealed_at >= '0001-01-01 00:00:00+00'
        THEN replace(rtrim(rtrim(to_char(sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'),
            '0'), '.'), ' ', 'T') || 'Z'
        ELSE sealed_at::text END,
    hash, signature, journal_last, journal_root, change, previous_key, previous_signature,
    reason"""
_LAST = f"SELECT {_COLUMNS} FROM event_seals ORDER BY number DESC LIMIT 1"
_ALL = f"SELECT {_COLUMNS} FROM event_seals WHERE number >= %s ORDER BY number"
_NUMBERED = f"SELECT {_COLUMNS} FROM event_seals WHERE number = %s"
_COVERING = f"""
    SELECT {_COLUMNS} FROM event_seals WHERE last_position >= %s
    ORDER BY last_position, number LIMIT 1"""
_JOURNALED = """
    SELECT journal_last FROM event_seals WHERE journal_last IS NOT NULL
    ORDER BY number DESC LIMIT 1"""
_CHANGES = f"""
    SELECT {_COLUMNS} FROM event_seals WHERE change IS NOT NULL AND number <= %s ORDER BY number"""
_LEAVES = "SELECT leaf_hashes FROM event_seals WHERE number = %s"
_UNSEALED = """
    SELECT head - sealed, coalesce((
        SELECT extract(epoch FROM clock_timestamp() - recorded_at)::float8
        FROM event_store WHERE position > sealed ORDER BY position LIMIT 1), 0)
    FROM (SELECT coalesce((SELECT max(position) FROM event_store
                     WHERE position >= log_kept_from()), 0) AS head,
                 coalesce((SELECT max(last_position) FROM event_seals), 0) AS sealed) AS now"""
_FETCH_SEALS = 1_000
"""Seals fetched at once: there may be more than memory likes."""


def head(connection: psycopg.Connection[Any]) -> Seal | None:
    """The newest seal."""
    row = connection.execute(_LAST).fetchone()
    return Seal(*row) if row else None


def seal_of(connection: psycopg.Connection[Any], position: int) -> Seal | None:
    """The seal of the block with the position; None when it is not sealed."""
    row = connection.execute(_COVERING, [position]).fetchone()
    return Seal(*row) if row and row[2] <= position else None


def numbered(connection: psycopg.Connection[Any], number: int) -> Seal | None:
    """The seal with the number."""
    row = connection.execute(_NUMBERED, [number]).fetchone()
    return Seal(*row) if row else None


def journaled(connection: psycopg.Connection[Any]) -> int:
    """The last entry of the records' journal that a seal stands for."""
    row = connection.execute(_JOURNALED).fetchone()
    return int(row[0]) if row else 0


def all_seals(connection: psycopg.Connection[Any], first_number: int = 1) -> Iterator[Seal]:
    """The seals from a number on, in order. Inside a transaction of the caller."""
    with connection.cursor(name=f"seals_{time.monotonic_ns()}") as cursor:
        cursor.itersize = _FETCH_SEALS
        cursor.execute(_ALL, [first_number])
        for row in cursor:
            yield Seal(*row)


def key_changes(connection: psycopg.Connection[Any], last_number: int) -> list[Seal]:
    """The seals up to a number at which the signing key changed, in order."""
    return [Seal(*row) for row in connection.execute(_CHANGES, [last_number])]


def leaves_of(connection: psycopg.Connection[Any], number: int) -> list[bytes]:
    """The kept leaf hashes of a seal's block."""
    row = connection.execute(_LEAVES, [number]).fetchone()
    return split_leaves(row[0]) if row else []


def split_leaves(joined: bytes) -> list[bytes]:
    return [joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)]


def unsealed(connection: psycopg.Connection[Any]) -> Unsealed:
    """What was appended and not yet sealed."""
    row = connection.execute(_UNSEALED).fetchone()
    assert row is not None
    return Unsealed(max(int(row[0]), 0), max(float(row[1]), 0.0))


def from_document(text: bytes) -> Seal:
    """The seal of a document that was kept outside. Raises UnreadableSeal."""
    try:
        document = strict_json.loads(text)
        content, signature = document["seal"], document["signature"]
        seal = Seal(
            number=_integer(content["number"]),
            format=_text(content["format"]),
            first_position=_integer(content["first_position"]),
            last_position=_integer(content["last_position"]),
            root=bytes.fromhex(content["root"]),
            previous_hash=bytes.fromhex(content["previous_hash"]),
            public_key=_bytes(content["public_key"]),
            sealed_at=_text(content["sealed_at"]),
            hash=bytes.fromhex(document["hash"]),
            signature=_bytes(signature),
            journal_last=_integer_or_none(content.get("journal_last")),
            journal_root=_bytes(content.get("journal_root")),
            change=_text_or_none(content.get("change")),
            previous_key=_bytes(content.get("previous_key")),
            previous_signature=_bytes(document.get("previous_signature")),
            reason=_text_or_none(content.get("reason")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreadableSeal(
            "this is no seal as `ledgerctl audit seal --head` prints it "
            f"({type(error).__name__}: {error}). Give the file that was kept."
        ) from error
    if seal.computed_hash() != seal.hash:
        raise UnreadableSeal(
            "the seal's hash is not that of its content: the file was changed since it was kept. "
            "Give an unchanged copy."
        )
    return seal


def signed(seal: Seal, key: Ed25519PrivateKey | None) -> Seal:
    """The seal with its hash and, with a key, its signature."""
    signature = key.sign(seal.text()) if key is not None else None
    return msgspec.structs.replace(seal, hash=seal.computed_hash(), signature=signature)


def _integer(value: object) -> int:
    if type(value) is not int:  # true is an integer to isinstance
        raise TypeError(f"{value!r} is no integer")
    return value


def _integer_or_none(value: object) -> int | None:
    return None if value is None else _integer(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)


def _bytes(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def signature_holds(seal: Seal) -> bool:
    """Whether the signature is that of the key which the seal names."""
    if seal.public_key is None or seal.signature is None:
        return seal.public_key is None and seal.signature is None
    return _is_signed(seal, seal.signature, seal.public_key)


def previous_signature_holds(seal: Seal) -> bool:
    """Whether the key before signed the change of keys as well."""
    if seal.previous_key is None or seal.previous_signature is None:
        return False
    return _is_signed(seal, seal.previous_signature, seal.previous_key)


def _is_signed(seal: Seal, signature: bytes, key: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, seal.text())
    except (InvalidSignature, ValueError):
        return False
    return True

"""Checks a proof that an event is in the sealed log: offline, with this file alone.

    python -m ledger.audit.check_proof PROOF.json --public-key KEY [--head HEAD.json]

A proof file is one JSON object:

    format     "ledger-proof/1"
    event      the event, every column of it
    path       the hashes beside the way from the event up to the root of its block
    seal       first_position, format, last_position, number, previous_hash, public_key, root,
               sealed_at; journal_last and journal_root, if it stands for records beside the log
    signature  the Ed25519 signature of the seal; null if it is not signed
    chain      the seals after it, in order: only there if the seal itself is not signed

What is checked, in this order:

 1. leaf   = SHA-256(0x00 || event in RFC 8785 form)
 2. root   = what the leaf and the path hash to, node = SHA-256(0x01 || left || right), as in
             RFC 6962. Left or right follows from the event's place: position - first_position.
 3. seal   its root is that root.
 4. who    the signature of the seal in RFC 8785 form is that of the public key you have; or,
             following the chain, the seal leads to a head that you kept: each seal names the
             SHA-256 of the one before it (in RFC 8785 form).

Whoever has the public key from the ledger's owner, or kept a head, then knows that the event was in
the log, at this position and with this content, when the seal was made. Needs `cryptography` and
`rfc8785` from PyPI.
"""

import argparse
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

FORMAT = "ledger-proof/1"
SEAL_FORMAT = "ledger-seal/1"
PROOF_FIELDS = {"format", "event", "path", "seal", "signature", "chain"}
SEAL_FIELDS = {
    *("first_position", "format", "last_position", "number"),
    *("previous_hash", "public_key", "root", "sealed_at"),
}
JOURNAL_FIELDS = {"journal_last", "journal_root"}
EVENT_FIELDS = {
    *("position", "id", "stream_id", "stream_type", "event_type", "event_version", "event_data"),
    *("metadata", "correlation_id", "causation_id", "user_id", "occurred_at", "recorded_at"),
}


class ProofFails(Exception):
    """The file does not prove that its event was sealed."""


def check(proof: bytes, public_key: bytes | None, head_hash: bytes | None = None) -> dict[str, Any]:
    """The proof, if it holds for the public key or leads to the head. Raises ProofFails."""
    if public_key is None and head_hash is None:
        raise ProofFails("there is nothing to check it with: give a public key or a head kept")
    document = _read(proof)
    _fields(document, PROOF_FIELDS, "the proof")
    if document["format"] != FORMAT:
        raise ProofFails(f"its format is not {FORMAT}")
    event, seal = document["event"], document["seal"]
    _fields(event, EVENT_FIELDS, "the event")
    _seal_fields(seal, "the seal")
    path = [_hex(node, 32) for node in _list(document["path"])]
    if _root(event, seal, path) != _hex(seal["root"], 32):
        raise ProofFails("the event does not hash to the root of the seal: one of them was changed")
    signature, chain = document["signature"], _list(document["chain"])
    if public_key is not None:
        _check_signature(seal, signature, public_key)
    elif signature is not None:
        _check_signature(seal, signature, _hex(seal["public_key"], 32))
    reached = _follow(seal, chain)
    if head_hash is not None and reached != head_hash:
        raise ProofFails("it does not lead to the head that was kept")
    return document


def _root(event: dict[str, Any], seal: dict[str, Any], path: list[bytes]) -> bytes:
    """What event and path hash to (RFC 9162, 2.1.3.2, is the same walk)."""
    position, first, last = event["position"], seal["first_position"], seal["last_position"]
    if not all(map(_whole, (position, first, last))):
        raise ProofFails("a position is not an integer")
    if not first <= position <= last:
        raise ProofFails("the position of the event is not in the block of the seal")
    index, last_index = position - first, last - first
    node = hashlib.sha256(b"\x00" + _canonical(event)).digest()
    for sibling in path:
        if last_index == 0:
            raise ProofFails("the path is longer than the tree is high")
        if index % 2 == 1 or index == last_index:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while index % 2 == 0:  # the last node of a level is moved up as it is
                index, last_index = index // 2, last_index // 2
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last_index = index // 2, last_index // 2
    if last_index != 0:
        raise ProofFails("the path is shorter than the tree is high")
    return node


def _check_signature(seal: dict[str, Any], signature: str | None, public_key: bytes) -> None:
    if seal["format"] != SEAL_FORMAT:
        raise ProofFails(f"the format of its seal is not {SEAL_FORMAT}")
    if signature is None or seal["public_key"] is None:
        raise ProofFails("its seal is not signed: it can only be checked with a head kept")
    if _hex(seal["public_key"], 32) != public_key:
        raise ProofFails(f"its seal was signed with another key, {seal['public_key']}")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(_hex(signature, 64), _canonical(seal))
    except (InvalidSignature, ValueError):
        raise ProofFails("the signature is not that of its seal") from None


def _follow(seal: dict[str, Any], chain: list[dict[str, Any]]) -> bytes:
    """The hash of the last seal of the chain."""
    reached = hashlib.sha256(_canonical(seal)).digest()
    for following in chain:
        _seal_fields(following, "a seal of the chain")
        if not _whole(seal["number"]) or following["number"] != seal["number"] + 1:
            raise ProofFails("a seal of the chain is missing")
        if _hex(following["previous_hash"], 32) != reached:
            raise ProofFails("a seal of the chain does not follow the one before")
        seal, reached = following, hashlib.sha256(_canonical(following)).digest()
    return reached


def _read(proof: bytes) -> dict[str, Any]:
    try:
        document = json.loads(
            proof.decode(),
            object_pairs_hook=_object,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except ValueError as error:
        raise ProofFails(f"it is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise ProofFails("it is not a JSON object")
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ in which of two equal names they take: there must be one only."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ProofFails("a name appears twice in one object")
    return found


def _no_float(text: str) -> NoReturn:
    raise ProofFails(f"it has the number {text}: sealed numbers are integers")


def _fields(value: object, names: set[str], what: str) -> None:
    if not isinstance(value, dict) or set(value) != names:
        raise ProofFails(f"{what} does not have exactly its fields")


def _seal_fields(value: object, what: str) -> None:
    """Seals of a ledger that had no journal of records yet have no fields for it."""
    has_journal = isinstance(value, dict) and not JOURNAL_FIELDS.isdisjoint(value)
    _fields(value, SEAL_FIELDS | JOURNAL_FIELDS if has_journal else SEAL_FIELDS, what)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ProofFails("path or chain is not a list")
    return value


def _whole(value: object) -> bool:
    return type(value) is int  # true and false are integers to isinstance


def _hex(text: object, length: int) -> bytes:
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-f]*", text) or len(text) != 2 * length:
        raise ProofFails(f"{text!r} is not {length} bytes in lower-case hexadecimal digits")
    return bytes.fromhex(text)


def _canonical(value: Any) -> bytes:
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise ProofFails(f"it has a value that cannot be sealed: {error}") from None


def main() -> None:
    """Exit code 0 if the proof holds, 1 if not, 2 if it cannot be checked."""
    arguments = argparse.ArgumentParser(description="Checks a proof, offline.")
    arguments.add_argument("proof", type=Path)
    arguments.add_argument("--public-key", help="PEM file or 64 hexadecimal digits")
    arguments.add_argument("--head", type=Path, help="a head that was kept")
    given = arguments.parse_args()
    if given.public_key is None and given.head is None:
        arguments.error("give --public-key or --head")
    try:
        key = _public_key(given.public_key) if given.public_key else None
        head = bytes.fromhex(json.loads(given.head.read_bytes())["hash"]) if given.head else None
        proof = given.proof.read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        arguments.error(str(error))
    try:
        event = check(proof, key, head)["event"]
    except ProofFails as error:
        sys.exit(f"The proof does not hold: {error}.")
    sys.stdout.write(
        f"The proof holds: {event['event_type']} {event['id']} was sealed at position "
        f"{event['position']}.\n"
    )


def _public_key(given: str) -> bytes:
    if re.fullmatch("[0-9a-fA-F]{64}", given):
        return bytes.fromhex(given)
    key = load_pem_public_key(Path(given).read_bytes())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError(f"{given} has no Ed25519 public key")
    return key.public_bytes_raw()


if __name__ == "__main__":
    main()

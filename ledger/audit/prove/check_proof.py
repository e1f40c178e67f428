"""Checks a proof that an event is in the sealed log: offline, with this file alone.

    python -m ledger.audit.prove.check_proof PROOF.json --public-key KEY [--head HEAD.json]

A proof file is one JSON object:

    format     "ledger-proof/2"
    event      the event, every column of it
    path       the hashes beside the way from the event up to the root of its block
    seal       first_position, format, last_position, number, previous_hash, public_key, root,
               sealed_at, and perhaps more that is sealed with it (OPTIONAL_SEAL_FIELDS)
    chain      the seals after it, in order, up to the last that the proof leads to; may be empty
    leads_to   the hash of that last seal: of `seal` if the chain is empty
    signature  the Ed25519 signature of the last seal: of `seal` if the chain is empty; null if it
               is not signed

What is checked, in this order:

 1. leaf   = SHA-256(0x00 || event in RFC 8785 form)
 2. root   = what the leaf and the path hash to, node = SHA-256(0x01 || left || right), as in
             RFC 6962. Left or right follows from the event's place: position - first_position.
 3. seal   its root is that root.
 4. chain  each seal names the SHA-256 of the one before it (in RFC 8785 form). So the last seal
           stands for all before it.
 5. who    the signature of the last seal in RFC 8785 form is that of the public key you have;
           and the head that you kept, if you give one, is one of these seals. A head is older than
           the event or newer than the proof's last seal? Then it says nothing of this proof.

Whoever has the public key from the ledger's owner, or kept a head, then knows that the event was in
the log, at this position and with this content, when the seal was made. Proofs of the older format
"ledger-proof/1" have no `leads_to`, and the signature of `seal` itself, also where a chain follows.
Needs
`cryptography` and `rfc8785` from PyPI.
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

FORMAT = "ledger-proof/2"
OLDER_FORMAT = "ledger-proof/1"
SEAL_FORMAT = "ledger-seal/1"
OLDER_FIELDS = {"format", "event", "path", "seal", "signature", "chain"}
PROOF_FIELDS = OLDER_FIELDS | {"leads_to"}
SEAL_FIELDS = {
    *("first_position", "format", "last_position", "number"),
    *("previous_hash", "public_key", "root", "sealed_at"),
}
OPTIONAL_SEAL_FIELDS = {"change", "previous_key", "reason", "journal_last", "journal_root"}
EVENT_FIELDS = {
    *("position", "id", "stream_id", "stream_type", "event_type", "event_version", "event_data"),
    *("metadata", "correlation_id", "causation_id", "user_id", "occurred_at", "recorded_at"),
}


class ProofFails(Exception):
    """The file does not prove that its event was sealed."""


class NothingToCheckWith(Exception):
    """What was given says nothing of this proof."""


def check(proof: bytes, public_key: bytes | None, head: bytes | None = None) -> dict[str, Any]:
    """The proof, if it holds for the public key and for the head that was kept (the file as it was
    printed), whichever are given. Raises ProofFails, or NothingToCheckWith."""
    if public_key is None and head is None:
        raise NothingToCheckWith("give a public key, or a head that was kept")
    document = _read(proof)
    is_older = document.get("format") == OLDER_FORMAT
    _fields(document, OLDER_FIELDS if is_older else PROOF_FIELDS, "the proof")
    if document["format"] != FORMAT and not is_older:
        raise ProofFails(f"its format is not {FORMAT}")
    event, seal = document["event"], document["seal"]
    _fields(event, EVENT_FIELDS, "the event")
    _fields(seal, SEAL_FIELDS, "the seal", OPTIONAL_SEAL_FIELDS)
    path = [_hex(node, 32) for node in _list(document["path"])]
    if _root(event, seal, path) != _hex(seal["root"], 32):
        raise ProofFails("the event does not hash to the root of the seal: one of them was changed")
    signature, chain = document["signature"], _list(document["chain"])
    hashes = _follow(seal, chain)
    if not is_older and _hex(document["leads_to"], 32) != hashes[-1]:
        raise ProofFails("it does not lead to the seal that it says it leads to")
    signed = chain[-1] if chain and not is_older else seal
    if public_key is not None:
        _check_signature(signed, signature, public_key)
    elif signature is not None:
        _check_signature(signed, signature, _hex(signed["public_key"], 32))
    if head is not None:
        _check_head(head, seal["number"], hashes)
    return document


def _check_head(head: bytes, number: int, hashes: list[bytes]) -> None:
    """That the head is one of the seals of the proof, whose numbers begin with `number`."""
    kept, hash_of_kept = kept_head(head)
    if hash_of_kept in hashes:
        return
    last = number + len(hashes) - 1
    if kept["number"] < number:
        raise NothingToCheckWith(
            f"the head that was kept, seal {kept['number']} up to position "
            f"{kept['last_position']}, is older than the event, which is under seal {number}: give "
            "one that was kept later"
        )
    if kept["number"] > last:
        raise NothingToCheckWith(
            f"the proof ends at seal {last}, and the head that was kept is seal {kept['number']}: "
            "ask for a proof that leads to it (ledgerctl audit prove --to-head)"
        )
    raise ProofFails("it does not lead to the head that was kept")


def kept_head(head: bytes) -> tuple[dict[str, Any], bytes]:
    """The seal of a head that was kept, and its hash. Raises NothingToCheckWith."""
    try:
        document = _read(head)
        seal = document["seal"]
        _fields(seal, SEAL_FIELDS, "its seal", OPTIONAL_SEAL_FIELDS)
        found = hashlib.sha256(_canonical(seal)).digest()
        if not _whole(seal["number"]) or found != _hex(document["hash"], 32):
            raise ProofFails("its hash is not that of its seal")
    except (ProofFails, KeyError) as error:
        raise NothingToCheckWith(f"the head that was kept is none: {error}") from None
    return seal, found


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


def _follow(seal: dict[str, Any], chain: list[dict[str, Any]]) -> list[bytes]:
    """The hashes of the seal and of those of the chain."""
    hashes = [hashlib.sha256(_canonical(seal)).digest()]
    if not _whole(seal["number"]):
        raise ProofFails("the number of the seal is not an integer")
    for following in chain:
        _fields(following, SEAL_FIELDS, "a seal of the chain", OPTIONAL_SEAL_FIELDS)
        if not _whole(following["number"]) or following["number"] != seal["number"] + 1:
            raise ProofFails("a seal of the chain is missing")
        if _hex(following["previous_hash"], 32) != hashes[-1]:
            raise ProofFails("a seal of the chain does not follow the one before")
        seal = following
        hashes.append(hashlib.sha256(_canonical(following)).digest())
    return hashes


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


def _fields(value: object, names: set[str], what: str, also: set[str] | None = None) -> None:
    if not isinstance(value, dict) or not names <= set(value) <= names | (also or set()):
        raise ProofFails(f"{what} does not have exactly its fields")


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
    """Exit code 0 if the proof holds, 1 if not, 2 for wrong usage, 3 if what was given says nothing
    of this proof."""
    arguments = argparse.ArgumentParser(description="Checks a proof, offline.")
    arguments.add_argument("proof", type=Path)
    arguments.add_argument("--public-key", help="PEM file or 64 hexadecimal digits")
    arguments.add_argument("--head", type=Path, help="a head that was kept")
    given = arguments.parse_args()
    if given.public_key is None and given.head is None:
        arguments.error("give --public-key or --head")
    try:
        key = _public_key(given.public_key) if given.public_key else None
        head = given.head.read_bytes() if given.head else None
        proof = given.proof.read_bytes()
    except (OSError, ValueError) as error:
        arguments.error(str(error))
    try:
        event = check(proof, key, head)["event"]
    except ProofFails as error:
        sys.exit(f"The proof does not hold: {error}.")
    except NothingToCheckWith as error:
        sys.stderr.write(f"The proof cannot be judged: {error}.\n")
        sys.exit(3)
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

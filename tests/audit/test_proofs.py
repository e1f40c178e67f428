"""Proofs: made from the ledger, checked without it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.audit.prove import key_changes, seals
from ledger.audit.prove.check_proof import NothingToCheckWith, ProofFails, check
from ledger.audit.prove.merkle import path, root
from ledger.audit.prove.proofs import CannotProve, proof_text, prove
from tests.audit import history


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


def kept(connection: psycopg.Connection[Any]) -> bytes:
    """The newest head, as it is printed to be kept."""
    head = seals.head(connection)
    assert head is not None
    return json.dumps(head.document()).encode()


@pytest.mark.parametrize("block", [1, 2, 7, 16, 50])
def test_every_event_of_a_block_of_any_size_is_proved(
    connection: psycopg.Connection[Any], block: int
) -> None:
    ids = history.append(connection, 50)
    history.seal(connection, block_events=block)
    for event_id in ids:
        proof = proof_text(prove(connection, event_id))
        assert check(proof, history.PUBLIC_KEY)["event"]["id"] == str(event_id)


def test_a_proof_checks_after_ten_thousand_further_events(
    connection: psycopg.Connection[Any], tmp_path: Path
) -> None:
    ids = history.append(connection, 20)
    history.seal(connection)
    file = tmp_path / "event.proof.json"
    file.write_bytes(proof_text(prove(connection, ids[11])))
    history.append(connection, 10_000)
    history.seal(connection, block_events=1_024)
    assert check(file.read_bytes(), history.PUBLIC_KEY)
    # As its own program, without anything of the ledger.
    alone = subprocess.run(
        [
            *(sys.executable, "-m", "ledger.audit.prove.check_proof", str(file)),
            *("--public-key", history.PUBLIC_KEY.hex()),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (alone.returncode, alone.stderr) == (0, "")
    assert "was sealed at position 12" in alone.stdout


def test_no_byte_that_says_something_can_be_changed(
    connection: psycopg.Connection[Any],
) -> None:
    ids = history.append(connection, 21)
    history.seal(connection)
    proof = proof_text(prove(connection, ids[9]))
    meant = json.loads(proof)
    assert check(proof, history.PUBLIC_KEY)

    @given(at=st.integers(0, len(proof) - 1), byte=st.integers(0, 255))
    @settings(max_examples=1_500, deadline=None, database=None)
    def changed(at: int, byte: int) -> None:
        other = proof[:at] + bytes([byte]) + proof[at + 1 :]
        if other == proof:
            return
        try:
            held = check(other, history.PUBLIC_KEY)
        except ProofFails:
            return
        # Only blanks between the values say nothing.
        assert proof[at : at + 1].isspace()
        assert held == meant

    changed()


def test_an_unsigned_seal_is_proved_by_a_head_that_was_kept(
    connection: psycopg.Connection[Any],
) -> None:
    ids = history.append(connection, 40)
    history.seal(connection, key=None)
    head = kept(connection)
    proof = proof_text(prove(connection, ids[3]))
    assert check(proof, None, head)
    with pytest.raises(ProofFails, match="not signed"):
        check(proof, history.PUBLIC_KEY)
    other = json.loads(head)
    other["seal"]["sealed_at"] = "2026-03-01T12:00:00Z"
    content = json.dumps(other["seal"], separators=(",", ":"), sort_keys=True)
    other["hash"] = sha256(content.encode()).hexdigest()
    with pytest.raises(ProofFails, match="does not lead to the head"):
        check(proof, None, json.dumps(other).encode())
    document = json.loads(proof)
    document["chain"][2]["root"] = document["chain"][1]["root"]
    with pytest.raises(ProofFails, match="does not follow"):
        check(json.dumps(document).encode(), None, head)


@pytest.mark.parametrize("key", [history.KEY, None], ids=["signed", "unsigned"])
def test_a_head_kept_any_time_after_the_event_was_sealed_proves_it(
    connection: psycopg.Connection[Any], key: Ed25519PrivateKey | None
) -> None:
    ids = history.append(connection, 16)
    history.seal(connection, key)
    early = kept(connection)
    history.append(connection, 8)
    history.seal(connection, key)
    newest = kept(connection)
    later = history.append(connection, 8)
    history.seal(connection, key)
    for head in (early, newest, kept(connection)):
        proof = proof_text(prove(connection, ids[2], seals.from_document(head)))
        assert check(proof, None, head)
        assert check(proof, None, early) if head != early else True
        if key is not None:
            assert check(proof, history.PUBLIC_KEY, head)
    with pytest.raises(CannotProve, match="the head is older than the event: it is seal 2"):
        prove(connection, later[0], seals.from_document(early))
    with pytest.raises(NothingToCheckWith, match="older than the event"):
        check(proof_text(prove(connection, later[0])), None, early)
    with pytest.raises(NothingToCheckWith, match="--to-head"):
        check(proof_text(prove(connection, ids[2], seals.from_document(early))), None, newest)


def test_a_proof_of_the_older_format_still_checks(connection: psycopg.Connection[Any]) -> None:
    """As it was written before: the seal's own signature, and a chain where that is missing."""
    ids = history.append(connection, 24)
    history.seal(connection)
    signed = prove(connection, ids[3]) | {"format": "ledger-proof/1"}
    del signed["leads_to"]
    assert check(proof_text(signed), history.PUBLIC_KEY)
    head = kept(connection)
    with connection.transaction():
        chain = [seal.content() for seal in seals.all_seals(connection, 2)]
    longer = proof_text(signed | {"chain": chain})
    assert check(longer, history.PUBLIC_KEY, head)
    unsigned = proof_text(signed | {"chain": chain, "signature": None})
    assert check(unsigned, None, head)
    with pytest.raises(ProofFails, match="not signed"):
        check(unsigned, history.PUBLIC_KEY)


def test_after_a_change_of_keys_an_older_event_is_proved_with_the_new_key(
    connection: psycopg.Connection[Any],
) -> None:
    ids = history.append(connection, 16)
    history.seal(connection)
    new = Ed25519PrivateKey.generate()
    public = new.public_key().public_bytes_raw()
    key_changes.rotate(connection, history.KEY, new, "the yearly change")
    later = history.append(connection, 8)
    history.seal(connection, new)
    for event in (ids[0], later[0]):
        proof = proof_text(prove(connection, event))
        assert check(proof, public)
        assert check(proof, public, kept(connection)) if event == later[0] else True
        with pytest.raises(ProofFails, match="another key"):
            check(proof, history.PUBLIC_KEY)


def test_a_name_given_twice_is_refused(connection: psycopg.Connection[Any]) -> None:
    ids = history.append(connection, 1)
    history.seal(connection)
    proof = proof_text(prove(connection, ids[0]))
    doubled = proof.replace(b'"event_type":', b'"event_type": "forged", "event_type":', 1)
    with pytest.raises(ProofFails, match="twice"):
        check(doubled, history.PUBLIC_KEY)


def test_what_is_not_sealed_or_was_altered_is_not_proved(
    connection: psycopg.Connection[Any],
) -> None:
    ids = history.append(connection, 10)
    with pytest.raises(CannotProve, match="not sealed yet"):
        prove(connection, ids[0])
    with pytest.raises(CannotProve, match="there is no event"):
        prove(connection, uuid4())
    history.seal(connection)
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE event_store SET event_type = 'forged' WHERE position = 1")
    with pytest.raises(CannotProve, match="is not what was sealed"):
        prove(connection, ids[0])


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
@settings(max_examples=50, deadline=None, database=None)
def test_trees_are_those_of_rfc_6962(leaves: list[bytes], data: st.DataObject) -> None:
    assert root(leaves) == _rfc_6962(leaves)
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert len(path(leaves, index)) <= (len(leaves) - 1).bit_length()


def _rfc_6962(leaves: list[bytes]) -> bytes:
    """MTH as the RFC defines it, by recursion."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + _rfc_6962(leaves[:split]) + _rfc_6962(leaves[split:])).digest()

"""The page that checks proofs and exports, in a browser that has no network."""

import json
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import Page, expect

from ledger.audit.export.export import export
from ledger.audit.prove import key_changes, seals
from ledger.audit.prove.check_proof import NothingToCheckWith, ProofFails, check
from ledger.audit.prove.keys import new_key, public_path
from ledger.audit.prove.proof_page import proof_page, write_proof_page
from ledger.audit.prove.proofs import proof_text, prove
from tests.audit import history
from tests.audit.test_proofs import kept
from tests.databases import temporary_database

MUTATIONS = int(os.environ.get("LEDGER_TEST_ROUNDS", "40"))
"""Changed proofs that must be refused; 1,000 take a quarter of a minute."""
KEY = history.PUBLIC_KEY.hex()
JUDGED_AT_ONCE = 20
LARGEST_BYTES = 300_000
JUDGE = """async (asked) => {
    const found = [];
    for (const [files, keys, heads] of asked) {
        const given = files.map(([name, bytes]) => new File([Uint8Array.from(bytes)], name));
        const {verdict, reason, findings} = await judge(given, keys, heads.map(readJson));
        found.push({verdict, reason: reason ?? null, findings: findings.map((one) => one.what)});
    }
    return found;
}"""


class Sealed(NamedTuple):
    """A sealed history with what it proves."""

    connection: psycopg.Connection[Any]
    ids: list[UUID]
    head: bytes

    def proof(self, index: int) -> bytes:
        return proof_text(prove(self.connection, self.ids[index]))


@pytest.fixture(scope="module")
def sealed(postgres_url: str) -> Iterator[Sealed]:
    with (
        temporary_database(postgres_url, template="ledger_template") as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        ids = history.append(connection, 45)
        history.seal(connection)
        yield Sealed(connection, ids, kept(connection))


@pytest.fixture
def checker(page: Page, tmp_path: Path) -> Page:
    """The page, opened from its file, and no request of any kind."""
    file = tmp_path / "proof-page.html"
    write_proof_page(file)
    page.on("request", lambda request: _only(request.url, file))
    page.goto(file.as_uri())
    return page


def _only(url: str, file: Path) -> None:
    assert url == file.as_uri()


def drop(page: Page, *files: Path) -> None:
    page.get_by_label("A proof").set_input_files(files)


def verdict(page: Page) -> str:
    box = page.locator("#verdict")
    expect(box).not_to_contain_text("Checking")
    return str(box.get_attribute("class")).split()[-1]


def judged(page: Page, text: bytes, keys: list[str], heads: list[bytes]) -> dict[str, Any]:
    (found,) = judged_each(page, [(text, heads)], keys)
    return found


def judged_each(
    page: Page, proofs: list[tuple[bytes, list[bytes]]], keys: list[str]
) -> list[dict[str, Any]]:
    """What the page says of each proof, asked all at once."""
    given = [
        [[["one.proof.json", list(text)]], keys, [head.decode() for head in heads]]
        for text, heads in proofs
    ]
    found = page.evaluate(JUDGE, given)
    assert isinstance(found, list)
    return found


def test_a_proof_is_held_only_on_the_word_of_a_key_or_a_head(
    checker: Page, sealed: Sealed, tmp_path: Path
) -> None:
    file = tmp_path / "one.proof.json"
    file.write_bytes(sealed.proof(12))
    drop(checker, file)
    assert verdict(checker) == "consistent"
    expect(checker.locator("#verdict")).to_contain_text("nothing from outside shows who sealed it")
    checker.get_by_label("Public key").fill(KEY)
    expect(checker.locator("#verdict")).to_contain_text("Held: account.deposited")
    expect(checker.locator("#facts")).to_contain_text(KEY)
    checker.get_by_label("Public key").fill("ab" * 32)
    expect(checker.locator("#verdict")).to_contain_text("signed with another key")
    assert verdict(checker) == "altered"
    checker.get_by_label("Public key").fill("no key")
    expect(checker.locator("#verdict")).to_contain_text("neither 64 hexadecimal digits nor PEM")
    assert verdict(checker) == "unjudged"


def test_the_key_may_be_the_file_that_was_made_with_it_and_the_head_what_was_printed(
    checker: Page, sealed: Sealed, tmp_path: Path
) -> None:
    new_key(tmp_path / "seal.pem")
    file = tmp_path / "one.proof.json"
    file.write_bytes(sealed.proof(44))
    drop(checker, file)
    checker.get_by_label("Public key").fill(public_path(tmp_path / "seal.pem").read_text())
    expect(checker.locator("#verdict")).to_contain_text("signed with another key")
    checker.get_by_label("Public key").fill("")
    checker.get_by_label("Head that was kept").fill(sealed.head.decode())
    expect(checker.locator("#verdict")).to_contain_text("Held")
    expect(checker.locator("#facts")).to_contain_text("on the word of head")
    changed = tmp_path / "changed.proof.json"
    changed.write_bytes(file.read_bytes().replace(b"account.deposited", b"account.withdrawn"))
    drop(checker, changed)
    expect(checker.locator("#verdict")).to_contain_text("does not hash to the root")
    assert verdict(checker) == "altered"


def test_what_others_wrote_is_shown_as_text(checker: Page, sealed: Sealed, tmp_path: Path) -> None:
    text = "<img src=x onerror=alert(1)>\u202e"
    file = tmp_path / f"{text[:10]}.proof.json"
    document = json.loads(sealed.proof(3))
    document["format"] = text
    document["seal"][text] = 1
    file.write_text(json.dumps(document))
    drop(checker, file)
    assert verdict(checker) == "altered"
    assert checker.locator("img").count() == 0


def test_a_pinned_key_is_named_and_a_page_without_network_has_a_policy(
    page: Page, sealed: Sealed, tmp_path: Path
) -> None:
    file = tmp_path / "pinned.html"
    write_proof_page(file, [history.PUBLIC_KEY])
    page.goto(file.as_uri())
    proof = tmp_path / "one.proof.json"
    proof.write_bytes(sealed.proof(1))
    drop(page, proof)
    expect(page.locator("#verdict")).to_contain_text("Held")
    expect(page.locator("#facts")).to_contain_text("(pinned in this page)")
    text = proof_page()
    assert len(text) < LARGEST_BYTES
    assert "connect-src 'none'" in text
    assert "default-src 'none'" in text
    assert "http:" not in text
    assert "https:" not in text
    with pytest.raises(Exception, match="fetch"):
        page.evaluate("fetch('data:text/plain,x')")


def test_it_says_of_proofs_what_the_ledger_says(checker: Page, sealed: Sealed) -> None:
    """The true ones hold, and each changed one is refused, by both for the same reason."""
    chance = random.Random(7)
    later = sealed.head
    proofs = [sealed.proof(index) for index in range(45)]
    true = list(proofs)
    for proof in proofs[::6]:
        older = {**json.loads(proof), "format": "ledger-proof/1"}
        del older["leads_to"]
        true.append(json.dumps(older).encode())
    found_true = judged_each(checker, [(proof, []) for proof in true], [KEY])
    assert {one["verdict"] for one in found_true} == {"held"}
    refused = 0
    while refused < MUTATIONS:
        asked = []
        for _ in range(JUDGED_AT_ONCE):
            changed = _mutated(chance, proofs[chance.randrange(45)])
            asked.append((changed, [later] if chance.random() < 0.3 else []))
        for (changed, heads), found in zip(asked, judged_each(checker, asked, [KEY]), strict=True):
            said = _said(partial(check, changed, history.PUBLIC_KEY, *heads))
            assert (found["verdict"], changed) == (said[0], changed), (found, said)
            refused += said[0] != "held"


def _said(check_it: Callable[[], object]) -> tuple[str, str]:
    try:
        check_it()
    except ProofFails as error:
        return "altered", str(error)
    except NothingToCheckWith as error:
        return "unjudged", str(error)
    return "held", ""


def _mutated(chance: random.Random, proof: bytes) -> bytes:
    """The proof with a byte, a value or an order changed."""
    if chance.random() < 0.5:
        at = chance.randrange(len(proof))
        return proof[:at] + bytes([chance.randrange(256)]) + proof[at + 1 :]
    document = json.loads(proof)
    places = list(_places(document))
    inside, name = chance.choice(places)
    match chance.randrange(4):
        case 0:
            del inside[name]
        case 1:
            inside[name] = chance.choice([None, 0, -1, "", "0" * 64, [], {}, True, 1.5, 2**60])
        case 2:
            other_inside, other = chance.choice(places)
            value = json.loads(json.dumps(other_inside[other]))
            inside[name] = value
        case _:
            inside[name] = [inside[name]]
    return json.dumps(document).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    names = list(value) if isinstance(value, dict) else range(len(value))
    for name in names:
        yield value, name
        if isinstance(value[name], dict | list):
            yield from _places(value[name])


def test_keys_that_were_rotated_and_lost_are_followed(checker: Page, database_url: str) -> None:
    second, third = (Ed25519PrivateKey.generate() for _ in range(2))
    with psycopg.connect(database_url, autocommit=True) as connection:
        ids = history.append(connection, 10)
        history.seal(connection)
        key_changes.rotate(connection, history.KEY, second, "yearly")
        history.append(connection, 3)
        history.seal(connection, key=second)
        proof = proof_text(prove(connection, ids[2]))
        key_changes.replace_lost(connection, third, "the disk broke")
        lost = proof_text(prove(connection, ids[2]))
    key = second.public_key().public_bytes_raw().hex()
    assert judged(checker, proof, [key], [])["verdict"] == "held"
    assert judged(checker, proof, [KEY], [])["verdict"] == "altered"
    assert (
        judged(checker, lost, [third.public_key().public_bytes_raw().hex()], [])["verdict"]
        == "held"
    )


@pytest.mark.parametrize("file_format", ["jsonl", "csv", "beancount"])
def test_an_export_is_checked_whole(
    checker: Page, sealed: Sealed, tmp_path: Path, file_format: Any
) -> None:
    place = tmp_path / "exported"
    manifest = export(sealed.connection, place, file_format, first=3, last=29)
    files = [place / file["name"] for file in manifest["files"]] + [place / "manifest.json"]
    drop(checker, *files)
    expect(checker.locator("#verdict")).to_contain_text("Consistent in itself")
    checker.get_by_label("Public key").fill(KEY)
    expect(checker.locator("#verdict")).to_contain_text("nothing was altered in positions 3–29")
    checker.get_by_label("Public key").fill("ab" * 32)
    expect(checker.locator("#verdict")).to_contain_text("not with one that was given")
    checker.get_by_label("Public key").fill(KEY)
    name = manifest["files"][0]["name"]
    whole = (place / name).read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    for file in files:
        (other / file.name).write_bytes(file.read_bytes())
    (other / name).write_bytes(whole.replace(b"12.50", b"12.51", 1))
    drop(checker, *[other / file.name for file in files])
    expect(checker.locator("#verdict")).to_contain_text("do not hash to the root of seal")
    drop(checker, place / "manifest.json")
    expect(checker.locator("#verdict")).to_contain_text("drop all files of the export together")


def test_an_export_whose_seals_were_changed_is_refused(
    checker: Page, sealed: Sealed, tmp_path: Path
) -> None:
    place = tmp_path / "exported"
    export(sealed.connection, place, "jsonl", last=24)
    events = list((place / "events.jsonl").read_bytes())
    manifest = json.loads((place / "manifest.json").read_bytes())
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda changed: changed["blocks"].pop(1),
        lambda changed: changed["blocks"].pop(),
        lambda changed: changed["blocks"].reverse(),
        lambda changed: changed["blocks"][0].update(signature=None),
        lambda changed: changed["blocks"][1].update(signature="00" * 64),
        lambda changed: changed["blocks"][1]["seal"].update(sealed_at="2020-01-01T00:00:00Z"),
        lambda changed: changed.update(events=23),
        lambda changed: changed.update(last_position=23),
        lambda changed: changed["files"][0].update(sha256="00" * 32),
        lambda changed: changed["files"][0].update(name="../manifest.json"),
    ]
    for number, change in enumerate([lambda changed: None, *changes]):
        changed = json.loads(json.dumps(manifest))
        change(changed)
        text = list(json.dumps(changed).encode())
        files = [["manifest.json", text], ["events.jsonl", events]]
        (found,) = checker.evaluate(JUDGE, [[files, [KEY], []]])
        assert found["verdict"] == ("held" if number == 0 else "altered"), (number, found)
    seal = seals.numbered(sealed.connection, 2)
    assert seal is not None
    head = json.dumps(seal.document())
    files = [["manifest.json", list(json.dumps(manifest).encode())], ["events.jsonl", events]]
    asked = [[files, [], [head]], [files, [], [sealed.head.decode()]]]
    found = checker.evaluate(JUDGE, asked)
    assert [one["verdict"] for one in found] == ["held", "unjudged"]

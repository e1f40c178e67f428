"""ledgerctl audit seal, verify, prove, check-proof, export: as a person runs them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg

from ledger.audit.prove import seals
from tests.audit import history
from tests.cli.running import run


async def test_from_a_key_to_a_proof(tmp_path: Path, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        ids = history.append(connection, 12)
    made = await run("audit", "seal", "--new-key", "key.pem", cwd=tmp_path)
    assert made.exit_code == 0, made.stderr
    own = {"LEDGER_DATABASE_URL": database_url, "LEDGER_SEAL_KEY_FILE": "key.pem"}

    unsealed = await run("audit", "seal", "--head", cwd=tmp_path, stdin=b"", **own)
    assert unsealed.exit_code == 1
    assert "nothing is sealed yet: not sealed yet: 12 events" in unsealed.stderr

    sealed = await run("audit", "seal", "--json", cwd=tmp_path, stdin=b"", **own)
    assert json.loads(sealed.stdout)["sealed_events"] == 12
    head = await run("audit", "seal", "--head", cwd=tmp_path, stdin=b"", **own)
    (tmp_path / "head.json").write_text(head.stdout)

    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 3)
    verified = await run(
        *("audit", "verify", "--head", "head.json", "--public-key", "key.pem.pub", "--json"),
        cwd=tmp_path,
        LEDGER_DATABASE_URL=database_url,
    )
    verdict = json.loads(verified.stdout)
    assert (verified.exit_code, verdict["holds"]) == (0, True)
    assert (verdict["events"], verdict["unsealed_events"], verdict["signed_seals"]) == (12, 3, 1)

    proved = await run("audit", "prove", str(ids[4]), cwd=tmp_path, stdin=b"", **own)
    assert proved.stdout == f"wrote {ids[4]}.proof.json: position 5, under seal 1\n"
    checked = await run(
        *("audit", "check-proof", f"{ids[4]}.proof.json", "--public-key", "key.pem.pub"),
        cwd=tmp_path,
    )
    assert checked.exit_code == 0
    assert "was sealed at position 5" in checked.stdout
    wrong = await run(
        *("audit", "check-proof", f"{ids[4]}.proof.json", "--public-key", "00" * 32), cwd=tmp_path
    )
    assert wrong.exit_code == 1
    assert "signed with another key" in wrong.stdout


def kept_head(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    head = seals.head(connection)
    assert head is not None
    return head.document()


async def test_what_was_altered_is_named_and_exits_with_one(
    tmp_path: Path, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 12)
        history.seal(connection)
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE event_store SET user_id = NULL WHERE position = 6")
    altered = await run("audit", "verify", cwd=tmp_path, LEDGER_DATABASE_URL=database_url)
    assert altered.exit_code == 1
    assert "first bad position 6, changed" in altered.stdout
    beside = await run(
        *("audit", "verify", "--from", "9", "--to", "12", "--public-key", history.PUBLIC_KEY.hex()),
        cwd=tmp_path,
        LEDGER_DATABASE_URL=database_url,
    )
    assert beside.exit_code == 0, "the blocks of the range are whole"
    assert "nothing was altered in positions 9-12 (signed" in beside.stdout


async def test_without_a_key_or_a_head_nothing_is_said_to_be_unaltered(
    tmp_path: Path, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        ids = history.append(connection, 8)
        history.seal(connection)
        (tmp_path / "head.json").write_text(json.dumps(kept_head(connection)))
        later = history.append(connection, 8)
        history.seal(connection)
    own: Any = {"LEDGER_DATABASE_URL": database_url}
    exported = await run("audit", "export", "--format", "jsonl", "out", cwd=tmp_path, **own)
    assert exported.exit_code == 0, exported.stderr
    for what in ((), ("--export", "out")):
        alone = await run("audit", "verify", *what, cwd=tmp_path, **own)
        assert alone.exit_code == 3
        assert "nothing from outside shows who sealed it" in alone.stdout
        assert "nothing was altered" not in alone.stdout
        told = await run("audit", "verify", *what, "--json", cwd=tmp_path, **own)
        assert told.exit_code == 3
        verdict = json.loads(told.stdout)
        assert (verdict["holds"], verdict["standing"]) == (False, "consistent")
        held = await run("audit", "verify", *what, "--head", "head.json", cwd=tmp_path, **own)
        assert held.exit_code == 0
        assert "nothing was altered in positions 1-8 " in held.stdout
        assert "Positions 9-16 are consistent in themselves" in held.stdout
    for arguments, code, said in (
        (("prove", str(ids[0]), "--to-head", "head.json"), 0, "wrote"),
        (("check-proof", f"{ids[0]}.proof.json", "--head", "head.json"), 0, "leads to the head"),
        (("prove", str(later[0])), 0, "wrote"),
        (("check-proof", f"{later[0]}.proof.json", "--head", "head.json"), 3, "is older than the"),
    ):
        answered = await run("audit", *arguments, cwd=tmp_path, **own)
        assert (answered.exit_code, said in answered.stdout) == (code, True), answered
    older = await run(
        *("audit", "prove", str(later[0]), "--to-head", "head.json"), cwd=tmp_path, **own
    )
    assert older.exit_code == 1
    assert "the head is older than the event" in older.stderr


async def test_a_key_is_rotated_and_another_is_lost(tmp_path: Path, database_url: str) -> None:
    own: Any = {"LEDGER_DATABASE_URL": database_url}
    for name in ("first", "second", "third"):
        assert (await run("audit", "seal", "--new-key", name, cwd=tmp_path)).exit_code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 8)
        assert (
            await run("audit", "seal", cwd=tmp_path, LEDGER_SEAL_KEY_FILE="first", **own)
        ).exit_code == 0
        history.append(connection, 8)
    unsigned = await run("audit", "seal", cwd=tmp_path, **own)
    assert unsigned.exit_code == 1
    assert "Set LEDGER_SEAL_KEY_FILE to the key in force" in unsigned.stderr
    why = ("--reason", "the yearly change")
    nobody = await run("audit", "rotate-key", "second", *why, cwd=tmp_path, **own)
    assert nobody.exit_code == 2
    for old, new, more in (("first", "second", ()), ("first", "third", ("--lost",))):
        changed = await run(
            *("audit", "rotate-key", new, *why, *more),
            cwd=tmp_path,
            LEDGER_SEAL_KEY_FILE=old,
            **own,
        )
        assert changed.exit_code == 0, changed.stderr
        assert f"Now set LEDGER_SEAL_KEY_FILE to {new}" in changed.stdout
        if new == "second":
            sealed = await run("audit", "seal", cwd=tmp_path, LEDGER_SEAL_KEY_FILE=new, **own)
            assert sealed.exit_code == 0, sealed.stderr
    for keys, code, said in (
        (("third.pub",), 0, "nothing was altered in positions 1-16"),
        (("first.pub:1-8", "second.pub:9-16", "third.pub:17-"), 0, "nothing was altered"),
        (("second.pub",), 1, "was lost"),
        (("first.pub:1-16", "third.pub"), 1, "not with the one that was given"),
    ):
        given = [part for key in keys for part in ("--public-key", key)]
        verified = await run("audit", "verify", *given, cwd=tmp_path, **own)
        assert (verified.exit_code, said in verified.stdout) == (code, True), verified.stdout
        assert "key lost: " in verified.stdout


async def test_an_export_is_verified_where_there_is_no_ledger(
    tmp_path: Path, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        history.append(connection, 20)
        history.seal(connection)
    exported = await run(
        *("audit", "export", "--format", "csv", "--from", "3", "--to", "15", "out"),
        cwd=tmp_path,
        LEDGER_DATABASE_URL=database_url,
    )
    assert exported.exit_code == 0, exported.stderr
    assert "13 events, positions 3-15, under 2 seals; 0 not sealed yet" in exported.stdout
    key = history.PUBLIC_KEY.hex()
    verify = ("audit", "verify", "--export", "out", "--public-key", key)
    assert (await run(*verify, cwd=tmp_path)).exit_code == 0
    file = tmp_path / "out" / "events.csv"
    file.write_text(file.read_text().replace("12.50", "12.51", 1))
    changed = await run(*verify, cwd=tmp_path)
    assert changed.exit_code == 1
    assert "first bad position 3, changed" in changed.stdout


async def test_wrong_usage_and_missing_files_are_told_without_a_traceback(
    tmp_path: Path, database_url: str
) -> None:
    cases: tuple[tuple[tuple[str, ...], int, str], ...] = (
        (("seal", "--head", "--new-key", "k"), 2, "not both"),
        (("verify", "--head", "nothing.json"), 1, "nothing.json"),
        (("verify", "--export", "nothing"), 1, "no whole export"),
        (("check-proof", "nothing.json"), 2, "give --public-key"),
        (("prove", "0190a000-0000-7000-8000-000000000000"), 1, "there is no event"),
        (("export", "--format", "xml", "out"), 2, "xml"),
    )
    own = {"LEDGER_DATABASE_URL": database_url, "TERM": "dumb", "COLUMNS": "200"}
    told = await asyncio.gather(
        *(run("audit", *case[0], cwd=tmp_path, stdin=b"", **own) for case in cases)
    )
    for (arguments, code, message), finished in zip(cases, told, strict=True):
        assert finished.exit_code == code, (arguments, finished)
        assert message in finished.stderr
        assert "Traceback" not in finished.stderr

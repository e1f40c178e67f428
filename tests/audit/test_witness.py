"""A witness: what it keeps, what it does not let pass, and how it goes on after it ended."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ledger.audit.prove import key_changes, seals
from ledger.audit.prove.heads import CONTRADICTIONS_FILE, heads_in
from ledger.audit.prove.seals import Seal
from ledger.audit.prove.verify import verify
from ledger.audit.witness import Contradiction, Seen, judge, watch
from ledger.audit.witness.sources import from_bus, from_database
from ledger.audit.witness.stream_target import StreamTarget
from ledger.audit.witness.targets import (
    CannotKeep,
    DirectoryTarget,
    GitTarget,
)
from ledger.bus.connection import connect_once
from ledger.bus.seal_stream import SEALS_STREAM, SEALS_SUBJECT, ensure_seals_stream, seals_of
from ledger.bus.security import BusSecurity
from ledger.operate.database_url import acting_as
from ledger.operate.embedded.servers import EmbeddedNats
from ledger.operate.roles import AUDITOR
from ledger.operate.settings import Settings
from tests.audit import history
from tests.cli.running import run

Target = DirectoryTarget | GitTarget | StreamTarget


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as opened:
        yield opened


@pytest.fixture
def made(connection: psycopg.Connection[Any]) -> list[Seal]:
    """Six seals of one history."""
    history.append(connection, 48)
    return history.seal(connection)


@pytest.fixture(params=["directory", "git", "stream"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where heads are kept."""
    if request.param == "stream":
        server: EmbeddedNats = request.getfixturevalue("nats_server")
        return server.url
    prefix = "git:" if request.param == "git" else ""
    return f"{prefix}{tmp_path / 'kept'}"


def opened(place: str) -> Target:
    if place.startswith("nats:"):
        return StreamTarget(place, BusSecurity())
    if place.startswith("git:"):
        return GitTarget(Path(place.removeprefix("git:")))
    return DirectoryTarget(Path(place))


def seen(*heads: Seal) -> list[Seen]:
    return [Seen(orjson.dumps(head.document()), at) for at, head in enumerate(heads, 1)]


def keep(target: Target, heads: list[Seen]) -> bool:
    return watch(heads, target, silence_seconds=60, stop=threading.Event())


def nothing(_: int) -> Seal | None:
    """No earlier head is asked for."""
    return None


def anew(seal: Seal, **values: Any) -> Seal:
    """Another seal, signed with the true key."""
    return seals.signed(msgspec.structs.replace(seal, **values), history.KEY)


def test_heads_are_kept_and_what_goes_on_from_them_is_too(place: str, made: list[Seal]) -> None:
    with opened(place) as target:
        assert target.newest() is None
        assert keep(target, seen(made[0], made[1], made[1], made[3]))
    with opened(place) as target:  # as after a restart
        newest = target.newest()
        assert newest is not None
        assert (newest.seal, newest.sequence) == (made[3], 4)
        assert keep(target, seen(made[3], made[0], made[5]))
        assert list(target.heads()) == [made[0], made[1], made[3], made[5]]


def test_a_head_that_contradicts_is_kept_beside_the_others_and_ends_the_witness(
    place: str, made: list[Seal], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = anew(made[4], root=b"\x01" * 32)
    with opened(place) as target:
        assert keep(target, seen(*made[:5]))
        assert not keep(target, seen(forged, made[5]))
        assert not keep(target, seen(forged))
        assert list(target.heads()) == made[:5]
    assert "witness.contradiction" in capsys.readouterr().err
    if not place.startswith("nats:"):
        (line,) = (tmp_path / "kept" / CONTRADICTIONS_FILE).read_bytes().splitlines()
        told = orjson.loads(line)
        assert orjson.loads(told["seen"]) == forged.document()
        assert told["newest_kept"] == made[4].document()


def test_every_way_not_to_go_on_is_a_contradiction(made: list[Seal]) -> None:
    other = Ed25519PrivateKey.generate()
    by_other = msgspec.structs.replace(made[3], public_key=other.public_key().public_bytes_raw())
    unsigned = msgspec.structs.replace(made[5], public_key=None)
    wrong: list[tuple[Seal, str]] = [
        (anew(made[2], root=b"\x01" * 32), "is not one of those"),
        (anew(made[1], root=b"\x01" * 32), "is not one of those"),
        (anew(made[3], previous_hash=b"\x01" * 32), "was not made upon seal 3"),
        (anew(made[5], first_position=20), "had come to position 24"),
        (msgspec.structs.replace(made[3], signature=made[4].signature), "not its key's"),
        (seals.signed(by_other, other), "states no change of keys"),
        (seals.signed(unsigned, None), "is not signed"),
    ]
    kept = {seal.number: seal for seal in made[:3]}
    for head, message in wrong:
        with pytest.raises(Contradiction, match=message):
            judge(made[2], head, kept.get)
    assert judge(made[2], made[3], kept.get) == "new"
    assert judge(made[2], made[5], kept.get) == "new"
    assert judge(made[2], made[0], kept.get) == "known"
    assert judge(None, made[5], kept.get) == "new"


def test_a_change_of_keys_goes_on(connection: psycopg.Connection[Any], made: list[Seal]) -> None:
    new = Ed25519PrivateKey.generate()
    changed = key_changes.rotate(connection, history.KEY, new, "the yearly change")
    history.append(connection, 8)
    (after,) = history.seal(connection, new)
    assert judge(made[-1], changed, nothing) == "new"
    assert judge(changed, after, nothing) == "new"
    with pytest.raises(Contradiction, match="states no change"):
        judge(changed, anew(after, public_key=history.PUBLIC_KEY), nothing)


def test_what_is_no_head_is_an_alarm(tmp_path: Path, made: list[Seal]) -> None:
    with opened(str(tmp_path / "kept")) as target:
        assert keep(target, seen(made[0]))
        for rubbish in (b"", b"{}", b"\xff\x00", orjson.dumps({"seal": 1})):
            assert not keep(target, [Seen(rubbish)])
        assert list(target.heads()) == made[:1]


def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path, made: list[Seal]) -> None:
    file = tmp_path / "kept" / "heads.jsonl"
    with opened(str(tmp_path / "kept")) as target:
        assert keep(target, seen(*made[:3]))
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    assert list(heads_in(tmp_path / "kept")) == made[:2]
    with opened(str(tmp_path / "kept")) as target:
        assert keep(target, seen(made[1], made[2]))
    assert [head.number for head in heads_in(tmp_path / "kept")] == [1, 2, 3]


@pytest.mark.parametrize("prefix", ["", "git:"])
def test_a_head_that_is_kept_while_others_are_read_is_not_among_them(
    tmp_path: Path, made: list[Seal], prefix: str
) -> None:
    """The database that they are compared with is of an earlier moment and does not have it."""
    with opened(f"{prefix}{tmp_path / 'kept'}") as target:
        assert keep(target, seen(*made[:2]))
        heads = heads_in(tmp_path / "kept")
        assert keep(target, seen(made[2]))
        assert list(heads) == made[:2]
        assert list(heads_in(tmp_path / "kept")) == made[:3]


def test_two_witnesses_do_not_keep_in_one_place(tmp_path: Path) -> None:
    for prefix in ("", "git:"):
        place = f"{prefix}{tmp_path / f'kept{prefix[:3]}'}"
        with opened(place), pytest.raises(CannotKeep, match="another witness"), opened(place):
            pass


def test_silence_is_said_once_and_so_is_its_end(
    tmp_path: Path, made: list[Seal], capsys: pytest.CaptureFixture[str]
) -> None:
    def quiet() -> Iterator[Seen | None]:
        yield None
        deadline = time.monotonic() + 20
        while "silence" not in (said := capsys.readouterr().err):
            assert time.monotonic() < deadline, said
            yield None
        yield None
        assert "silence" not in capsys.readouterr().err
        yield from seen(made[0])

    with opened(str(tmp_path / "kept")) as target:
        assert watch(quiet(), target, silence_seconds=0.05, stop=threading.Event())
    assert "heard_again" in capsys.readouterr().err


def test_a_witness_at_the_database_sees_what_is_between_two_heads(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path, made: list[Seal]
) -> None:
    as_auditor = acting_as(database_url, AUDITOR)

    def look(target: Target) -> bool:
        found = from_database(as_auditor, Settings(), target.newest(), threading.Event(), once=True)
        return watch(found, target, silence_seconds=60, stop=threading.Event())

    with opened(str(tmp_path / "kept")) as target:
        assert look(target)
        history.append(connection, 24)
        history.seal(connection)
        connection.execute("SET session_replication_role = replica")
        assert look(target)
        assert [head.number for head in target.heads()] == [6, 9]
        history.append(connection, 16)
        history.seal(connection)
        connection.execute("UPDATE event_seals SET root = sha256(root) WHERE number = 10")
        assert not look(target)
    assert "seal 10 was changed" in (tmp_path / "kept" / CONTRADICTIONS_FILE).read_text()


def test_seals_that_are_gone_or_made_anew_are_seen_at_the_database(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path, made: list[Seal]
) -> None:
    kept = tmp_path / "kept"
    with opened(str(kept)) as target:
        assert keep(target, seen(*made))
    connection.execute("SET session_replication_role = replica")
    connection.execute("DELETE FROM event_seals WHERE number > 4")
    connection.execute("UPDATE event_projections SET last_processed_position = 32")
    with opened(str(kept)) as target:
        found = from_database(
            database_url, Settings(), target.newest(), threading.Event(), once=True
        )
        assert not watch(found, target, silence_seconds=60, stop=threading.Event())
    verdict = verify(connection, trusted=history.TRUSTED, kept=heads_in(kept))
    assert verdict.standing == "altered"
    assert verdict.first is not None
    assert verdict.first.position == 33


def look_at_bus(place: Path, url: str) -> bool:
    with DirectoryTarget(place) as target:
        found = from_bus(url, Settings(), target.newest(), threading.Event(), once=True)
        return watch(found, target, silence_seconds=60, stop=threading.Event())


def test_a_witness_on_the_bus_goes_on_where_it_was(
    nats_url: str, tmp_path: Path, made: list[Seal]
) -> None:
    kept = tmp_path / "kept"
    publish(nats_url, made[:2])
    assert look_at_bus(kept, nats_url)
    publish(nats_url, [made[1], made[4]])
    assert look_at_bus(kept, nats_url)
    assert list(heads_in(kept)) == [made[0], made[1], made[4]]
    # What contradicts shows whenever it comes, also while nobody looked, and again.
    publish(nats_url, [anew(made[2], root=b"\x01" * 32), made[5]])
    assert not look_at_bus(kept, nats_url)
    assert not look_at_bus(kept, nats_url)
    assert list(heads_in(kept)) == [made[0], made[1], made[4]]


def test_a_stream_that_was_removed_and_made_again_is_an_alarm(
    nats_url: str, tmp_path: Path, made: list[Seal]
) -> None:
    publish(nats_url, made[:3])
    assert look_at_bus(tmp_path / "kept", nats_url)
    publish(nats_url, made[3:4], anew=True)
    assert not look_at_bus(tmp_path / "kept", nats_url)
    assert "made anew" in (tmp_path / "kept" / CONTRADICTIONS_FILE).read_text()


async def test_a_source_that_is_away_is_not_taken_for_a_quiet_one(tmp_path: Path) -> None:
    arguments = ("audit", "witness", "kept", "--once", "--source", "database")
    away = await run(*arguments, cwd=tmp_path, LEDGER_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert away.exit_code == 1
    assert "the database does not answer" in away.stderr


def publish(url: str, heads: list[Seal], *, anew: bool = False) -> None:
    """As the sealer does; with `anew` to a stream in the place of the one that is there."""

    async def published() -> None:
        connection = await connect_once(url, "test", security=BusSecurity())
        try:
            jetstream = seals_of(connection)
            if anew:
                await jetstream.delete_stream(SEALS_STREAM)
            await ensure_seals_stream(jetstream, Settings(seal_heads_limit_bytes=1024**2))
            for head in heads:
                await jetstream.publish(SEALS_SUBJECT, orjson.dumps(head.document()))
        finally:
            await connection.close()

    asyncio.run(published())


async def test_ledgerctl_keeps_alarms_and_verifies(
    database_url: str, connection: psycopg.Connection[Any], tmp_path: Path, made: list[Seal]
) -> None:
    own: Any = {"LEDGER_DATABASE_URL": database_url}
    arguments = ("audit", "witness", "kept", "--source", "database", "--once")
    first = await run(*arguments, cwd=tmp_path, **own)
    assert (first.exit_code, first.stdout.split(",")[0]) == (0, "kept up to seal 6"), first.stderr
    verified = await run(
        "audit", "verify", "--witness", "kept", cwd=tmp_path, LEDGER_DATABASE_URL=database_url
    )
    assert verified.exit_code == 0
    assert "leads to the head kept outside, up to 48" in verified.stdout
    printed = await run(
        "audit", "witness", "kept", "--print", cwd=tmp_path, LEDGER_DATABASE_URL=database_url
    )
    assert seals.from_document(printed.stdout.encode()) == made[-1]
    connection.execute("SET session_replication_role = replica")
    connection.execute("UPDATE event_seals SET sealed_at = now() WHERE number = 6")
    alarm = await run(*arguments, cwd=tmp_path, **own)
    assert alarm.exit_code == 1
    assert "ALARM" in alarm.stderr
    assert (await run(*arguments, cwd=tmp_path, **own)).exit_code == 1, "until somebody has looked"
    verified = await run("audit", "verify", "--witness", "kept", cwd=tmp_path, **own)
    assert verified.exit_code == 1
    assert "ALARM" in verified.stderr

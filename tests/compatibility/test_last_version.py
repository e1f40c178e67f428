"""A ledger of the last version is this version's ledger: migrated, read, rebuilt, verified, and
gone on with. What it is made of is in last_version/README.md."""

import gzip
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ledger.audit.prove.heads import heads_in
from ledger.audit.prove.trust import trusted_key
from ledger.audit.prove.verify import verify
from ledger.eventstore import snapshots
from ledger.eventstore.store import load_streams
from ledger.kernel.command import Command, Outcome
from ledger.operate.embedded import programs as embedded_programs
from ledger.operate.embedded.programs import ProgramMissing
from ledger.operate.plugins import migrate_all
from ledger.write.aggregates import Aggregates
from ledger.write.deciders import AGGREGATES
from ledger.write.ledger import Ledger
from ledger.write.parser import parse
from projections.engine.builds.candidate import Limits, live
from projections.engine.builds.rebuild import rebuild_all
from projections.engine.connection import connect
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.audit import history
from tests.cli.running import run
from tests.commands import command
from tests.databases import temporary_database
from tests.projections import harness
from tests.projections.workers import caught_up, running

LOG = Path(__file__).parent / "last_version"
PUBLIC_KEY = (LOG / "public_key.txt").read_text().strip()
PROJECTIONS = all_projections(ProjectionSettings())
NAMES = [projection.name for projection in PROJECTIONS]
NEVER = 10**9
"""Events between snapshots: none is made."""


@pytest.fixture(scope="module")
def restored_url(postgres_url: str) -> Iterator[str]:
    """The database as the last version left it. Its tests only read, or change databases that are
    copied from it."""
    try:
        psql = embedded_programs.postgres() / "psql"
    except ProgramMissing as error:
        pytest.skip(str(error))
    with temporary_database(postgres_url) as url:
        restore: list[Any] = [psql, "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null", url]
        text = gzip.decompress((LOG / "ledger.sql.gz").read_bytes())
        done = subprocess.run(restore, input=text, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()
        yield url


@pytest.fixture
def last_url(postgres_url: str, restored_url: str) -> Iterator[str]:
    """A copy of it that is not migrated."""
    name = psycopg.conninfo.conninfo_to_dict(restored_url)["dbname"]
    with temporary_database(postgres_url, template=str(name)) as url:
        yield url


@pytest.fixture
def migrated_url(last_url: str) -> str:
    """The same, brought here: migrated, and the read models that this version keeps otherwise
    built anew."""
    migrate_all(last_url)
    with connect(last_url, "test") as connection:
        older = [p for p in PROJECTIONS if live(connection, p).code_version != p.version]
    reports = rebuild_all(last_url, older, Limits(1000, 1000), accept_differences=True)
    assert all(report.swapped for report in reports)
    return last_url


def sent() -> Command:
    read = parse((LOG / "command.json").read_bytes())
    assert isinstance(read, Command), read
    return read


def balance(connection: psycopg.Connection[object], account_id: UUID) -> object:
    row = connection.execute(
        "SELECT total FROM balances WHERE (account_id, sub_account, asset) = (%s, 'main', 'USDT')",
        [account_id],
    ).fetchone()
    assert isinstance(row, tuple)
    return row[0]


def test_migrate_brings_it_here_and_changes_nothing_that_was_recorded(last_url: str) -> None:
    columns = (
        "position, id, stream_id, event_version, event_type, event_data, metadata, occurred_at,"
        " recorded_at"
    )
    with psycopg.connect(last_url, autocommit=True) as connection:
        before = connection.execute(f"SELECT {columns} FROM event_store ORDER BY 1").fetchall()
        assert migrate_all(last_url)
        assert migrate_all(last_url) == []
        after = connection.execute(f"SELECT {columns} FROM event_store ORDER BY 1").fetchall()
    assert after == before
    assert len({row[4] for row in after}) > 30


def test_its_read_models_are_what_this_version_folds(migrated_url: str) -> None:
    with running(migrated_url, PROJECTIONS):
        caught_up(migrated_url, *NAMES)
    for projection in PROJECTIONS:
        harness.check_rebuild(migrated_url, projection)


async def test_its_history_verifies_with_the_key_and_the_head_that_were_kept(
    migrated_url: str, tmp_path: Path
) -> None:
    for given in (("--public-key", PUBLIC_KEY), ("--head", LOG / "head.json")):
        done = await run("audit", "verify", *given, cwd=tmp_path, LEDGER_DATABASE_URL=migrated_url)
        assert done.exit_code == 0, done.stdout + done.stderr


async def test_its_proof_and_its_export_check_without_it(tmp_path: Path) -> None:
    for what in (("check-proof", LOG / "event.proof.json"), ("verify", "--export", LOG / "export")):
        done = await run("audit", *what, "--public-key", PUBLIC_KEY, cwd=tmp_path)
        assert done.exit_code == 0, done.stdout + done.stderr


def test_a_command_that_it_decided_has_the_outcome_that_it_had(migrated_url: str) -> None:
    with psycopg.connect(migrated_url) as connection:
        row = connection.execute(
            "SELECT outcome::text FROM command_inbox WHERE command_id = %s", [sent().id]
        ).fetchone()
    assert row is not None
    with Ledger(migrated_url) as ledger:
        (again,) = ledger.execute([sent()])
    assert again.replayed
    assert again.status == "ACCEPTED"
    assert again.events == Outcome.from_json(row[0]).events != ()


def test_commands_and_seals_go_on_from_it(migrated_url: str) -> None:
    account_id = sent().account_id
    assert account_id is not None
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        before = balance(connection, account_id)
        deposit = command("Deposit", account_id, asset="USDT", amount="2.5")
        with Ledger(migrated_url) as ledger:
            (outcome,) = ledger.execute([deposit])
        assert outcome.status == "ACCEPTED", outcome
        with running(migrated_url, PROJECTIONS):
            caught_up(migrated_url, *NAMES)
        found = connection.execute("SELECT %s::numeric + 2.5", [before]).fetchone()
        assert found == (balance(connection, account_id),)
        history.seal(connection)
        verdict = verify(
            connection,
            trusted=[trusted_key(PUBLIC_KEY)],
            kept=list(heads_in(LOG / "head.json")),
        )
        assert verdict.holds, verdict.findings
        assert verdict.held_to == outcome.position


def test_its_snapshots_which_no_event_vouches_for_are_folded_anew(migrated_url: str) -> None:
    topics = [aggregate.topic for aggregate in AGGREGATES.values()]
    with psycopg.connect(migrated_url, autocommit=True) as connection:
        streams = snapshots.streams(connection)
        assert streams
        assert list(snapshots.newest(connection, streams, topics)) == []
        states = Aggregates(len(streams), NEVER)
        states.load(connection, streams)
        for stream_id, events in load_streams(connection, dict.fromkeys(streams, 0)).items():
            state = None
            for recorded in events:
                evolve = AGGREGATES[recorded.stream_type].evolve
                state = evolve(state, recorded.decoded(), stream_id)
            assert states.peek(stream_id) == state

"""ledgerctl for a person: what holds, what does not, and one line when something is wrong."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import orjson
import psutil
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.operate import records_examination
from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from ledger.write.ledger import Ledger
from tests.commands import open_account


def ledgerctl(*arguments: str, cwd: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "ledger", *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_migrate_tells_what_it_applied_and_then_that_nothing_is_left(
    tmp_path: Path, empty_database_url: str
) -> None:
    first = ledgerctl("migrate", "--json", cwd=tmp_path, LEDGER_DATABASE_URL=empty_database_url)
    second = ledgerctl("migrate", cwd=tmp_path, LEDGER_DATABASE_URL=empty_database_url)

    assert first.returncode == second.returncode == 0, first.stderr + second.stderr
    assert "migrations/0001_event_store.sql" in orjson.loads(first.stdout)["applied"]
    assert second.stdout == "The schema is current: nothing to do.\n"


def test_doctor_finds_a_whole_ledger_well(
    tmp_path: Path, postgres_server: EmbeddedPostgres, nats_url: str
) -> None:
    migrate_all(postgres_server.url)
    answer = ledgerctl(
        *("doctor", "--json"),
        cwd=tmp_path,
        LEDGER_DATABASE_URL=postgres_server.url,
        LEDGER_NATS_URL=nats_url,
    )

    report = orjson.loads(answer.stdout)
    assert answer.returncode == 0, report
    assert {check["check"]: check["status"] for check in report["checks"]} == {
        "settings": "ok",
        "python": "ok",
        "disk": "ok",
        "postgresql": "ok",
        "clock": "ok",
        "schema": "ok",
        "event_store": "ok",
        "append_only": "ok",
        "records": "ok",
        "states": "ok",
        "durability": "ok",
        "access": "ok",
        "series": "ok",
        "seals": "warn",
        "nats": "ok",
        "jetstream": "ok",
        "commands": "warn",
        "heads": "warn",
        "programs": "warn",
    }


@pytest.mark.parametrize("table", ["event_store", "event_seals"])
def test_doctor_notices_that_history_could_be_changed(
    tmp_path: Path, database_url: str, nats_url: str, table: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER {table}_is_append_only".encode())

    answer = ledgerctl(
        "doctor", cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
    )

    assert answer.returncode == 1
    assert "fail  append_only" in answer.stdout
    assert "→ Find out who did it" in answer.stdout


def test_doctor_notices_that_records_could_be_changed_and_that_cached_states_were(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    account_id = uuid7()
    with Ledger(database_url, snapshot_interval=1) as ledger:
        ledger.execute([open_account(account_id)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE command_inbox DISABLE TRIGGER USER")
        connection.execute("""UPDATE aggregate_snapshots SET state = state || '{"x": 1}'""")

    answer = ledgerctl(
        "doctor", cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
    )

    assert answer.returncode == 1
    for trigger in ("is_append_only", "is_journaled", "keeps_what_it_lost"):
        assert f"command_inbox_{trigger}" in answer.stdout
    assert f"the cached state of stream {account_id} at version 1 was changed" in answer.stdout


def test_doctor_looks_at_every_trigger_of_the_records(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        there = connection.execute(
            """SELECT relname, tgname FROM pg_trigger JOIN pg_class AS c ON c.oid = tgrelid
               WHERE NOT tgisinternal AND relname = ANY(%s)""",
            [list({relation for relation, _ in records_examination.RECORD_TRIGGERS})],
        ).fetchall()
    assert sorted(there) == sorted(records_examination.RECORD_TRIGGERS)


def test_doctor_notices_a_server_that_does_not_wait_for_its_disk_and_one_open_to_strangers(
    tmp_path: Path, database_url: str, nats_url: str
) -> None:
    """The session's server is fast, and a copied database lacks the rights on databases."""
    answer = ledgerctl(
        "doctor", cwd=tmp_path, LEDGER_DATABASE_URL=database_url, LEDGER_NATS_URL=nats_url
    )

    assert answer.returncode == 1
    assert "the server has fsync = off, full_page_writes = off" in answer.stdout
    assert "warn  access       open to others" in answer.stdout
    assert "PUBLIC may connect to the database" in answer.stdout


def test_doctor_says_what_to_do_where_nothing_runs(tmp_path: Path) -> None:
    answer = ledgerctl("doctor", cwd=tmp_path)

    assert answer.returncode == 1
    assert "fail  postgresql" in answer.stdout
    assert "fail  nats" in answer.stdout
    assert "ledgerctl up" in answer.stdout
    assert not (tmp_path / ".ledger").exists(), "looking changes nothing"


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"LEDGER_DATABASE_URL": "postgresql://x@127.0.0.1:1/x"}, "LEDGER_DATABASE_URL"),
        ({"LEDGER_DATABASE_URL": "postgresql://a?b"}, "LEDGER_DATABASE_URL"),
        ({"LEDGER_NATS_URL": "127.0.0.1"}, "LEDGER_NATS_URL"),
        ({"LEDGER_COMMAND_BATCH_SIZE": "0"}, "LEDGER_COMMAND_BATCH_SIZE is '0'"),
        ({"LEDGER_DATA_DIR": "/dev/null/data"}, "/dev/null/data"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_a_traceback(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    answer = ledgerctl("migrate", cwd=tmp_path, **environment)

    assert answer.returncode == 1
    assert answer.stderr.startswith("error: ")
    assert answer.stderr.count("\n") == 1
    assert said in answer.stderr


def test_a_database_that_takes_no_changes_is_told_with_the_way_to_one_that_does(
    tmp_path: Path, empty_database_url: str
) -> None:
    standby = f"{empty_database_url}&options=-c%20default_transaction_read_only%3Don"
    answer = ledgerctl("migrate", cwd=tmp_path, LEDGER_DATABASE_URL=standby)

    assert answer.returncode == 1
    assert "the database takes no changes" in answer.stderr
    assert "target_session_attrs=read-write" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["seals"], {}, "LEDGER_DATABASE_URL is not set"),
        (["commands"], {}, "LEDGER_NATS_URL is not set"),
        (["queries"], {"LEDGER_NATS_NKEY_SEED_FILE": "none"}, "error: "),
        (["publisher"], {"LEDGER_COMMAND_BATCH_SIZE": "0"}, "LEDGER_COMMAND_BATCH_SIZE is '0'"),
        (["nobody"], {}, "usage: "),
    ],
)
def test_a_readiness_check_that_cannot_ask_says_why_in_one_line(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "ledger.operate.readiness", *arguments],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert answer.returncode == 1
    assert said in answer.stderr
    assert answer.stderr.count("\n") == 1


def test_the_version_can_be_asked_for(tmp_path: Path) -> None:
    answer = ledgerctl("--version", cwd=tmp_path)

    assert answer.returncode == 0
    assert answer.stdout == f"trading-ledger {version('trading-ledger')}\n"


def test_a_traceback_can_be_asked_for(tmp_path: Path) -> None:
    answer = ledgerctl(
        "migrate", cwd=tmp_path, LEDGER_DATABASE_URL="postgresql://a?b", LEDGER_DEBUG="1"
    )

    assert "Traceback" in answer.stderr


@pytest.mark.parametrize("arguments", [["migrat"], ["migrate", "--fast"], []])
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str]) -> None:
    assert ledgerctl(*arguments, cwd=tmp_path).returncode == 2


def test_the_help_needs_no_server_and_names_the_commands(tmp_path: Path) -> None:
    answer = ledgerctl("--help", cwd=tmp_path)

    assert answer.returncode == 0
    for command in ("up", "migrate", "doctor"):
        assert command in answer.stdout


def test_up_runs_everything_until_it_is_stopped_and_leaves_nothing_behind(
    server_directory: Path,
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "up", "--json"],
        cwd=server_directory,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        urls = orjson.loads(process.stdout.readline())
        children = psutil.Process(process.pid).children(recursive=True)
        doctor = ledgerctl("doctor", cwd=server_directory)
        second = ledgerctl("up", cwd=server_directory)
    finally:
        process.terminate()
        exit_code = process.wait(60)
        process.stdout.close()

    assert exit_code == 0
    assert urls["nats_url"].startswith("nats://***@127.0.0.1:")
    assert doctor.returncode == 0, doctor.stdout
    assert second.returncode == 1
    assert f"for process {process.pid}" in second.stderr
    assert psutil.wait_procs(children, timeout=10)[1] == []


def test_wipe_asks_and_removes_nothing_where_nobody_can_answer(tmp_path: Path) -> None:
    (tmp_path / ".ledger").mkdir()
    (tmp_path / ".ledger" / "services.lock").touch()
    refused = ledgerctl("wipe", cwd=tmp_path)
    assert refused.returncode == 2
    assert "say --yes" in refused.stderr
    assert (tmp_path / ".ledger").exists()
    done = ledgerctl("wipe", "--yes", cwd=tmp_path)
    assert done.returncode == 0
    assert not (tmp_path / ".ledger").exists()

"""The supervisor: everything runs, what ends is started again, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import psutil
import psycopg
import pytest

from ledger.operate.settings import Settings
from ledger.operate.supervisor import NotReady, Supervisor
from ledger.programs.registry import Places, find, wanted


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


@pytest.fixture
def supervisor(server_directory: Path) -> Iterator[Supervisor]:
    settings = Settings(data_dir=server_directory)
    with Supervisor(settings, log_file=server_directory / "services.log") as running:
        running.wait_until_ready()
        yield running


def service(name: str) -> psutil.Process | None:
    """The child of this process that is `ledgerctl serve <name>`."""
    for child in psutil.Process().children():
        try:
            if child.cmdline()[-2:] == ["serve", name]:
                return child
        except psutil.Error:
            continue
    return None


def test_a_service_that_dies_is_started_again(supervisor: Supervisor) -> None:
    dead = [service("commands"), service("projections")]
    for process in dead:
        assert process is not None
        process.kill()
    wait_until(lambda: None not in (service("commands"), service("projections")))
    supervisor.wait_until_ready()
    assert not {service("commands"), service("projections")} & set(dead)


def test_an_embedded_server_that_dies_is_started_again(
    supervisor: Supervisor, server_directory: Path
) -> None:
    entries = orjson.loads((server_directory / "services.json").read_bytes())
    pid = entries["postgresql"]["pid"]
    os.kill(pid, signal.SIGKILL)

    def answers() -> bool:
        try:
            with psycopg.connect(supervisor.database_url) as connection:
                return connection.execute("SELECT 1").fetchone() == (1,)
        except psycopg.OperationalError:
            return False

    wait_until(lambda: not psutil.pid_exists(pid))
    wait_until(answers)
    supervisor.wait_until_ready()


def test_services_that_are_set_by_url_are_used_and_left_alone(
    server_directory: Path, empty_database_url: str, nats_url: str
) -> None:
    settings = Settings(
        data_dir=server_directory / "data", database_url=empty_database_url, nats_url=nats_url
    )
    with Supervisor(settings, log_file=server_directory / "services.log") as running:
        running.wait_until_ready()
        assert (running.database_url, running.nats_url) == (empty_database_url, nats_url)
        assert [name for name in wanted(settings) if not find(name).ready(Places(settings))] == []
    assert not settings.data_dir.exists()
    assert [name for name in wanted(settings) if find(name).ready(Places(settings))] == []


def test_a_service_that_keeps_ending_is_named(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(data_dir=server_directory)
    log = server_directory / "services.log"
    monkeypatch.setenv("LEDGER_COMMAND_BATCH_SIZE", "0")  # the children do not like it

    with (
        pytest.raises(NotReady, match=r"`ledgerctl serve \w+` keeps ending: see .*\.log"),
        Supervisor(settings, log_file=log) as running,
    ):
        running.wait_until_ready()
    assert "LEDGER_COMMAND_BATCH_SIZE is '0'" in log.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_nothing_is_left_when_the_supervisor_is_killed(server_directory: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "up"], cwd=server_directory, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline().startswith(b"PostgreSQL  postgresql://")
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()

    assert len(children) > 4
    assert psutil.wait_procs(children, timeout=30)[1] == []


def test_who_only_reads_has_a_url_of_their_own(supervisor: Supervisor) -> None:
    assert supervisor.reading_url is not None
    with psycopg.connect(supervisor.reading_url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM portfolio_snapshots").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM event_store").fetchone() is not None
        for change in ("DELETE FROM event_store", "CREATE TABLE mine ()"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(change)

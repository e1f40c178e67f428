"""A program of another package: one file and one line, and all that lists programs knows it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import pytest

TOY = '''
"""Says how long the log is, until it is asked to stop."""

import sys

from ledger.operate.database import connect
from ledger.operate.roles import AUDITOR
from ledger.programs.registry import Program


def run(places, stop):
    with connect(places.database_url, "toy") as connection:
        found = connection.execute("SELECT count(*), current_user FROM event_store").fetchone()
    sys.stderr.write(f"toy: {found}\\n")
    stop.wait()


PROGRAM = Program("toy", "counts events", lambda places: True, run, role=AUDITOR, bus=False)
'''
LINE = "toy = toy:PROGRAM"


@pytest.fixture
def with_toy(tmp_path: Path) -> dict[str, str]:
    """The environment in which a package with the toy is installed."""
    installed = tmp_path / "installed"
    described = installed / "toy-1.dist-info"
    described.mkdir(parents=True)
    (installed / "toy.py").write_text(TOY)
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[ledger.programs]\n{LINE}\n")
    return dict(os.environ) | {"PYTHONPATH": str(installed), "LEDGER_METRICS_PORT": "0"}


def ledgerctl(
    *arguments: str, cwd: Path, env: dict[str, str]
) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ledger", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def test_the_help_and_the_readiness_check_name_it(tmp_path: Path, with_toy: dict[str, str]) -> None:
    shown = ledgerctl("serve", "--help", cwd=tmp_path, env=with_toy | {"COLUMNS": "200"})
    assert (
        "alerts, clock, commands, prices, projections, publisher, queries, risk, seals, toy, web, "
        "or all" in shown.stdout
    )
    checked = subprocess.run(
        [sys.executable, "-m", "ledger.operate.readiness", "toy"], cwd=tmp_path, env=with_toy
    )
    assert checked.returncode == 0


def test_serve_runs_it_as_its_role_until_a_signal(
    tmp_path: Path, with_toy: dict[str, str], database_url: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "serve", "toy"],
        cwd=tmp_path,
        env=with_toy | {"LEDGER_DATABASE_URL": database_url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as log:
        assert "toy: (0, 'ledger_auditor')\n" in log
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture
def everything(server_directory: Path, with_toy: dict[str, str]) -> Iterator[psutil.Process]:
    """`ledgerctl up`, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ledger", "up", "--json"],
        cwd=server_directory,
        env=with_toy,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            assert orjson.loads(process.stdout.readline())
            yield psutil.Process(process.pid)
        finally:
            process.terminate()
            process.wait(60)


def test_up_runs_it_and_doctor_tells_that_it_works(
    server_directory: Path, with_toy: dict[str, str], everything: psutil.Process
) -> None:
    assert ["serve", "toy"] in [child.cmdline()[-2:] for child in everything.children()]
    examined = ledgerctl("doctor", cwd=server_directory, env=with_toy)
    assert (
        "commands, projections, publisher, queries, risk, seals, toy are at work" in examined.stdout
    )

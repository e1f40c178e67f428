"""The demo as a person runs it: as a process, with everything that it starts."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

COMMANDS = 600
PATIENCE_SECONDS = 60.0


@pytest.fixture
def directory(session_directory: Path, server_directory: Path) -> Iterator[Path]:
    """The temporary directory of the demo, and the mark of all its processes."""
    yield server_directory
    for process in of(server_directory):
        process.kill()


def demo(directory: Path, *arguments: str) -> "subprocess.Popen[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LEDGER_")}
    return subprocess.Popen(
        [sys.executable, "-m", "ledger", "demo", "--commands", str(COMMANDS), *arguments],
        cwd=directory,
        env=environment | {"TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def runs(module: str, directory: Path) -> bool:
    """Whether a process that has to do with the directory runs the module."""
    for process in of(directory):
        with contextlib.suppress(psutil.NoSuchProcess):  # it may end while we look
            if module in process.cmdline():
                return True
    return False


def of(directory: Path) -> list[psutil.Process]:
    """The processes that have to do with the directory: by their arguments or environment."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
        if process.pid != os.getpid() and any(str(directory) in text for text in told):
            found.append(process)
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def test_every_claim_of_the_demo_holds_and_nothing_is_left(directory: Path) -> None:
    running = demo(directory, "--json")
    output, errors = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 0, errors
    report = json.loads(output)
    assert report["holds"] is True
    assert [proof["claim"] for proof in report["proofs"] if not proof["holds"]] == []
    assert report["commands"]["resent"] > COMMANDS / 20
    assert report["commands"]["by_status"].keys() == {"ACCEPTED", "REJECTED"}
    assert {row["sub_account"] for row in report["balances"]} >= {"main", "maker", "trend", "dip"}
    assert all(report["situations"][name] for name in ("partial fills", "cancel requests"))
    assert {row["instrument"] for row in report["profit"] if row["account"] == "carol"} == {
        *("DEMO:BTCUSDT", "DEMO:ETHUSDT", "DEMO:BTCPERP"),
        "",
    }
    assert {sheet["account"] for sheet in report["tear_sheets"]} == {"alice", "bob", "carol"}
    for sheet in report["tear_sheets"]:
        assert "</html>" in Path(sheet["path"]).read_text(encoding="utf-8")
        assert sheet["days"] > 1
        assert sheet["figures"]["time_weighted_return"] is not None
    assert report["wild"]["refused"] == report["wild"]["same_orders"] - 1
    assert report["wild"]["message"].startswith("CRITICAL: A breaker has stopped ACCOUNT ")
    assert errors == ""
    (left,) = directory.iterdir()
    assert left == Path(report["tear_sheets"][0]["path"]).parent
    assert of(directory) == []


def test_an_interrupted_demo_leaves_nothing_behind(directory: Path) -> None:
    running = demo(directory)
    wait_until(lambda: runs("ledger.demo.exchange", directory))
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 128 + signal.SIGINT
    assert output == ""
    assert errors == "Interrupted. Everything was stopped and removed.\n"
    assert of(directory) == []
    assert list(directory.iterdir()) == []


def test_a_demo_interrupted_while_it_starts_leaves_nothing_behind(directory: Path) -> None:
    running = demo(directory)
    wait_until(lambda: any(directory.iterdir()))
    running.send_signal(signal.SIGINT)
    running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 128 + signal.SIGINT
    wait_until(lambda: of(directory) == [])
    assert list(directory.iterdir()) == []

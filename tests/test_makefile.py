"""The Makefile is the repository's interface: it tells what it can do."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TARGETS = (
    "help",
    "demo",
    "up",
    "test",
    "browser",
    "pictures",
    "faults",
    "check",
    "bench",
    "clean",
    "wipe",
)


def make(*arguments: str) -> str:
    # This test is run by make itself: what that tells its children is not for this one.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(
        ["make", *arguments], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_make_alone_tells_what_there_is() -> None:
    assert make() == make("help")


@pytest.mark.parametrize("target", TARGETS)
def test_the_help_explains_each_target(target: str) -> None:
    assert re.search(rf"^  {target} +\S.{{20,}}$", make("help"), re.MULTILINE)


def test_cleaning_touches_no_data() -> None:
    removed = make("--dry-run", "clean")
    assert ".venv" in removed
    assert ".ledger" not in removed
    assert "postgresql" not in removed


def test_the_lock_has_hashes_and_names_no_index() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    packages = re.findall(r"^[a-z0-9.-]+==\S+.*\\\n +--hash=sha256:", lock, re.MULTILINE)
    assert len(packages) == len(re.findall(r"^\S+==", lock, re.MULTILINE)) > 20
    assert not re.search(r"index-url|find-links|://", lock)


def test_ci_runs_check_and_test() -> None:
    assert "make check test" in (ROOT / ".ci" / "run").read_text()


def test_the_newest_change_is_of_the_version_that_is_built() -> None:
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.M)
    newest = re.search(r"^## (\S+?),? ", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version

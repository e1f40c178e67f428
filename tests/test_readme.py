"""What the README and the pages in docs/ show is what happens: their commands, queries and programs
are run in order on a ledger of their own, and their output is compared (tests/docs/pages.py).

The pages go on from where the README ends. `make demo` and `make test` are not run here, which
would be this test again: make is asked whether it could. `make up` is run as what it does,
`ledgerctl up`.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest

from ledger.operate.embedded import programs
from ledger.operate.embedded.directory import running_services
from tests.cli.shell import ledgerctl_in
from tests.docs.pages import DOCS, README, ROOT, Step, is_as_told, steps

PAGES = ("auditors.md", "backups.md", "operators.md", "rebuilding.md", "services.md")
"""Pages with something to run, in an order in which what one does is not in the way of the next."""
LONGEST_README_LINES = 150
CAUGHT_UP_SECONDS = 20.0
STEP_SECONDS = 60.0


class Done(NamedTuple):
    """A step, and what came of it."""

    step: Step
    output: str


class Shown:
    """A running ledger, and what `ledgerctl up` said when it was ready."""

    def __init__(self, directory: Path, said: str) -> None:
        self._directory = directory
        self._programs = directory / "bin"
        self.said = said
        urls = dict(line.split(maxsplit=1) for line in said.splitlines()[:2])
        self._database_url = urls["PostgreSQL"]
        self._nats_url = running_services(directory / ".ledger")["nats"]

    def run(self, step: Step) -> Done:
        self._wait_until_caught_up()
        return Done(step, self._outcome(step))

    def _outcome(self, step: Step) -> str:
        if step.language == "sql":
            psql = str(programs.postgres() / "psql")
            return self._run([psql, "-X", self._database_url], step.source).stdout
        if step.language == "python":
            return self._run([sys.executable, "-"], step.source, nats_url=self._nats_url).stdout
        if step.source == "make up":
            return self.said
        if step.source.startswith("make "):
            asked = self._run([*step.source.split(), "--dry-run", f"--directory={ROOT}"])
            return asked.stdout if asked.returncode else step.output
        return self._run(["sh", "-c", step.source]).stdout

    def _run(
        self, command: list[str], text: str = "", nats_url: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        # The tests may be run by make themselves: what that tells its children is not for these.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("MAKE")
        }
        places = (self._programs, Path(sys.executable).parent, os.environ["PATH"])
        environment["PATH"] = os.pathsep.join(map(str, places))
        if nats_url is not None:
            environment["LEDGER_NATS_URL"] = nats_url
        return subprocess.run(
            command,
            cwd=self._directory,
            env=environment,
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )

    def _wait_until_caught_up(self) -> None:
        statement = """SELECT projection_name, status, last_processed_position, head
                       FROM event_projections,
                           (SELECT coalesce(max(position), 0) AS head FROM event_store) AS log
                       WHERE last_processed_position < head AND status <> 'PAUSED'
                           AND projection_name <> 'seals'"""
        deadline = time.monotonic() + CAUGHT_UP_SECONDS
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            while behind := connection.execute(statement).fetchall():
                assert time.monotonic() < deadline, f"these do not catch up: {behind}"
                time.sleep(0.02)


@pytest.fixture(scope="module")
def shown(session_directory: Path) -> Iterator[Shown]:
    """A ledger that `ledgerctl up` runs in a directory with the examples, as in a checkout."""
    directory = session_directory / "readme"
    directory.mkdir(mode=0o711)
    (directory / "examples").symlink_to(ROOT / "examples")
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ledger", "up"],
            cwd=directory,
            # No event of the clock comes between those that are shown.
            env=os.environ | {"LEDGER_PORTFOLIO_SNAPSHOT_SECONDS": "86400"},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Ready"):
                break
        else:
            pytest.fail((directory / "up.log").read_text())
        (directory / "bin").mkdir()
        with ledgerctl_in(directory / "bin"):
            yield Shown(directory, "".join(lines))
    finally:
        process.terminate()
        process.wait(STEP_SECONDS)
        process.stdout.close()


@pytest.fixture(scope="module")
def readme(shown: Shown) -> list[Done]:
    """The README's steps, done."""
    return [shown.run(step) for step in steps(README)]


def check(done: Done) -> None:
    if not is_as_told(done.output, done.step.output):
        pytest.fail(
            f"{done.step.block} tells another output than that of\n{done.step.source}\n\n"
            f"told:\n{done.step.output}\n\nwas:\n{done.output}",
            pytrace=False,
        )


def test_the_readme_shows_what_happens(readme: list[Done]) -> None:
    assert len(readme) > 5
    for done in readme:
        check(done)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_happens(page: str, shown: Shown, readme: list[Done]) -> None:
    for step in steps(DOCS / page):
        check(shown.run(step))


def test_no_page_has_something_to_run_that_is_not_run() -> None:
    runnable = {page.name for page in DOCS.rglob("*.md") if any(steps(page))}
    assert runnable == set(PAGES)


def test_the_readme_can_be_read_in_one_go() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= LONGEST_README_LINES

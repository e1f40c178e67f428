"""What docs/nouns.md says a new noun is: one folder and one line, and everything else follows.

The page's noun is put into a copy of the tree, and its further event and command. Nothing else is
touched there.
"""

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import orjson
import psycopg
import pytest
from uuid_utils.compat import uuid7

from ledger.bus.events import EVENTS_STREAM
from tests.docs.pages import DOCS, ROOT, blocks
from tests.programs.publishing import connected
from tests.tree import (
    PATIENCE_SECONDS,
    copied,
    environment,
    head_when_answering,
    ledgerctl,
    serving,
)

PAGE = DOCS / "nouns.md"
FOLDER = Path("ledger/nouns/notices")
NAMES_FOR_SERVICES = Path("ledger/__init__.py")
BEFORE = "    from ledger.nouns.instruments.commands import *  # noqa: F403\n"
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
COMMANDS = """
import asyncio, sys
from ledger import LedgerClient, PostNotice, WithdrawNotice

async def main():
    async with await LedgerClient.connect(sys.argv[1], source="test") as ledger:
        for command in sys.argv[3:]:
            if command == "PostNotice":
                data = PostNotice(notice_id=sys.argv[2], text="The venue is closed.")
            else:
                data = WithdrawNotice(notice_id=sys.argv[2])
            outcome = await ledger.submit(data)
            print(outcome.status, outcome.code, *(event.type for event in outcome.events))

asyncio.run(main())
"""


def files_of_the_page(heading: str) -> dict[Path, str]:
    """The code below a heading, by the file that its first line names."""
    text = PAGE.read_text("utf-8")
    headings = [(text.count("\n", 0, found.start()), found[1]) for found in _HEADING.finditer(text)]
    return {
        Path(block.text.split("\n", 1)[0].split()[-1]): block.text.split("\n", 1)[1]
        for block in blocks(PAGE)
        if [name for line, name in headings if line < block.line][-1] == heading
    }


def add(tree: Path, heading: str) -> None:
    """Writes what is below the heading: behind what is there, and what is defined anew in the place
    of what was."""
    for name, text in files_of_the_page(heading).items():
        path = tree / name
        before = path.read_text("utf-8") if path.exists() else ""
        for defined in re.findall(r"^(?:def )?(\w+)(?= = |\()", text, re.MULTILINE):
            before = re.sub(rf"^(def )?{defined}( = |\().*\n((    .*)?\n)*", "", before, flags=re.M)
        path.write_text(before + "\n\n" + text, "utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy with the page's noun and read model, its further event and command."""
    copy = copied(tmp_path_factory.mktemp("tree"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    (copy / FOLDER).mkdir()
    (copy / FOLDER / "__init__.py").touch()
    (copy / "sql" / "read_models" / "notices.indexes.sql").touch()
    nouns = (copy / NAMES_FOR_SERVICES).read_text("utf-8")
    line = files_of_the_page("The folder")[NAMES_FOR_SERVICES]
    for heading in ("The folder", "Its read model", "A further event", "A further command"):
        add(copy, heading)
    # The one file that was there already: the line has its place in the list.
    assert nouns.count(BEFORE) == line.count("\n") == 1
    (copy / NAMES_FOR_SERVICES).write_text(nouns.replace(BEFORE, BEFORE + line), "utf-8")
    yield copy
    shutil.rmtree(copy)


def test_the_page_counts_right() -> None:
    noun = set(files_of_the_page("The folder"))
    assert {name for name in noun if name.parent != FOLDER} == {NAMES_FOR_SERVICES}
    assert len(files_of_the_page("Its read model")) + len(["its indexes"]) == 3
    assert len(files_of_the_page("A further event")) == 2
    assert len(files_of_the_page("A further command")) == 3


@pytest.mark.parametrize(
    "checker", ["mypy ledger/nouns/notices projections/read_models/notices.py", "lint-imports"]
)
def test_its_types_and_layers_are_right(tree: Path, checker: str) -> None:
    program, *arguments = checker.split()
    found = subprocess.run(
        [Path(sys.executable).parent / program, *arguments],
        env=environment(tree),
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


def test_it_is_in_the_contract(tree: Path) -> None:
    ledgerctl(tree, "schema", "export", "schemas")
    names = {path.name for path in (tree / "schemas").rglob("*.json")}
    assert {
        "PostNotice.1.json",
        "WithdrawNotice.1.json",
        "notice.posted.1.json",
        "notice.withdrawn.1.json",
        "notices.1.json",
    } <= names
    channels = orjson.loads((tree / "schemas" / "asyncapi.json").read_bytes())["channels"]
    assert channels["noticesCommands"]["address"] == "ledger.commands.notices.{class}.{sender}"
    assert channels["noticesCommands"]["messages"].keys() == {"PostNotice", "WithdrawNotice"}
    assert "notice.posted" in channels["events"]["messages"]
    assert channels["query_notices"]["address"] == "ledger.query.notices"


def test_a_user_of_the_bus_may_be_granted_it(tree: Path) -> None:
    users = tree / "users.conf"
    asked = ("--family", "notices", "--may", "admin", "--users", str(users))
    ledgerctl(tree, "bus", "user", "herald", *asked, "--seed", str(tree / "herald.nk"))
    assert "ledger.commands.notices.admin.herald" in users.read_text("utf-8")


async def test_it_is_sent_recorded_published_kept_and_asked(
    tree: Path, database_url: str, nats_url: str
) -> None:
    settings = {"LEDGER_DATABASE_URL": database_url, "LEDGER_NATS_URL": nats_url}
    notice = uuid7()

    async def send(*commands: str) -> list[str]:
        sent = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", COMMANDS, nats_url, str(notice), *commands],
            env=environment(tree, **settings),
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert sent.returncode == 0, sent.stderr
        return list(sent.stdout.splitlines())

    await asyncio.to_thread(lambda: ledgerctl(tree, "migrate", **settings))
    services = ("commands", "publisher", "projections", "queries")
    async with serving(tree, *services, **settings), connected(nats_url) as bus:
        await head_when_answering(bus)
        assert await send("PostNotice", "PostNotice") == [
            "ACCEPTED None notice.posted",
            "REJECTED NOTICE_POSTED_ALREADY",
        ]
        head = await head_when_answering(bus)
        asked = await bus.request(
            "ledger.query.notices", orjson.dumps({"min_position": int(head)}), timeout=10
        )
        (row,) = orjson.loads(asked.data)["rows"]
        assert (row["notice_id"], row["text"]) == (str(notice), "The venue is closed.")
        assert await send("WithdrawNotice") == ["ACCEPTED None notice.withdrawn"]
        subscription = await bus.jetstream().subscribe(
            "ledger.events.notice.*.notices", stream=EVENTS_STREAM, ordered_consumer=True
        )
        published = [await subscription.next_msg(PATIENCE_SECONDS) for _ in range(2)]
        assert [message.subject for message in published] == [
            "ledger.events.notice.posted.notices",
            "ledger.events.notice.withdrawn.notices",
        ]
    assert log_of(database_url, notice) == ["notice.posted", "notice.withdrawn"]
    shown = await asyncio.to_thread(lambda: ledgerctl(tree, "query", "notices", **settings))
    assert str(notice) in shown


def log_of(database_url: str, stream_id: UUID) -> list[str]:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT event_type FROM event_store WHERE stream_id = %s ORDER BY position", [stream_id]
        )
        return [row[0] for row in found]

"""Pages do not point to what is not there."""

import ast
import re
from pathlib import Path

import pytest

from ledger.operate.settings import Settings
from ledger.web.settings import WebSettings
from projections.settings import ProjectionSettings
from tests.docs.pages import ROOT, all_pages

_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\(([^)\s]+)\)")
_TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
_FILE = re.compile(r"(?<![\w/.*-])((?:\w+/)*\w+\.(?:py|sql))\b")
_EXAMPLES = {"volumes", "notices", "holdings", "P", "file"}
"""What files are called that are shown but not there."""
_SETTING = re.compile(r"\bLEDGER_[A-Z0-9_]+\b")
_NO_SETTINGS = {
    *("LEDGER_EVENTS", "LEDGER_COMMANDS", "LEDGER_FOLLOWERS", "LEDGER_SEALS"),
    *("LEDGER_UNAVAILABLE", "LEDGER_DEBUG", "LEDGER_WITNESS"),
    "LEDGER_TEST_ROUNDS",
}
"""Streams, a name, a code, the switch for tracebacks, which works before settings are read, and how
long the tests' campaigns are."""


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


def all_code() -> list[Path]:
    """What texts may name: ours, and the tests."""
    ours = ("ledger", "projections", "sql", "tests", "benchmarks", "examples")
    return sorted(
        path for name in ours for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".sql")
    )


def own_code() -> list[Path]:
    """Where texts are read: all but the tests, which make files of their own, and migrations, which
    stay as they were released."""
    elsewhere = (ROOT / "tests", ROOT / "sql" / "migrations")
    return [path for path in all_code() if not any(path.is_relative_to(one) for one in elsewhere)]


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", all_pages(), ids=relative)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    broken = []
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        place = (page.parent / path).resolve() if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", all_pages(), ids=relative)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for file, name in _TEST.findall(page.read_text(encoding="utf-8")):
        path = ROOT / file
        tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else None
        names = {getattr(node, "name", "") for node in ast.walk(tree)} if tree else set()
        if tree is None or (name and name not in names):
            missing.append(f"{file}::{name}")
    assert missing == []


@pytest.mark.parametrize("text", [*all_pages(), *own_code()], ids=relative)
def test_every_file_that_a_text_names_exists(text: Path) -> None:
    places = [f"/{relative(path)}" for path in all_code()]
    named = {
        name
        for name in _FILE.findall(text.read_text(encoding="utf-8"))
        if not _EXAMPLES & {*Path(name).parts, Path(name).stem}
    }
    assert {
        name for name in named if not any(place.endswith(f"/{name}") for place in places)
    } == set()


@pytest.mark.parametrize("page", all_pages(), ids=relative)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {
        f"LEDGER_{name.upper()}"
        for model in (Settings, ProjectionSettings, WebSettings)
        for name in model.model_fields
    }
    named = set(_SETTING.findall(page.read_text(encoding="utf-8")))
    assert named - known - _NO_SETTINGS == set()

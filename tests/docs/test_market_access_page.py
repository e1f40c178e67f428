"""docs/market-access.md: each line is held by a test that there is."""

import ast
import re
from pathlib import Path

import pytest

from ledger.web.pages.controls import CONTROLS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "market-access.md"
LINES = re.findall(r"^\| (\d+) \|.*\| `(tests/\S+)::(test_\w+)` \|$", PAGE.read_text(), re.M)


def test_every_line_names_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \|", PAGE.read_text(), re.M)
    assert [line[0] for line in LINES] == rows == [str(n) for n in range(1, len(rows) + 1)]


def test_the_page_of_controls_has_the_same_lines() -> None:
    found = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| `(.*)` \|$", PAGE.read_text(), re.M)
    told = [(str(one.number), one.asked, one.done_by, one.held_by) for one in CONTROLS]
    assert [(number, asked, by.replace("`", ""), test) for number, asked, by, test in found] == told


@pytest.mark.parametrize(("number", "path", "name"), LINES)
def test_the_test_is_there(number: str, path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    there = {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert name in there, f"line {number}"

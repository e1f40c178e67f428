"""The documents as tests read them: their fenced blocks, and output compared where it is stable.

    ```console   commands behind `$ `, each with the output that it must have
    ```sql       a query for psql, followed by a ```text block with its output
    ```python    a program, if a ```text block with its output follows; else something to read

In the expected output `…` stands for anything. Ids that the ledger makes (UUIDv7), times and the
width of columns do not count.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MADE_ID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)")
_RULE = re.compile(r"[-+━─┼╇]{3,}")
_HEADS = ("command", "code", "event", "column")
"""What the first column of a table is called."""
_SEPARATOR = re.compile(r"[ \t]*([|│┃])[ \t]*")


class Block(NamedTuple):
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Step(NamedTuple):
    """Something to run, and the output it must have."""

    block: Block
    language: str
    source: str
    output: str


def all_pages() -> list[Path]:
    """Every Markdown file that is ours."""
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[1], match[2])
        for match in _FENCE.finditer(text)
    ]


def steps(page: Path) -> Iterator[Step]:
    """What there is to run on a page, in its order."""
    for block, following in pairwise([*blocks(page), None]):
        assert block is not None
        if block.language == "console":
            yield from _commands(block)
        elif block.language in ("sql", "python"):
            if following is not None and following.language == "text":
                yield Step(block, block.language, block.text, following.text)
            else:
                assert block.language == "python", f"{block} has no output after it"


def _commands(block: Block) -> Iterator[Step]:
    assert block.text.startswith("$ "), f"{block}: a console block begins with a command"
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        length = next(n for n, line in enumerate(lines, 1) if not line.endswith("\\"))
        command, output = "\n".join(lines[:length]), "\n".join(lines[length:])
        yield Step(block, "console", command, output)


def is_as_told(output: str, told: str) -> bool:
    """Whether a page tells the output, as far as it is stable."""
    pattern = re.escape(_stable(told)).replace("…", ".*")
    return re.fullmatch(pattern, _stable(output), re.DOTALL) is not None


def _stable(text: str) -> str:
    text = _TIME.sub("<time>", _MADE_ID.sub("<id>", text))
    text = _SEPARATOR.sub(r"\1", _RULE.sub("---", text))
    lines = (re.sub(r"[ \t]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table rows below a heading (of any level), up to the next heading of that
    level or above; without the head of the table."""
    section = _section(page.read_text(encoding="utf-8"), heading)
    rows = [
        [cell.strip() for cell in line.strip()[1:-1].split("|")]
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith("| ---")
    ]
    return [cells for cells in rows if cells[0] not in _HEADS]


def _section(text: str, heading: str) -> str:
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found, f"there is no heading {heading!r}"
    following = re.compile(rf"^#{{1,{len(found[1])}}} ", re.MULTILINE)
    end = following.search(text, found.end())
    return text[found.end() : end.start() if end else len(text)]

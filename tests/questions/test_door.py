"""The write side knows the questions of the read side, and none of its tables and columns."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from ledger.eventstore.reader import RecordedEvent
from ledger.kernel.command import Outcome
from ledger.nouns import COMMAND_DATA, EVENTS
from ledger.operate.schema import sql_directory
from projections.questions.catalogue import questions
from projections.registry import all_projections
from projections.settings import ProjectionSettings
from tests.docs.pages import ROOT

TABLES = {
    table.name: table.columns
    for projection in all_projections(ProjectionSettings())
    for table in projection.tables
}


BUSINESS, ANSWERS = ROOT / "ledger/nouns", ROOT / "ledger/audit/ask"


def attributes_in(folder: Path) -> Iterator[str]:
    """What the classes of a folder have: fields, properties, methods."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            for line in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name):
                    yield line.target.id
                elif isinstance(line, ast.FunctionDef):
                    yield line.name


def everybodys_words() -> set[str]:
    """The names that columns share with what the business itself speaks of (commands, events,
    states, rules), with what is answered from the log, with the write side's own tables, and with
    single English words."""
    structs: list[type[msgspec.Struct]] = [*EVENTS.values(), RecordedEvent, Outcome]
    words = {name for struct in structs for name in struct.__struct_fields__}
    words |= {name for model in COMMAND_DATA.values() for name in model.model_fields}
    words |= {word for name in EVENTS for word in name.split(".")}
    words |= {*attributes_in(BUSINESS), *attributes_in(ANSWERS)}
    for path in (sql_directory() / "migrations").glob("*.sql"):
        words |= set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return words | {name for columns in TABLES.values() for name in columns if "_" not in name}


COLUMNS = {name for columns in TABLES.values() for name in columns} - everybodys_words()
"""Columns whose names say that a read model is meant."""


SHOWING = (ROOT / "ledger/web/pages", ROOT / "ledger/demo")
"""Who shows people what questions answer, as any client may: they name what can be asked."""
ASKED = {name for question in questions().values() for name in question.row.__struct_fields__}


def texts(path: Path) -> Iterator[str]:
    """Every text of the module's code; what it says about itself is not code."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    about = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in about:
            yield node.value


def test_there_is_something_to_look_for() -> None:
    assert {"orders", "balance_checkpoints", "transaction_books"} <= set(TABLES)
    assert {"filled_quantity", "closing_balance", "avg_fill_price"} <= COLUMNS


@pytest.mark.parametrize(
    "path", sorted((ROOT / "ledger").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_module_of_the_write_side_names_a_read_model_s_table_or_column(path: Path) -> None:
    tables = "|".join(map(re.escape, TABLES))
    read = re.compile(rf"\b(?:FROM|JOIN|INTO|UPDATE|TABLE)\s+(?:public\.)?\"?({tables})\b", re.I)
    for text in texts(path):
        assert read.findall(text) == []
        named = set(re.findall(r"[a-z]\w+", text)) & COLUMNS
        assert named <= (ASKED if any(map(path.is_relative_to, SHOWING)) else set())


def test_questions_need_neither_a_database_nor_a_bus() -> None:
    """Whoever asks over NATS has neither the driver nor the server's libraries."""
    code = (
        "import sys\n"
        "for name in ('psycopg', 'psycopg_pool', 'nats', 'typer', 'eventsourcing'):\n"
        "    sys.modules[name] = None\n"
        "from projections.questions.catalogue import questions\n"
        "from projections.questions.statement import statement\n"
        "for question in questions().values():\n"
        "    question.row, question.types\n"
        "print(len(questions()))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert found.stdout.strip() == str(len(questions())), found.stderr


def test_every_read_model_can_be_asked() -> None:
    asked = {question.projection for question in questions().values()}
    assert asked == {projection.name for projection in all_projections(ProjectionSettings())}

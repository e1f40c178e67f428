"""The contract that services read is whole: every command with its fields, every code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.command_data import COMMAND_DATA, CommandData, OrderFactData
from ledger.commands import Command, Outcome, parse
from tests.docs.pages import DOCS, ROOT, blocks, table_rows

PAGE = DOCS / "services.md"


# --- commands ---------------------------------------------------------------------------


def documented_commands() -> dict[str, tuple[str, set[str]]]:
    """(kind, fields) by command; optional fields end with `?`."""
    return {
        cells[0].strip("`"): (cells[1], set(re.findall(r"`([^`]+)`", cells[2])))
        for cells in table_rows(PAGE, "Commands")
        if cells[0].startswith("`")
    }


def fields_of(model: type[CommandData]) -> set[str]:
    """The fields as the page has them: those that many commands share are told once."""
    shared = OrderFactData.model_fields if issubclass(model, OrderFactData) else {}
    return {
        name if field.is_required() else f"{name}?"
        for name, field in model.model_fields.items()
        if name not in shared and (name != "account_id" or field.is_required())
    }


def test_the_page_has_every_command_and_no_other() -> None:
    assert set(documented_commands()) == set(COMMAND_DATA)


@pytest.mark.parametrize("name", COMMAND_DATA)
def test_the_page_has_every_field_of_a_command(name: str) -> None:
    assert documented_commands()[name][1] == fields_of(COMMAND_DATA[name])


def test_the_page_has_the_fields_that_all_facts_about_orders_share() -> None:
    text = PAGE.read_text(encoding="utf-8")
    sentence = re.search(r"^Each of these also takes (.*?)\.\n", text, re.MULTILINE | re.DOTALL)
    assert sentence is not None
    assert set(re.findall(r"`([^`]+)`", sentence[1])) == {
        name if field.is_required() else f"{name}?"
        for name, field in OrderFactData.model_fields.items()
    }


# --- examples ---------------------------------------------------------------------------


def test_the_examples_of_a_message_and_its_outcome_are_well_formed() -> None:
    message, outcome = (block.text for block in blocks(PAGE) if block.language == "json")
    command = parse(message.encode())
    assert isinstance(command, Command), command
    assert Outcome.from_json(outcome).command_id == command.id


# --- codes ------------------------------------------------------------------------------


class Module:
    """A file of the source, with the strings that its names may stand for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.imported: dict[str, str] = {}
        self.strings: dict[str, set[str]] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom):
                self.imported |= {alias.name: node.module or "" for alias in node.names}
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    self._note(target, node.value)

    def _note(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=True):
                self._note(one, its)
        elif isinstance(target, ast.Name):
            match value:
                case ast.Constant(value=str() as text):
                    self.strings.setdefault(target.id, set()).add(text)

    def values(self, node: ast.expr) -> set[str]:
        """The strings that an expression can be; none for a code that is passed on."""
        if isinstance(node, ast.Constant):
            return {node.value} if isinstance(node.value, str) else set()
        if isinstance(node, ast.Name):
            if node.id in self.strings:
                return self.strings[node.id]
            module = self.imported.get(node.id, "").replace(".", "/")
            assert module, f"{self.path}:{node.lineno}: what can {node.id} be?"
            return Module(ROOT / f"{module}.py").strings[node.id]
        assert isinstance(node, ast.Attribute), f"{self.path}:{node.lineno}: a code is a constant"
        return set()


def codes_in(module: Module) -> Iterator[str]:
    """The codes that a file gives to rejections and outcomes."""
    place_of_code = {"Rejection": 0, "Decided": 2, "_Fault": 1, "_invalid": None}
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        place = place_of_code.get(node.func.id)
        if place is not None and len(node.args) > place:
            yield from module.values(node.args[place])
        if node.func.id in ("Outcome", "InvalidCommand"):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    yield from module.values(keyword.value)


def codes_of_the_source() -> set[str]:
    paths = sorted((ROOT / "ledger").rglob("*.py"))
    return {code for path in paths for code in codes_in(Module(path))}


def documented_codes() -> list[str]:
    return [cells[0].strip("`") for cells in table_rows(PAGE, "Codes")]


def test_the_page_has_every_code_and_no_other() -> None:
    assert set(documented_codes()) == codes_of_the_source()


def test_each_code_is_explained_once_with_what_to_do() -> None:
    codes = documented_codes()
    assert len(codes) == len(set(codes))
    assert all(len(cells) == 3 and all(cells) for cells in table_rows(PAGE, "Codes"))

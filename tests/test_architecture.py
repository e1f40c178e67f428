"""The shape of the code, as far as import-linter (pyproject.toml, `make check`) cannot say it."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_LINES_OF_A_FUNCTION = 70
PRINTING = (
    *("typer.echo", "typer.secho", "Console(", "rich.table", "rich.tree", "rich.live"),
    *("sys.stdout.write", "sys.stdout.buffer", "sys.stderr.write", "__stdout__", "__stderr__"),
)
NOUNS_IN_ING = {"housekeeping", "logging", "masking", "paging", "parking", "tampering", "tracing"}
"""Names of the field for things, and not for what somebody is doing."""
NOUNS_IN_ED = {"event_feed"}


def python_files(*directories: str) -> list[Path]:
    return sorted(path for name in directories for path in (ROOT / name).rglob("*.py"))


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", python_files("ledger/nouns"), ids=relative)
def test_a_noun_has_no_clock_no_chance_and_no_outside_world(path: Path) -> None:
    forbidden = {"time", "random", "secrets", "os", "io", "socket", "asyncio", "psycopg", "nats"}
    tree = tree_of(path)
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
        )
    }
    floats = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert imported & forbidden == set()
    assert not any(isinstance(node.value, float) for node in floats), "money is never a float"


@pytest.mark.parametrize("path", python_files("ledger", "projections"), ids=relative)
def test_whatever_is_printed_is_escaped_by_the_one_module_that_prints(path: Path) -> None:
    """Logs are JSON and escaped where they are configured; a checker that can be copied stands
    alone."""
    if relative(path) in (
        "ledger/operate/terminal.py",
        "ledger/operate/logging.py",
        "ledger/audit/prove/check_proof.py",
    ):
        return
    text = path.read_text(encoding="utf-8")
    for printing in PRINTING:
        assert printing not in text, f"say it with ledger.operate.terminal instead of {printing}"


@pytest.mark.parametrize(
    "path", python_files("ledger", "projections", "tests", "benchmarks", "examples"), ids=relative
)
def test_a_function_fits_a_screen(path: Path) -> None:
    lengths = {
        node.name: (node.end_lineno or node.lineno) - node.lineno + 1
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    longest = {name: lines for name, lines in lengths.items() if lines >= MOST_LINES_OF_A_FUNCTION}
    assert longest == {}


@pytest.mark.parametrize("path", python_files("ledger", "projections"), ids=relative)
def test_a_module_is_named_by_a_noun(path: Path) -> None:
    """As far as a test can see it: it does not say what somebody is doing, or has done."""
    assert path.stem in NOUNS_IN_ING | NOUNS_IN_ED or not re.search(r"(ing|ed)$", path.stem)


def test_no_two_public_classes_have_one_name() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for place, name in public_classes():
        places[name].append(place)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def public_classes() -> Iterator[tuple[str, str]]:
    for path in python_files("ledger", "projections"):
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield relative(path), node.name


def test_msgspec_is_given_a_class_only_once_it_is_known() -> None:
    """Threads would crash (`ledger/kernel/known_types.py`)."""
    unknown = []
    for path in python_files("ledger", "projections"):
        tree = tree_of(path)
        for given in map(ast.unparse, _given_to_msgspec(tree)):
            is_known = given.startswith("known(") or f"{given} = known(" in ast.unparse(tree)
            if not is_known and given not in {"UUID", "decoder.type"}:
                unknown.append(f"{relative(path)}: {given}")
    assert unknown == ["ledger/kernel/known_types.py: kind"]


def _given_to_msgspec(tree: ast.Module) -> Iterator[ast.expr]:
    """The classes that msgspec is told to read."""
    places = {"msgspec.convert": 1, "msgspec.json.decode": 1, "msgspec.json.Decoder": 0}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (place := places.get(ast.unparse(node.func))) is not None:
            yield from node.args[place : place + 1]
            yield from (one.value for one in node.keywords if one.arg == "type")


def test_the_write_side_asks_no_table_of_the_read_side() -> None:
    tables = [
        name
        for path in sorted((ROOT / "sql" / "read_models").glob("*.sql"))
        for name in re.findall(r"^CREATE TABLE (\w+)", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert tables
    asked = re.compile(rf"\b(FROM|JOIN|INTO|UPDATE)\s+(public\.)?({'|'.join(tables)})\b")
    for path in python_files("ledger"):
        assert not asked.search(path.read_text("utf-8")), relative(path)

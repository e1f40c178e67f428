"""The shape of the code: what may import what, and files one can read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MOST_LINES = 400
OURS = ("ledger", "projections")
OPEN_TO_PROJECTIONS = (
    *("ledger.kernel", "ledger.nouns", "ledger.eventstore"),
    *("ledger.bus", "ledger.subscriptions", "ledger.operate"),  # to answer questions
    *("ledger.programs.registry", "ledger.programs.process", "ledger.programs.readiness"),
)
PRINTING = (
    *("typer.echo", "typer.secho", "Console(", "rich.table", "rich.tree", "rich.live"),
    *("sys.stdout.write", "sys.stdout.buffer", "sys.stderr.write", "__stdout__", "__stderr__"),
)


def python_files(*directories: str) -> list[Path]:
    return sorted(path for name in directories for path in (ROOT / name).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module of ours that the file imports when it runs, wherever in the file it does so."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for_types_only = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
    }
    for node in ast.walk(tree):
        if id(node) in for_types_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            # `from ledger.domain import money` imports ledger.kernel.money.
            names = [
                f"{module}.{alias.name}" if _is_module(f"{module}.{alias.name}") else module
                for alias in node.names
            ]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] in OURS)


def _is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").exists()


def within(name: str, allowed: tuple[str, ...]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in allowed)


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files("ledger"), ids=relative)
def test_the_write_side_does_not_know_the_read_side(path: Path) -> None:
    assert [name for name in imports(path) if within(name, ("projections",))] == []


@pytest.mark.parametrize("path", python_files("projections"), ids=relative)
def test_the_read_side_knows_what_lies_below_both_sides_only(path: Path) -> None:
    allowed = ("projections", *OPEN_TO_PROJECTIONS)
    assert [name for name in imports(path) if not within(name, allowed)] == []


@pytest.mark.parametrize("path", python_files("ledger/nouns"), ids=relative)
def test_the_domain_knows_nothing_of_ours_but_the_domain(path: Path) -> None:
    assert [name for name in imports(path) if not within(name, ("ledger.domain",))] == []


@pytest.mark.parametrize("path", python_files("ledger/nouns"), ids=relative)
def test_the_domain_has_no_clock_no_chance_and_no_outside_world(path: Path) -> None:
    forbidden = {"time", "random", "secrets", "os", "io", "socket", "asyncio", "psycopg", "nats"}
    tree = ast.parse(path.read_text(encoding="utf-8"))
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
def test_a_file_can_be_read_in_one_go(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MOST_LINES

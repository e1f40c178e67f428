"""ledgerctl is there at once: what a command has no need of is not loaded for it."""

import importlib.metadata
import subprocess
import sys

from ledger.cli.report import METHODS
from ledger.nouns.positions.lots import CostBasis
from ledger.programs.registry import ENTRY_POINTS

OF_ONE_PURPOSE = (
    *("apprise", "ccxt", "eventsourcing", "fastapi", "jinja2", "opentelemetry", "polars"),
    *("pyarrow", "textual", "uvicorn"),
)
"""Packages that one program or one question needs, and that it loads by itself."""
OF_WHO_WORKS = (
    *("nats", "psycopg", "pydantic", "pydantic_settings", "rich", "structlog"),
    *("ledger.nouns", "projections"),
)
"""What commands need that do something, and the help does not."""


def loaded_by(*modules: str) -> set[str]:
    """In a process of its own, which needs none of ours."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return set(done.stdout.decode().split())


def test_the_help_loads_nothing_that_does_something() -> None:
    found = loaded_by("ledger.cli.main")
    assert found & {*OF_ONE_PURPOSE, *OF_WHO_WORKS} == set()


def test_no_program_and_no_command_loads_what_another_needs() -> None:
    programs = [one.module for one in importlib.metadata.entry_points(group=ENTRY_POINTS)]
    commands = [one.module for one in importlib.metadata.entry_points(group="ledger.cli")]
    assert len(programs) > 5
    assert loaded_by(*programs, *commands, "ledger.client.client") & {*OF_ONE_PURPOSE} == set()


def test_the_help_names_every_cost_basis() -> None:
    assert tuple(CostBasis) == METHODS

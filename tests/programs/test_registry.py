"""The programs: what lists them is held to the registry."""

import re
from pathlib import Path

import pytest

from ledger.programs.registry import UnknownProgram, find, names

ROOT = Path(__file__).parent.parent.parent
OPERATORS_PAGE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def test_an_unknown_program_is_answered_with_those_there_are() -> None:
    with pytest.raises(UnknownProgram, match="'dinner'; there are: commands, projections"):
        find("dinner")


def test_the_operators_page_lists_the_programs_as_they_are_registered() -> None:
    table = OPERATORS_PAGE.partition("### Programs")[2].partition("### Servers")[0]
    rows = [line for line in table.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{one.name}` | {one.summary} | `{one.role}` | PostgreSQL{', NATS' if one.bus else ''} "
        f"| {one.port} |"
        for one in map(find, names())
    ]


def test_each_program_has_a_port_of_its_own() -> None:
    ports = [find(name).port for name in names()]
    assert None not in ports
    assert len(set(ports)) == len(ports)


@pytest.mark.parametrize("name", names())
def test_the_operators_page_grants_each_program_its_role(name: str) -> None:
    role = find(name).role
    (of_role,) = re.findall(rf"^\| `{role}` \|.*$", OPERATORS_PAGE, re.MULTILINE)
    assert f"`serve {name}`" in of_role
    assert f"GRANT {role} TO ledger_{name};" in OPERATORS_PAGE


def test_compose_runs_every_program_and_no_other() -> None:
    assert sorted(re.findall(r'\["serve", "(\w+)"\]', COMPOSE)) == sorted(names())


@pytest.mark.parametrize("name", names())
def test_compose_asks_each_program_whether_it_is_ready(name: str) -> None:
    service = re.split(r"^  (?=\w)", COMPOSE, flags=re.MULTILINE)
    (described,) = (text for text in service if text.startswith(f"{name}:"))
    assert f'command: ["serve", "{name}"]' in described
    assert f'"ledger.operate.readiness", "{name}"]' in described
    assert "depends_on: *services" in described or "depends_on: &services" in described

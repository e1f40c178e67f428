"""The programs: what lists them is held to the registry."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from ledger.operate import http
from ledger.operate.embedded import programs as embedded_programs
from ledger.operate.settings import Settings
from ledger.programs.registry import UnknownProgram, find, names
from tests.ports import free_port

ROOT = Path(__file__).parent.parent.parent
OPERATORS_PAGE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
LOGINS = (ROOT / "deploy" / "compose" / "logins.sql").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")


def test_an_unknown_program_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        UnknownProgram, match="'dinner'; there are: alerts, clock, commands, prices"
    ):
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


def test_prometheus_scrapes_every_program() -> None:
    scraped = (ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    for name in names():
        assert f"- 127.0.0.1:{find(name).port} # {name}" in scraped


def test_the_prometheus_of_compose_scrapes_every_program() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "compose.yml").read_text())
    (of_ledger,) = (one for one in scraped["scrape_configs"] if one["job_name"] == "ledger")
    targets = of_ledger["static_configs"][0]["targets"]
    assert targets == [f"{name}:9464" for name in names()], "deploy/prometheus/compose.yml"


def services_of_compose() -> dict[str, str]:
    """Its services as they are written, by name."""
    services = COMPOSE.partition("\nservices:\n")[2].partition("\nsecrets:\n")[0]
    found = re.split(r"^  (\w+):\n", services, flags=re.MULTILINE)
    return dict(zip(found[1::2], found[2::2], strict=True))


def test_compose_runs_every_program_and_no_other() -> None:
    assert sorted(re.findall(r'\["serve", "(\w+)"\]', COMPOSE)) == sorted(names())


@pytest.mark.parametrize("name", names())
def test_compose_runs_each_program_with_its_own_login_and_asks_whether_it_is_ready(
    name: str,
) -> None:
    described = services_of_compose()[name]
    assert "<<: *program\n" in described
    assert f'command: ["serve", "{name}"]' in described
    assert f"LEDGER_DATABASE_URL: postgresql://ledger_{name}@postgres/ledger\n" in described
    assert f"PGPASSWORD: ${{{name.upper()}_PASSWORD}}\n" in described
    assert "depends_on: *services" in described or "depends_on: &services" in described
    assert ("seal_key" in described) == (name == "seals")
    assert f"GRANT {find(name).role} TO ledger_{name};" in LOGINS


def test_what_all_programs_have_in_compose_is_bounded_and_cheap_to_ask() -> None:
    shared = COMPOSE.partition("x-program: &program\n")[2].partition("\nx-settings")[0]
    for line in ("logging: *logging", "mem_limit: ", "cap_drop: [ALL]", "read_only: true"):
        assert line in shared
    assert "GET /ready HTTP/1.0" in shared
    assert "python" not in shared
    for text in services_of_compose().values():
        assert re.search(r"<<: (\*program|\*watcher)|logging: \*logging", text)


def test_whoever_watches_in_compose_has_no_right_that_it_does_not_need() -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    for name in ("prometheus", "grafana"):
        described = services[name]
        assert described["read_only"] is True
        assert described["cap_drop"] == ["ALL"]
        assert described["security_opt"] == ["no-new-privileges:true"]
        assert described["mem_limit"]
        assert all(one.endswith(":ro") for one in described["volumes"] if one.startswith("./"))
        assert all(port.startswith("127.0.0.1:") for port in described.get("ports", ()))
        assert ":" in described["image"], "an image without a version"
    settings = services["grafana"]["environment"]
    assert settings["GF_AUTH_ANONYMOUS_ENABLED"] == "false"
    assert "GRAFANA_PASSWORD:?" in settings["GF_SECURITY_ADMIN_PASSWORD"]


def test_the_health_check_of_compose_says_whether_a_program_is_ready() -> None:
    found = re.search(r"- 'exec (.*)'\n", COMPOSE)
    assert found is not None
    is_ready = True
    port = free_port()
    check = f"exec {found[1]}".replace("/9464 ", f"/{port} ")
    with http.served(Settings(metrics_port=port), lambda: is_ready):
        assert subprocess.run(["bash", "-c", check], check=False).returncode == 0
    is_ready = False
    with http.served(Settings(metrics_port=port), lambda: is_ready):
        assert subprocess.run(["bash", "-c", check], check=False).returncode == 1


def test_the_logins_of_compose_are_members_of_their_roles_also_when_made_again(
    database_url: str,
) -> None:
    passwords = {f"{name.upper()}_PASSWORD": f"it's {name}" for name in names()}
    passwords |= {"GRAFANA_DATABASE_PASSWORD": "it's grafana", "GRAFANA_USER_ID": ""}
    command = [str(embedded_programs.postgres() / "psql"), "--no-psqlrc", "--quiet", "--file=-"]
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE ROLE ledger_commands LOGIN")  # as one of the days before
        connection.commit()
        try:
            for _ in range(2):
                done = subprocess.run(
                    [*command, database_url],
                    input=LOGINS,
                    env=os.environ | passwords,
                    text=True,
                    capture_output=True,
                    check=False,
                )
                assert (done.returncode, done.stderr) == (0, "")
            for name in names():
                asked = "SELECT pg_has_role(%s, %s, 'USAGE')"
                found = connection.execute(asked, [f"ledger_{name}", find(name).role])
                assert found.fetchone() == (True,)
            reads = """SELECT array_agg(r.rolname::text) FROM pg_auth_members AS m
                JOIN pg_roles AS r ON r.oid = m.roleid WHERE m.member = 'ledger_grafana'::regrole"""
            assert connection.execute(reads.encode()).fetchone() == (["ledger_user"],)
        finally:
            for name in (*names(), "grafana"):
                connection.execute(f"DROP ROLE IF EXISTS ledger_{name}".encode())


def test_the_unit_for_systemd_is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "systemd" / "ledger@.service").read_text(encoding="utf-8")
    assert "ExecStart=/opt/ledger/bin/ledgerctl serve %i\n" in unit
    assert "Restart=always\n" in unit
    assert "StartLimitIntervalSec=0\n" in unit
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd here")
    written = tmp_path / "ledger@.service"
    written.write_text(unit.replace("/opt/ledger/bin/ledgerctl", "/bin/true"))
    done = subprocess.run([analyze, "verify", written], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

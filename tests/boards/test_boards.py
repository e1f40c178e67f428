"""The boards of Grafana: what they ask is told, what they show has a meaning and a runbook."""

import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ledger.nouns import COMMAND_DATA
from ledger.vitals.measure import MEASURES
from ledger.web.pages import ROUTERS
from tests.boards import BOARDS, venues
from tests.boards.__main__ import DIRECTORY
from tests.boards.board import MOST_PANELS, RUNBOOKS, Board, Panel, alert_rules, as_json, written
from tests.promtool import agrees

ROOT = Path(__file__).parent.parent.parent
MAKE_THEM = "make them again: python -m tests.boards"
PROMETHEUS_TELLS = {"ALERTS", "up"}
"""Series that Prometheus makes itself."""
NOT_EVERYWHERE = {
    "ledger_backup_verified_age_seconds",  # where backups are made
    "ledger_certificate_valid_seconds",  # where there is TLS
    "ledger_follower_window_used_ratio",  # once the bus has begun to drop events
}
"""Told where there is something to tell, which there is not in these tests."""
ALL = [(board, panel) for board in BOARDS for panel in board.all_panels]
ASKED_OF_PROMETHEUS = [one for one in ALL if not one[1].sql]
ASKED_OF_READ_MODELS = [one for one in ALL if one[1].sql]


def named(one: Any) -> str:
    return one.uid if isinstance(one, Board) else str(one.title)


def test_the_files_are_made_from_the_boards() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.glob("*.json")}
    assert found == {f"{board.uid}.json": written(board) for board in BOARDS}, MAKE_THEM


def test_there_are_seven_boards() -> None:
    assert [board.title for board in BOARDS] == [
        "Ledger service",
        "Log & projections",
        "Bus",
        "PostgreSQL",
        "Risk & alerts",
        "Venues & reconciliation",
        "Portfolio",
    ]


@pytest.mark.parametrize("board", BOARDS, ids=named)
def test_a_board_has_its_verdict_on_top_and_no_more_than_a_person_reads(board: Board) -> None:
    made = as_json(board)
    assert len(made["panels"]) <= MOST_PANELS
    top = [panel for panel in made["panels"] if panel["gridPos"]["y"] == 0]
    assert len(top) == 4
    assert {panel["type"] for panel in top} == {"stat"}
    assert {"instance", "console", "runbooks"} <= {
        one["name"] for one in made["templating"]["list"]
    }
    assert "id" not in made
    assert all("id" not in panel for panel in made["panels"])
    assert "${__from:date:iso}" in made["links"][0]["url"]


@pytest.mark.parametrize("board", BOARDS, ids=named)
def test_a_board_leads_to_a_page_of_the_console(board: Board) -> None:
    pages = {str(getattr(route, "path", "")) for router in ROUTERS for route in router.routes}
    assert board.console in pages


@pytest.mark.parametrize(("board", "panel"), ALL, ids=named)
def test_a_panel_says_what_it_means_and_what_to_do(board: Board, panel: Panel) -> None:
    assert panel.about.endswith(".")
    assert panel.unit
    assert (ROOT / RUNBOOKS / panel.runbook).exists()
    if panel in board.verdict and panel.red is None:
        assert board.uid == "ledger-portfolio", "a verdict is green or red"


def test_every_alert_is_judged_on_a_board() -> None:
    judged = "".join(query.asks for _, panel in ALL for query in panel.queries)
    missing = [one["alert"] for one in alert_rules() if one["alert"] not in judged]
    assert not missing, f"no board judges {missing}: give one its runbook as a topic"


def metrics_of(asks: str) -> set[str]:
    """The metrics that are named: what is followed by labels."""
    return set(re.findall(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\{", asks))


def labels_of(asks: str) -> set[str]:
    grouped = {one.strip() for by in re.findall(r"by \(([^)]*)\)", asks) for one in by.split(",")}
    return grouped | set(re.findall(r"(\w+)(?:=~|=|!=)\"", asks))


@pytest.fixture(scope="session")
def told(page: str) -> dict[str, set[str]]:
    """The labels of each metric of the page."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize(("board", "panel"), ASKED_OF_PROMETHEUS, ids=named)
def test_what_a_panel_asks_is_told_by_running_programs(
    board: Board, panel: Panel, told: dict[str, set[str]]
) -> None:
    for query in panel.queries:
        asked = metrics_of(query.asks)
        assert asked, query.asks
        missing = asked - PROMETHEUS_TELLS - told.keys()
        assert not missing, f"{board.title}, {panel.title}: nobody tells {missing}"
        known = {"instance", "alertname", "alertstate", "severity"}
        known |= {label for name in asked for label in told.get(name, ())}
        assert labels_of(query.asks) <= known, query.asks


def test_what_an_alert_asks_is_told_by_running_programs(told: dict[str, set[str]]) -> None:
    for rule in alert_rules():
        words = set(re.findall(r"\b(?:ledger_\w+|up)\b", rule["expr"]))
        missing = words - PROMETHEUS_TELLS - told.keys() - NOT_EVERYWHERE
        assert not missing, rule["alert"]


def test_facts_of_venues_are_commands() -> None:
    assert set(venues.FACTS) <= COMMAND_DATA.keys()


def filled_in(asks: str) -> str:
    """The query without Grafana's variables and macros."""
    asks = asks.replace("$__rate_interval", "1m").replace("$__interval", "1m")
    asks = asks.replace("$instance", ".*").replace("${account}", "%(account)s")
    asks = re.sub(r"\$__timeFilter\((\S+?)\)", r"\1 BETWEEN '2000-01-01' AND '2100-01-01'", asks)
    return re.sub(
        r"\$__timeGroupAlias\((\w+), 1m\)", r"date_bin('1 min', \1, '2000-01-01') AS time", asks
    )


@pytest.mark.parametrize("role", ["ledger_user", "ledger_auditor"])
@pytest.mark.parametrize(("board", "panel"), ASKED_OF_READ_MODELS, ids=named)
def test_what_a_panel_asks_of_the_read_models_is_answered(
    board: Board, panel: Panel, role: str, filled_url: str
) -> None:
    with psycopg.connect(filled_url) as connection:
        connection.execute(f"SET ROLE {role}".encode())
        for query in panel.queries:
            statement = filled_in(query.asks).replace("%(account)s", "no account")
            found = connection.execute(statement.encode())
            assert found.description
            if panel.kind == "timeseries":
                assert found.description[0].name == "time"


def test_the_portfolio_has_no_empty_panel(filled_url: str) -> None:
    (board,) = (one for one in BOARDS if one.uid == "ledger-portfolio")
    with psycopg.connect(filled_url) as connection:
        accounts = connection.execute("SELECT account_id::text FROM accounts").fetchall()
        for panel in board.all_panels:
            (query,) = panel.queries
            statement = filled_in(query.asks).replace("'%(account)s'", "%s")
            rows = [
                connection.execute(statement.encode(), one * statement.count("%s"))
                for one in accounts
            ]
            assert any(one.fetchall() for one in rows), panel.title


# --- by Prometheus itself -----------------------------------------------------------------


def test_no_panel_is_empty_in_prometheus(page: str, tmp_path: Path) -> None:
    series = "".join(
        f"      - {{series: '{name}', values: '{value}'}}\n" for name, value in _series(page)
    )
    cases = "".join(
        f"      - expr: (count({filled_in(query.asks)}) > bool 0) or vector(0)\n"
        "        eval_time: 5m\n"
        "        exp_samples: [{labels: '{}', value: 1}]\n"
        for _, panel in ASKED_OF_PROMETHEUS
        for query in panel.queries
        if not query.asks.startswith("sum by (alertname")  # empty where nothing is wrong
    )
    (tmp_path / "test.yml").write_text(
        f"evaluation_interval: 10s\ntests:\n  - interval: 10s\n    input_series:\n{series}"
        f"    promql_expr_test:\n{cases}"
    )
    assert agrees(tmp_path / "test.yml") == ""


def _series(page: str) -> list[tuple[str, str]]:
    """The samples of the page as they would go on: what counts grows."""
    found = []
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if not sample.name.startswith("ledger_"):
                continue
            labels = dict(sample.labels) | {"instance": "a", "job": "ledger"}
            text = ",".join(f'{name}="{value}"' for name, value in sorted(labels.items()))
            grows = int(family.type in ("counter", "histogram"))
            value = 0 if abs(sample.value) == float("inf") else f"{sample.value:.6f}"
            found.append((f"{sample.name}{{{text}}}", f"{value}+{grows}x40"))
    return found


def test_no_label_is_one_that_prometheus_gives_to_targets() -> None:
    """It would be renamed to exported_job, and whoever asks by it gets the target's."""
    assert not {one.of for one in MEASURES.values()} & {"job", "instance"}

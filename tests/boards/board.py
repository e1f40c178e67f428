"""A board and its panels, and how they look as Grafana's JSON.

The first row is the verdict: single values that are green or red, the first of them how many of
the board's alerts fire. Below it what explains it. No ids and no times of making, so that a file
changes only where somebody changed a board.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import yaml

COLUMNS = 24
"""Of Grafana's grid."""
VERDICT_HEIGHT, PANEL_HEIGHT = 4, 8
MOST_PANELS = 12
RATE = "$__rate_interval"
OF = 'instance=~"$instance"'
"""The label that each metric is asked with."""
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
READ_MODELS = {"type": "grafana-postgresql-datasource", "uid": "ledger-read-models"}
RUNBOOKS = "docs/runbooks"
ALERTS_FILE = Path(__file__).parent.parent.parent / "deploy" / "prometheus" / "alerts.yml"


class Query(NamedTuple):
    """What is asked; PromQL, or SQL where the panel's source is the read models."""

    asks: str
    says: str = ""
    """How its series are called: Grafana's legend."""


class Panel(NamedTuple):
    """`red`: from where on it is bad (below it, if `falling`). `rows`: a table of SQL."""

    title: str
    about: str
    runbook: str
    unit: str
    queries: tuple[Query, ...]
    kind: str = "timeseries"
    red: float | None = None
    falling: bool = False
    sql: bool = False
    words: tuple[tuple[str, str, str], ...] = ()
    """Values that are said in words: value, word, colour."""


class Board(NamedTuple):
    """`topics`: the runbooks whose alerts are judged here. `console`: the page that shows more."""

    uid: str
    title: str
    about: str
    topics: tuple[str, ...]
    console: str
    verdict: tuple[Panel, ...]
    panels: tuple[Panel, ...]
    variables: tuple[dict[str, Any], ...] = ()

    @property
    def all_panels(self) -> tuple[Panel, ...]:
        return (*self.verdict, *self.panels)


def alert_rules() -> list[dict[str, Any]]:
    """Those of deploy/prometheus."""
    (group,) = yaml.safe_load(ALERTS_FILE.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def verdict(topics: tuple[str, ...], runbook: str) -> Panel:
    """How many of the alerts fire that are of these runbooks."""
    names = "|".join(
        one["alert"]
        for one in alert_rules()
        if one["annotations"]["runbook"].removeprefix(f"{RUNBOOKS}/") in topics
    )
    return Panel(
        "Verdict",
        "Alerts of this board that fire. The list is that of `ledgerctl status`.",
        runbook,
        "none",
        (Query(f'count(ALERTS{{alertstate="firing",alertname=~"{names}"}}) or vector(0)'),),
        kind="stat",
        red=1,
        words=(("0", "goes on", "green"),),
    )


def written(board: Board) -> str:
    """The file."""
    return json.dumps(as_json(board), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def as_json(board: Board) -> dict[str, Any]:
    assert len(board.all_panels) <= MOST_PANELS, board.uid
    return {
        "annotations": {"list": []},
        "description": board.about,
        "editable": False,
        "graphTooltip": 1,
        "links": [_console(board), _others()],
        "panels": _placed(board),
        "refresh": "30s" if any(one.sql for one in board.panels) else "10s",
        "schemaVersion": 39,
        "tags": ["ledger"],
        "templating": {"list": [_prometheus(), _instance(), *board.variables, *_places()]},
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "title": board.title,
        "uid": board.uid,
    }


def _placed(board: Board) -> list[dict[str, Any]]:
    placed = []
    width = COLUMNS // len(board.verdict)
    for place, panel in enumerate(board.verdict):
        placed.append(_panel(panel, x=place * width, y=0, width=width, height=VERDICT_HEIGHT))
    width = COLUMNS // 3
    for place, panel in enumerate(board.panels):
        row, column = divmod(place, 3)
        y = VERDICT_HEIGHT + row * PANEL_HEIGHT
        placed.append(_panel(panel, x=column * width, y=y, width=width, height=PANEL_HEIGHT))
    return placed


def _panel(panel: Panel, *, x: int, y: int, width: int, height: int) -> dict[str, Any]:
    source = READ_MODELS if panel.sql else PROMETHEUS
    return {
        "datasource": source,
        "description": f"{panel.about}\n\nRunbook: {RUNBOOKS}/{panel.runbook}",
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "gridPos": {"h": height, "w": width, "x": x, "y": y},
        "links": [
            {
                "targetBlank": True,
                "title": f"Runbook: {panel.runbook.removesuffix('.md')}",
                "url": f"${{runbooks}}/{panel.runbook}",
            }
        ],
        "options": _options(panel.kind),
        "targets": [
            _target(query, panel, source, chr(ord("A") + place))
            for place, query in enumerate(panel.queries)
        ],
        "title": panel.title,
        "type": panel.kind,
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    good, bad = ("red", "green") if panel.falling else ("green", "red")
    steps: list[dict[str, Any]] = [{"color": good, "value": None}]
    if panel.red is not None:
        steps.append({"color": bad, "value": panel.red})
    mappings = [
        {"options": {value: {"color": colour, "text": word}}, "type": "value"}
        for value, word, colour in panel.words
    ]
    defaults: dict[str, Any] = {
        "color": {"mode": "thresholds" if panel.kind == "stat" else "palette-classic"},
        "mappings": mappings,
        "noValue": "no data",
        "thresholds": {"mode": "absolute", "steps": steps},
        "unit": panel.unit,
    }
    if panel.kind == "timeseries":
        shown = "off" if panel.red is None else "line"
        defaults["custom"] = {"thresholdsStyle": {"mode": shown}, "spanNulls": False}
    return defaults


def _options(kind: str) -> dict[str, Any]:
    last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    if kind == "stat":
        return {"colorMode": "background", "graphMode": "none", "reduceOptions": last}
    if kind == "bargauge":
        each = last | {"values": True}
        return {"displayMode": "basic", "orientation": "horizontal", "reduceOptions": each}
    if kind == "table":
        return {"cellHeight": "sm", "showHeader": True}
    return {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def _target(query: Query, panel: Panel, source: dict[str, str], name: str) -> dict[str, Any]:
    if panel.sql:
        form = "time_series" if panel.kind == "timeseries" else "table"
        return {
            "datasource": source,
            "format": form,
            "rawQuery": True,
            "rawSql": query.asks,
            "refId": name,
        }
    at_once = panel.kind in ("stat", "table", "bargauge")
    return {
        "datasource": source,
        "expr": query.asks,
        "format": "table" if panel.kind == "table" else "time_series",
        "instant": at_once,
        "legendFormat": query.says or "__auto",
        "range": not at_once,
        "refId": name,
    }


# --- variables and links --------------------------------------------------------------------


def _prometheus() -> dict[str, Any]:
    return {
        "label": "Prometheus",
        "name": "prometheus",
        "query": "prometheus",
        "type": "datasource",
    }


def _instance() -> dict[str, Any]:
    return {
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
        "datasource": PROMETHEUS,
        "includeAll": True,
        "label": "Instance",
        "multi": True,
        "name": "instance",
        "query": "label_values(ledger_build_info, instance)",
        "refresh": 2,
        "sort": 1,
        "type": "query",
    }


def _places() -> tuple[dict[str, Any], ...]:
    """Where the console and the runbooks are, for links."""
    return (
        {
            "label": "Console",
            "name": "console",
            "query": "http://127.0.0.1:8787",
            "type": "textbox",
        },
        {"hide": 2, "name": "runbooks", "query": "/public/runbooks", "type": "constant"},
    )


def _console(board: Board) -> dict[str, Any]:
    times = "from=${__from:date:iso}&to=${__to:date:iso}"
    return {
        "targetBlank": True,
        "title": "Console",
        "type": "link",
        "url": f"${{console}}{board.console}?{times}",
    }


def _others() -> dict[str, Any]:
    return {
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
        "tags": ["ledger"],
        "title": "Boards",
        "type": "dashboards",
    }

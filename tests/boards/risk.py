"""Risk and alerts: what is refused and why, which alerts fire and whether they are told."""

from tests.boards.board import OF, RATE, Board, Panel, Query

_FIRING = 'ALERTS{alertstate="firing"}'
_PAGES = 'ALERTS{alertstate="firing",severity="page"}'
_TICKETS = 'ALERTS{alertstate="firing",severity="ticket"}'

RISK = Board(
    uid="ledger-risk",
    title="Risk & alerts",
    about="Refusals by code, the ledger's own alerts and their delivery, and those of Prometheus.",
    topics=(),
    console="/alerts",
    verdict=(
        Panel(
            "Something stands still", "Alerts of Prometheus that somebody is called for.",
            "README.md", "none",
            (Query(f"count({_PAGES}) or vector(0)"),),
            kind="stat", red=1, words=(("0", "none", "green"),),
        ),
        Panel(
            "For the day", "Alerts of Prometheus that can wait.", "README.md", "none",
            (Query(f"count({_TICKETS}) or vector(0)"),),
            kind="stat", red=1, words=(("0", "none", "green"),),
        ),
        Panel(
            "Open alerts of the ledger", "Raised and not resolved.", "README.md", "none",
            (Query(
                "SELECT count(*) AS open FROM alerts WHERE resolved_at IS NULL AND NOT suppressed"
            ),),
            kind="stat", red=1, sql=True,
        ),
        Panel(
            "Not delivered", "Alerts that a channel did not take, and that are not tried again.",
            "README.md", "none",
            (Query(
                "SELECT count(*) AS failed FROM alert_deliveries WHERE final AND sent_at IS NULL"
            ),), kind="stat", red=1, sql=True,
        ),
    ),
    panels=(
        Panel(
            "Refused by code", "The twenty codes that come most.", "commands.md", "cps",
            (Query(
                f"topk(20, sum by (code) (rate(ledger_rejections_total{{{OF}}}[{RATE}])))",
                "{{code}}",
            ),),
        ),
        Panel(
            "Refused by command", "Share of each type that is refused.", "commands.md",
            "percentunit",
            (Query(
                f'sum by (type) (rate(ledger_commands_total{{status="REJECTED",{OF}}}[{RATE}])) / '
                f"sum by (type) (rate(ledger_commands_total{{{OF}}}[{RATE}]))", "{{type}}"
            ),),
        ),
        Panel(
            "Firing now", "Alerts of Prometheus, each with its runbook.", "README.md", "none",
            (Query(f"sum by (alertname, severity) ({_FIRING})"),), kind="table",
        ),
        Panel(
            "Alerts raised", "Of the ledger, by severity.", "README.md", "none",
            (Query(
                "SELECT $__timeGroupAlias(raised_at, $__interval), severity AS metric, "
                "count(*) AS raised FROM alerts WHERE $__timeFilter(raised_at) "
                "GROUP BY 1, 2 ORDER BY 1"
            ),), sql=True,
        ),
        Panel(
            "Open alerts", "The newest first.", "README.md", "none",
            (Query(
                "SELECT raised_at, severity, rule, title, acknowledged_by, runbook FROM alerts "
                "WHERE resolved_at IS NULL AND NOT suppressed ORDER BY raised_at DESC LIMIT 50"
            ),), kind="table", sql=True,
        ),
        Panel(
            "Delivery", "By channel: told, tries, and what the channel said.", "README.md", "none",
            (Query(
                "SELECT channel, status, count(*) AS alerts, sum(attempts) AS tries, "
                "max(updated_at) AS newest FROM alert_deliveries "
                "WHERE $__timeFilter(created_at) GROUP BY 1, 2 ORDER BY 1, 2"
            ),), kind="table", sql=True,
        ),
    ),
)  # fmt: skip

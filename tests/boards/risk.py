"""Risk and alerts: what is refused and why, limits, breakers, and whether alerts are told."""

from tests.boards.board import OF, RATE, Board, Panel, Query

_FIRING = 'ALERTS{alertstate="firing"}'
_PAGES = 'ALERTS{alertstate="firing",severity="page"}'

RISK = Board(
    uid="ledger-risk",
    title="Risk & alerts",
    about="Refusals by code, limits and how much of them is used, breakers, alerts and delivery.",
    topics=(),
    console="/risk",
    verdict=(
        Panel(
            "Something stands still", "Alerts of Prometheus that somebody is called for.",
            "README.md", "none",
            (Query(f"count({_PAGES}) or vector(0)"),),
            kind="stat", red=1, words=(("0", "none", "green"),),
        ),
        Panel(
            "Open risk events", "Limits near or passed, velocity, anomalies; not resolved.",
            "README.md", "none",
            (Query("SELECT count(*) AS open FROM risk_events WHERE is_open"),),
            kind="stat", red=1, sql=True,
        ),
        Panel(
            "Breakers that tripped", "And that nobody has resolved.", "README.md", "none",
            (Query("SELECT count(*) AS tripped FROM circuit_breaker_events WHERE NOT resolved"),),
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
            "Firing now", "Alerts of Prometheus, each with its runbook.", "README.md", "none",
            (Query(f"sum by (alertname, severity) ({_FIRING})"),), kind="table",
        ),
        Panel(
            "Limits used", "Of the twenty open risk events that used most of theirs.",
            "README.md", "percentunit",
            (Query(
                "SELECT concat_ws(' ', measure, scope, reference) AS of, "
                "(current_value / limit_value)::float8 AS used FROM risk_events "
                "WHERE is_open AND limit_value <> 0 ORDER BY 2 DESC LIMIT 20"
            ),), kind="bargauge", red=1, sql=True,
        ),
        Panel(
            "Risk events", "Opened in the time shown, the newest first.", "README.md", "none",
            (Query(
                "SELECT created_at, severity, event_type, scope, reference, measure, "
                "current_value, limit_value, message, is_open FROM risk_events "
                "WHERE $__timeFilter(created_at) "
                "ORDER BY created_at DESC LIMIT 100"
            ),), kind="table", sql=True,
        ),
        Panel(
            "Breakers", "What tripped, by how much, and what came of it.", "README.md", "none",
            (Query(
                "SELECT triggered_at, kind, scope, reference, threshold, actual, halted, "
                "cancels_requested, exits_requested, refused, resolved_by FROM "
                "circuit_breaker_events WHERE $__timeFilter(triggered_at) "
                "ORDER BY triggered_at DESC LIMIT 50"
            ),), kind="table", sql=True,
        ),
        Panel(
            "Limits, halts and who made them", "Changes of limits, halts and their ends.",
            "README.md", "none",
            (Query(
                "SELECT occurred_at, change, scope, reference, measure, value, unit, sent_by, "
                "approved_by FROM limit_history WHERE $__timeFilter(occurred_at) "
                "ORDER BY position DESC LIMIT 100"
            ),), kind="table", sql=True,
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

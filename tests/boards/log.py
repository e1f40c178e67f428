"""Log and projections: how fast the log grows, who is behind it, what stands still, seals."""

from tests.boards.board import OF, RATE, Board, Panel, Query, verdict

TOPICS = ("stuck-projection.md", "seals.md", "clock.md", "schedule.md", "restore.md")


def _worst(
    measure: str, runbook: str, unit: str, title: str, about: str, red: float | None
) -> Panel:
    asks = f"max by (projection) (ledger_projection_{measure}{{{OF}}})"
    return Panel(title, about, runbook, unit, (Query(asks, "{{projection}}"),), red=red)


LOG = Board(
    uid="ledger-log",
    title="Log & projections",
    about="The log, and all who follow it: read models, the publisher, the sealer.",
    topics=TOPICS,
    console="/projections",
    verdict=(
        verdict(TOPICS, "stuck-projection.md"),
        Panel(
            "Behind, at most", "How long ago the oldest event was stored that some read model "
            "does not show.", "stuck-projection.md", "s",
            (Query(f"max(ledger_projection_lag_seconds{{{OF}}})"),), kind="stat", red=60,
        ),
        Panel(
            "Waiting to be sealed", "Until then nobody can prove that it was not altered.",
            "seals.md", "s", (Query(f"max(ledger_unsealed_seconds{{{OF}}})"),), kind="stat", red=30,
        ),
        Panel(
            "Need a person", "Followers of the log that do not go on by themselves.",
            "stuck-projection.md", "none",
            (Query(f"sum(max by (projection) (ledger_projection_needs_person{{{OF}}}))"),),
            kind="stat", red=1,
        ),
    ),
    panels=(
        Panel(
            "Events appended", "By the growth of the log's head.", "commands.md", "ops",
            (Query(f"max(deriv(ledger_head_position{{{OF}}}[5m]))", "events/s"),),
        ),
        _worst(
            "lag_seconds", "stuck-projection.md", "s", "Behind, in time",
            "Age of the oldest event that is not shown.", 60,
        ),
        _worst(
            "lag_events", "stuck-projection.md", "none", "Behind, in events",
            "Events that are not shown yet.", None,
        ),
        _worst(
            "rate_events_per_second", "stuck-projection.md", "ops", "Pace",
            "Events of the log passed in a second while some wait: a rebuild or a catch-up shows "
            "here.", None,
        ),
        _worst(
            "parked_events", "stuck-projection.md", "none", "Dead letters",
            "Events of keys that stand still; all other keys go on.", 1,
        ),
        Panel(
            "Errors and takeovers", "Errors by kind, and owners that took over.",
            "stuck-projection.md", "cps",
            (
                Query(f"sum(rate(ledger_projection_failures_total{{{OF}}}[{RATE}]))", "errors"),
                Query(
                    f"sum(rate(ledger_projection_lease_changes_total{{{OF}}}[{RATE}]))",
                    "takeovers",
                ),
            ),
        ),
        Panel(
            "Seals", "What waits, and the age of the newest head on the bus.", "seals.md", "s",
            (
                Query(f"max(ledger_unsealed_seconds{{{OF}}})", "oldest unsealed event"),
                Query(f"max(ledger_seal_head_age_seconds{{{OF}}})", "newest head"),
            ), red=1800,
        ),
        Panel(
            "Clocks", "How far the last event's time is ahead, and the database's clock off.",
            "clock.md", "s",
            (
                Query(f"max(ledger_clock_ahead_seconds{{{OF}}})", "last event ahead"),
                Query(f"max(ledger_database_clock_offset_seconds{{{OF}}})", "database off"),
            ), red=2,
        ),
    ),
)  # fmt: skip

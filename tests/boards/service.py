"""Ledger service: how many commands are decided, how fast, which are refused, what waits."""

from tests.boards.board import OF, RATE, Board, Panel, Query, verdict

TOPICS = ("commands.md", "programs.md", "lock.md", "stuck-stream.md")


def _quantiles(metric: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"histogram_quantile({share}, sum by (le) (rate({metric}_bucket{{{OF}}}[{RATE}])))",
            f"p{round(share * 100)}",
        )
        for share in (0.5, 0.95, 0.99)
    )


SERVICE = Board(
    uid="ledger-service",
    title="Ledger service",
    about="Commands: rate, refusals, time to decide and to record them, and what waits.",
    topics=TOPICS,
    console="/commands",
    verdict=(
        verdict(TOPICS, "commands.md"),
        Panel(
            "Oldest undecided command", "How long a sender has waited who waits longest.",
            "commands.md", "s", (Query(f"max(ledger_commands_oldest_seconds{{{OF}}})"),),
            kind="stat", red=60,
        ),
        Panel(
            "Failed, waiting for a person", "Commands that failed through a fault of the ledger.",
            "commands.md", "none", (Query(f"max(ledger_failed_commands_waiting{{{OF}}})"),),
            kind="stat", red=1,
        ),
        Panel(
            "Streams held", "Streams that cannot be read, and hold up their commands.",
            "stuck-stream.md", "none", (Query(f"max(ledger_streams_held{{{OF}}})"),),
            kind="stat", red=1,
        ),
    ),
    panels=(
        Panel(
            "Commands decided", "By what became of them; REPLAYED were decided before.",
            "commands.md", "cps",
            (Query(
                f"sum by (status) (rate(ledger_commands_total{{{OF}}}[{RATE}]))", "{{status}}"
            ),),
        ),
        Panel(
            "Refusals by code", "The ten codes that come most.", "commands.md", "cps",
            (Query(
                f"topk(10, sum by (code) (rate(ledger_rejections_total{{{OF}}}[{RATE}])))",
                "{{code}}",
            ),),
        ),
        Panel(
            "From arrival to outcome", "What a sender waits for.", "commands.md", "s",
            _quantiles("ledger_command_outcome_seconds"), red=1,
        ),
        Panel(
            "Deciding a batch", "In memory, without the database.", "commands.md", "s",
            _quantiles("ledger_command_decide_seconds"),
        ),
        Panel(
            "Recording a batch", "Append lock, COPY, and the commit with its fsync.", "lock.md",
            "s",
            _quantiles("ledger_command_commit_seconds"), red=1,
        ),
        Panel(
            "Held up", "How long a transaction holds what appends need, and how long nothing was "
            "decided although commands wait.", "lock.md", "s",
            (
                Query(f"max(ledger_append_held_seconds{{{OF}}})", "append held"),
                Query(f"max(ledger_commands_stalled_seconds{{{OF}}})", "nothing decided"),
            ), red=15,
        ),
        Panel(
            "Programs", "How many of each are heard of, and command services that live.",
            "programs.md", "none",
            (
                Query(f"count by (service) (ledger_build_info{{{OF}}})", "{{service}}"),
                Query(f"max(ledger_command_workers{{{OF}}})", "command services by lease"),
            ),
        ),
        Panel(
            "Commands in a batch", "Load shows here first: one commit for more commands.",
            "commands.md", "none",
            (Query(
                f"sum(rate(ledger_command_batch_commands_sum{{{OF}}}[{RATE}])) / "
                f"sum(rate(ledger_command_batch_commands_count{{{OF}}}[{RATE}]))", "commands"
            ),),
        ),
    ),
)  # fmt: skip

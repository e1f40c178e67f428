"""Bus: what waits in NATS, how full its streams are, and how far those are who follow."""

from tests.boards.board import OF, RATE, Board, Panel, Query, verdict

TOPICS = ("followers.md", "disk.md", "servers.md")

BUS = Board(
    uid="ledger-bus",
    title="Bus",
    about="NATS JetStream: commands in, events out, room.",
    topics=TOPICS,
    console="/overview",
    verdict=(
        verdict(TOPICS, "servers.md"),
        Panel(
            "Stores", "Whether the stream of commands can be written to.", "disk.md", "none",
            (Query(f"min(ledger_bus_stores{{{OF}}})"),), kind="stat", red=1, falling=True,
            words=(("0", "no", "red"), ("1", "yes", "green")),
        ),
        Panel(
            "Fullest stream", "Share of its room; commands are refused when it is full.",
            "commands.md", "percentunit",
            (Query(f"max(ledger_stream_room_used_ratio{{{OF}}})"),), kind="stat", red=0.75,
        ),
        Panel(
            "Not published yet", "How long the oldest event waits for the bus.",
            "stuck-projection.md", "s",
            (Query(f'max(ledger_projection_lag_seconds{{projection="publisher",{OF}}})'),),
            kind="stat", red=60,
        ),
    ),
    panels=(
        Panel(
            "Commands waiting", "Not handed out yet, by partition.", "commands.md", "none",
            (Query(f"max by (consumer) (ledger_commands_waiting{{{OF}}})", "{{consumer}}"),),
        ),
        Panel(
            "Commands in work", "Handed out, and not answered.", "commands.md", "none",
            (Query(f"max by (consumer) (ledger_commands_in_work{{{OF}}})", "{{consumer}}"),),
        ),
        Panel(
            "Handed out again", "After a crash, a lost connection, or a fault of ours.",
            "commands.md", "cps",
            (Query(f"sum(rate(ledger_commands_redelivered_total{{{OF}}}[{RATE}]))", "again"),),
        ),
        Panel(
            "From arrival to acknowledgement", "An outcome is told, and then acknowledged.",
            "commands.md", "s",
            (Query(
                "histogram_quantile(0.95, sum by (le) "
                f"(rate(ledger_command_outcome_seconds_bucket{{{OF}}}[{RATE}])))", "p95"
            ),), red=1,
        ),
        Panel(
            "Events published", "That the bus confirmed.", "stuck-projection.md", "ops",
            (Query(f"sum(rate(ledger_publisher_events_total{{{OF}}}[{RATE}]))", "events/s"),),
        ),
        Panel(
            "Bytes in streams", "Of each stream.", "disk.md", "bytes",
            (Query(f"max by (stream) (ledger_stream_bytes{{{OF}}})", "{{stream}}"),),
        ),
        Panel(
            "Room used", "Of each stream's limit.", "commands.md", "percentunit",
            (Query(f"max by (stream) (ledger_stream_room_used_ratio{{{OF}}})", "{{stream}}"),),
            red=0.75,
        ),
        Panel(
            "Followers", "Events that each follower with a name has before it.", "followers.md",
            "none",
            (Query(f"max by (follower) (ledger_follower_lag_events{{{OF}}})", "{{follower}}"),),
        ),
    ),
)  # fmt: skip

"""PostgreSQL: used, full, failing: connections, locks, write-ahead log, bloat, cache, disk."""

from tests.boards.board import OF, RATE, Board, Panel, Query, verdict

TOPICS = (
    *("servers.md", "lock.md", "notifications.md", "backup.md", "disk.md"),
    "partitions.md",
)


def _rate(metric: str, by: str) -> str:
    """All programs tell the same: the greatest is as good as any."""
    return f"max by ({by}) (rate({metric}{{{OF}}}[{RATE}]))"


POSTGRESQL = Board(
    uid="ledger-postgresql",
    title="PostgreSQL",
    about="The server: how much of it is used, what it waits for, what fails.",
    topics=TOPICS,
    console="/overview",
    verdict=(
        verdict(TOPICS, "servers.md"),
        Panel(
            "Connections in use", "Share of max_connections.", "servers.md", "percentunit",
            (Query(f"max(ledger_database_connections_ratio{{{OF}}})"),), kind="stat", red=0.8,
        ),
        Panel(
            "Longest wait for a lock", "A session that waits.", "lock.md", "s",
            (Query(f"max(ledger_database_blocked_seconds{{{OF}}})"),), kind="stat", red=15,
        ),
        Panel(
            "Standby behind", "The one that is furthest.", "servers.md", "s",
            (Query(f"max(ledger_replication_lag_seconds{{{OF}}})"),), kind="stat", red=60,
        ),
    ),
    panels=(
        Panel(
            "Transactions", "By how they ended.", "servers.md", "ops",
            (Query(_rate("ledger_database_transactions_total", "outcome"), "{{outcome}}"),),
        ),
        Panel(
            "Found in memory", "Share of the blocks that were read.", "servers.md", "percentunit",
            (Query(
                f'max(rate(ledger_database_blocks_total{{found="memory",{OF}}}[{RATE}])) / '
                f'(max(rate(ledger_database_blocks_total{{found="memory",{OF}}}[{RATE}])) + '
                f'max(rate(ledger_database_blocks_total{{found="disk",{OF}}}[{RATE}])))', "share"
            ),), red=0.9, falling=True,
        ),
        Panel(
            "Sessions that wait", "For a lock; and deadlocks.", "lock.md", "none",
            (
                Query(f"max(ledger_database_blocked_sessions{{{OF}}})", "waiting"),
                Query(
                    f"max(increase(ledger_database_deadlocks_total{{{OF}}}[{RATE}]))", "deadlocks"
                ),
            ),
        ),
        Panel(
            "Write-ahead log", "Bytes written in a second; red while its archive fails.",
            "backup.md", "Bps",
            (
                Query(
                    f"max(rate(ledger_database_wal_bytes_total{{{OF}}}[{RATE}]))", "written"
                ),
                Query(f"max(ledger_wal_archive_failing{{{OF}}})", "archive failing"),
            ),
        ),
        Panel(
            "Largest tables", "With partitions and indexes.", "disk.md", "bytes",
            (Query(f"max by (table) (ledger_database_table_bytes{{{OF}}})", "{{table}}"),),
            red=50 * 1024**3,
        ),
        Panel(
            "Database and disk", "What it has, and what is free where its data are ours.",
            "disk.md", "bytes",
            (
                Query(f"max(ledger_database_bytes{{{OF}}})", "database"),
                Query(f"min(ledger_disk_free_bytes{{{OF}}})", "free"),
            ),
        ),
        Panel(
            "Dead rows", "In the table that has most: autovacuum has not kept up from a fifth on.",
            "disk.md", "percentunit",
            (Query(f"max(ledger_database_dead_rows_ratio{{{OF}}})", "share"),), red=0.2,
        ),
        Panel(
            "Room of the log", "Positions for which there is a partition already.", "disk.md",
            "none", (Query(f"min(ledger_log_partition_room_events{{{OF}}})", "positions"),),
            red=1000, falling=True,
        ),
    ),
)  # fmt: skip

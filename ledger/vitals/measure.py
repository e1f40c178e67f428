"""Every number that tells how the ledger is. As a metric its name begins with `ledger_`."""

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter"]

STALLED_SECONDS = 15.0
"""Something waits and nothing was done for so long: no step of any program takes a third of it, and
with a scrape every ten seconds an alert comes within thirty."""


class VitalSign(NamedTuple):
    """What a number means; `of` is the name of its label, if there is one of each."""

    name: str
    says: str
    of: str | None = None
    kind: Kind = "gauge"


class Sample(NamedTuple):
    """A number at a moment. `label` is empty where there is only one."""

    name: str
    label: str
    value: float


_PROJECTION = "projection"
MEASURES: dict[str, VitalSign] = {
    one.name: one
    for one in (
        # the database
        VitalSign("database_up", "1 if the database told how the ledger is."),
        VitalSign(
            "database_clock_offset_seconds", "How far the database's clock is off this machine's."
        ),
        VitalSign("database_connections_ratio", "Share of its connections that are in use."),
        VitalSign(
            "database_blocked_seconds", "How long the session waits that waits longest for a lock."
        ),
        VitalSign("notification_queue_ratio", "How full the server's queue of notifications is."),
        VitalSign("database_bytes", "Size of the database."),
        VitalSign("database_blocked_sessions", "Sessions that wait for a lock."),
        VitalSign("database_transactions", "Transactions by how they ended.", "outcome", "counter"),
        VitalSign(
            "database_blocks",
            "Blocks that were read, by where they were found.",
            "found",
            "counter",
        ),
        VitalSign("database_deadlocks", "Deadlocks.", None, "counter"),
        VitalSign("database_wal_bytes", "Bytes of write-ahead log.", None, "counter"),
        VitalSign(
            "database_dead_rows_ratio",
            "Share of dead rows in the table that has most, of those with ten thousand rows.",
        ),
        VitalSign(
            "database_table_bytes",
            "Size of a table with its partitions and indexes, of the twelve largest.",
            "table",
        ),
        VitalSign("wal_archive_failing", "1 while the archive of the write-ahead log fails."),
        VitalSign("replication_lag_seconds", "How far the standby that is furthest behind is."),
        # the log
        VitalSign("head_position", "The last position of the log."),
        VitalSign(
            "log_behind",
            "1 while the log does not reach as far as what was published: it was restored to an "
            "earlier moment, and nothing is decided until it is recovered.",
        ),
        VitalSign(
            "clock_ahead_seconds",
            "How far the time of the last event is ahead of the database's clock: until then all "
            "events get the same time.",
        ),
        VitalSign("log_partition_room_events", "Positions for which there is a partition."),
        VitalSign(
            "append_held_seconds",
            "How long the transaction has lasted that holds a lock which appends need.",
        ),
        # commands
        VitalSign("commands_waiting", "Commands that were not handed out yet.", "consumer"),
        VitalSign("commands_in_work", "Commands handed out and not answered.", "consumer"),
        VitalSign("commands_oldest_seconds", "Age of the oldest undecided command."),
        VitalSign(
            "commands_stalled_seconds",
            "How long nothing was decided although commands wait.",
        ),
        VitalSign(
            "commands_room_used_ratio",
            "Share of its room that the stream of commands uses; from 0.75 on it is filling up.",
        ),
        VitalSign("command_workers", "Command services that live."),
        VitalSign("command_workers_silent", "Command services that went without a word."),
        VitalSign("command_partitions_unowned", "Partitions of the commands without an owner."),
        VitalSign("failed_commands_waiting", "Commands that failed and wait for an operator."),
        VitalSign("streams_held", "Streams that cannot be read, and hold up their commands."),
        VitalSign("unreadable_messages", "Messages that are kept because nobody could read them."),
        VitalSign(
            "unreadable_newest_seconds",
            "How long ago the newest of them came; infinite while there is none.",
        ),
        VitalSign(
            "clock_behind_seconds", "How long ago what the clock has not done was due.", "task"
        ),
        VitalSign(
            "series_default_bytes",
            "Bytes of a time series that lie in no month's partition.",
            "table",
        ),
        # seals
        VitalSign("unsealed_events", "Events that are not sealed yet."),
        VitalSign("unsealed_seconds", "How long the oldest of them has waited."),
        VitalSign("seals_signed", "1 if the newest seal is signed."),
        VitalSign("seal_head_age_seconds", "Age of the newest head that is kept on the bus."),
        # the bus
        VitalSign("bus_up", "1 if NATS told what waits there."),
        VitalSign("published_position", "The position of the newest published event."),
        VitalSign("bus_stores", "1 if the stream of commands can be written to."),
        VitalSign("stream_bytes", "Bytes that the stream has.", "stream"),
        VitalSign("stream_messages", "Messages that the stream has.", "stream"),
        VitalSign("stream_room_used_ratio", "Share of its room that the stream uses.", "stream"),
        VitalSign(
            "follower_lag_events", "Events published since the place of who follows.", "follower"
        ),
        VitalSign(
            "follower_window_used_ratio",
            "How much of what the bus still keeps lies before the follower; at 1 it loses events.",
            "follower",
        ),
        # who follows the log
        VitalSign("projection_position", "Where the read model is in the log.", _PROJECTION),
        VitalSign(
            "projection_lag_events", "Events that the read model does not show yet.", _PROJECTION
        ),
        VitalSign(
            "projection_lag_seconds",
            "How long ago the oldest event that it does not show was stored.",
            _PROJECTION,
        ),
        VitalSign(
            "projection_stalled_seconds",
            "How long it has handled nothing although events wait.",
            _PROJECTION,
        ),
        VitalSign(
            "projection_rate_events_per_second",
            "Events of the log passed in a second while some wait, of the last batches.",
            _PROJECTION,
        ),
        VitalSign(
            "projection_parked_keys", "Keys (orders, accounts) that stand still.", _PROJECTION
        ),
        VitalSign("projection_parked_events", "Events of those keys.", _PROJECTION),
        VitalSign("projection_owned", "1 if a worker owns it by a lease that runs.", _PROJECTION),
        VitalSign(
            "projection_silent", "1 if its owner's lease is over: it hangs, or died.", _PROJECTION
        ),
        VitalSign("projection_paused", "1 while paused by an operator.", _PROJECTION),
        VitalSign("projection_failing", "1 while its owner says ERROR.", _PROJECTION),
        VitalSign("projection_needs_person", "1 if it does not go on by itself.", _PROJECTION),
        VitalSign(
            "projection_events",
            "Events handled since the read model was begun.",
            _PROJECTION,
            "counter",
        ),
        VitalSign(
            "projection_failures",
            "Errors since the read model was begun.",
            _PROJECTION,
            "counter",
        ),
        VitalSign(
            "projection_lease_changes",
            "How often another worker became the owner.",
            _PROJECTION,
            "counter",
        ),
        # backups
        VitalSign(
            "backup_verified_age_seconds",
            "Age of the newest backup that was restored and found whole; infinite while none was.",
        ),
        # this machine
        VitalSign(
            "certificate_valid_seconds",
            "How long the certificate is valid yet that a setting names.",
            "certificate",
        ),
        VitalSign(
            "disk_free_bytes", "Free at the data directory, where servers of ours keep data."
        ),
    )
}

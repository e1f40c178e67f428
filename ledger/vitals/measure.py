"""Every number that tells how the ledger is. As a metric its name begins with `ledger_`."""

from typing import Literal, NamedTuple

Kind = Literal["gauge", "counter"]

STALLED_SECONDS = 15.0
"""Something waits and nothing was done for so long: no step of any program takes a third of it, and
with a scrape every ten seconds an alert comes within thirty."""


class Measure(NamedTuple):
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
MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        # the database
        Measure("database_up", "1 if the database told how the ledger is."),
        Measure(
            "database_clock_offset_seconds", "How far the database's clock is off this machine's."
        ),
        Measure("database_connections_ratio", "Share of its connections that are in use."),
        Measure(
            "database_blocked_seconds", "How long the session waits that waits longest for a lock."
        ),
        Measure("database_bytes", "Size of the database."),
        Measure("replication_lag_seconds", "How far the standby that is furthest behind is."),
        # the log
        Measure("head_position", "The last position of the log."),
        Measure(
            "clock_ahead_seconds",
            "How far the time of the last event is ahead of the database's clock: until then all "
            "events get the same time.",
        ),
        Measure(
            "append_held_seconds",
            "How long the transaction has lasted that holds a lock which appends need.",
        ),
        # commands
        Measure("commands_waiting", "Commands that were not handed out yet.", "consumer"),
        Measure("commands_in_work", "Commands handed out and not answered.", "consumer"),
        Measure("commands_oldest_seconds", "Age of the oldest undecided command."),
        Measure(
            "commands_stalled_seconds",
            "How long nothing was decided although commands wait.",
        ),
        Measure(
            "commands_room_used_ratio",
            "Share of its room that the stream of commands uses; from 0.75 on it is filling up.",
        ),
        Measure("command_workers", "Command services that live."),
        Measure("command_workers_silent", "Command services that went without a word."),
        Measure("command_partitions_unowned", "Partitions of the commands without an owner."),
        Measure("failed_commands_waiting", "Commands that failed and wait for an operator."),
        Measure("unreadable_messages", "Messages that are kept because nobody could read them."),
        # seals
        Measure("unsealed_events", "Events that are not sealed yet."),
        Measure("unsealed_seconds", "How long the oldest of them has waited."),
        Measure("seals_signed", "1 if the newest seal is signed."),
        Measure("seal_head_age_seconds", "Age of the newest head that is kept on the bus."),
        # the bus
        Measure("bus_up", "1 if NATS told what waits there."),
        Measure("bus_stores", "1 if JetStream took the last message that was stored to try it."),
        Measure("stream_bytes", "Bytes that the stream has.", "stream"),
        Measure("stream_messages", "Messages that the stream has.", "stream"),
        Measure("stream_room_used_ratio", "Share of its room that the stream uses.", "stream"),
        Measure(
            "follower_lag_events", "Events published since the place of who follows.", "follower"
        ),
        Measure(
            "follower_window_used_ratio",
            "How much of what the bus still keeps lies before the follower; at 1 it loses events.",
            "follower",
        ),
        # who follows the log
        Measure("projection_position", "Where the read model is in the log.", _PROJECTION),
        Measure(
            "projection_lag_events", "Events that the read model does not show yet.", _PROJECTION
        ),
        Measure(
            "projection_lag_seconds",
            "How long ago the oldest event that it does not show was stored.",
            _PROJECTION,
        ),
        Measure(
            "projection_stalled_seconds",
            "How long it has handled nothing although events wait.",
            _PROJECTION,
        ),
        Measure(
            "projection_rate_events_per_second",
            "Events handled in a second of work, of the last batches.",
            _PROJECTION,
        ),
        Measure("projection_parked_keys", "Keys (orders, accounts) that stand still.", _PROJECTION),
        Measure("projection_parked_events", "Events of those keys.", _PROJECTION),
        Measure("projection_owned", "1 if a worker owns it by a lease that runs.", _PROJECTION),
        Measure(
            "projection_silent", "1 if its owner's lease is over: it hangs, or died.", _PROJECTION
        ),
        Measure("projection_paused", "1 while paused by an operator.", _PROJECTION),
        Measure("projection_failing", "1 while its owner says ERROR.", _PROJECTION),
        Measure("projection_needs_person", "1 if it does not go on by itself.", _PROJECTION),
        Measure(
            "projection_events",
            "Events handled since the read model was begun.",
            _PROJECTION,
            "counter",
        ),
        Measure(
            "projection_failures",
            "Errors since the read model was begun.",
            _PROJECTION,
            "counter",
        ),
        Measure(
            "projection_lease_changes",
            "How often another worker became the owner.",
            _PROJECTION,
            "counter",
        ),
        # this machine
        Measure("disk_free_bytes", "Free at the data directory, where servers of ours keep data."),
    )
}

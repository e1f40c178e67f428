"""When a number needs a person, what it means then, and where it says what to do.

One list: `ledgerctl doctor` and `ledgerctl status` judge by it, and the rules for Prometheus are
written from it (alert_rules.py). A condition is a limit to one measure, so that both can never
disagree. `PAGE`: something does not go on; `TICKET`: something will not for long.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from ledger.vitals.measure import STALLED_SECONDS, Sample

Severity = Literal["page", "ticket"]
PAGE: Severity = "page"
TICKET: Severity = "ticket"

FILLING = 0.75
"""Share of its room from which a stream is filling up."""
HEAD_SECONDS = 1_800.0
"""The sealer says its newest head every ten minutes also when nothing happens: three are missed."""
BACKUP_SECONDS = 8 * 86_400.0
"""A drill each week, and a day for whoever runs it."""
LARGE_DATABASE_BYTES = 100 * 1024**3
LARGE_TABLE_BYTES = 50 * 1024**3
"""From here on backups, restores and vacuums take hours: time to archive what is old."""
CERTIFICATE_SECONDS = 14 * 86_400.0
"""Two weeks to have another one made."""
SCRAPED_TWICE_SECONDS = 10
"""How long something that comes and goes must hold."""


class AlertCondition(NamedTuple):
    """`says` is filled with the label and the value. Holds above the limit, or `below` it."""

    alert: str
    measure: str
    limit: float
    severity: Severity
    says: str
    runbook: str
    below: bool = False
    seconds: int = 0
    """How long Prometheus waits before it tells."""

    @property
    def topic(self) -> str:
        """What it is about, in a word: as its runbook is called."""
        return self.runbook.removesuffix(".md")

    def holds(self, value: float) -> bool:
        return value < self.limit if self.below else value > self.limit


class Alarm(NamedTuple):
    """A condition that holds."""

    condition: AlertCondition
    sample: Sample

    @property
    def message(self) -> str:
        label, value = self.sample.label, self.sample.value
        return self.condition.says.format(label=label, value=value)

    @property
    def remedy(self) -> str:
        return f"See docs/runbooks/{self.condition.runbook}"


CONDITIONS = (
    AlertCondition(
        "LedgerDatabaseAway", "database_up", 1, PAGE, "the database does not answer",
        "servers.md", below=True,
    ),
    AlertCondition(
        "LedgerBusAway", "bus_up", 1, PAGE, "NATS does not answer", "servers.md", below=True,
    ),
    AlertCondition(
        "LedgerLogBehind", "log_behind", 0, PAGE,
        "the log lacks what was published: the database was restored to an earlier moment",
        "restore.md",
    ),
    AlertCondition(
        "LedgerCommandsStalled", "commands_stalled_seconds", STALLED_SECONDS, PAGE,
        "commands wait and nothing was decided for {value:.0f} s", "commands.md",
    ),
    AlertCondition(
        "LedgerCommandsLate", "commands_oldest_seconds", 60, TICKET,
        "the oldest command has waited for {value:.0f} s", "commands.md",
    ),
    AlertCondition(
        "LedgerNoCommandService", "command_workers", 1, PAGE,
        "no command service is at work", "programs.md", below=True, seconds=SCRAPED_TWICE_SECONDS,
    ),
    AlertCondition(
        "LedgerPartitionUnowned", "command_partitions_unowned", 0, PAGE,
        "{value:.0f} partitions of the commands are nobody's", "programs.md",
        seconds=SCRAPED_TWICE_SECONDS,
    ),
    AlertCondition(
        "LedgerAppendHeld", "append_held_seconds", 5, PAGE,
        "a transaction has held for {value:.0f} s what appends need", "lock.md",
    ),
    AlertCondition(
        "LedgerDatabaseBlocked", "database_blocked_seconds", STALLED_SECONDS, TICKET,
        "a session has waited for a lock for {value:.0f} s", "lock.md",
    ),
    AlertCondition(
        "LedgerCommandsFailed", "failed_commands_waiting", 0, TICKET,
        "{value:.0f} failed commands wait for an operator", "commands.md",
    ),
    AlertCondition(
        "LedgerMessageUnreadable", "unreadable_newest_seconds", 3_600, TICKET,
        "a message that nobody could read came {value:.0f} s ago", "commands.md", below=True,
    ),
    AlertCondition(
        "LedgerStreamHeld", "streams_held", 0, PAGE,
        "{value:.0f} streams cannot be read: commands that need them are set aside",
        "stuck-stream.md",
    ),
    AlertCondition(
        "LedgerCommandsFillTheirStream", "commands_room_used_ratio", FILLING, PAGE,
        "commands use {value:.0%} of their room: when it is full they are refused", "commands.md",
    ),
    AlertCondition(
        "LedgerBusStoresNothing", "bus_stores", 1, PAGE,
        "NATS stores no commands: make room on its disk, and start it again", "disk.md", below=True,
    ),
    AlertCondition(
        "LedgerDiskFull", "disk_free_bytes", 5 * 1024**3, TICKET,
        "{value:,.0f} bytes are free at the data directory", "disk.md", below=True,
    ),
    AlertCondition(
        "LedgerProjectionStalled", "projection_stalled_seconds", STALLED_SECONDS, PAGE,
        "{label} has handled nothing for {value:.0f} s although events wait", "stuck-projection.md",
    ),
    AlertCondition(
        "LedgerProjectionNeedsPerson", "projection_needs_person", 0, PAGE,
        "{label} does not go on by itself", "stuck-projection.md", seconds=SCRAPED_TWICE_SECONDS,
    ),
    AlertCondition(
        "LedgerProjectionLate", "projection_lag_seconds", 60, TICKET,
        "{label} shows nothing of the last {value:.0f} s", "stuck-projection.md",
    ),
    AlertCondition(
        "LedgerProjectionBehind", "projection_lag_events", 10_000, TICKET,
        "{label} is {value:.0f} events behind the log", "stuck-projection.md", seconds=60,
    ),
    AlertCondition(
        "LedgerUnsealed", "unsealed_seconds", 30, PAGE,
        "events have waited for {value:.0f} s to be sealed", "seals.md",
    ),
    AlertCondition(
        "LedgerSealsUnsigned", "seals_signed", 1, TICKET,
        "seals are not signed", "seals.md", below=True, seconds=300,
    ),
    AlertCondition(
        "LedgerHeadsMissing", "seal_head_age_seconds", HEAD_SECONDS, PAGE,
        "no head was published for {value:.0f} s", "seals.md",
    ),
    AlertCondition(
        "LedgerClockAhead", "clock_ahead_seconds", 2, PAGE,
        "the last event's time is {value:.0f} s ahead: until then all events get the same time",
        "clock.md",
    ),
    AlertCondition(
        "LedgerClockOff", "database_clock_offset_seconds", 2, TICKET,
        "the database's clock is {value:.1f} s off this machine's", "clock.md",
    ),
    AlertCondition(
        "LedgerClockBehind", "clock_behind_seconds", 60, PAGE,
        "what the job {label} of the clock had to do {value:.0f} s ago is not done", "schedule.md",
    ),
    AlertCondition(
        "LedgerSeriesUnpartitioned", "series_default_bytes", 0, TICKET,
        "rows of {label} lie in no month's partition", "partitions.md",
    ),
    AlertCondition(
        "LedgerFollowerLate", "follower_window_used_ratio", FILLING, TICKET,
        "{label} has {value:.0%} of the kept events before it: at 100 % it loses some",
        "followers.md",
    ),
    AlertCondition(
        "LedgerConnections", "database_connections_ratio", 0.8, TICKET,
        "{value:.0%} of the database's connections are in use", "servers.md", seconds=60,
    ),
    AlertCondition(
        "LedgerNotificationsFill", "notification_queue_ratio", 0.1, TICKET,
        "the queue of notifications is {value:.0%} full: a session that listens stands still",
        "notifications.md",
    ),
    AlertCondition(
        "LedgerBackupOld", "backup_verified_age_seconds", BACKUP_SECONDS, TICKET,
        "the newest backup that was restored and found whole is {value:.0f} s old", "backup.md",
    ),
    AlertCondition(
        "LedgerWalArchiveFails", "wal_archive_failing", 0, TICKET,
        "the archive of the write-ahead log fails: its disk fills, and no moment can be restored",
        "backup.md", seconds=60,
    ),
    AlertCondition(
        "LedgerDatabaseLarge", "database_bytes", LARGE_DATABASE_BYTES, TICKET,
        "the database has {value:,.0f} bytes", "disk.md",
    ),
    AlertCondition(
        "LedgerTableLarge", "database_table_bytes", LARGE_TABLE_BYTES, TICKET,
        "{label} has {value:,.0f} bytes", "disk.md",
    ),
    AlertCondition(
        "LedgerCertificateExpires", "certificate_valid_seconds", CERTIFICATE_SECONDS, TICKET,
        "the certificate {label} is valid for {value:.0f} s yet", "servers.md", below=True,
    ),
    AlertCondition(
        "LedgerReplicationLate", "replication_lag_seconds", 60, TICKET,
        "a standby is {value:.0f} s behind", "servers.md",
    ),
)  # fmt: skip


def alarms(samples: Iterable[Sample]) -> Iterator[Alarm]:
    """What holds, in the order of the list: the first explains the later ones."""
    told = list(samples)
    for condition in CONDITIONS:
        for sample in told:
            if sample.name == condition.measure and condition.holds(sample.value):
                yield Alarm(condition, sample)

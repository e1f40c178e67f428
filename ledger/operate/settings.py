"""Every setting of the write side: environment variables LEDGER_*, or the same in `.env`.

A setting's name ends in its unit. Its description says what it limits and why the default is
what it is; docs/settings.md is made from these descriptions (a test compares them).
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ledger.kernel.errors import LedgerError

Some = TypeVar("Some", bound=BaseSettings)


class InvalidSettings(LedgerError):
    """A setting has a value it cannot have."""


class Settings(BaseSettings):
    """Where the services are, and every limit, timeout and size."""

    model_config = SettingsConfigDict(
        env_prefix="LEDGER_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
    )

    database_url: str | None = Field(
        default=None,
        pattern="^postgres(ql)?://",
        description="PostgreSQL 15 or later, as a URL of libpq: postgresql://login@host/database, "
        "with several hosts separated by commas (key=value is not taken). Unset: the embedded "
        "PostgreSQL of the data directory, so that trying out needs no server.",
    )
    nats_url: str | None = Field(
        default=None,
        pattern="^(nats|tls|ws|wss)://",
        description="NATS 2.10 or later with JetStream; several servers of a cluster separated by "
        "commas. Unset: the embedded server of the data directory. Its max_payload must be well "
        "above command_payload_limit_bytes, so that a command that is too large arrives and is "
        "refused with a reason.",
    )
    nats_monitoring_url: str | None = Field(
        default=None,
        pattern="^https?://",
        description="NATS' monitoring page, as http://nats:8222: the only place where it tells "
        "whether what it confirms is on its disk (sync_interval). Asked by `ledgerctl doctor "
        "--production` alone. Unset: not looked at.",
    )
    data_dir: Path = Field(
        default=Path(".ledger"),
        description="Directory of the embedded services' data. Relative to the current directory, "
        "so that two checkouts never share one.",
    )
    embedded_nats_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Port of the embedded NATS server, on this machine only. Unset: a free one is "
        "chosen at its first start and kept in the data directory, so that services that lost it "
        "find it again.",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO",
        description="Least severity that is logged. INFO tells of batches and state changes, "
        "DEBUG of every command.",
    )

    browser: str | None = Field(
        default=None,
        description="The Chromium, by name or path, that prints reports as PDF. Unset: the first "
        "that is installed.",
    )

    command_batch_size: int = Field(
        default=500,
        ge=1,
        le=10_000,
        description="Most commands decided and committed in one transaction. Larger batches "
        "share a commit among more commands; beyond some hundreds nothing is won and the first "
        "command of the batch waits for the last.",
    )
    command_partitions: int = Field(
        default=1,
        ge=1,
        le=1_000,
        description="Into how many partitions the stream of commands is divided by account, which "
        "is the most workers that decide at the same time; others stand by. One is the fastest for "
        "one worker, and one worker takes thousands of commands a second. Used when the stream is "
        "made; a stream that exists keeps its number.",
    )
    command_lease_seconds: float = Field(
        default=8.0,
        ge=2.0,
        description="After so many seconds without a sign of life a worker's partitions are "
        "another's, so that a vanished machine is replaced within ten. One whose process ended is "
        "replaced at once.",
    )
    command_fetch_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Longest wait in seconds for a first command before asking again. A command "
        "that is there is handed over at once; this only bounds how long a stop takes to be seen.",
    )
    command_ack_wait_seconds: float = Field(
        default=30.0,
        gt=0,
        description="Seconds after which the server delivers an unacknowledged command again. "
        "Well above the time of a batch, or commands would be decided twice for nothing; the "
        "inbox keeps that from having an effect.",
    )
    command_max_deliver: int = Field(
        default=5,
        ge=1,
        description="Deliveries after which a command that fails through a fault of ours is set "
        "aside as FAILED for an operator. Enough for a passing fault; more would only keep its "
        "sender waiting.",
    )
    command_retry_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Seconds before a command that failed through a fault of ours is tried again; "
        "each further pause is twice as long. A passing fault is over by then.",
    )
    command_retention_days: float = Field(
        default=7.0,
        gt=0,
        description="Days that NATS keeps commands, decided or not: longer than any outage of the "
        "worker, and enough to send commands again to a database restored from a backup. Used "
        "when the stream is made; later it is changed with `nats stream edit`.",
    )
    command_retention_bytes: int = Field(
        default=1024**3,
        ge=1024**2,
        description="Bytes of commands that NATS keeps, some 600 each; when they are used up new "
        "ones are refused. From three quarters on decided ones are forgotten before their time, so "
        "that only what waits can fill it, and a warning is logged. NATS reserves them, so a small "
        "disk must have room; more keep commands longer for a restored database. Used when the "
        "stream is made.",
    )
    command_retention_per_sender_commands: int = Field(
        default=1_000_000,
        ge=1_000,
        description="Commands of one sender, account and class that NATS keeps; more of the same "
        "are refused, so that one service that runs wild cannot use up the room of all. Minutes of "
        "the most that a worker decides; decided ones make room from half of it on. Used when the "
        "stream is made.",
    )
    bus_message_limit_bytes: int = Field(
        default=1_048_576,
        ge=65_536,
        description="Largest message that the streams of commands and events take. Well above "
        "command_payload_limit_bytes, so that a command that is too large arrives and is refused "
        "with a reason, and far below what fills a disk with few messages. Used when a stream is "
        "made.",
    )
    unreadable_body_limit_bytes: int = Field(
        default=4_096,
        ge=0,
        description="Bytes kept of a message that could not be read. Its beginning tells who sent "
        "it and what is wrong; nobody may fill the database with rubbish.",
    )
    command_payload_limit_bytes: int = Field(
        default=65_536,
        ge=1_024,
        description="Largest body of a command in bytes. A real command has about 500; what is "
        "larger is refused before it is parsed.",
    )
    command_rate_per_account_second: float = Field(
        default=0.0,
        ge=0,
        description="Requests of one account that are decided in a second; what is above is "
        "refused (RATE_LIMITED). Facts, cancels and commands about instruments are never limited. "
        "0, the default: no limit, because a hot account cannot stop others (batches are taken in "
        "order of arrival), and what a sensible rate is, only you know. Set it where services do "
        "not trust each other.",
    )
    command_burst_per_account_commands: int = Field(
        default=200,
        ge=1,
        description="Requests of one account that are taken at once before "
        "command_rate_per_account_second holds: a strategy that replaces its whole book sends "
        "about as many.",
    )
    inbox_retention_days: float | None = Field(
        default=None,
        ge=1,
        description="Days after which outcomes are forgotten, FAILED ones excepted. Unset: never, "
        "because a command sent again after that would be decided again; an outcome has about half "
        "a kilobyte. Must be longer than command_retention_days and than what the stream really "
        "keeps, else nothing is forgotten.",
    )
    log_partition_events: int = Field(
        default=1_000_000,
        ge=1_000,
        description="Positions of the log in one partition, from the next one on. A partition is "
        "what is archived at once. With a million its keys take some 250 MB, which memory holds "
        "beside everything else; where a partition is much smaller there are many, and whoever "
        "asks for an event without saying about where it is looks into each.",
    )
    unreadable_retention_days: float = Field(
        default=90.0,
        ge=1,
        description="Days after which messages that nobody could read are forgotten. A quarter of "
        "a year is time enough to find out who sent them; whoever floods the bus with rubbish does "
        "not fill the database for ever. What was forgotten is in retention_log. Must be a day "
        "longer than command_retention_days: a message may be read so late.",
    )
    clock_tolerance_seconds: float = Field(
        default=300.0,
        ge=0,
        description="How far ahead of our clock, in seconds, an occurred_at may be. Five minutes "
        "are more than any synchronised clock is wrong.",
    )
    price_max_age_seconds: float = Field(
        default=300.0,
        gt=0,
        description="Age in seconds from which a price is stale: shown as such, and no ground for "
        "a decision. Ten times the pace of `ledgerctl serve prices`, so that a feed that fails now "
        "and then is not the end of the world.",
    )
    portfolio_snapshot_seconds: int = Field(
        default=30,
        ge=1,
        le=86_400,
        description="How often, in seconds, `ledgerctl serve clock` has it told what every account "
        "is worth. Each time is one event, and a row of portfolio_snapshots for each account that "
        "holds something.",
    )
    price_venues: str = Field(
        default="",
        description="Venues that `ledgerctl serve prices` asks what listed instruments are worth, "
        "separated by commas: as instruments name them, with ccxt's name where that is another "
        "(`BINANCE, OKX=okx`). None unless set: nobody is asked whom you do not name.",
    )
    prices_seconds: float = Field(
        default=30.0,
        ge=1,
        description="Pace of `ledgerctl serve prices` in seconds. Each time is an event for each "
        "venue and kind of price, some 40 bytes for each instrument: at 30 s and 20 instruments "
        "5 MB a day.",
    )
    alert_rules: Path | None = Field(
        default=None,
        description="File (TOML) of rules for alerts that changes those that come with the ledger "
        "or adds to them: docs/alerts.md. `ledgerctl alerts rules` writes them all. Unset: those "
        "that come with it.",
    )
    alert_channels: SecretStr | None = Field(
        default=None,
        description="Where `ledgerctl serve alerts` tells alerts: NAME=ADDRESS, separated by "
        "blanks, with addresses of apprise (`ops=mailto://user:password@host`). They are secrets: "
        "in a file they are better off. Unset: alerts are recorded and told nobody.",
    )
    alert_channels_file: Path | None = Field(
        default=None,
        description='The same as a file (TOML: lines like ops = "mailto://…") that nobody else '
        "can read.",
    )
    alert_max_deliver: int = Field(
        default=8,
        ge=1,
        le=100,
        description="How often a channel is tried before a delivery is given up as FAILED: with "
        "the pauses below, for two hours.",
    )
    alert_retry_wait_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Pause before the second attempt; each further one is three times as long, an "
        "hour at most: a channel that is away is not called all the time.",
    )
    alert_answer_seconds: float = Field(
        default=60.0,
        gt=0,
        description="After so long an attempt that was begun and not ended is made again, and says "
        "that it may be a repetition: whoever began it was killed. Longer than any channel takes "
        "to answer.",
    )
    alert_look_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Pace at which `ledgerctl serve alerts` asks the vitals: one statement and a "
        "few requests.",
    )
    retry_wait_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Longest pause in seconds between two tries to reach a database or a NATS "
        "server that is down. Shorter pauses at first, so that a restart is hardly noticed.",
    )
    snapshot_interval_events: int = Field(
        default=1_000,
        ge=1,
        description="A stream's state is kept after this many further events, so that loading a "
        "long stream reads at most as many. Fewer would write more than they save.",
    )
    seal_block_events: int = Field(
        default=1_024,
        ge=1,
        le=65_536,
        description="Most events under one seal. A proof for an event has the logarithm of this in "
        "hashes, and checking one reads one block; smaller blocks make more seals for nothing.",
    )
    seal_block_age_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Seconds after which an event is sealed even if its block is not full. Until "
        "then nobody can prove that it was not altered; shorter makes more seals when it is quiet.",
    )
    seal_lease_seconds: float = Field(
        default=6.0,
        ge=1,
        description="How long, in seconds, sealing stays with a sealer that has gone silent; it "
        "renews its lease three times within this. One whose process ended is replaced at once.",
    )
    seal_key_file: Path | None = Field(
        default=None,
        description="Ed25519 private key that seals are signed with, a PEM file made by "
        "`ledgerctl audit seal --new-key FILE`. Unset: seals are chained but not signed, and only "
        "a head kept outside shows that all of them were made anew. Once seals are signed, none is "
        "made without the key.",
    )
    seal_heads_limit_bytes: int = Field(
        default=1024**3,
        ge=1024**2,
        description="Bytes of published heads that NATS keeps, never deleting any: about 700 bytes "
        "each, at most six a minute, so half a year of trading day and night. A full stream takes "
        "no further head, because one that dropped old ones could be made to; doctor warns before. "
        "Used when the stream is made; later its administrator can enlarge it with `nats stream "
        "edit`.",
    )
    witness_silence_seconds: float = Field(
        default=1_800.0,
        gt=0,
        description="Seconds without a head after which `ledgerctl audit witness` says that heads "
        "have stopped coming. The sealer says its newest one every ten minutes also when nothing "
        "happens; three missed are no accident.",
    )
    backup_dir: Path | None = Field(
        default=None,
        description="Directory of the backups, their catalogue and the WAL since, on another disk "
        "than the database's. Unset: `backups` in the data directory, which is good for trying "
        "out and for nothing else.",
    )
    backup_keep_days: int = Field(
        default=30,
        ge=0,
        description="Of how many days that have one the newest backup is kept. A mistake is mostly "
        "found within a month.",
    )
    backup_keep_weeks: int = Field(
        default=12,
        ge=0,
        description="Of how many weeks that have one the newest backup is kept. A quarter is "
        "looked at again when it is closed.",
    )
    backup_keep_months: int = Field(
        default=12,
        ge=0,
        description="Of how many months that have one the newest backup is kept. A year is looked "
        "at again when it is closed.",
    )
    backup_keep_years: int = Field(
        default=7,
        ge=0,
        description="Of how many years the newest backup is kept: as long as books have to be.",
    )
    backup_wal_days: float = Field(
        default=7.0,
        gt=0,
        description="For how many days back any moment can be restored: WAL is kept from the "
        "backup before on. As long as NATS keeps commands and events, which a restored ledger "
        "needs to decide what came since.",
    )
    backup_command: str | None = Field(
        default=None,
        description="Command that makes the backup instead of pg_basebackup, as pgBackRest's or "
        "Barman's, without a shell; {id} and {directory} are replaced. It must exit with 0 when "
        "the backup is safe. Unset: pg_basebackup.",
    )
    backup_restore_command: str | None = Field(
        default=None,
        description="Command that brings back what backup_command made: a data directory in "
        "{target} that PostgreSQL recovers when it is started, to {to} (`latest`, a time, an LSN "
        "or a transaction as `xid:…`), from the backup {id}. Needed where backup_command is set.",
    )
    outcome_timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Seconds a client waits for a command's outcome before it asks for it on "
        "ledger.outcomes.get: far above a commit, so that asking means that something was lost.",
    )
    outcome_deadline_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Seconds after which a client gives up on an outcome it asked for again and "
        "again. The command may still be decided later: its outcome can be asked for any time.",
    )
    metrics_host: str = Field(
        default="127.0.0.1",
        description="Address that a service serves /metrics (for Prometheus), /health and /ready "
        "on. Only this machine by default: they tell nobody's balances, but nobody asked outside "
        "may know how much is traded. In a container: 0.0.0.0.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=0,
        le=65_000,
        description="Port of those pages. Unset: each program has its own, from 9464 on, and works "
        "without where that is taken. Set, it must be free, or the program ends: nobody could "
        "watch it. `ledgerctl up`, and `serve` without a name, take it for the first of them, and "
        "the others those behind it. 0: neither metrics nor /health and /ready.",
    )
    web_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Port of `ledgerctl serve web`: the HTTP API and the console. Unset: 8787 for "
        "`serve web`, a free one if that is taken for `ledgerctl up`, and `serve` without a name "
        "does without it, so that nobody opens a port whom nobody asked.",
    )
    web_host: str = Field(
        default="127.0.0.1",
        description="Address that `ledgerctl serve web` listens on. Only this machine by default; "
        "beyond it, web_url must say how browsers reach it. In a container: 0.0.0.0.",
    )
    trace_context: bool = Field(
        default=False,
        description="Carry the trace context (W3C traceparent) of a command to its events, and "
        "with them to who follows them. Off, because it is stored with every event for ever.",
    )
    otel_traces_endpoint: str | None = Field(
        default=None,
        pattern="^https?://",
        description="Where the command service sends its spans (OTLP over HTTP), like "
        "http://collector:4318/v1/traces; carries the trace context, too. Needs the extra `otel`. "
        "Unset: no spans.",
    )

    event_publish_batch_size: int = Field(
        default=500,
        ge=1,
        le=1_000,
        description="Most events that the publisher sends as one batch, which the NATS server "
        "stores and syncs to its disk at once; 1,000 are the server's limit. Beyond some hundreds "
        "nothing is won, and the first event of the batch waits for the last.",
    )
    event_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Seconds after which the publisher looks for events that no notification told "
        "it of: what a lost notification costs at most.",
    )
    publisher_takeover_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Seconds of silence after which another publisher takes over; the one at work "
        "renews its lease three times within this. Longer than a hiccup of the database, well "
        "under the ten seconds in which consumers should notice nothing but a pause. One whose "
        "process ended is replaced at once.",
    )
    event_retention_days: float = Field(
        default=7.0,
        gt=0,
        description="Days that NATS keeps published events: the longest that a consumer may be "
        "away and still find its place. The event store keeps them for ever; older ones come by "
        "`ledgerctl publisher replay`. Used when the stream is made; later it is changed with "
        "`nats stream edit`.",
    )
    event_retention_bytes: int = Field(
        default=4 * 1024**3,
        ge=1024**2,
        description="Bytes of published events that NATS keeps, about a kilobyte each; the oldest "
        "go first. A limit, because events share the disk with the commands, which must always "
        "find room. Used when the stream is made, like event_retention_days.",
    )

    query_wait_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Longest that a query waits for its min_position. Read models follow within a "
        "tenth of a second: what takes this long is stopped or rebuilt, and who asks should know.",
    )
    query_rows_limit: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="Most rows of an answer over NATS, also what a question without limit gets. "
        "About 700 bytes a row: a thousand stay under the server's usual max_payload of 1 MB. What "
        "does not fit comes with the next page.",
    )
    query_pool_size: int = Field(
        default=4,
        ge=1,
        le=100,
        description="Connections to the database of one query service: questions answered at the "
        "same time. Each takes some milliseconds; more would only share the same processors.",
    )

    nats_user: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_\-]{1,64}$",
        description="Our name on a NATS server with users: the beginning of our inboxes, which the "
        "server keeps others from reading, the name of our consumers, and the sender of our "
        "commands, for which the server vouches. As in `ledgerctl bus user NAME`.",
    )
    nats_nkey_seed_file: Path | None = Field(
        default=None,
        description="File with the secret nkey that proves who we are to NATS; `ledgerctl bus "
        "user` makes it. Nobody else may be able to read it.",
    )
    nats_tls_ca_file: Path | None = Field(
        default=None,
        description="Certificates of the authorities that vouch for the NATS server. With it, or "
        "with a `tls://` URL, the connection is encrypted and the server must prove its name.",
    )
    nats_tls_cert_file: Path | None = Field(
        default=None,
        description="Our own certificate for NATS. Unset, because most servers know their users by "
        "nkeys and ask for none.",
    )
    nats_tls_key_file: Path | None = Field(
        default=None,
        description="The secret key of nats_tls_cert_file. Nobody else may be able to read it.",
    )
    database_tls_ca_file: Path | None = Field(
        default=None,
        description="Certificates of the authorities that vouch for PostgreSQL. With it the "
        "connection is encrypted and the server must prove its name (sslmode verify-full), unless "
        "database_url says otherwise.",
    )
    database_tls_cert_file: Path | None = Field(
        default=None,
        description="Our own certificate for PostgreSQL. Unset, because most servers know their "
        "users by passwords and ask for none.",
    )
    database_tls_key_file: Path | None = Field(
        default=None,
        description="The secret key of database_tls_cert_file. libpq refuses one that others can "
        "read.",
    )

    @field_validator("inbox_retention_days")
    @classmethod
    def _longer_than_the_stream(cls, days: float | None, given: ValidationInfo) -> float | None:
        kept = given.data.get("command_retention_days")
        if days is not None and kept is not None and days <= kept:
            raise ValueError(
                f"the stream keeps commands for {kept:g} days, and an outcome must be kept longer"
            )
        return days

    @field_validator("unreadable_retention_days")
    @classmethod
    def _longer_than_a_message_waits(cls, days: float, given: ValidationInfo) -> float:
        kept = given.data.get("command_retention_days")
        if kept is not None and days < kept + 1:
            raise ValueError(
                f"the stream keeps commands for {kept:g} days, and what is unreadable must be kept "
                "a day longer"
            )
        return days


def load() -> Settings:
    """The settings of the environment and `.env`. Raises InvalidSettings."""
    return load_as(Settings)


def load_as(kind: type[Some]) -> Some:
    """The settings that a part of the system has of its own. Raises InvalidSettings."""
    try:
        return kind()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        name = "LEDGER_" + "_".join(str(part) for part in first["loc"]).upper()
        value = "wrong" if name.endswith("_URL") else repr(first["input"])  # URLs have passwords
        why = first["msg"]
        if first["type"] == "string_pattern_mismatch":  # a pattern says nothing to a person
            field = kind.model_fields[str(first["loc"][0])]
            why = f"it should be {(field.description or '').partition('. ')[0]}"
        raise InvalidSettings(
            f"{name} is {value}: {why}. "
            "Correct it in the environment or in .env (docs/settings.md)."
        ) from error

"""What a ledger that is trusted with money must have beyond working (docs/operators.md, For
production): `ledgerctl doctor --production`. Each check is one finding with its remedy; `warn` is
what may be meant.

    servers, rows, logins      of the database: none of ours, rows closed to other users, no program
                               as superuser
    database_tls, replication  encrypted; a standby has what is accepted
    wal_archive, advice        the write-ahead log leaves the machine; settings of the server
    bus_tls, bus_users         of NATS: encrypted, users with keys
    bus_sync                   stored before it is confirmed
    alerts                     told somebody
    seal_key, backup           signed seals; a backup of last night, one restored within the week
"""

import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import msgspec
import psycopg

from ledger.operate.backups.catalogue import Catalogue
from ledger.operate.check_result import CheckResult
from ledger.operate.settings import Settings

NIGHTLY = timedelta(hours=26)
"""A backup each night, and two hours for one that took longer."""
DRILLED = timedelta(days=8)
"""A drill each week, and a day for whoever runs it."""
MONITORING_SECONDS = 3.0
"""For the page of NATS that tells its settings."""

_OPEN_ROWS = """
    SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n
        ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
        -- A hypertable has none, and is granted to those alone who see every row (show_series.sql).
        AND NOT (to_regclass(n.nspname || '.visible_' || c.relname) IS NOT NULL
            AND NOT has_any_column_privilege('ledger_user', c.oid, 'SELECT'))
        AND EXISTS (
        SELECT FROM public.read_model_definitions AS d
        WHERE c.relname = ANY (d.table_names)
            AND n.nspname ~ ('^' || d.projection_name || '_[0-9]+$'))
    ORDER BY 1"""
_PROGRAMS_AS_SUPERUSER = """
    SELECT DISTINCT l.projection_name, r.rolname FROM public.projection_leases AS l
    JOIN pg_stat_activity AS a ON a.pid = l.backend_pid JOIN pg_roles AS r ON r.oid = a.usesysid
    WHERE r.rolsuper
    UNION
    SELECT 'commands', r.rolname FROM public.command_workers AS w
    JOIN pg_stat_activity AS a ON a.pid = w.session_pid JOIN pg_roles AS r ON r.oid = a.usesysid
    WHERE r.rolsuper
    ORDER BY 1"""
_BOTH_SIDES = """
    SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper
        AND pg_has_role(oid, 'ledger_writer', 'USAGE')
        AND pg_has_role(oid, 'ledger_projector', 'USAGE')
        AND NOT pg_has_role(oid, (SELECT relowner FROM pg_class
                                  WHERE oid = 'public.event_store'::regclass), 'USAGE')
    ORDER BY 1"""
_ADVICE: tuple[tuple[str, int, str, bool], ...] = (
    ("shared_buffers", 2 * 1024**3, "2GB", True),
    ("effective_cache_size", 6 * 1024**3, "6GB", False),
    ("work_mem", 32 * 1024**2, "32MB", False),
    ("maintenance_work_mem", 512 * 1024**2, "512MB", False),
    ("max_wal_size", 4 * 1024**3, "4GB", False),
    ("wal_keep_size", 1024**3, "1GB", False),
    ("max_wal_senders", 3, "3", True),
)
"""Settings of the server: the least, and whether it must be started again for it."""
_SWITCHES = (("log_lock_waits", "on"), ("log_checkpoints", "on"))


def of_places(settings: Settings) -> CheckResult:
    """Whether the servers are somebody's who looks after them."""
    embedded = [
        name
        for name, url in (
            ("LEDGER_DATABASE_URL", settings.database_url),
            ("LEDGER_NATS_URL", settings.nats_url),
        )
        if url is None
    ]
    if not embedded:
        return CheckResult("servers", "ok", "PostgreSQL and NATS are set by URL")
    return CheckResult(
        "servers",
        "fail",
        f"not set: {' and '.join(embedded)}: an embedded server has no replica and ends with its "
        "terminal",
        "Run PostgreSQL and NATS of your own (docs/operators.md, Servers).",
    )


def of_alerts(settings: Settings) -> CheckResult:
    """Whether anybody is told what stands still."""
    named = settings.alert_channels
    if (named and named.get_secret_value().strip()) or settings.alert_channels_file is not None:
        return CheckResult("alerts", "ok", "alerts are told by the channels that are set")
    return CheckResult(
        "alerts",
        "fail",
        "no channel is set: alerts are recorded and told nobody",
        "Set LEDGER_ALERT_CHANNELS_FILE, and try it: ledgerctl alerts test (docs/alerts.md).",
    )


def of_database(connection: psycopg.Connection[Any]) -> Iterator[CheckResult]:
    """What the database says of rows, logins, TLS, replicas and its settings."""
    yield _rows(connection)
    yield _logins(connection)
    yield of_transport(connection.info.host, encrypted=connection.pgconn.ssl_in_use)
    yield _replication(connection)
    yield _wal_archive(connection)
    yield _advice(connection)


def of_bus(settings: Settings, url: str) -> Iterator[CheckResult]:
    """How we are on the bus, and what its server tells of its disk."""
    encrypted = urlsplit(url).scheme == "tls" or settings.nats_tls_ca_file is not None
    if encrypted:
        yield CheckResult("bus_tls", "ok", "the connection is encrypted, and the server known")
    else:
        yield CheckResult(
            "bus_tls", "fail", "the connection to NATS is not encrypted",
            "Use deploy/nats-secure.conf, and set LEDGER_NATS_TLS_CA_FILE.",
        )  # fmt: skip
    if settings.nats_user is not None and settings.nats_nkey_seed_file is not None:
        yield CheckResult("bus_users", "ok", f"signed in as {settings.nats_user}, by its key")
    else:
        yield CheckResult(
            "bus_users", "fail",
            "nobody on the bus has a key of his own: a sender is who it says it is",
            "Use deploy/nats-secure.conf, make users with `ledgerctl bus user`, and set "
            "LEDGER_NATS_USER and LEDGER_NATS_NKEY_SEED_FILE.",
        )  # fmt: skip
    yield _sync(settings.nats_monitoring_url)


def of_keeping(settings: Settings, newest: Any) -> Iterator[CheckResult]:
    """The key of the seals, `newest` being the newest seal; and the backups."""
    if newest is not None and newest.public_key is not None:
        yield CheckResult("seal_key", "ok", "seals are signed")
    else:
        yield CheckResult(
            "seal_key", "fail", "seals are not signed" if newest else "nothing is sealed yet",
            "Make a key with `ledgerctl audit seal --new-key FILE`, and set LEDGER_SEAL_KEY_FILE "
            "to it for `ledgerctl serve seals`.",
        )  # fmt: skip
    yield of_backups(Catalogue.of(settings), datetime.now(UTC))


# --- the database -------------------------------------------------------------------------


def _rows(connection: psycopg.Connection[Any]) -> CheckResult:
    open_to_all = [name for (name,) in connection.execute(_OPEN_ROWS.encode()).fetchall()]
    if not open_to_all:
        return CheckResult("rows", "ok", "read models show each user the rows of that user alone")
    return CheckResult(
        "rows",
        "fail",
        f"without row level security: {', '.join(open_to_all)}",
        "Find out who took it away; then ledgerctl migrate, and ledgerctl projections rebuild.",
    )


def _logins(connection: psycopg.Connection[Any]) -> CheckResult:
    superusers = connection.execute(_PROGRAMS_AS_SUPERUSER.encode()).fetchall()
    if superusers:
        named = ", ".join(f"{program} as {login}" for program, login in superusers)
        return CheckResult(
            "logins",
            "fail",
            f"programs log in as superuser: {named}",
            "Give each program a login of its own (docs/operators.md, Roles).",
        )
    both = [name for (name,) in connection.execute(_BOTH_SIDES.encode()).fetchall()]
    if both:
        return CheckResult(
            "logins",
            "warn",
            f"may append and write read models, too: {', '.join(both)}",
            "One login for each program (docs/operators.md, Roles).",
        )
    return CheckResult("logins", "ok", "no program works as superuser, none on both sides")


def of_transport(host: str, *, encrypted: bool) -> CheckResult:
    """Whether others can listen between here and the database."""
    if encrypted:
        return CheckResult("database_tls", "ok", "the connection is encrypted")
    if not host or host.startswith("/"):
        return CheckResult("database_tls", "ok", "the connection is a socket of this machine")
    return CheckResult(
        "database_tls",
        "fail",
        f"the connection to {host} is not encrypted",
        "Set ssl = on on the server, hostssl in pg_hba.conf, and LEDGER_DATABASE_TLS_CA_FILE here.",
    )


def _replication(connection: psycopg.Connection[Any]) -> CheckResult:
    row = connection.execute(
        "SELECT current_setting('synchronous_standby_names'), current_setting('synchronous_commit')"
    ).fetchone()
    names, commit = row or ("", "")
    if names and commit not in ("off", "local"):
        return CheckResult("replication", "ok", f"accepted is what {names} has, too ({commit})")
    return CheckResult(
        "replication",
        "warn",
        f"synchronous_standby_names = '{names}', synchronous_commit = {commit}: what was accepted "
        "last is lost with the machine of the primary, and decided again after `ledgerctl recover`",
        "Have two standbys, and set synchronous_standby_names (docs/backups.md).",
    )


def _wal_archive(connection: psycopg.Connection[Any]) -> CheckResult:
    row = connection.execute("""
        SELECT current_setting('archive_mode'), (SELECT failed_count > 0 AND
                last_failed_time > coalesce(last_archived_time, '-infinity')
            FROM pg_stat_archiver),
            EXISTS (SELECT FROM pg_replication_slots
                    WHERE slot_name = 'ledger_backup' AND active)""").fetchone()
    mode, failing, received = row or ("off", False, False)
    if received:
        return CheckResult("wal_archive", "ok", "`ledgerctl backup receive` takes the WAL")
    if mode != "off" and not failing:
        return CheckResult("wal_archive", "ok", f"archive_mode = {mode}, and it does not fail")
    why = "it fails" if mode != "off" else "archive_mode = off, and nobody receives it"
    return CheckResult(
        "wal_archive",
        "fail",
        f"the write-ahead log stays on its machine: {why}. No moment since the last backup can be "
        "restored without it",
        "Run `ledgerctl backup receive`, or set archive_mode (docs/backups.md).",
    )


def _advice(connection: psycopg.Connection[Any]) -> CheckResult:
    bytes_of = "pg_size_bytes(current_setting(%s))"
    small = []
    for name, least, said, restart in _ADVICE:
        counted = name == "max_wal_senders"
        statement = f"SELECT {'current_setting(%s)::bigint' if counted else bytes_of}"
        row = connection.execute(statement.encode(), [name]).fetchone()
        if row is not None and row[0] < least:
            small.append(f"{name} {said}{' (restart)' if restart else ''}")
    for name, wanted in _SWITCHES:
        row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
        if row is not None and row[0] != wanted:
            small.append(f"{name} {wanted}")
    counts = connection.execute(
        "SELECT current_setting('pg_stat_statements.max', true) IS NOT NULL"
    ).fetchone()
    if counts != (True,):
        small.append("shared_preload_libraries pg_stat_statements (restart)")
    if not small:
        return CheckResult("advice", "ok", "the server's settings are not below what is advised")
    return CheckResult(
        "advice",
        "warn",
        f"the server has less than is advised: {', '.join(small)}",
        "Set what fits the machine; ledgerctl database performance shows what comes of it.",
    )


# --- the bus, and what is kept --------------------------------------------------------------


def _sync(url: str | None) -> CheckResult:
    """Whether what the bus confirms is on its disk: told by its monitoring page alone."""
    remedy = "Set `sync_interval: always` in jetstream { } of the server's configuration."
    if url is None:
        return CheckResult(
            "bus_sync",
            "warn",
            "NATS tells its sync_interval to nobody but on its monitoring page: not looked at",
            f"Set LEDGER_NATS_MONITORING_URL to it, as http://nats:8222. {remedy}",
        )
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/varz", timeout=MONITORING_SECONDS) as page:
            told = msgspec.json.decode(page.read())
        config = (told.get("jetstream") or {}).get("config") or {}
    except (URLError, OSError, msgspec.DecodeError, AttributeError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return CheckResult("bus_sync", "fail", f"{url} does not tell: {reason}", "Correct the URL.")
    if config.get("sync_always"):
        return CheckResult("bus_sync", "ok", "what NATS confirms is on its disk")
    seconds = config.get("sync_interval", 0) / 1e9
    return CheckResult(
        "bus_sync",
        "fail",
        f"NATS writes to its disk every {seconds:g} s: a power cut loses what it confirmed since",
        remedy,
    )


def of_backups(catalogue: Catalogue, now: datetime) -> CheckResult:
    remedy = "Run `ledgerctl backup create` each night, and `ledgerctl backup verify` each week."
    completed = catalogue.completed()
    if not completed:
        message = f"no backup in {catalogue.directory}"
        return CheckResult("backup", "fail", message, f"Set LEDGER_BACKUP_DIR. {remedy}")
    made = now - (completed[-1].ended_at or completed[-1].started_at)
    restored = [one.verified_at for one in completed if one.verified_at is not None]
    message = f"the newest backup is {made.total_seconds() / 3_600:.0f} h old"
    if not restored:
        return CheckResult("backup", "fail", f"{message}, and none was ever restored", remedy)
    tried = now - max(restored)
    message += f", one was restored and found whole {tried.total_seconds() / 86_400:.0f} days ago"
    late = made > NIGHTLY or tried > DRILLED
    return CheckResult("backup", "fail" if late else "ok", message, remedy if late else None)

"""Is everything there that the ledger needs? Each check is one finding with its remedy."""

import asyncio
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nats
import nats.errors
import nats.js.errors
import psycopg
from nats.js.api import StreamInfo

from ledger.audit.prove import seals
from ledger.bus import connection as bus
from ledger.bus.connection import COMMANDS_STREAM
from ledger.bus.security import BusSecurity
from ledger.operate import production, records_examination, seals_examination, servers
from ledger.operate import schema as database
from ledger.operate.check_result import CheckResult, Status
from ledger.operate.database import UnsupportedPostgres, connect
from ledger.operate.settings import Settings
from ledger.programs.registry import Places, find, wanted
from ledger.vitals import examination as vital_signs
from ledger.vitals.condition import FILLING, PAGE

OLDEST_NATS = (2, 10)
NATS_TIMEOUT_SECONDS = 3
CLOCK_WARNING_SECONDS = 1.0
"""A clock further off than this is not synchronised, even if nothing is refused for it yet."""
DISK_WARNING_BYTES = 5 * 1024**3
DISK_FAILURE_BYTES = 512 * 1024**2
"""Below this PostgreSQL and JetStream can stop at any moment for want of space."""

_TOLD = (
    *("database_up", "bus_up", "disk_free_bytes", "database_clock_offset_seconds"),
    *("seals_signed", "unsealed_seconds", "seal_head_age_seconds", "commands_room_used_ratio"),
)
"""Measures that checks of their own judge."""
_OF_PROGRAMS = ("command_workers", "command_partitions_unowned", "projection_needs_person")
"""Measures that say no more than that nobody is at work."""
_APPEND_ONLY = ("event_store", "event_seals")
"""Tables that refuse to be changed, each by a trigger `<table>_is_append_only`."""
_UNSAFE_SETTINGS = """
    SELECT name, coalesce(nullif(reset_val, ''), setting) FROM pg_catalog.pg_settings
    WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'
        OR name = 'synchronous_commit' AND reset_val IN ('off', 'local')
    ORDER BY name"""  # synchronous_commit comes last: it is told alone if the others are on
_OPEN_TO_STRANGERS = """
    SELECT 'PUBLIC may connect to the database'
    WHERE has_database_privilege('public', current_database(), 'CONNECT')
    UNION ALL
    SELECT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee) END
        || ' may create in schema public'
    FROM pg_namespace AS n, aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
    WHERE n.nspname = 'public' AND a.privilege_type = 'CREATE' AND a.grantee <> n.nspowner
        AND a.grantee NOT IN (SELECT relowner FROM pg_class
                              WHERE oid = 'public.event_store'::regclass)"""


def examine(settings: Settings, *, for_production: bool = False) -> Iterator[CheckResult]:
    """All findings, in an order in which the first failure explains the later ones; also of what
    production demands (production.py)."""
    yield _python()
    yield _disk(settings)
    if for_production:
        yield production.of_places(settings)
        yield production.of_alerts(settings)
    database_url = nats_url = None
    with ExitStack() as stack:
        try:
            database_url = stack.enter_context(servers.database(settings))
            yield from _database(database_url, settings, for_production)
        except (servers.NotRunning, database.SchemaError, UnsupportedPostgres) as error:
            yield CheckResult("postgresql", "fail", _one_line(error))
        except psycopg.Error as error:
            yield CheckResult(
                "postgresql", "fail", _one_line(error), "Start it, or correct LEDGER_DATABASE_URL."
            )
        try:
            nats_url = servers.find_nats(settings)
            yield from asyncio.run(_nats(nats_url, settings, for_production))
        except servers.NotRunning as error:
            yield CheckResult("nats", "fail", _one_line(error))
        except (nats.errors.Error, OSError) as error:
            message = _one_line(error) or type(error).__name__
            yield CheckResult("nats", "fail", message, "Start it, or correct LEDGER_NATS_URL.")
        yield from _vitals(settings, database_url, nats_url)


def _vitals(
    settings: Settings, database_url: str | None, nats_url: str | None
) -> Iterator[CheckResult]:
    """What stands still or will, by the list that alerts are made of; but for what the checks
    before have told with more words."""
    vitals = vital_signs.examine(settings, database_url, nats_url, why=True)
    told = _TOLD if vitals.anybody_at_work else (*_TOLD, *_OF_PROGRAMS)
    for alarm, message in vitals.alarms():
        if alarm.sample.name not in told:
            status: Status = "fail" if alarm.condition.severity == PAGE else "warn"
            yield CheckResult(alarm.condition.topic, status, message, alarm.remedy)
    yield _programs(Places(settings), expected=vitals.anybody_at_work)


def _programs(places: Places, *, expected: bool) -> CheckResult:
    """Whether all that have some do their work; where none was started, or all were stopped in good
    order, that may be meant."""
    programs = at_work(places)
    working = [name for name, works in programs.items() if works]
    missing = [name for name, works in programs.items() if not works]
    if missing:
        return CheckResult(
            "programs",
            "fail" if expected else "warn",
            f"not at work: {', '.join(missing)}",
            f"Start what should be: {', '.join(f'ledgerctl serve {name}' for name in missing)}.",
        )
    return CheckResult("programs", "ok", f"{', '.join(working)} are at work")


def at_work(places: Places) -> dict[str, bool]:
    """Each program that has something to do, and whether it does its work."""
    programs = wanted(places.settings)
    with ThreadPoolExecutor() as asking:  # one that hangs takes its time
        return dict(
            zip(programs, asking.map(lambda name: _works(name, places), programs), strict=True)
        )


def _works(name: str, places: Places) -> bool:
    try:
        return find(name).ready(places)
    except servers.NotRunning:
        return False


def _python() -> CheckResult:
    packages = ("trading-ledger", "eventsourcing", "psycopg", "nats-py", "pydantic")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return CheckResult("python", "ok", f"Python {sys.version.split()[0]}, {versions}")


def _disk(settings: Settings) -> CheckResult:
    if settings.database_url is not None and settings.nats_url is not None:
        message = "not looked at: PostgreSQL and NATS are set by URL and keep their data themselves"
        return CheckResult("disk", "ok", message)
    place = settings.data_dir.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(Path(place)).free
    message = f"{free / 1024**3:.1f} GiB free at {place}"
    if free < DISK_FAILURE_BYTES:
        return CheckResult("disk", "fail", message, "Free some space before the services stop.")
    if free < DISK_WARNING_BYTES:
        return CheckResult("disk", "warn", message, "Free some space, or set LEDGER_DATA_DIR.")
    return CheckResult("disk", "ok", message)


def _database(url: str, settings: Settings, for_production: bool) -> Iterator[CheckResult]:
    with connect(url, "doctor") as connection:
        number = connection.info.server_version
        where = f"{connection.info.dbname} at {connection.info.host or 'the local socket'}"
        yield CheckResult("postgresql", "ok", f"PostgreSQL {number // 10_000}, database {where}")
        yield _clock(connection, settings)
        schema = _schema(connection)
        yield schema
        if schema.status == "fail":
            return
        yield _gapless(connection)
        yield _append_only(connection)
        yield records_examination.guarded(connection)
        yield records_examination.cached_states(connection)
        yield _durable(connection)
        yield _closed(connection)
        yield _series(connection)
        yield seals_examination.of_database(connection, settings)
        if for_production:
            yield from production.of_database(connection)
            yield from production.of_keeping(settings, seals.head(connection))


def _clock(connection: psycopg.Connection[Any], settings: Settings) -> CheckResult:
    before = time.time()
    theirs: datetime = _value(connection, "SELECT clock_timestamp()")
    ours = datetime.fromtimestamp((before + time.time()) / 2, UTC)
    skew = abs((theirs - ours).total_seconds())
    message = f"the database's clock is {skew:.3f} s off ours"
    if skew > settings.clock_tolerance_seconds:
        return CheckResult("clock", "fail", message, "Synchronise the clocks of both machines.")
    if skew > CLOCK_WARNING_SECONDS:
        return CheckResult("clock", "warn", message, "Synchronise the clocks of both machines.")
    return CheckResult("clock", "ok", message)


def _schema(connection: psycopg.Connection[Any]) -> CheckResult:
    try:
        changed = database.pending(connection)
    except database.SchemaError as error:
        return CheckResult("schema", "fail", _one_line(error))
    if any(file.numbered for file in changed):
        names = ", ".join(file.name for file in changed if file.numbered)
        return CheckResult("schema", "fail", f"not applied: {names}", "Run: ledgerctl migrate")
    if changed:
        names = ", ".join(file.name for file in changed)
        return CheckResult("schema", "warn", f"not up to date: {names}", "Run: ledgerctl migrate")
    return CheckResult("schema", "ok", "current")


def _gapless(connection: psycopg.Connection[Any]) -> CheckResult:
    row = connection.execute("""
        SELECT (SELECT count(*) FROM event_store WHERE position >= log_kept_from())
                + (SELECT count(*) FROM archived_events WHERE position < log_kept_from()),
            coalesce(max(position), 0)
        FROM event_store WHERE position >= log_kept_from()""")
    count, head = row.fetchone() or (0, 0)
    if count == head:
        return CheckResult("event_store", "ok", f"{count} events, positions without a gap")
    return CheckResult(
        "event_store",
        "fail",
        f"{count} events, but the last position is {head}: events are missing",
        "Stop the services and restore event_store from a backup: history was changed.",
    )


def _append_only(connection: psycopg.Connection[Any]) -> CheckResult:
    rows = connection.execute(
        """SELECT name FROM unnest(%s::text[]) AS name WHERE NOT EXISTS (
               SELECT FROM pg_trigger WHERE tgrelid = ('public.' || name)::regclass
               AND tgname = name || '_is_append_only' AND tgenabled IN ('O', 'A'))""",
        [list(_APPEND_ONLY)],
    ).fetchall()
    if not rows:
        return CheckResult("append_only", "ok", "the database refuses to change history")
    table = rows[0][0]
    return CheckResult(
        "append_only",
        "fail",
        f"the trigger {table}_is_append_only is missing or disabled: history can be changed",
        f"Find out who did it and why, then: ALTER TABLE {table} ENABLE TRIGGER "
        f"{table}_is_append_only",
    )


def _durable(connection: psycopg.Connection[Any]) -> CheckResult:
    unsafe = [
        f"{name} = {value}"
        for name, value in connection.execute(_UNSAFE_SETTINGS.encode()).fetchall()
    ]
    if not unsafe:
        return CheckResult("durability", "ok", "what is committed survives a crash of the machine")
    if unsafe[0].startswith("synchronous_commit"):
        return CheckResult(
            "durability",
            "warn",
            f"the server has {unsafe[0]}: appends wait for the disk all the same, what read models "
            "fold may be folded again after a crash",
            "Nothing, unless other programs share the server: then set synchronous_commit = on.",
        )
    return CheckResult(
        "durability",
        "fail",
        f"the server has {', '.join(unsafe)}: a crash of the machine can lose or damage all data",
        "Set fsync and full_page_writes to on in the server's configuration, and restart it.",
    )


def _closed(connection: psycopg.Connection[Any]) -> CheckResult:
    strangers = [name for (name,) in connection.execute(_OPEN_TO_STRANGERS.encode()).fetchall()]
    if not strangers:
        return CheckResult("access", "ok", "only members of the ledger's roles may connect")
    return CheckResult(
        "access",
        "warn",
        f"open to others than the ledger's roles: {', '.join(strangers)}",
        "Run `ledgerctl migrate` as the owner of the database, which takes it away.",
    )


def _series(connection: psycopg.Connection[Any]) -> CheckResult:
    """How the time series of the live read models are stored."""
    (tables, hypertables, parts, compressed, size, failures) = connection.execute(
        """SELECT count(*), count(*) FILTER (WHERE is_hypertable), coalesce(sum(parts), 0),
               coalesce(sum(compressed), 0), pg_size_pretty(coalesce(sum(bytes), 0)),
               array_remove(array_agg(table_name || ': ' || failure), NULL)
           FROM public.series_stored()"""
    ).fetchone() or (0, 0, 0, 0, "", [])
    if failures:
        return CheckResult(
            "series",
            "warn",
            f"old months are not compressed: {'; '.join(failures)}",
            "Look into timescaledb_information.job_errors; CALL run_job(…) compresses now "
            "(docs/projections.md).",
        )
    could = _value(connection, "SELECT public.series_storage()") == "HYPERTABLES"
    message = f"{tables} time series in {parts} parts, {size}"
    if hypertables:
        message += f"; {hypertables} are hypertables of TimescaleDB, {compressed} parts compressed"
    elif could:
        message += ", not compressed: a rebuild makes them hypertables of TimescaleDB"
    return CheckResult("series", "ok", message)


async def _nats(url: str, settings: Settings, for_production: bool) -> list[CheckResult]:
    connection = await bus.connect_once(
        url, "doctor", security=BusSecurity.of(settings), timeout=NATS_TIMEOUT_SECONDS
    )
    try:
        found = [_nats_server(connection, settings), *await _jetstream(connection)]
        if found[-1].status != "fail":
            found.append(await seals_examination.of_bus(connection))
        if for_production:
            found += production.of_bus(settings, url)
        return found
    finally:
        await connection.close()


def _nats_server(connection: Any, settings: Settings) -> CheckResult:
    found = connection.connected_server_version
    message = f"NATS {found.major}.{found.minor}.{found.patch}"
    if (found.major, found.minor) < OLDEST_NATS:
        return CheckResult("nats", "fail", message, "Use NATS 2.10 or later.")
    if connection.max_payload <= settings.command_payload_limit_bytes:
        return CheckResult(
            "nats",
            "warn",
            f"{message}, max_payload {connection.max_payload} is not above "
            f"LEDGER_COMMAND_PAYLOAD_LIMIT_BYTES {settings.command_payload_limit_bytes}: what is "
            "too large is cut off by the server without an outcome",
            "Raise max_payload in the server's configuration.",
        )
    return CheckResult("nats", "ok", message)


async def _jetstream(connection: Any) -> list[CheckResult]:
    context = connection.jetstream(timeout=NATS_TIMEOUT_SECONDS)
    try:
        await context.account_info()
    except (nats.js.errors.Error, nats.errors.Error) as error:
        return [
            CheckResult(
                "jetstream",
                "fail",
                _one_line(error) or type(error).__name__,
                "Start the server with JetStream (-js); or, where it has users, ask with one that "
                "may look at it: ledger or operator.",
            )
        ]
    try:
        stream = await context.stream_info(COMMANDS_STREAM)
    except nats.js.errors.NotFoundError:
        return [
            CheckResult("jetstream", "ok", "enabled"),
            CheckResult(
                "commands",
                "warn",
                f"there is no stream {COMMANDS_STREAM} yet",
                "`ledgerctl serve commands` makes it when it starts.",
            ),
        ]
    return [CheckResult("jetstream", "ok", "enabled"), _commands(stream)]


def _commands(stream: StreamInfo) -> CheckResult:
    message = f"stream {COMMANDS_STREAM} holds {stream.state.messages} messages"
    room = stream.config.max_bytes or 0
    if room <= 0:
        return CheckResult(
            "commands",
            "warn",
            f"{message} and has no limit: one service can fill the disk of all",
            f"nats stream edit {COMMANDS_STREAM} --max-bytes …",
        )
    if stream.state.bytes < FILLING * room:
        return CheckResult("commands", "ok", message)
    return CheckResult(
        "commands",
        "warn",
        f"{message}, {stream.state.bytes / room:.0%} of its room: when it is full, commands are "
        "refused",
        "Check that `ledgerctl serve commands` decides; give it more room with `nats stream edit "
        f"{COMMANDS_STREAM} --max-bytes`.",
    )


def _value(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    return row[0] if row else None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

"""Archives: old partitions of the log in files, of which the log still consists.

    DIRECTORY/events-1-1000000/
        events.parquet, manifest.json   an export with its seals: `audit verify --export` checks it
                                        anywhere, without this ledger
        1.csv, 100001.csv …             the same events as PostgreSQL reads them (file_fdw)

An archived partition is dropped, and the CSV files take its place as foreign tables, in one
transaction. So whatever reads the log by SQL goes on, and is as right as before: positions,
rebuilds, verification, explanations, proofs. It is slower, as a file has no index: only positions
tell which files are read. Nothing of it is in the server's own files any more, or in its backups.

    create   the oldest partition that is full and sealed: written, verified, compared, swapped
    restore  the newest archive: verified against its seals, read into a partition, swapped

Until the swap nothing has changed, and both can be run again after whatever stopped them.
"""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
from psycopg import errors, sql

from ledger.audit.export.export import MANIFEST, export
from ledger.audit.export.verify import verify_export
from ledger.audit.prove import seals
from ledger.audit.prove.canonical import COLUMNS
from ledger.audit.prove.trust import TrustedKey
from ledger.audit.prove.verdict import Finding
from ledger.audit.prove.verify import verify_database
from ledger.kernel.errors import LedgerError

FILE_EVENTS = 100_000
"""Events in one CSV file, which is read as a whole by whoever wants one of them: some 50 MB, a
quarter of a second."""
LOCK_SECONDS = 2
"""How long the swap waits for readers that are in the middle of the log: all who append wait
behind it."""
PARALLEL_FROM_EVENTS = 100_000
"""Below this another process would take longer to start than to help."""
SERVER = "ledger_archives"
"""The foreign server that the files belong to."""

Report = Callable[[str, int], None]
"""Told what is begun, and of how many events."""


class CannotArchive(LedgerError):
    """The archive cannot be made, or not taken in again."""


class Archive(NamedTuple):
    """A partition that is archived."""

    first_position: int
    last_position: int
    directory: Path
    manifest: bytes
    archived_at: datetime
    archived_by: str

    @property
    def events(self) -> int:
        return self.last_position - self.first_position + 1


_ARCHIVES = """
    SELECT first_position, last_position, directory, manifest, archived_at, archived_by
    FROM public.event_archives WHERE restored_at IS NULL ORDER BY first_position"""
# The last one is where events come in; one that is full but the last has the head of the log.
_FULL = """
    SELECT first_position, last_position FROM public.event_partitions AS full_one
    WHERE appended_to = last_position AND EXISTS (SELECT FROM public.event_partitions AS later
        WHERE later.first_position > full_one.last_position AND later.appended_to IS NOT NULL)
    ORDER BY first_position"""
_KEEP_KEYS = """
    INSERT INTO public.archived_events (position, id, stream_id, event_version)
    SELECT position, id, stream_id, event_version FROM public.event_store
    WHERE position BETWEEN %(first)s AND %(last)s ON CONFLICT (position) DO NOTHING"""
_ENTER_STREAMS = "SELECT public.register_streams()"
_FORGET_KEYS = "DELETE FROM public.archived_events WHERE position BETWEEN %s AND %s"
# Of the rows' whole texts. Against mistakes, not against forgers: those are for the seals to find.
_DIGEST = """
    SELECT count(*), min(position), max(position),
        bit_xor(hashtextextended(row_of.*::text, 0)), bit_xor(hashtextextended(row_of.*::text, 1))
    FROM {} AS row_of WHERE position BETWEEN %s AND %s"""
_TYPES = """
    SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
    WHERE attrelid = 'public.event_store'::regclass AND attnum > 0 ORDER BY attnum"""


def archives(connection: psycopg.Connection[Any]) -> list[Archive]:
    """What is archived, oldest first."""
    return [
        Archive(first, last, Path(directory), manifest, at, by)
        for first, last, directory, manifest, at, by in connection.execute(_ARCHIVES)
    ]


def full_partitions(connection: psycopg.Connection[Any]) -> list[tuple[int, int]]:
    """First and last position of the partitions to which nothing can be added, oldest first."""
    return [(int(first), int(last)) for first, last in connection.execute(_FULL)]


# --- into files -------------------------------------------------------------------------------


def create(
    connection: psycopg.Connection[Any], directory: Path, actor: str, report: Report
) -> Archive:
    """Archives the oldest partition. Raises CannotArchive."""
    first, last = _oldest_sealed(connection)
    place = directory.absolute() / f"events-{first}-{last}"
    _prepare(connection)
    if not place.exists():
        unfinished = place.with_name(f".{place.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was stopped
        _write(connection, unfinished, first, last, report)
        unfinished.rename(place)
    report("verifying the files", last - first + 1)
    with _verifying(place, last - first + 1) as findings:
        _compare_files(connection, place, first, last)
        connection.execute(_KEEP_KEYS, {"first": first, "last": last})
        while connection.execute(_ENTER_STREAMS).fetchone() != (None,):
            pass
        _refuse(findings(), f"{place} is not what was sealed")
    with _swapping(connection):
        partition = sql.Identifier("public", f"event_store_{first}")
        connection.execute(
            sql.SQL("ALTER TABLE public.event_store DETACH PARTITION {}").format(partition)
        )
        connection.execute(sql.SQL("DROP TABLE {}").format(partition))
        for begin, end in _files(first, last):
            _attach_file(connection, place, begin, end)
        connection.execute(
            "DELETE FROM public.event_partitions WHERE first_position = %s", (first,)
        )
        connection.execute(
            """INSERT INTO public.event_archives
                   (first_position, last_position, directory, manifest, archived_by)
               VALUES (%s, %s, %s, %s, %s)""",
            (first, last, str(place), _digest_of(place / MANIFEST), actor),
        )
    return archives(connection)[-1]


@contextmanager
def _verifying(place: Path, events: int) -> Iterator[Callable[[], tuple[Finding, ...]]]:
    """What is wrong with the export: of many events, found by another process meanwhile."""
    if events < PARALLEL_FROM_EVENTS:
        yield partial(_findings, place)
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        yield process.submit(_findings, place).result


def _findings(place: Path) -> tuple[Finding, ...]:
    return verify_export(place).findings


def _oldest_sealed(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    full = full_partitions(connection)
    if not full:
        raise CannotArchive(
            "no partition is full but the one that has the end of the log: there is nothing to "
            "archive yet. LEDGER_LOG_PARTITION_EVENTS says how large the next ones are"
        )
    first, last = full[0]
    head = seals.head(connection)
    sealed = head.last_position if head is not None else 0
    if sealed < last:
        raise CannotArchive(
            f"the events {first}-{last} are sealed up to {sealed} only: wait for the sealer "
            "(ledgerctl serve seals), or run: ledgerctl audit seal"
        )
    return first, last


def _prepare(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute("CREATE EXTENSION IF NOT EXISTS file_fdw WITH SCHEMA pg_catalog")
        connection.execute(
            sql.SQL("CREATE SERVER IF NOT EXISTS {} FOREIGN DATA WRAPPER file_fdw").format(
                sql.Identifier(SERVER)
            )
        )
    except (errors.InsufficientPrivilege, errors.FeatureNotSupported) as error:
        raise CannotArchive(
            f"PostgreSQL does not read files here ({error.diag.message_primary}). Archives need "
            "the extension file_fdw, and an owner of the log who is a superuser or a member of "
            "pg_read_server_files"
        ) from error


def _write(
    connection: psycopg.Connection[Any], place: Path, first: int, last: int, report: Report
) -> None:
    report("writing the Parquet file", last - first + 1)
    place.parent.mkdir(parents=True, exist_ok=True)
    export(connection, place, "parquet", first=first, last=last)
    report("writing the server's files", last - first + 1)
    for begin, end in _files(first, last):
        path = place / _file_name(begin)
        with connection.transaction():
            connection.execute("SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'")
            statement = sql.SQL(
                "COPY (SELECT {} FROM public.event_store WHERE position BETWEEN {} AND {}"
                " ORDER BY position) TO STDOUT WITH (FORMAT csv)"
            ).format(sql.SQL(", ").join(map(sql.Identifier, _columns(connection))), begin, end)
            with path.open("xb") as file, connection.cursor().copy(statement) as copy:
                for data in copy:
                    file.write(data)
    _hand_to_server(connection, place)
    for path in (*place.iterdir(), place):
        _sync(path)


def _columns(connection: psycopg.Connection[Any]) -> list[str]:
    names = [name for name, _ in connection.execute(_TYPES)]
    assert set(names) == set(COLUMNS), "a column that is not exported cannot be archived"
    return names


def _hand_to_server(connection: psycopg.Connection[Any], place: Path) -> None:
    """The files can be read by us and by the server, where it is on this machine, and by nobody
    else; nobody can write them."""
    place.chmod(0o711)
    owner = _server_user(connection)
    for path in place.iterdir():
        path.chmod(0o440 if path.suffix == ".csv" else 0o400)
        if owner is not None and owner != os.geteuid() and os.geteuid() == 0:
            os.chown(path, owner, -1)


def _server_user(connection: psycopg.Connection[Any]) -> int | None:
    """Who the server runs as, if its files are on this machine."""
    try:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        return Path(row[0]).stat().st_uid if row else None
    except (OSError, errors.InsufficientPrivilege):
        return None


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _compare_files(connection: psycopg.Connection[Any], place: Path, first: int, last: int) -> None:
    """Whether the server reads from each file what it has in the partition. Raises
    CannotArchive."""
    types = connection.execute(_TYPES).fetchall()
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in types
    )
    as_table = sql.Identifier("public", "event_archive_compared")
    for begin, end in _files(first, last):
        kept = _digest(connection, sql.SQL("public.event_store"), begin, end)
        with connection.transaction(force_rollback=True):
            connection.execute(
                sql.SQL("CREATE FOREIGN TABLE {} ({}) SERVER {} OPTIONS ({})").format(
                    as_table, columns, sql.Identifier(SERVER), _options(place, begin)
                )
            )
            try:
                written = _digest(connection, as_table, begin, end)
            except (errors.UndefinedFile, errors.InsufficientPrivilege) as error:
                raise CannotArchive(
                    f"PostgreSQL cannot read {place / _file_name(begin)} "
                    f"({error.diag.message_primary}): the directory must be on its machine, or be "
                    "mounted there under the same name, and open to the user that it runs as"
                ) from error
        if written != kept:
            raise CannotArchive(
                f"{place / _file_name(begin)} does not have the events {begin}-{end} of the log. "
                f"Nothing was archived: remove {place} and run this again"
            )


def _digest(
    connection: psycopg.Connection[Any], table: sql.Composable, begin: int, end: int
) -> tuple[Any, ...] | None:
    return connection.execute(sql.SQL(_DIGEST).format(table), (begin, end)).fetchone()


# --- the swap ---------------------------------------------------------------------------------


def _swapping(connection: psycopg.Connection[Any]) -> "_Swap":
    return _Swap(connection)


class _Swap:
    """A transaction that changes what the log consists of. It needs the log for itself, for some
    milliseconds; raises CannotArchive when somebody reads for longer."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._transaction = connection.transaction()

    def __enter__(self) -> None:
        self._transaction.__enter__()
        self._connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
        # Before the log itself: who appends takes them in this order.
        self._connection.execute("SELECT public.begin_append(0, '')")

    def __exit__(self, *raised: Any) -> None:
        self._transaction.__exit__(*raised)
        if isinstance(raised[1], errors.LockNotAvailable):
            raise CannotArchive(
                f"somebody has read the log for more than {LOCK_SECONDS} s without an end (see "
                "pg_stat_activity: a verification, a dump). The files stay: run this again "
                "afterwards"
            ) from raised[1]


def _files(first: int, last: int) -> Iterator[tuple[int, int]]:
    """First and last position of each CSV file."""
    for begin in range(first, last + 1, FILE_EVENTS):
        yield begin, min(begin + FILE_EVENTS - 1, last)


def _file_name(begin: int) -> str:
    return f"{begin}.csv"


def _table(begin: int) -> sql.Identifier:
    return sql.Identifier("public", f"event_archive_{begin}")


def _options(place: Path, begin: int) -> sql.Composed:
    path = sql.Literal(str(place / _file_name(begin)))
    return sql.SQL("filename {}, format 'csv'").format(path)


def _attach_file(connection: psycopg.Connection[Any], place: Path, begin: int, end: int) -> None:
    connection.execute(
        sql.SQL(
            "CREATE FOREIGN TABLE {} PARTITION OF public.event_store FOR VALUES FROM ({}) TO ({})"
            " SERVER {} OPTIONS ({})"
        ).format(_table(begin), begin, end + 1, sql.Identifier(SERVER), _options(place, begin))
    )
    connection.execute(
        sql.SQL("REVOKE ALL ON {} FROM PUBLIC; GRANT SELECT ON {} TO ledger_auditor").format(
            _table(begin), _table(begin)
        )
    )


# --- and back ---------------------------------------------------------------------------------


def check(archive: Archive, trusted: Sequence[TrustedKey] = ()) -> tuple[Finding, ...]:
    """What is wrong with the archive's Parquet file and manifest. (What is wrong with the files
    that the log consists of, `audit verify` finds.)"""
    if _digest_of(archive.directory / MANIFEST) != archive.manifest:
        message = f"{archive.directory / MANIFEST} is not the manifest that was archived"
        return (Finding(archive.first_position, "changed", message),)
    return verify_export(archive.directory, trusted=trusted).findings


def restore(
    connection: psycopg.Connection[Any], database_url: str, actor: str, report: Report
) -> Archive:
    """Takes the newest archive in again; its files stay. Raises CannotArchive."""
    kept = archives(connection)
    if not kept:
        raise CannotArchive("nothing is archived")
    archive = kept[-1]
    first, last = archive.first_position, archive.last_position
    report("verifying the files", archive.events)
    verdict = verify_database(database_url, first=first, last=last)
    _refuse(verdict.findings, f"the files in {archive.directory} are not what was sealed")
    report("reading the files", archive.events)
    name = f"event_store_{first}"
    partition = sql.Identifier("public", name)
    bounds = sql.SQL("CHECK (position >= {} AND position <= {})").format(first, last)
    with connection.transaction():
        connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(partition))
        connection.execute("SELECT public.create_event_partition(%s)", (name,))
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD CONSTRAINT within {}").format(partition, bounds)
        )
        connection.execute(
            sql.SQL(
                "INSERT INTO {} SELECT * FROM public.event_store WHERE position BETWEEN %s AND %s"
            ).format(partition),
            (first, last),
        )
        for begin, end in _files(first, last):
            taken = _digest(connection, partition, begin, end)
            if taken != _digest(connection, sql.SQL("public.event_store"), begin, end):
                raise CannotArchive(f"the events {begin}-{end} were not read as they are")
    with _swapping(connection):
        for begin, _ in _files(first, last):
            connection.execute(sql.SQL("DROP FOREIGN TABLE {}").format(_table(begin)))
        connection.execute(
            sql.SQL(
                "ALTER TABLE public.event_store ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
            ).format(partition, first, last + 1)
        )
        connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT within").format(partition))
        connection.execute(
            "INSERT INTO public.event_partitions VALUES (%s, %s, %s)", (first, last, last)
        )
        connection.execute(
            """UPDATE public.event_archives
               SET restored_at = clock_timestamp(), restored_by = %s
               WHERE first_position = %s AND restored_at IS NULL""",
            (actor, first),
        )
    connection.execute(_FORGET_KEYS, (first, last))
    return archive


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file_digest(file, "sha256").digest()


def _refuse(findings: Sequence[Finding], what: str) -> None:
    if findings:
        raise CannotArchive(f"{what}: {findings[0].message}. Run: ledgerctl audit verify")

"""The schema of the database: what is applied, what is missing, whether we fit each other.

    sql/migrations/NNNN_*.sql   applied once, in order; a file that was applied never changes
    sql/functions|views|roles/  one object per file, applied again whenever the file has changed

`migrate` holds a lock of the table `schema_migrations` that only its owner may take, on a
connection of its own, so any number of processes may call it at once: the first does the work, the
others find nothing left. Each file runs in a transaction of its own, together with its row in
`schema_migrations` (name, checksum, when, by whom, how long), so an interruption leaves whole files
applied and the next run goes on from there. A database that has migrations this code does not know
is newer than the code, and is refused before anything is touched: old code must not write into
tables it does not understand.

It works as the owner, so it looks names up in pg_catalog alone until it has made sure that nobody
else made anything in schema public (schema_rights.py).
"""

import getpass
import hashlib
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors

from ledger.kernel.errors import LedgerError
from ledger.operate import schema_rights
from ledger.operate.database import connect
from ledger.operate.database_url import catalog_only

LOCK_TIMEOUT_SECONDS = 10
"""How long a file waits for a table that others use: all who come later wait behind it, the command
service among them."""
MIGRATION_TIMEOUT_SECONDS = 600
"""How long to wait for a migration that is under way: one may make an index of a long log."""

_REPEATABLE = ("functions", "views", "roles")  # in this order: roles grant on what others create
# Two of them exclude each other, and nobody who reads or writes rows.
_LOCK = "LOCK TABLE public.schema_migrations IN SHARE UPDATE EXCLUSIVE MODE"
_CREATE_TABLE = """
    CREATE TABLE IF NOT EXISTS public.schema_migrations (
        name        text        NOT NULL CONSTRAINT schema_migrations_pkey PRIMARY KEY,
        checksum    text        NOT NULL,
        applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
        applied_by  text        NOT NULL,
        duration_ms numeric     NOT NULL
    )"""


class SchemaError(LedgerError):
    """Code and database do not fit each other."""


class DatabaseNewerThanCode(SchemaError):
    """The database has a migration that this code does not have."""


class MigrationChanged(SchemaError):
    """A numbered migration was edited after it was applied."""


class SchemaOutdated(SchemaError):
    """The database lacks something that this code needs."""


class MigrationFailed(SchemaError):
    """PostgreSQL refused a file of sql/."""


@dataclass(frozen=True)
class SchemaFile:
    """One file of sql/, with the name it is recorded under."""

    name: str
    sql: str
    checksum: str

    @property
    def numbered(self) -> bool:
        """Applied once; the others again whenever they change."""
        return self.name.startswith("migrations/")


def sql_directory() -> Path:
    """Where the SQL files are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_sql", package.parent / "sql"):
        if (candidate / "migrations").is_dir():
            return candidate
    raise SchemaError(
        f"no SQL files beside {package}: the installation is incomplete. "
        "Install trading-ledger again."
    )


def schema_files() -> list[SchemaFile]:
    """All files `migrate` applies, in its order."""
    directory = sql_directory()
    return [
        SchemaFile(f"{kind}/{path.name}", text, hashlib.sha256(text.encode()).hexdigest())
        for kind in ("migrations", *_REPEATABLE)
        for path in sorted((directory / kind).glob("*.sql"))
        for text in (path.read_text(encoding="utf-8"),)
    ]


def migrate(database_url: str) -> list[str]:
    """Brings the database to this code's schema; returns the names of the files applied, in
    order, empty when it was current. Raises SchemaError, or psycopg.Error when the server
    cannot be used at all."""
    with (
        connect(catalog_only(database_url), "migrate") as connection,
        _migration_lock(database_url),
    ):
        schema_rights.close(connection)
        files = pending(connection)
        for file in files:
            _apply(connection, file)
        schema_rights.settle(connection, *_made_by(schema_files()))
        return [file.name for file in files]


def check_schema(database_url: str) -> None:
    """For services at their start: raises SchemaError unless the database has what this code
    needs and nothing it does not know. A function that was changed since is not held against
    it: during an update, old and new services run side by side."""
    with connect(database_url, "schema check") as connection:
        missing = [file.name for file in pending(connection) if file.numbered]
    if missing:
        raise SchemaOutdated(f"the database lacks {_listed(missing)}. Run: ledgerctl migrate")


def pending(connection: psycopg.Connection[Any]) -> list[SchemaFile]:
    """The files that are to be applied, in order. Raises SchemaError for a database that this
    code must not touch."""
    recorded = _recorded(connection)
    files = schema_files()
    _refuse_misfits(files, recorded)
    return [file for file in files if recorded.get(file.name) != file.checksum]


@contextmanager
def _migration_lock(database_url: str) -> Iterator[None]:
    with connect(catalog_only(database_url), "migration lock") as connection:
        _create_table(connection)
        with connection.transaction():
            connection.execute(f"SET LOCAL lock_timeout = '{MIGRATION_TIMEOUT_SECONDS}s'")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            try:
                connection.execute(_LOCK)
            except errors.LockNotAvailable as error:
                raise MigrationFailed(
                    f"another migration has been under way for {MIGRATION_TIMEOUT_SECONDS} s: "
                    "see who holds schema_migrations in pg_locks, and run again: ledgerctl migrate"
                ) from error
            yield


def _create_table(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute(_CREATE_TABLE)
    except (errors.UniqueViolation, errors.DuplicateTable):
        connection.execute(_CREATE_TABLE)  # another process was faster, and has it made by now


def _recorded(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Checksum by name of every file that was applied; empty for an empty database."""
    if connection.execute("SELECT to_regclass('public.schema_migrations')").fetchone() == (None,):
        return {}
    rows = connection.execute("SELECT name, checksum FROM public.schema_migrations").fetchall()
    return {str(name): str(checksum) for name, checksum in rows}


def _refuse_misfits(files: list[SchemaFile], recorded: dict[str, str]) -> None:
    known = {file.name: file for file in files if file.numbered}
    unknown = sorted(
        name for name in recorded if name.startswith("migrations/") and name not in known
    )
    if unknown:
        raise DatabaseNewerThanCode(
            f"the database has {_listed(unknown)}, which this version does not have: it was "
            "migrated by a newer one. Update trading-ledger, or use another database."
        )
    for name, file in known.items():
        if name in recorded and recorded[name] != file.checksum:
            raise MigrationChanged(
                f"sql/{name} was changed after it was applied (checksum {recorded[name][:12]} "
                f"then, {file.checksum[:12]} now). Restore the file and put the change into a "
                "new migration."
            )


def _apply(connection: psycopg.Connection[Any], file: SchemaFile) -> None:
    started = time.monotonic()
    try:
        with connection.transaction():
            # Where the script's tables are made; pg_catalog, which is not named, comes first.
            connection.execute("SET LOCAL search_path = public, pg_temp")
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_SECONDS}s'")
            # Bytes, because this is a whole script from a file of ours and takes no parameters.
            connection.execute(file.sql.encode())
            connection.execute(
                """INSERT INTO public.schema_migrations (name, checksum, applied_by, duration_ms)
                   VALUES (%(name)s, %(checksum)s, %(by)s || session_user, %(duration)s)
                   ON CONFLICT (name) DO UPDATE SET checksum = excluded.checksum,
                       applied_at = excluded.applied_at, applied_by = excluded.applied_by,
                       duration_ms = excluded.duration_ms""",
                {
                    "name": file.name,
                    "checksum": file.checksum,
                    "by": f"{_operating_system_user()}@{platform.node()} as ",
                    "duration": round((time.monotonic() - started) * 1_000),
                },
            )
    except errors.LockNotAvailable as error:
        raise MigrationFailed(
            f"sql/{file.name} waited {LOCK_TIMEOUT_SECONDS} s for a table that others use in "
            "transactions that do not end (see pg_stat_activity, pg_locks). Nothing of this file "
            "was applied; end them, or wait for them, and run: ledgerctl migrate"
        ) from error
    except psycopg.OperationalError:
        raise  # the server went away: that says nothing about the file
    except psycopg.Error as error:
        diagnosis = error.diag.message_primary or str(error)
        hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
        raise MigrationFailed(
            f"PostgreSQL refused sql/{file.name}: {diagnosis}{hint}. Nothing of this file was "
            "applied; put the cause right and run: ledgerctl migrate"
        ) from error


def _operating_system_user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # an account without a name, as containers have
        return str(os.getuid())


def _made_by(files: list[SchemaFile]) -> tuple[list[str], list[str]]:
    """The functions and the tables that the files make."""
    functions, tables = (
        [name for file in files for name in re.findall(pattern, file.sql)]
        for pattern in (
            r"CREATE (?:OR REPLACE )?FUNCTION (?:public\.)?(\w+)",
            r"CREATE TABLE (?:public\.)?(\w+)",
        )
    )
    return functions, [*tables, "schema_migrations"]


def _listed(names: list[str]) -> str:
    short = [re.sub(r"^migrations/|\.sql$", "", name) for name in names]
    return ", ".join(short[:3]) + (f" and {len(short) - 3} more" if len(short) > 3 else "")

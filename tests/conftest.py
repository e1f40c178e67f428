"""Real servers for all tests: one PostgreSQL for the session, a NATS server for each test.

Everything lies in a directory of this session alone, so that two sessions never meet. Tests that
break servers take one of their own: `postgres_server`, `nats_server`.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from ledger.operate.embedded.servers import EmbeddedNats, EmbeddedPostgres
from ledger.operate.plugins import migrate_all
from tests.databases import create_database, drop_database, temporary_database, url_of
from tests.logs import logs_to_stderr

TEMPLATE = "ledger_template"
MEMORY_BYTES = 4 * 2**30
"""More than the databases and logs of a session ever take: some hundred megabytes."""
POSTGRES15_PROGRAMS = (
    Path("/usr/lib/postgresql/15/bin"),
    Path("/usr/pgsql-15/bin"),
    Path("/opt/homebrew/opt/postgresql@15/bin"),
)


def pytest_configure() -> None:
    logs_to_stderr()
    # A person's settings must not decide what is tested.
    for name in list(os.environ):
        if name.startswith("LEDGER_") and not name.startswith("LEDGER_TEST_"):
            del os.environ[name]


@pytest.fixture(scope="session")
def session_directory() -> Iterator[Path]:
    """A directory of this session with a short path, where root's PostgreSQL can go as well."""
    yield from _directory(Path("/tmp"))


@pytest.fixture
def server_directory(session_directory: Path) -> Path:
    """A new directory for one test's servers."""
    directory = session_directory / uuid4().hex[:12]
    directory.mkdir(mode=0o711)
    return directory


@pytest.fixture(scope="session")
def memory_directory() -> Iterator[Path]:
    """The same in memory, if the machine has it: a new database is some 400 new files, which take
    ext4 a quarter of a second to make and to remove."""
    memory = Path("/dev/shm")
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > MEMORY_BYTES
    yield from _directory(memory if roomy else Path("/tmp"))


def _directory(parent: Path) -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ledger-tests-", dir=parent))
    directory.chmod(0o711)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(memory_directory: Path) -> Iterator[str]:
    """The superuser's URL of the session's PostgreSQL; it has a migrated template database."""
    with EmbeddedPostgres(memory_directory, fast=True) as server:
        migrate_all(create_database(server.url, name=TEMPLATE))
        yield server.url


@pytest.fixture
def database_url(postgres_url: str) -> Iterator[str]:
    """A fresh migrated database, read models included."""
    with temporary_database(postgres_url, template=TEMPLATE) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A fresh database with nothing in it."""
    with temporary_database(postgres_url) as url:
        yield url


@pytest.fixture
def postgres_server(server_directory: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, not migrated, that waits for the disk like a real one:
    for tests that stop it or let it crash."""
    with EmbeddedPostgres(server_directory) as server:
        yield server


@pytest.fixture
def nats_server(server_directory: Path) -> Iterator[EmbeddedNats]:
    """A NATS server of the test's own, to stop, kill and start again."""
    with EmbeddedNats(server_directory) as server:
        yield server


@pytest.fixture
def nats_url(nats_server: EmbeddedNats) -> str:
    """URL of a fresh NATS server with JetStream."""
    return nats_server.url


@pytest.fixture(scope="session")
def postgres15_url(memory_directory: Path) -> Iterator[str]:
    """The superuser's URL of a PostgreSQL 15, the oldest we support."""
    given = os.environ.get("LEDGER_TEST_POSTGRES15_URL")
    if given:
        yield given
        return
    programs = next((path for path in POSTGRES15_PROGRAMS if (path / "initdb").exists()), None)
    if programs is None:
        pytest.skip(
            "no PostgreSQL 15 here: install it, or set LEDGER_TEST_POSTGRES15_URL to a superuser's "
            "URL of one"
        )
    with EmbeddedPostgres(memory_directory / "fifteen", fast=True, programs=programs) as server:
        yield server.url


@pytest.fixture(scope="session")
def timescale_url(memory_directory: Path) -> Iterator[str]:
    """The superuser's URL of a PostgreSQL that has TimescaleDB; its template database, migrated, is
    with it. No background workers: they would be in the way of copies, and tests run jobs
    themselves."""
    given = os.environ.get("LEDGER_TEST_TIMESCALE_URL")
    if given:
        _make_timescale_template(given)
        yield given
        return
    programs = next((path for path in POSTGRES15_PROGRAMS if (path / "initdb").exists()), None)
    missing = (
        "no TimescaleDB here: install it beside PostgreSQL 15, or set LEDGER_TEST_TIMESCALE_URL to "
        "a superuser's URL of a server that has it (shared_preload_libraries)"
    )
    if programs is None:
        pytest.skip(missing)
    with EmbeddedPostgres(memory_directory / "timescale", fast=True, programs=programs) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            if not connection.execute(
                "SELECT FROM pg_available_extensions WHERE name = 'timescaledb'"
            ).rowcount:
                pytest.skip(missing)
            connection.execute("ALTER SYSTEM SET shared_preload_libraries = 'timescaledb'")
            connection.execute("ALTER SYSTEM SET max_worker_processes = 0")
        server.stop()
        server.start()
        _make_timescale_template(server.url)
        yield server.url


def _make_timescale_template(server_url: str) -> None:
    drop_database(server_url, url_of(server_url, TEMPLATE))
    url = create_database(server_url, name=TEMPLATE)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION timescaledb")
        connection.execute("SELECT _timescaledb_functions.stop_background_workers()")
    migrate_all(url)


@pytest.fixture
def timescale_database_url(timescale_url: str) -> Iterator[str]:
    """A fresh migrated database that has TimescaleDB: its time series are hypertables."""
    with temporary_database(timescale_url, template=TEMPLATE) as url:
        yield url


@pytest.fixture(scope="session")
def _postgres15_template(postgres15_url: str) -> str:
    migrate_all(create_database(postgres15_url, name=TEMPLATE))
    return TEMPLATE


@pytest.fixture
def postgres15_database_url(postgres15_url: str, _postgres15_template: str) -> Iterator[str]:
    """A fresh migrated database on the PostgreSQL 15."""
    with temporary_database(postgres15_url, template=_postgres15_template) as url:
        yield url

"""Which PostgreSQL and NATS a command uses: those of the settings, or the embedded ones.

A service that is not set by URL is the embedded one of the data directory. Commands find it
running there (`ledgerctl up`, in another terminal); the ones that need nothing but the database
start it for as long as they take when nobody runs it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from ledger.kernel.errors import LedgerError
from ledger.operate.database_url import confined
from ledger.operate.embedded.directory import running_services
from ledger.operate.roles import AUDITOR, stepping_down
from ledger.operate.settings import Settings


class NotRunning(LedgerError):
    """An embedded service is needed and nobody runs it."""


def find_database(settings: Settings) -> str:
    """URL of the PostgreSQL that is set, or that runs embedded. Raises NotRunning."""
    return confined(
        database_url(settings) or _running(settings, "postgresql", "LEDGER_DATABASE_URL")
    )


def database_url(settings: Settings) -> str | None:
    """URL of the PostgreSQL that is set, with the TLS that is set; None if none is."""
    if settings.database_url is None:
        return None
    files = {
        "sslrootcert": settings.database_tls_ca_file,
        "sslcert": settings.database_tls_cert_file,
        "sslkey": settings.database_tls_key_file,
    }
    tls = {name: str(file.absolute()) for name, file in files.items() if file is not None}
    if not tls:
        return settings.database_url
    if "sslrootcert" in tls:  # who names an authority wants to know whom it speaks with
        tls["sslmode"] = "verify-full"
    parts = urlsplit(settings.database_url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    return urlunsplit(parts._replace(query=urlencode(tls | given, quote_via=quote)))


def find_nats(settings: Settings) -> str:
    """URL of the NATS server that is set, or that runs embedded. Raises NotRunning."""
    return settings.nats_url or _running(settings, "nats", "LEDGER_NATS_URL")


@contextmanager
def database(
    settings: Settings, *, role: str | None = AUDITOR, create: bool = False
) -> Iterator[str]:
    """The database's URL for the length of the block: an embedded PostgreSQL that nobody runs is
    started for it. Connections of a login that could do anything begin as `role`, unless it is
    None. Raises NotRunning where there is no data yet, unless it may be created."""
    with _database(settings, create=create) as url:
        yield url if role is None else stepping_down(url, role)


@contextmanager
def _database(settings: Settings, *, create: bool) -> Iterator[str]:
    try:
        url = find_database(settings)
    except NotRunning:
        made = settings.data_dir / "postgresql" / "cluster" / "PG_VERSION"
        if not create and not made.exists():
            raise
        from ledger.operate.embedded.servers import (
            EmbeddedPostgres,  # not needed where servers are set
        )

        with EmbeddedPostgres(settings.data_dir) as server:
            yield confined(server.url)
    else:
        yield url


@contextmanager
def bus(settings: Settings) -> Iterator[str]:
    """The bus's URL for the length of the block: an embedded NATS server that nobody runs is
    started for it. Raises NotRunning where there is no data yet."""
    try:
        url = find_nats(settings)
    except NotRunning:
        if not (settings.data_dir / "nats").exists():
            raise
        from ledger.operate.embedded.servers import EmbeddedNats

        with EmbeddedNats(settings.data_dir, port=settings.embedded_nats_port) as server:
            yield server.url
    else:
        yield url


def _running(settings: Settings, name: str, variable: str) -> str:
    url = running_services(settings.data_dir).get(name)
    if url is None:
        raise NotRunning(
            f"no {name} runs on {settings.data_dir.absolute()}, and {variable} is not set. Start "
            "the embedded services with `ledgerctl up` in another terminal (same directory), or "
            "set the variable in the environment or in .env."
        )
    return url

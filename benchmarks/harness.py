"""What the benchmarks share: servers of their own, turns, and the report."""

import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.operate.embedded.servers import EmbeddedPostgres
from ledger.operate.logging import configure
from ledger.operate.schema import migrate


@contextmanager
def directory() -> Iterator[Path]:
    """A directory for servers, with a short path, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="ledger-bench-", dir="/tmp"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def migrated_database() -> Iterator[str]:
    """URL of a fresh ledger database on a PostgreSQL that waits for the disk."""
    with directory() as path, EmbeddedPostgres(path) as server:
        migrate(server.url)
        yield server.url


def peer_environment(database_url: str) -> dict[str, str]:
    """Settings of a stock `eventsourcing` application on the same server."""
    from psycopg.conninfo import conninfo_to_dict

    options = conninfo_to_dict(database_url)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "POSTGRES_DBNAME": str(options["dbname"]),
        "POSTGRES_HOST": str(options["host"]),
        "POSTGRES_PORT": str(options.get("port", "5432")),
        "POSTGRES_USER": str(options["user"]),
        "POSTGRES_PASSWORD": "",
    }


def quiet() -> None:
    """Only warnings are logged, and to stderr: stdout is for the figures."""
    configure("benchmark", "WARNING")


def take_turns(turns: int, *contestants: Callable[[], float]) -> list[float]:
    """Each contestant's median rate over the turns; in every turn all of them run."""
    rates = [[contestant() for contestant in contestants] for _ in range(turns)]
    return [statistics.median(of_one) for of_one in zip(*rates, strict=True)]


def report(name: str, figures: dict[str, Any]) -> None:
    """Prints the figures: one JSON object with --json, else a line each."""
    figures = {
        key: round(value, 2) if isinstance(value, float) else value
        for key, value in figures.items()
    }
    if "--json" in sys.argv:
        print(json.dumps({"benchmark": name, **figures, "cores": os.cpu_count()}))
        return
    print(f"{name} ({os.cpu_count()} cores)")
    for key, value in figures.items():
        print(f"  {key:32} {value}")

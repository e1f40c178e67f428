"""The read models, seen from outside: whether they have caught up, and whether a fresh fold of the
log gives the same rows. Asked of the database and of `ledgerctl projections verify`."""

import json
import os
import subprocess
import sys
import time
from typing import Any, NamedTuple

import psycopg

CATCH_UP_TIMEOUT_SECONDS = 120.0
"""After this a projection that is behind is not just slow. The slowest fold does thousands of
events per second."""
LOOK_SECONDS = 0.05
"""Pause between two looks at how far the projections are."""
VERIFY_TIMEOUT_SECONDS = 600.0
"""For folding a long log again; a demo's takes seconds."""


class ReadModelsBehind(Exception):
    """The read models do not show all of the log."""


class Verification(NamedTuple):
    """What `ledgerctl projections verify` found."""

    equal: bool
    projections: int
    rows: int
    differences: int


def wait_until_caught_up(connection: psycopg.Connection[Any], position: int) -> None:
    """Returns when every read model shows the log up to the position. Raises ReadModelsBehind."""
    deadline = time.monotonic() + CATCH_UP_TIMEOUT_SECONDS
    while True:
        behind = connection.execute(
            """SELECT projection_name, last_processed_position, status, error_message
               FROM event_projections
               WHERE last_processed_position < %s AND projection_name <> 'seals'
               ORDER BY 2 LIMIT 1""",
            (position,),
        ).fetchone()
        if behind is None:
            return
        name, reached, status, error = behind
        if status in {"ERROR", "PAUSED"} or time.monotonic() > deadline:
            raise ReadModelsBehind(
                f"projection {name} is {status} at position {reached} of {position}: "
                f"{error or 'it does not move'}. Look at `ledgerctl projections status` and at "
                "the log of `ledgerctl serve projections`."
            )
        time.sleep(LOOK_SECONDS)


def verify(database_url: str) -> Verification:
    """Folds the log again and compares with the live rows. Raises ReadModelsBehind when that
    could not be done."""
    found = subprocess.run(
        [sys.executable, "-m", "ledger", "projections", "verify", "--json"],
        env=os.environ | {"LEDGER_DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=VERIFY_TIMEOUT_SECONDS,
        check=False,
    )
    try:
        result = json.loads(found.stdout)
        reports = result["projections"]
        return Verification(
            equal=found.returncode == 0 and result["equal"] is True,
            projections=len(reports),
            rows=sum(report["rows_compared"] for report in reports),
            differences=sum(report["difference_count"] for report in reports),
        )
    except (ValueError, KeyError, TypeError):
        raise ReadModelsBehind(
            f"`ledgerctl projections verify` did not say: {found.stderr.strip()[-500:]}"
        ) from None

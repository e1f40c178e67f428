"""The read models, seen from outside: whether they have caught up, and whether a fresh fold of the
log gives the same rows. Asked of the database and of `ledgerctl projections verify`."""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg

from ledger.kernel import read_side
from ledger.kernel.errors import LedgerError
from ledger.kernel.money import ZERO, exact, plain

if TYPE_CHECKING:
    from projections.questions.question import Question
    from projections.read_models.accounts import Account
    from projections.read_models.balances import Balance
    from projections.read_models.orders import Order
    from projections.read_models.transactions import Transaction

CATCH_UP_TIMEOUT_SECONDS = 120.0
"""After this a projection that is behind is not just slow. The slowest fold does thousands of
events per second."""
LOOK_SECONDS = 0.05
"""Pause between two looks at how far the projections are."""
VERIFY_TIMEOUT_SECONDS = 600.0
"""For folding a long log again; a demo's takes seconds."""


class ReadModelsBehind(LedgerError):
    """The read models do not show all of the log."""


class Verification(NamedTuple):
    """What `ledgerctl projections verify` found."""

    equal: bool
    projections: int
    rows: int
    differences: int


class Figures(NamedTuple):
    """What the read models say of some accounts, ready for JSON."""

    orders: dict[str, int]
    """How many, by status."""
    balances: list[dict[str, str]]
    double_entry: list[dict[str, str]]
    """By asset: the sums of all debits and of all credits."""


def figures(connection: psycopg.Connection[Any], account_ids: Iterable[UUID]) -> Figures:
    """Asked as anybody may ask, by the questions of the read side."""
    questions = read_side.questions()
    orders: Question[Order] = questions["orders"]
    accounts: Question[Account] = questions["accounts"]
    balances: Question[Balance] = questions["balances"]
    transactions: Question[Transaction] = questions["transactions"]
    statuses: Counter[str] = Counter()
    shown: list[tuple[str, Balance]] = []
    sums: dict[tuple[str, str], Decimal] = {}
    with connection.transaction():
        for account_id in account_ids:
            statuses.update(row.status for row in orders.find(connection, account_id=account_id))
            (account,) = accounts.find(connection, account_id=account_id)
            held = balances.find(connection, account_id=account_id)
            shown += [(account.account_name, balance) for balance in held]
            for row in transactions.find(connection, account_id=account_id):
                with exact():
                    moved = sums.get((row.asset, row.direction), ZERO) + row.amount
                sums[row.asset, row.direction] = moved
    shown.sort(key=lambda one: (one[0], one[1].sub_account != "main", one[1].sub_account))
    return Figures(
        {str(status): number for status, number in statuses.most_common()},
        [_balance(name, row) for name, row in shown],
        [
            {
                "asset": asset,
                "debits": plain(sums.get((asset, "DEBIT"), ZERO)),
                "credits": plain(sums.get((asset, "CREDIT"), ZERO)),
            }
            for asset in sorted({asset for asset, _ in sums})
        ],
    )


def _balance(account_name: str, row: "Balance") -> dict[str, str]:
    return {
        "account": account_name,
        "account_id": str(row.account_id),
        "sub_account": row.sub_account,
        "asset": row.asset,
        "total": plain(row.total),
        "available": plain(row.available),
        "locked": plain(row.locked),
    }


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

"""Whether the ledger shows what the file says: the read models against `bitstamp.expected`."""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from rich.console import Console

from examples.bitstamp import (
    PRICE_PLACES,
    VOLUME_PLACES,
    Expected,
    Row,
    btc,
    expected,
    funds_needed,
    refusals,
)
from ledger.demo import read_models
from ledger.demo.proofs import Proof
from ledger.eventstore import reader
from ledger.kernel.money import plain

ACCOUNTS = 4
"""Accounts that the orders are dealt to."""

Outcomes = Counter[tuple[str, str | None]]


class Replayed(NamedTuple):
    """What is replayed, and under which ids."""

    rows: Sequence[Row]
    accounts: tuple[UUID, ...]
    order_ids: dict[str, UUID]

    def account_of(self, order: str) -> UUID:
        return self.accounts[int(order) % len(self.accounts)]


class Shown(NamedTuple):
    """An order as the ledger shows it."""

    status: str
    quantity: Decimal
    filled: Decimal
    cancelled: Decimal
    open: Decimal


_SNAPSHOTS = """
    SELECT count(*), count(*) FILTER (WHERE equity <> external_flows + realized_pnl
        + unrealized_pnl - commission + funding)
    FROM portfolio_snapshots WHERE account_id = ANY(%s)"""


def report(
    connection: psycopg.Connection[Any],
    database_url: str,
    replayed: Replayed,
    outcomes: Outcomes,
    seconds: float,
) -> dict[str, Any]:
    """Waits for the read models, compares, and tells."""
    read_models.wait_until_caught_up(connection, reader.head(connection))
    accounts = list(replayed.accounts)
    counted = expected(replayed.rows)
    shown = _orders(connection, accounts)
    books = _books(connection, accounts)
    verification = read_models.verify(database_url)
    claims = [
        _answers(outcomes, refusals(replayed.rows)),
        _quantities(shown, counted, replayed),
        _orders_as_counted(shown, counted, replayed),
        _statuses(shown, counted),
        *_money(books, counted, funds_needed(replayed.rows)),
        _profit(connection, accounts),
        _snapshots(connection, accounts),
        Proof(
            "the read models equal a fresh fold of the log",
            verification.rows,
            "rows",
            0 if verification.equal else max(verification.differences, 1),
        ),
    ]
    commands = outcomes.total()
    return {
        "holds": all(claim.holds for claim in claims),
        "rows": len(replayed.rows),
        "orders_in_file": len({row.order for row in replayed.rows}),
        "orders_created": sum(one.created for one in counted.values()),
        "commands": commands,
        "seconds": round(seconds, 1),
        "commands_per_second": round(commands / seconds) if seconds else None,
        "outcomes": {
            status if code is None else f"{status} {code}": number
            for (status, code), number in outcomes.most_common()
        },
        "orders_by_status": {
            "ledger": _by_status(shown.values()),
            "file": _by_status(counted.values()),
        },
        "balances": {
            asset: {book: plain(amount) for book, amount in totals.items()}
            for asset, totals in sorted(books.items())
        },
        "claims": [claim._asdict() | {"holds": claim.holds} for claim in claims],
    }


# --- what the ledger shows ------------------------------------------------------------


def _orders(connection: psycopg.Connection[Any], accounts: list[UUID]) -> dict[UUID, Shown]:
    rows = connection.execute(
        """SELECT order_id, status, quantity, filled_quantity - overfill_quantity,
                  cancelled_quantity, leaves_quantity
           FROM orders WHERE account_id = ANY(%s)""",
        (accounts,),
    )
    return {order_id: Shown(*columns) for order_id, *columns in rows}


def _books(
    connection: psycopg.Connection[Any], accounts: list[UUID]
) -> dict[str, dict[str, Decimal]]:
    """By asset: `own` and `locked` of all accounts together, and what is on the other side."""
    books: dict[str, dict[str, Decimal]] = {}
    own = connection.execute(
        """SELECT asset, sum(total), sum(locked) FROM balances
           WHERE account_id = ANY(%s) GROUP BY asset""",
        (accounts,),
    )
    for asset, total, locked in own:
        books[asset] = {"own": total, "locked": locked}
    other = connection.execute(
        """SELECT asset, book, sum(total) FROM contra_balances
           WHERE account_id = ANY(%s) GROUP BY asset, book""",
        (accounts,),
    )
    for asset, book, total in other:
        books[asset][book] = total
    return books


_EQUITY = """
    WITH traded AS (
        SELECT account_id, -sum(total) FILTER (WHERE asset = 'USD') AS money,
               -sum(total) FILTER (WHERE asset = 'BTC') AS coins
        FROM contra_balances WHERE book <> 'external' GROUP BY account_id),
    made AS (
        SELECT account_id, sum(net_pnl) AS net, sum(unrealized_pnl) AS unrealized,
               max(mark_price) FILTER (WHERE status = 'OPEN') AS mark
        FROM positions GROUP BY account_id)
    SELECT account_id, money + coins * coalesce(mark, 0), net + unrealized
    FROM traded JOIN made USING (account_id) WHERE account_id = ANY(%s)"""
"""By account: what trading changed its equity by at the last price, and what its positions made."""


# --- claims ---------------------------------------------------------------------------


def _answers(outcomes: Outcomes, refused: Counter[str]) -> Proof:
    answered = Counter({code: n for (_, code), n in outcomes.items() if code is not None})
    faults = (answered - refused).total() + (refused - answered).total()
    told = ", ".join(f"{number} {code}" for code, number in sorted(refused.items())) or "none"
    claim = f"every command was answered; refused are those that must be ({told})"
    return Proof(claim, outcomes.total(), "commands", faults)


def _quantities(
    shown: dict[UUID, Shown], counted: dict[str, Expected], replayed: Replayed
) -> Proof:
    created = [order for order, one in counted.items() if one.created]
    orders = [shown.get(replayed.order_ids[order]) for order in created]
    faults = sum(
        one is None or one.quantity != one.filled + one.cancelled + one.open for one in orders
    )
    claim = "of each order created in the file: quantity = filled + cancelled + open"
    return Proof(claim, len(created), "orders", faults)


def _orders_as_counted(
    shown: dict[UUID, Shown], counted: dict[str, Expected], replayed: Replayed
) -> Proof:
    wanted = {replayed.order_ids[order]: _as_shown(one) for order, one in counted.items()}
    faults = sum(
        shown.get(order_id) != wanted.get(order_id) for order_id in shown.keys() | wanted.keys()
    )
    claim = "each order has the status and quantities that its rows say, and there is no other"
    return Proof(claim, len(wanted), "orders", faults)


def _as_shown(one: Expected) -> Shown:
    amounts = (one.quantity, one.filled, one.cancelled, one.open)
    return Shown(one.status, *(Decimal(btc(amount)) for amount in amounts))


def _statuses(shown: dict[UUID, Shown], counted: dict[str, Expected]) -> Proof:
    in_ledger, in_file = _by_status(shown.values()), _by_status(counted.values())
    faults = sum(
        abs(in_ledger.get(status, 0) - in_file.get(status, 0))
        for status in in_ledger.keys() | in_file.keys()
    )
    told = ", ".join(f"{number:,} {status}" for status, number in in_file.items())
    return Proof(
        f"orders by status as counted from the file ({told})", len(shown), "orders", faults
    )


def _by_status(orders: Any) -> dict[str, int]:
    return dict(Counter(one.status for one in orders).most_common())


def _money(
    books: dict[str, dict[str, Decimal]],
    counted: dict[str, Expected],
    deposits: tuple[str, str],
) -> list[Proof]:
    """What every account got and what its orders bought, sold and still hold."""
    orders = list(counted.values())
    bought = sum(one.filled if one.side == "BUY" else -one.filled for one in orders)
    spent = sum(one.cost if one.side == "BUY" else -one.cost for one in orders)
    selling = sum(one.open for one in orders if one.side == "SELL")
    buying = sum(one.open * one.price for one in orders if one.side == "BUY")
    sums = {
        "BTC": (Decimal(deposits[0]) * ACCOUNTS, _exact(bought, 0), _exact(selling, 0)),
        "USD": (
            Decimal(deposits[1]) * ACCOUNTS,
            -_exact(spent, PRICE_PLACES),
            _exact(buying, PRICE_PLACES),
        ),
    }
    own = {asset: given + traded for asset, (given, traded, _) in sums.items()}
    locked = {asset: held for asset, (_, _, held) in sums.items()}
    nothing: dict[str, Decimal] = {}
    zero = Decimal(0)
    return [
        Proof(
            "per asset, all books sum to zero: nothing is made or lost",
            len(books),
            "assets",
            sum(sum(totals.values()) != totals["locked"] for totals in books.values()),
        ),
        Proof(
            "per asset, the accounts own what was deposited, bought and sold",
            len(sums),
            "assets",
            sum(books.get(a, nothing).get("own", zero) != amount for a, amount in own.items()),
        ),
        Proof(
            "per asset, locked is what the open orders of the file need",
            len(sums),
            "assets",
            sum(books.get(a, nothing).get("locked", zero) != held for a, held in locked.items()),
        ),
    ]


def _profit(connection: psycopg.Connection[Any], accounts: list[UUID]) -> Proof:
    rows = connection.execute(_EQUITY, (accounts,)).fetchall()
    traded = connection.execute(
        "SELECT count(DISTINCT account_id) FROM order_fills WHERE account_id = ANY(%s)", (accounts,)
    ).fetchone()
    faults = sum(changed != made for _, changed, made in rows)
    faults += 0 if traded == (len(rows),) else 1
    claim = "of each account, what its positions realised and are worth is its change of equity"
    return Proof(claim, len(accounts), "accounts", faults)


def _snapshots(connection: psycopg.Connection[Any], accounts: list[UUID]) -> Proof:
    row = connection.execute(_SNAPSHOTS, (accounts,)).fetchone()
    assert row is not None
    taken, faults = row
    claim = "of each account, the snapshot's equity is what was paid in and what was made"
    return Proof(claim, taken, "snapshots", faults + abs(taken - len(accounts)))


def _exact(amount: int, places: int) -> Decimal:
    return Decimal(amount).scaleb(-VOLUME_PLACES - places)


# --- for people -----------------------------------------------------------------------


def show(report: dict[str, Any], console: Console) -> None:
    """The report as a page."""
    outcomes = ", ".join(f"{number:,} {what}" for what, number in report["outcomes"].items())
    lines = [
        f"{report['rows']:,} rows about {report['orders_in_file']:,} orders, "
        f"{report['orders_created']:,} of them created in the file",
        f"{report['commands']:,} commands in {report['seconds']} s: "
        f"{report['commands_per_second']:,} per second",
        f"outcomes: {outcomes}",
        "",
        *(
            f"{asset}: " + ", ".join(f"{book} {amount}" for book, amount in totals.items())
            for asset, totals in report["balances"].items()
        ),
        "",
        *(_line(claim) for claim in report["claims"]),
        "",
        "All of it holds." if report["holds"] else "[bold red]NOT all of it holds.[/bold red]",
    ]
    console.print("\n".join(lines), soft_wrap=True)


def _line(claim: dict[str, Any]) -> str:
    mark = "[green]✓[/green]" if claim["holds"] else "[bold red]✗[/bold red]"
    faults = "" if claim["holds"] else f": {claim['faults']:,} faults"
    return f"{mark} {claim['claim']} ({claim['number']:,} {claim['of']}){faults}"

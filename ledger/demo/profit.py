"""What the demo's strategies made: a line for each instrument that one traded, and for each account
the sum of them, which must be what its equity changed by.

    realised + unrealised + flows = equity now − capital

The left side is asked of the positions (flows: fees and funding), the right side of the books:
equity is what the sub-accounts have at the marks and what open contracts would bring; capital is
what came from outside, at the same marks. Nothing of one side is used for the other.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

import psycopg

from ledger.demo.plan import CONTRACTS
from ledger.demo.proofs import Proof
from ledger.kernel import read_side
from ledger.kernel.money import ZERO, exact, plain
from ledger.nouns.accounts.events import EXTERNAL
from ledger.nouns.prices.price import Price
from ledger.nouns.prices.valuation import Markets, PricedMarket

if TYPE_CHECKING:
    from decimal import Decimal

    from projections.portfolio.series import Snapshot
    from projections.questions.question import Question
    from projections.read_models.accounts import Account
    from projections.read_models.balances import Balance, ContraBalance
    from projections.read_models.instruments import Symbol
    from projections.read_models.positions import AccountPosition
    from projections.read_models.prices import NewestPrice

_CONTRACTS = frozenset(one.instrument for one in CONTRACTS)


class ProfitLine(NamedTuple):
    """What one strategy made with one instrument, or an account in all. `held` is what is open."""

    account: str
    strategy: str
    instrument: str
    held: "Decimal"
    realised: "Decimal"
    unrealised: "Decimal"
    flows: "Decimal"

    @property
    def net(self) -> "Decimal":
        return self.realised + self.unrealised + self.flows

    def as_json(self) -> dict[str, str]:
        told = {name: str(value) for name, value in self._asdict().items() if name in _NAMES}
        return told | {
            name: plain(value)
            for name, value in (*self._asdict().items(), ("net", self.net))
            if name not in _NAMES
        }


_NAMES = ("account", "strategy", "instrument")
TOTAL = "all"
"""In place of a strategy: the account."""


def profits(connection: psycopg.Connection[Any], account_ids: Iterable[UUID]) -> list[ProfitLine]:
    """Every line, an account's sum behind its own."""
    accounts: Question[Account] = read_side.question("accounts")
    positions: Question[AccountPosition] = read_side.question("positions")
    found: list[ProfitLine] = []
    with connection.transaction():
        names = {
            accounts.find(connection, account_id=one)[0].account_name: one for one in account_ids
        }
        for name, account_id in sorted(names.items()):
            rows = positions.find(connection, account_id=account_id)
            with exact():
                lines = _lines(name, rows)
                found += [*lines, _sum(name, lines)]
    return found


def _lines(account: str, rows: "Iterable[AccountPosition]") -> list[ProfitLine]:
    lines: dict[tuple[str, str], ProfitLine] = {}
    for row in rows:
        key = (row.sub_account, row.instrument)
        before = lines.get(key) or ProfitLine(account, *key, ZERO, ZERO, ZERO, ZERO)
        lines[key] = before._replace(
            held=before.held + row.quantity,
            realised=before.realised + row.realized_pnl,
            unrealised=before.unrealised + (row.unrealized_pnl or ZERO),
            flows=before.flows + row.funding - row.commission,
        )
    return [line for _, line in sorted(lines.items())]


def _sum(account: str, lines: Iterable[ProfitLine]) -> ProfitLine:
    total = ProfitLine(account, TOTAL, "", ZERO, ZERO, ZERO, ZERO)
    for line in lines:
        total = total._replace(
            realised=total.realised + line.realised,
            unrealised=total.unrealised + line.unrealised,
            flows=total.flows + line.flows,
        )
    return total


def prove(
    connection: psycopg.Connection[Any], account_ids: Iterable[UUID], lines: Iterable[ProfitLine]
) -> Proof:
    """Whether what was made is what the accounts are worth more than was paid in."""
    accounts: Question[Account] = read_side.question("accounts")
    made = {line.account: line.net for line in lines if line.strategy == TOTAL}
    faults = 0
    with connection.transaction():
        markets = _markets(connection)
        for account_id in account_ids:
            (account,) = accounts.find(connection, account_id=account_id)
            change = _change_of_equity(connection, account, markets)
            faults += change != made[account.account_name]
    claim = "realised + unrealised + flows = change of equity, to the last unit"
    return Proof(claim, len(made), "accounts", faults)


def prove_snapshots(
    connection: psycopg.Connection[Any], account_ids: Iterable[UUID], lines: Iterable[ProfitLine]
) -> Proof:
    """Whether the changes of each account's snapshots add up to what it made and what was paid in:
    their sum is the newest, which is what the books have, and says of it what the positions say."""
    accounts: Question[Account] = read_side.question("accounts")
    snapshots: Question[Snapshot] = read_side.question("snapshots")
    made = {line.account: line.net for line in lines if line.strategy == TOTAL}
    count = faults = 0
    with connection.transaction():
        markets = _markets(connection)
        for account_id in account_ids:
            (account,) = accounts.find(connection, account_id=account_id)
            rows = snapshots.find(connection, account_id=account_id)
            count += len(rows)
            last = rows[0]
            with exact():
                told = last.realized_pnl + last.unrealized_pnl - last.commission + last.funding
            faults += told != made[account.account_name]
            faults += last.equity != _worth(connection, account, markets)
    claim = "sum of snapshots' changes = profit + what was paid in, to the last unit"
    return Proof(claim, count, "snapshots", faults)


def _worth(connection: psycopg.Connection[Any], account: "Account", markets: Markets) -> "Decimal":
    """What the books hold at the marks, and what open contracts would bring."""
    return _change_of_equity(connection, account, markets, of_outside=False)


def _change_of_equity(
    connection: psycopg.Connection[Any],
    account: "Account",
    markets: Markets,
    *,
    of_outside: bool = True,
) -> "Decimal":
    balances: Question[Balance] = read_side.question("balances")
    contra: Question[ContraBalance] = read_side.question("contra_balances")
    positions: Question[AccountPosition] = read_side.question("positions")
    of_account = {"account_id": account.account_id}
    held = [(row.asset, row.total) for row in balances.find(connection, **of_account)]
    outside = []
    if of_outside:  # what it gave is below zero
        outside = contra.find(connection, **of_account, book=EXTERNAL)
    worth = ZERO
    with exact():
        for asset, total in (*held, *((row.asset, row.total) for row in outside)):
            valuation = markets.valuation(asset, account.base_currency)
            assert valuation is not None or not total, f"{asset} has no price"
            worth += valuation.value(total) if valuation is not None else ZERO
        for row in positions.find(connection, **of_account):
            if row.instrument in _CONTRACTS:
                worth += row.unrealized_pnl or ZERO
    return worth


def _markets(connection: psycopg.Connection[Any]) -> Markets:
    """What the exchange said at last."""
    instruments: Question[Symbol] = read_side.question("instruments")
    prices: Question[NewestPrice] = read_side.question("prices")
    assets = {row.instrument: row for row in instruments.find(connection)}
    return Markets(
        PricedMarket(
            assets[row.instrument].base_asset,
            assets[row.instrument].quote_asset,
            Price(row.instrument, row.price, row.time, row.kind, row.source, stale=False),
            assets[row.instrument].kind,
        )
        for row in prices.find(connection)
        if row.instrument in assets
    )

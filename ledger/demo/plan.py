"""Who trades what in the demo: accounts, strategies, instruments."""

from decimal import Decimal
from typing import NamedTuple

from ledger.nouns.accounts.events import AccountType
from ledger.nouns.instruments.contract import InstrumentKind

SEED = 20_261_121
"""What all chance in the demo follows from."""
VENUE = "DEMO"
BASE_CURRENCY = "USDT"
FEE_RATE = Decimal("0.001")

COMMANDS_PER_ORDER = Decimal("4.2")
"""Commands that one planned order leads to on average, measured."""


class Listing(NamedTuple):
    """An instrument and where its price begins. A typical order is for `lot` or some of it."""

    instrument: str
    base_asset: str
    quote_asset: str
    tick_size: Decimal
    step_size: Decimal
    max_quantity: Decimal
    first_price: Decimal
    lot: Decimal
    kind: InstrumentKind = InstrumentKind.SPOT

    @property
    def pair(self) -> str:
        """What it is a price of: a contract moves with its coin."""
        return f"{VENUE}:{self.base_asset}{self.quote_asset}"


class DemoAccount(NamedTuple):
    """An account, what it is given, and the share in percent of each strategy."""

    name: str
    account_type: AccountType
    deposits: dict[str, str]
    shares: dict[str, str]


_BITCOIN = Listing(
    instrument=f"{VENUE}:BTCUSDT",
    base_asset="BTC",
    quote_asset="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.00001"),
    max_quantity=Decimal(100),
    first_price=Decimal(60_000),
    lot=Decimal("0.01"),
)
LISTINGS = (
    _BITCOIN,
    Listing(
        instrument=f"{VENUE}:ETHUSDT",
        base_asset="ETH",
        quote_asset="USDT",
        tick_size=Decimal("0.01"),
        step_size=Decimal("0.0001"),
        max_quantity=Decimal(1_000),
        first_price=Decimal(3_000),
        lot=Decimal("0.2"),
    ),
    _BITCOIN._replace(instrument=f"{VENUE}:BTCPERP", kind=InstrumentKind.PERPETUAL),
)
SPOT = tuple(one for one in LISTINGS if one.kind is InstrumentKind.SPOT)
CONTRACTS = tuple(one for one in LISTINGS if one.kind is not InstrumentKind.SPOT)
LEVERAGE = Decimal(10)
FUNDING_RATE = Decimal("0.0001")
"""Of what a contract is worth, paid by who is long to who is short, once, as the market closes."""

# The CASH accounts have far more than their orders need, so that only the orders meant to be too
# large are refused, whatever the timing. The MARGIN account sells what it does not have, and trades
# contracts, for whose margin it has far more than enough.
ACCOUNTS = (
    DemoAccount(
        "alice",
        AccountType.CASH,
        {"USDT": "2000000", "BTC": "40", "ETH": "800.5"},
        {"maker": "40", "trend": "30", "dip": "20"},
    ),
    DemoAccount(
        "bob",
        AccountType.CASH,
        {"USDT": "1500000", "BTC": "25.75", "ETH": "500"},
        {"maker": "50", "trend": "50"},
    ),
    DemoAccount("carol", AccountType.MARGIN, {"USDT": "5000000"}, {"trend": "60", "dip": "40"}),
)

STRATEGIES = ("maker", "trend", "dip")
RETIRED_STRATEGY = "retired"
"""A strategy that was assigned once; orders in its name are refused."""


def tradable(account_type: AccountType) -> tuple[Listing, ...]:
    return LISTINGS if account_type is AccountType.MARGIN else SPOT


def listing(instrument: str) -> Listing:
    return next(one for one in LISTINGS if one.instrument == instrument)


def accounts_of(strategy: str) -> list[DemoAccount]:
    """The accounts that the strategy trades for."""
    return [account for account in ACCOUNTS if strategy in account.shares]


def orders_per_account(commands: int) -> int:
    """How many orders each strategy plans for each of its accounts, to send about so many
    commands in all."""
    pairs = sum(len(account.shares) for account in ACCOUNTS)
    return max(1, int(commands / COMMANDS_PER_ORDER / pairs))


def planned_orders(commands: int) -> int:
    """How many orders all strategies plan together."""
    return orders_per_account(commands) * sum(len(account.shares) for account in ACCOUNTS)

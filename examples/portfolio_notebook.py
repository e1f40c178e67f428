"""An account's equity and performance as DataFrames: a notebook, cell by cell (`# %%`).

pip install 'trading-ledger[frames]'
LEDGER_NATS_URL=$(ledgerctl bus url) python examples/portfolio_notebook.py ACCOUNT_ID
"""

# %% The ledger, asked over the bus: no database, no server's package.
import os
import sys

import polars as pl

from ledger.sync import LedgerClient

account_id = sys.argv[1]
url = os.environ.get("LEDGER_NATS_URL", "nats://127.0.0.1:4222")
with LedgerClient.connect(url, source="notebook") as ledger:
    equity = ledger.queries.equity.frame(account_id, grain="DAY")
    months = ledger.queries.performance.frame(account_id, period_type="MONTHLY", scope="ACCOUNT")
    trips = ledger.queries.round_trips.frame(account_id)

# %% Every amount has all of its digits: equity changes by profit and flows, to the last unit.
equity = equity.sort("time").with_columns(change=pl.col("equity") - pl.col("opening_equity"))
assert equity.filter(pl.col("change") != pl.col("profit") + pl.col("external_flows")).is_empty()
print(equity.select("time", "equity", "external_flows", "profit"))

# %% Months, with what is not defined left out and not zero.
print(months.sort("time").select("time", "time_weighted_return", "max_drawdown_percent"))

# %% What each instrument made, fees and funding in it.
print(trips.group_by("instrument").agg(pl.len().alias("trips"), pl.col("net_pnl").sum()))

"""What the machines draw from: few values, so that they meet, and some that no rule allows."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from ledger.kernel import money
from ledger.nouns.accounts import rules as account_rules
from ledger.nouns.allocations import rules as allocation_rules
from ledger.nouns.orders import facts as order_facts
from ledger.nouns.orders.events import OrderType, Side, TimeInForce
from ledger.nouns.orders.state import Trade
from tests.nouns.folded import D

Decision = Callable[..., Any]

INSTRUMENTS = {"BINANCE:BTCUSDT": "BTC", "BINANCE:ETHUSDT": "ETH", "KRAKEN:BTCUSDT": "BTC"}
STRATEGIES = ("alpha", "beta", "gamma")
STATUS_REQUESTS: list[Decision] = [
    *(account_rules.suspend, account_rules.close),
    *(
        account_rules.reactivate,
        account_rules.reactivate,
        account_rules.reactivate,
    ),  # or little else happens
]
SHARE_REQUESTS: list[Decision] = [allocation_rules.assign, allocation_rules.change]
FACTS: list[Decision] = [
    *(
        order_facts.accept,
        order_facts.accept,
        order_facts.reject,
        order_facts.cancel,
        order_facts.expire,
    ),
    *(order_facts.reject_cancel, order_facts.reject_replace),
]

amounts = st.sampled_from([D("0.00000001"), D("0.5"), D(1), D("12.345"), D(100), D(5000)])
quantities = st.sampled_from([D("0.001"), D("0.4"), D(1), D("1.25"), D(3), D(40)])
odd_quantities = quantities | st.sampled_from([D("0.0001"), D(1000), D("0.0015")])
prices = st.sampled_from([D("0.01"), D("99.5"), D(100), D("100.01"), D(130)])
odd_prices = prices | st.just(D("100.001"))
percents = st.sampled_from([D("0.5"), D(25), D("33.333"), D(50), D(100)])
assets = st.sampled_from(["USDT", "BTC", "ETH", "BNB"])
sub_accounts = st.sampled_from(["main", *STRATEGIES])
strategy_ids = st.sampled_from(STRATEGIES)
places = st.integers(0, 1_000_000)
"""Which of the accounts or orders there are: counted around."""


@st.composite
def order_terms(draw: st.DrawFn) -> dict[str, Any]:
    order_type = draw(st.sampled_from(OrderType))
    side = draw(st.sampled_from(Side))
    terms: dict[str, Any] = {
        "instrument_name": draw(st.sampled_from(list(INSTRUMENTS))),
        "strategy_id": draw(st.none() | strategy_ids),
        "side": side,
        "order_type": order_type,
        "quantity": draw(odd_quantities),
        "price": draw(odd_prices),
        "fee_rate": draw(st.sampled_from([money.ZERO, D("0.001")])),
        "time_in_force": draw(st.sampled_from(TimeInForce)),
    }
    if order_type in {OrderType.STOP_MARKET, OrderType.TAKE_PROFIT}:
        terms |= {"price": None, "stop_price": draw(odd_prices)}
    if order_type is OrderType.MARKET and side is Side.BUY:
        terms |= draw(
            st.sampled_from(
                [{}, {"price": None}, {"price": None, "quantity": None, "quote_quantity": D(50)}]
            )
        )
    return terms


def listing(name: str) -> dict[str, Any]:
    return {
        "instrument": name,
        "base_asset": INSTRUMENTS[name],
        "quote_asset": "USDT",
        "limits": {
            "tick_size": D("0.01"),
            "step_size": D("0.001"),
            "max_quantity": D(500),
        },
    }


def content(trade_id: str, trade: Trade) -> dict[str, Any]:
    return {
        "trade_id": trade_id,
        "last_qty": trade.last_qty,
        "last_px": trade.last_px,
        "fees": trade.fees,
        "liquidity_side": trade.liquidity_side,
    }

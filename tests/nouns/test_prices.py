"""What a thing is worth at a moment, and in what."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.kernel.money import exact
from ledger.nouns.instruments.contract import InstrumentKind
from ledger.nouns.prices import facts
from ledger.nouns.prices import state as price_state
from ledger.nouns.prices.events import PriceKind, PricesRecorded
from ledger.nouns.prices.price import InstrumentPrices, Price, Quote
from ledger.nouns.prices.valuation import Markets, PricedMarket

D = Decimal
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAX_AGE = timedelta(seconds=300)
BTCUSDT = "BINANCE:BTCUSDT"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def told(trade: tuple[str, float] | None = None, **kinds: tuple[str, float]) -> Price | None:
    """The price now of what was told: price and age by kind."""
    prices = InstrumentPrices()
    for kind, (price, age) in kinds.items():
        prices.tell(PriceKind(kind), Quote(D(price), ago(age), "feed"))
    if trade is not None:
        prices.trade_at(Quote(D(trade[0]), ago(trade[1]), "t1"))
    return prices.at(BTCUSDT, NOW, MAX_AGE)


# --- the price of an instrument -----------------------------------------------------------


def test_of_fresh_prices_the_kind_that_is_believed_first_is_the_price() -> None:
    price = told(LAST=("101", 1), MARK=("100", 20), INDEX=("99", 1), CLOSE=("98", 1))
    assert price == Price(BTCUSDT, D(100), ago(20), PriceKind.MARK, "feed", stale=False)


def test_a_price_that_is_not_fresh_gives_way_to_a_kind_that_is() -> None:
    price = told(MARK=("100", 301), LAST=("101", 300))
    assert price is not None
    assert (price.price, price.kind, price.stale) == (D(101), PriceKind.LAST, False)


def test_of_prices_that_are_all_old_the_newest_is_the_price_and_says_that_it_is_stale() -> None:
    price = told(MARK=("100", 900), CLOSE=("98", 600))
    assert price is not None
    assert (price.price, price.kind, price.stale) == (D(98), PriceKind.CLOSE, True)


def test_ones_own_trade_is_the_price_if_it_is_newer() -> None:
    newer = told(MARK=("100", 20), trade=("103", 10))
    older = told(MARK=("100", 20), trade=("103", 30))
    as_old = told(MARK=("100", 20), trade=("103", 20))
    assert newer is not None
    assert older is not None
    assert as_old is not None
    assert (newer.price, newer.kind, newer.source) == (D(103), None, "t1")
    assert (older.price, as_old.price) == (D(100), D(100))


def test_no_price_is_from_after_the_moment_and_nothing_told_is_no_price() -> None:
    assert told(MARK=("100", -1), trade=("103", -1)) is None
    assert told() is None


def test_a_price_may_be_zero_or_below_it() -> None:
    price = told(LAST=("-37.63", 1))
    assert price is not None
    assert price.price == D("-37.63")


def test_the_same_time_told_again_is_a_correction_and_an_older_one_changes_nothing() -> None:
    prices = InstrumentPrices()
    for price, age in (("100", 10), ("101", 10), ("99", 11)):
        prices.tell(PriceKind.MARK, Quote(D(price), ago(age), "feed"))
    assert prices.told[PriceKind.MARK].price == D(101)


# --- what is recorded ---------------------------------------------------------------------


def record(state: Any, *prices: tuple[str, str], time: datetime = NOW) -> Any:
    events = facts.record(
        state,
        venue="BINANCE",
        source="feed",
        kind=PriceKind.MARK,
        time=time,
        prices={name: D(price) for name, price in prices},
    )
    for event in events:
        state = price_state.evolve(state, event, price_state.stream_id("BINANCE"))
    return state, events


def test_what_is_known_is_not_recorded_again_and_a_correction_or_a_late_price_is() -> None:
    state, events = record(None, (BTCUSDT, "100"))
    assert [type(event) for event in events] == [PricesRecorded]
    assert record(state, (BTCUSDT, "100"))[1] == ()
    assert len(record(state, (BTCUSDT, "101"))[1]) == 1
    late, events = record(state, (BTCUSDT, "90"), time=ago(60))
    assert len(events) == 1
    assert late.instruments[BTCUSDT].told[PriceKind.MARK].price == D(101)


def test_the_state_has_the_size_of_the_venue_however_long_it_is_told_of() -> None:
    state = None
    for second in range(50):
        state, _ = record(state, (BTCUSDT, str(second)), time=NOW + timedelta(seconds=second))
    assert state is not None
    assert len(state.instruments) == len(state.instruments[BTCUSDT].told) == 1


# --- the value of an asset in another -----------------------------------------------------


def market(
    name: str, price: str, age: float = 0, kind: InstrumentKind = InstrumentKind.SPOT
) -> PricedMarket:
    """KRAKEN:EUR/USDT at `price`."""
    base, quote = name.partition(":")[2].split("/")
    told = Price(name, D(price), ago(age), PriceKind.LAST, "feed", age > MAX_AGE.total_seconds())
    return PricedMarket(base, quote, told, kind)


MARKETS = (
    market("BINANCE:BTC/USDT", "60000"),
    market("KRAKEN:EUR/USDT", "1.2", 400),
    market("BINANCE:ETH/BTC", "0.05", 7),
    market("BINANCE:DOGE/ETH", "0.001"),
    market("BINANCE:PEPE/DOGE", "0.1"),
)


def valued(amount: str, asset: str, currency: str, *markets: PricedMarket) -> Decimal | None:
    valuation = Markets(markets or MARKETS).valuation(asset, currency)
    with exact():
        return None if valuation is None else valuation.value(D(amount))


@pytest.mark.parametrize(
    ("amount", "asset", "currency", "value"),
    [
        ("2", "USDT", "USDT", "2"),
        ("2", "BTC", "USDT", "120000"),
        ("6", "USDT", "EUR", "5"),
        ("1", "USDT", "EUR", "0.833333333333333333"),
        ("1", "ETH", "EUR", "2500"),
        ("-1", "BTC", "EUR", "-50000"),
        ("10", "DOGE", "USDT", "30"),
    ],
)
def test_an_asset_is_valued_directly_inversely_and_over_other_assets(
    amount: str, asset: str, currency: str, value: str
) -> None:
    assert valued(amount, asset, currency) == D(value)


def test_no_way_and_a_way_that_is_too_long_are_unvalued_and_not_zero() -> None:
    assert valued("1", "XRP", "USDT") is None
    assert valued("1", "DOGE", "EUR") is None  # four markets
    assert valued("1", "PEPE", "BTC") is not None  # three


def test_the_way_and_its_oldest_price_are_told() -> None:
    valuation = Markets(MARKETS).valuation("ETH", "EUR")
    assert valuation is not None
    way = [(hop.price.instrument, hop.inverse) for hop in valuation.path]
    assert way == [
        ("BINANCE:ETH/BTC", False),
        ("BINANCE:BTC/USDT", False),
        ("KRAKEN:EUR/USDT", True),
    ]
    assert (valuation.oldest, valuation.stale) == (ago(400), True)


def test_the_shortest_way_is_taken_and_of_equal_ones_the_first_by_name() -> None:
    detour = (market("A:BTC/EUR", "1"), market("A:EUR/USDT", "1"))
    assert valued("1", "BTC", "USDT", *detour, market("Z:BTC/USDT", "7")) == D(7)
    equal = (market("C:BTC/USDT", "3"), market("B:BTC/USDT", "2"))
    assert valued("1", "BTC", "USDT", *equal) == D(2)


def test_where_an_asset_changes_hands_comes_before_what_follows_its_price() -> None:
    """However long the way and whatever the names; and an option's price is not its asset's."""
    perpetual = market("A:BTC/USDT", "61", kind=InstrumentKind.PERPETUAL)
    future = market("A:ETH/USDT", "9", kind=InstrumentKind.FUTURE)
    option = market("A:DOT/USDT", "3", kind=InstrumentKind.OPTION)
    spot = (market("B:BTC/EUR", "50"), market("B:EUR/USDT", "1.2"))
    contracts = (perpetual, future, option)
    assert valued("1", "BTC", "USDT", *contracts, *spot) == D(60)
    assert valued("1", "BTC", "USDT", *contracts) == D(61)
    assert valued("9", "USDT", "ETH", *contracts) == D(1)
    assert valued("1", "ETH", "EUR", *contracts, *spot) == D("7.5")
    assert valued("1", "DOT", "USDT", *contracts, *spot) is None


def test_a_market_whose_price_is_not_above_zero_leads_nowhere() -> None:
    assert valued("1", "OIL", "USD", market("X:OIL/USD", "-37.63")) is None
    assert valued("1", "USD", "OIL", market("X:OIL/USD", "0")) is None


@given(st.permutations(MARKETS), st.sampled_from(["BTC", "USDT", "EUR", "ETH", "DOGE", "PEPE"]))
def test_the_order_in_which_markets_are_known_does_not_matter(
    markets: list[PricedMarket], asset: str
) -> None:
    assert valued("1", asset, "USDT", *markets) == valued("1", asset, "USDT")

"""An asset is worth the same to who decides and to who shows: by one rule, whatever is listed."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from ledger.eventstore.session import reading
from projections.past.equity import ExplainedEquity, explain_equity
from projections.registry import find
from projections.settings import ProjectionSettings
from tests.commands import command
from tests.limits.desk import PERPETUAL, Desk
from tests.projections.workers import caught_up, running

SPOT, OPTION = "BINANCE:BTCUSDT", "BINANCE:BTC-100-C"
INVERSE, OTHER_OPTION = "BINANCE:ADAPERP", "BINANCE:ETH-9-C"


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    """By name, the option on a coin is first, then its perpetual, then where it is exchanged."""
    desk = Desk(database_url)
    expires = {"kind": "OPTION", "expires_at": "2027-03-26T08:00:00Z"}
    desk.accepted(
        listed(OPTION, "BTC", **expires),
        listed(OTHER_OPTION, "ETH", **expires),
        listed(INVERSE, "ADA", kind="PERPETUAL", inverse=True, contract_size="10"),
    )
    desk.limit("MIN_EQUITY", "1000000", "USDT")
    for instrument, price in ((OPTION, "7"), (OTHER_OPTION, "3"), (PERPETUAL, "110")):
        desk.price(price, instrument)
    desk.price("0.5", INVERSE)
    desk.deposit("2", "BTC")
    yield desk
    desk.ledger.close()


def listed(instrument: str, base: str, **terms: Any) -> Any:
    told = {"instrument": instrument, "base_asset": base, "quote_asset": "USDT"}
    return command("ListInstrument", "instruments", **told, **terms)


def decided(desk: Desk) -> dict[str, Any]:
    """What the event of an order that is refused says that equity rests on."""
    inputs: dict[str, Any] = desk.risk_of(desk.buy("0.1", "1"))["inputs"]
    return inputs


def explained(desk: Desk) -> ExplainedEquity:
    """The same by the read model, and from its events."""
    taken = {"time": desk.now.isoformat(), "kind": "MANUAL", "account_id": str(desk.account)}
    desk.accepted(command("TakeSnapshots", "clock", **taken))
    with running(desk.url, [find("portfolio_snapshots", ProjectionSettings())]):
        caught_up(desk.url, "portfolio_snapshots")
    with reading(desk.url) as connection:
        found = explain_equity(connection, desk.account)
    assert found.equal
    return found


def ways(found: ExplainedEquity) -> dict[str, list[str]]:
    return {one.asset: [hop.instrument for hop in one.way] for one in found.assets}


def test_equity_decided_by_is_equity_shown_where_a_coin_has_contracts_too(desk: Desk) -> None:
    desk.price("100", SPOT)
    used, shown = decided(desk), explained(desk)
    assert {one["asset"]: one["path"] for one in used["rates"]} == {"BTC": [SPOT]}
    assert ways(shown) == {"BTC": [SPOT]}
    assert [Decimal(one["equity"]) for one in used["equities"]] == [200]
    assert shown.equity == shown.snapshot_equity == 200


def test_what_changes_hands_nowhere_is_worth_what_its_contract_says_whatever_its_size(
    desk: Desk,
) -> None:
    desk.deposit("8", "ADA")
    used, shown = decided(desk), explained(desk)
    by = {"BTC": [PERPETUAL], "ADA": [INVERSE]}
    assert {one["asset"]: one["path"] for one in used["rates"]} == by
    assert ways(shown) == by
    assert [Decimal(one["equity"]) for one in used["equities"]] == [224]
    assert shown.equity == shown.snapshot_equity == 224


def test_the_price_of_an_option_values_nothing(desk: Desk) -> None:
    desk.deposit("8", "ETH")
    refused = desk.risk_of(desk.buy("0.1", "1"))
    (lacks,) = refused["failed"][0]["missing"]
    assert lacks.startswith("what ETH is worth in USDT")
    assert list(explained(desk).unvalued) == ["ETH"]


def test_a_market_that_gets_a_price_leads_from_then_on(desk: Desk) -> None:
    """Ways are kept by who decides: not beyond what the rule says."""
    desk.price("0", SPOT)
    assert [one["path"] for one in decided(desk)["rates"]] == [[PERPETUAL]]
    desk.price("100", SPOT)
    assert [one["path"] for one in decided(desk)["rates"]] == [[SPOT]]

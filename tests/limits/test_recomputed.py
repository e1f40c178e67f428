"""Every refusal comes out again from the numbers of its own event, reckoned elsewhere."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from examples.recompute_refusals import differences
from tests.commands import INSTRUMENT, command
from tests.limits.desk import PERPETUAL, Desk, order_id


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    desk = Desk(database_url)
    desk.accepted(
        command(
            "AssignStrategy",
            desk.account,
            strategy_id="trend",
            allocation_percent="50",
            risk_multiplier="0.5",
        )
    )
    desk.deposit("1000")
    desk.deposit("2", "BTC")
    desk.price("100")
    desk.price("101", PERPETUAL)
    desk.traded("BUY", "1.5", "99")
    desk.traded("SELL", "2", "98", instrument=PERPETUAL)
    desk.buy("0.3", "97")
    desk.sell("1", "120", instrument=PERPETUAL)
    yield desk
    desk.ledger.close()


def refusals(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url) as connection:
        return [
            row[0]
            for row in connection.execute(
                "SELECT event_data FROM event_store "
                "WHERE event_data #> '{risk,failed}' IS NOT NULL ORDER BY position"
            )
        ]


LIMITS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("MAX_ORDER_QUANTITY", "0.1", "UNITS", {}),
    ("MAX_ORDER_NOTIONAL", "1", "USDT", {}),
    ("MAX_ORDER_NOTIONAL", "0.1", "%", {}),
    ("PRICE_BAND", "1", "%", {}),
    ("MAX_OPEN_ORDERS", "1", "ORDERS", {}),
    ("ORDER_RATE", "1", "ORDERS", {"window": "1h"}),
    ("NOTIONAL_RATE", "1", "USDT", {"window": "1h"}),
    ("MESSAGE_RATE", "1", "ORDERS", {"window": "1h"}),
    ("MAX_POSITION", "0.1", "UNITS", {}),
    ("MAX_POSITION", "0.1", "USDT", {}),
    ("MAX_POSITION", "0.1", "%", {}),
    ("MAX_EXPOSURE", "0.1", "USDT", {}),
    ("MAX_EXPOSURE", "0.1", "%", {}),
    ("MAX_EXPOSURE", "0.1", "USDT", {"scope": "SYSTEM", "reference": None}),
    ("MAX_EXPOSURE", "0.1", "USDT", {"scope": "INSTRUMENT", "reference": INSTRUMENT}),
    ("MAX_EXPOSURE", "0.001", "RATIO", {"scope": "STRATEGY", "reference": "trend"}),
    ("MAX_LEVERAGE", "0.001", "RATIO", {}),
    ("MAX_DAILY_LOSS", "0.001", "%", {}),
    ("MAX_DRAWDOWN", "0.001", "USDT", {}),
    ("MIN_EQUITY", "1000000", "USDT", {}),
    ("RISK_PER_TRADE", "0.01", "%", {}),
    ("SELF_MATCH", "0", "ORDERS", {}),
    ("PRICE_WALK", "0.01", "%", {"window": "1h"}),
]


def test_refusals_by_every_measure_come_out_again(desk: Desk, tmp_path: Path) -> None:
    for measure, value, unit, more in LIMITS:
        desk.limit(measure, value, unit, **more)
    desk.price("99.5")
    desk.deposit("77")
    refused = [
        desk.buy("0.5", "95"),
        desk.buy("0.5", "95", stop_price="90", order_type="LIMIT"),
        desk.sell("7", "90"),
        desk.sell("3", "90", instrument=PERPETUAL),
        desk.buy("4", "103", instrument=PERPETUAL),
        desk.one(desk.order("SELL", "5", "1", order_type="MARKET", instrument=PERPETUAL)),
    ]
    assert {one.code for one in refused} == {"RISK_LIMIT_EXCEEDED"}
    desk.accepted(command("Transfer", desk.account, **_to_trend("100")))
    assert desk.buy("0.2", "95", strategy_id="trend").code == "RISK_LIMIT_EXCEEDED"
    told = refusals(desk.url)
    measures = {one["measure"] for data in told for one in data["risk"]["failed"]}
    assert measures == {one[0] for one in LIMITS}
    assert [list(differences(data)) for data in told] == [[] for _ in told]
    exported = tmp_path / "events.jsonl"
    exported.write_text("".join(json.dumps({"data": data}) + "\n" for data in told))
    script = Path(__file__).parents[2] / "examples" / "recompute_refusals.py"
    said = subprocess.run(
        [sys.executable, "-I", script, exported], capture_output=True, text=True, check=True
    )
    assert said.stdout == f"{len(told)} refusals reckoned again, 0 differences\n"


def _to_trend(amount: str) -> dict[str, str]:
    return {
        "asset": "USDT",
        "amount": amount,
        "from_sub_account": "main",
        "to_sub_account": "trend",
    }


def test_so_do_those_of_changes_and_duplicates(desk: Desk) -> None:
    desk.limit("MAX_EXPOSURE", "700", "USDT")
    desk.limit("DUPLICATE_ORDER", "1", "ORDERS")
    order = order_id(desk.buy("0.1", "97"))
    assert not desk.buy("0.1", "97").accepted
    for change in ({"quantity": "4"}, {"price": "9000"}):
        assert not desk.one(
            command("RequestReplace", desk.account, order_id=order, **change)
        ).accepted
    told = refusals(desk.url)
    assert len(told) == 3
    assert [list(differences(data)) for data in told] == [[], [], []]


def test_a_number_that_was_altered_is_found(desk: Desk) -> None:
    desk.limit("MAX_EXPOSURE", "300", "USDT")
    assert not desk.buy("1", "95").accepted
    (told,) = refusals(desk.url)
    told["risk"]["inputs"]["prices"][0]["price"] = "1"
    assert list(differences(told))

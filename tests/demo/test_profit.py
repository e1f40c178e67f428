"""What the demo says that its strategies made."""

from decimal import Decimal

from ledger.demo.profit import ProfitLine
from ledger.demo.report import _profit_cells

D = Decimal


def test_a_line_says_in_cents_what_was_made_and_of_nothing_no_minus() -> None:
    line = ProfitLine("carol", "dip", "DEMO:BTCPERP", D("-0.5"), D("1234.567"), D("-0.001"), D(-3))
    money = ("realised", "unrealised", "flows", "net")
    assert _profit_cells(line.as_json(), money) == [
        *("carol/dip", "BTCPERP", "-0.5"),
        *("1,234.57", "0.00", "-3.00", "1,231.57"),
    ]
